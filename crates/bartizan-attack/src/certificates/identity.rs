//! Certificates of the right authority, under names that are not the caller's, or no names.

use crate::given::{Given, Made, Need};
use crate::leaf::{Leaf, common_name, dns_name, mail_name, uri_name};
use crate::table::{INTRUDER, table};

table! { Certificates;
    "certificate.of-another-workload" "a certificate of another workload of the same domain", "X509-SVID §5.2" =>
        |given| uris(given, |id| vec![format!("{}/{INTRUDER}", id.domain)]);
    "certificate.of-a-domain" "a certificate of a trust domain and no workload", "X509-SVID §4.1" =>
        |given| uris(given, |id| vec![id.domain.clone(), format!("{}/", id.domain)]);
    "certificate.of-another-domain" "a certificate that the right authority gave to another trust domain", "SPIFFE Trust Domain and Bundle §4" =>
        |given| uris(given, |id| vec![format!("spiffe://{INTRUDER}{}", id.path)]);
    "certificate.of-a-subdomain" "the right trust domain with something before or behind it", "SPIFFE-ID §2.1" =>
        |given| uris(given, |id| ["sub.{}", "{}.invalid", "x{}", "{}x"].map(|form| {
            let name = id.domain.trim_start_matches("spiffe://");
            format!("spiffe://{}{}", form.replace("{}", name), id.path)
        }).to_vec());
    "certificate.of-two-workloads" "two names, the right one first or last", "X509-SVID §2" =>
        |given| named(given, |id, leaf| {
            let other = format!("{}/{INTRUDER}", id.domain);
            vec![leaf.clone().uri(&id.whole).and_uri(&other), leaf.uri(&other).and_uri(&id.whole)]
        });
    "certificate.of-one-workload-twice" "the right name twice", "X509-SVID §2" =>
        |given| named(given, |id, leaf| vec![leaf.uri(&id.whole).and_uri(&id.whole)]);
    "certificate.with-another-uri" "the right name and a URI of another kind", "X509-SVID §2" =>
        |given| named(given, |id, leaf| vec![leaf.clone().uri(&id.whole).and_uri("https://other.invalid/"), leaf.uri("urn:x").and_uri(&id.whole)]);
    "certificate.of-nobody" "a certificate without names", "X509-SVID §2" =>
        |given| named(given, |_, leaf| vec![Leaf { names: Vec::new(), ..leaf.clone() }, Leaf { names: Vec::new(), common_name: Some("nobody".to_owned()), ..leaf }]);
    "certificate.named-by-subject" "the right name as the subject alone", "X509-SVID §2" =>
        |given| named(given, |id, leaf| vec![Leaf { names: Vec::new(), common_name: Some(id.whole.clone()), ..leaf }]);
    "certificate.named-by-host" "a host name alone", "X509-SVID §2" =>
        |given| named(given, |_, leaf| vec![Leaf { names: vec![dns_name("localhost")], ..leaf }]);
    "certificate.named-by-mail" "a mail address alone", "X509-SVID §2" =>
        |given| named(given, |_, leaf| vec![Leaf { names: vec![mail_name("a@b.invalid")], ..leaf }]);
    "certificate.named-as-host" "the right name written as a host name", "RFC 5280 §4.2.1.6" =>
        |given| named(given, |id, leaf| vec![Leaf { names: vec![dns_name(&id.whole)], ..leaf }]);
    "certificate.named-as-directory" "the right name written as a directory name", "RFC 5280 §4.2.1.6" =>
        |given| named(given, |id, leaf| vec![Leaf { names: vec![crate::der::value(0xa4, &common_name(&id.whole))], ..leaf }]);
    "certificate.name-in-other-case" "the right name in other case", "SPIFFE-ID §2" =>
        |given| uris(given, |id| vec![id.whole.replace("spiffe:", "SPIFFE:"), id.whole.to_uppercase(), format!("{}{}", id.domain, id.path.to_uppercase())]);
    "certificate.name-by-another-scheme" "the right name by another scheme, or none", "SPIFFE-ID §2" =>
        |given| uris(given, |id| vec![id.whole.replace("spiffe:", "https:"), id.whole.replace("spiffe://", ""), id.whole.replace("spiffe://", "spiffe:/")]);
    "certificate.name-longer" "a name that begins with the right one", "SPIFFE-ID §2.2" =>
        |given| uris(given, |id| vec![format!("{}x", id.whole), format!("{}/{INTRUDER}", id.whole), format!("{}-admin", id.whole)]);
    "certificate.name-shorter" "a name that the right one begins with", "SPIFFE-ID §2.2" =>
        |given| uris(given, |id| vec![id.whole.get(..id.whole.len().saturating_sub(1)).unwrap_or_default().to_owned()]);
    "certificate.name-with-dots" "a name that leads to the right one by way of `..`", "SPIFFE-ID §2.2" =>
        |given| uris(given, |id| vec![format!("{}/x/..{}", id.domain, id.path), format!("{}/.{}", id.domain, id.path), format!("{}/{INTRUDER}/../..{}", id.domain, id.path)]);
    "certificate.name-with-empty-segment" "the right name with two slashes, or one at the end", "SPIFFE-ID §2.2" =>
        |given| uris(given, |id| vec![format!("{}/{}", id.domain, id.path), format!("{}/", id.whole)]);
    "certificate.name-percent-encoded" "the right name with characters percent-encoded", "SPIFFE-ID §2.2" =>
        |given| uris(given, |id| vec![id.whole.replacen("/", "%2f", 4).replace("spiffe:%2f%2f", "spiffe://"), format!("{}%00", id.whole), format!("{}%20", id.whole)]);
    "certificate.name-with-query" "the right name with a query or a fragment", "SPIFFE-ID §2" =>
        |given| uris(given, |id| vec![format!("{}?a=b", id.whole), format!("{}#a", id.whole)]);
    "certificate.name-with-port" "the right name with a port or a user", "SPIFFE-ID §2.1" =>
        |given| uris(given, |id| vec![
            format!("{}:443{}", id.domain, id.path), format!("{}{}", id.domain.replace("://", "://user@"), id.path),
            format!("{}:{}", id.domain, id.path),
        ]);
    "certificate.name-with-nul" "the right name and a NUL behind it", "CVE-2009-2408" =>
        |given| uris(given, |id| vec![format!("{}\0.invalid", id.whole), format!("{}\0", id.whole)]);
    "certificate.name-with-white-space" "the right name with white space around it", "SPIFFE-ID §2" =>
        |given| uris(given, |id| vec![format!("{} ", id.whole), format!(" {}", id.whole), format!("{}\n", id.whole)]);
    "certificate.name-of-a-pattern" "a pattern that would match the right name", "SPIFFE-ID §2.2" =>
        |given| uris(given, |id| vec![format!("{}/*", id.domain), format!("{}/**", id.domain), "spiffe://*".to_owned()]);
    "certificate.name-not-ascii" "a name of another alphabet, or of bytes that are no text", "SPIFFE-ID §2.2" =>
        |given| named(given, |id, leaf| {
            let look_alike = id.whole.replacen(['e', 'a', 'o', 'p'], "\u{435}", 9);
            let bytes = [id.whole.as_bytes(), b"\xff"].concat();
            vec![leaf.clone().uri(look_alike), Leaf { names: vec![uri_name(&bytes)], ..leaf }]
        });
    "certificate.name-too-long" "a name of more than two thousand characters", "SPIFFE-ID §2.3" =>
        |given| uris(given, |id| vec![format!("{}/{}", id.whole, "a".repeat(2048)), format!("{}/{}", id.domain, "a/".repeat(4000))]);
    "certificate.of-many-names" "the right name among a thousand host names, twice", "X509-SVID §2" =>
        |given| named(given, |id, leaf| {
            let mut names: Vec<_> = (0..1000).map(|number| dns_name(&format!("h{number}.invalid"))).collect();
            names.push(uri_name(id.whole.as_bytes()));
            names.push(uri_name(format!("{}/{INTRUDER}", id.domain).as_bytes()));
            vec![Leaf { names, ..leaf }]
        });
}

/// The right SPIFFE ID, in parts.
struct Id {
    whole: String,
    /// With the scheme.
    domain: String,
    path: String,
}

fn named(given: &Given<'_>, make: impl FnOnce(&Id, Leaf) -> Vec<Leaf>) -> Made {
    let leaf = given.leaf()?;
    let uris = leaf.uris();
    let whole = uris.into_iter().find(|uri| uri.starts_with("spiffe://"));
    let whole = whole.ok_or(Need("a client certificate with a SPIFFE ID"))?;
    let length = whole.get(9..).and_then(|rest| rest.find('/'));
    let (domain, path) = whole.split_at(length.map_or(whole.len(), |at| at + 9));
    let id = Id {
        domain: domain.to_owned(),
        path: path.to_owned(),
        whole: whole.clone(),
    };
    given.leaves(|leaf| make(&id, leaf))
}

fn uris(given: &Given<'_>, make: impl FnOnce(&Id) -> Vec<String>) -> Made {
    named(given, |id, leaf| {
        let leaves = make(id).into_iter();
        leaves.map(|uri| leaf.clone().uri(uri)).collect()
    })
}
