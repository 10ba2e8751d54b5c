//! Fields that claim another address, host, path or scheme.

use crate::given::{Given, Made};
use crate::table::{INTRUDER, table};

table! { Headers;
    "header.address-x-forwarded-for" "the service itself as the client's address", "CWE-348" =>
        |given| claim(given, &[("x-forwarded-for", "127.0.0.1"), ("x-forwarded-for", "::1"), ("x-forwarded-for", "10.0.0.1, 127.0.0.1"), ("x-forwarded-for", "localhost")]);
    "header.address-forwarded" "the service itself as the client's address, by the standard's field", "RFC 7239 §8.1" =>
        |given| claim(given, &[("forwarded", "for=127.0.0.1"), ("forwarded", "for=\"[::1]\";by=127.0.0.1;proto=https"), ("forwarded", "for=unknown, for=127.0.0.1")]);
    "header.address-x-real-ip" "the service itself by the field of nginx", "CWE-348" =>
        |given| claim(given, &[("x-real-ip", "127.0.0.1"), ("x-real-ip", "10.0.0.1")]);
    "header.address-of-delivery-networks" "the service itself by fields of delivery networks", "CWE-348" =>
        |given| claim(given, &[("true-client-ip", "127.0.0.1"), ("cf-connecting-ip", "127.0.0.1"), ("fastly-client-ip", "127.0.0.1"), ("x-azure-clientip", "127.0.0.1")]);
    "header.address-of-balancers" "the service itself by fields of balancers", "CWE-348" =>
        |given| claim(given, &[("x-client-ip", "127.0.0.1"), ("x-cluster-client-ip", "127.0.0.1"), ("x-originating-ip", "127.0.0.1"), ("x-remote-addr", "127.0.0.1"), ("x-host", "127.0.0.1"), ("client-ip", "127.0.0.1")]);
    "header.address-of-envoy" "the service itself by a field of Envoy", "CWE-348" =>
        |given| claim(given, &[("x-envoy-external-address", "127.0.0.1"), ("x-envoy-original-dst-host", "127.0.0.1:1"), ("x-envoy-internal", "true")]);
    "header.address-malformed" [Harmless] "addresses that are none", "CWE-20" =>
        |given| given.drafts(|it| ["", ",", ", , ,", "999.999.999.999", "::::", "[", "a\tb", "127.0.0.1:99999", "%00", "\"127.0.0.1"]
            .map(|value| it.clone().field("x-forwarded-for", value).field("forwarded", format!("for={value}"))));
    "header.address-long" [Harmless] "a list of a thousand addresses", "CWE-770" =>
        |given| given.drafts(|it| [it.clone().field("x-forwarded-for", vec!["192.0.2.1"; 500].join(", ")), it.field("forwarded", vec!["for=192.0.2.1"; 400].join(","))]);
    "header.path-original" "another path, by fields that some frameworks route by", "CVE-2018-14773" =>
        |given| rerouted(given, &["x-original-url", "x-rewrite-url", "x-original-uri", "x-forwarded-uri", "x-forwarded-path", "x-envoy-original-path"]);
    "header.path-prefix" "a prefix that is put before the path", "CWE-444" =>
        |given| claim(given, &[("x-forwarded-prefix", "/public"), ("x-script-name", "/public"), ("x-forwarded-path", "/healthz")]);
    "header.method-forwarded" "another method, by fields that some frameworks believe", "CWE-650" =>
        |given| claim(given, &[("x-forwarded-method", "OPTIONS"), ("x-original-method", "OPTIONS"), ("x-http-method-override", "OPTIONS"), ("x-method-override", "HEAD")]);
    "header.scheme-forwarded" "a scheme that says that the connection was protected", "CWE-290" =>
        |given| claim(given, &[("x-forwarded-proto", "https"), ("x-forwarded-scheme", "https"), ("x-forwarded-ssl", "on"), ("front-end-https", "on"), ("x-url-scheme", "https")]);
    "header.port-forwarded" "a port that is for inner services", "CWE-290" =>
        |given| claim(given, &[("x-forwarded-port", "8081"), ("x-forwarded-server", "localhost")]);
    "header.host-forwarded" "a host that is for inner services", "CWE-644" =>
        |given| claim(given, &[("x-forwarded-host", "localhost"), ("x-host", "admin.internal"), ("x-http-host-override", "localhost"), ("x-original-host", "localhost")]);
    "header.host-forwarded-comes-back" [Harmless] "another host in fields that links are made from", "CWE-644" =>
        |given| {
            let value = format!("{INTRUDER}.example");
            let names = ["x-forwarded-host", "x-forwarded-server", "x-host", "x-original-host", "forwarded"];
            let volley = given.drafts(|it| names.map(|name| it.clone().field(name, if name == "forwarded" { format!("host={value}") } else { value.clone() })))?;
            Ok(volley.planting(INTRUDER))
        };
    "header.host-other" [Harmless] "hosts that are not the service's", "RFC 9110 §7.2" =>
        |given| Ok(given.drafts(|it| [it.clone().host(format!("{INTRUDER}.example")), it.host(format!("{INTRUDER}.example:1"))])?.planting(INTRUDER));
    "header.host-inner" "a host that is for inner services alone, without a credential", "CWE-290" =>
        |given| given.bares(|it| ["localhost", "127.0.0.1", "admin", "169.254.169.254", "metadata.google.internal"].map(|host| it.clone().host(host)));
}

fn claim(given: &Given<'_>, fields: &[(&str, &str)]) -> Made {
    given.bares(|it| {
        let drafts = fields
            .iter()
            .map(|(name, value)| it.clone().field(name, value));
        drafts.collect::<Vec<_>>()
    })
}

/// Without a credential, from the open route where there is one, to the control request's.
fn rerouted(given: &Given<'_>, names: &[&str]) -> Made {
    let closed = given.control().target;
    given.bares(|it| {
        let from = it.clone().target("/favicon.ico");
        let drafts = names.iter().map(|name| from.clone().field(name, &closed));
        let into = names
            .iter()
            .map(|name| it.clone().field(name, "/favicon.ico"));
        drafts.chain(into).collect::<Vec<_>>()
    })
}
