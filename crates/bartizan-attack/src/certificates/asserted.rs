//! Headers that say which certificate a client had, from a client that may not say so: one without
//! credentials, or under the certificate of another workload.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::given::{Given, Made};
use crate::pem;
use crate::table::{INTRUDER, table};
use crate::volley::{Shot, Volley};

table! { Certificates;
    "certificate.asserted-by-envoy" "the header by which Envoy tells of a certificate", "CWE-290" =>
        |given| asserted(given, |own| vec![
            ("x-forwarded-client-cert", format!("By=spiffe://x/y;Hash={};URI={}", own.hash, own.uri)),
            ("x-forwarded-client-cert", format!("Cert=\"{}\";Subject=\"\";URI={}", own.quoted, own.uri)),
        ]);
    "certificate.asserted-by-chain-of-proxies" "the same with several proxies in it", "CWE-290" =>
        |given| asserted(given, |own| vec![
            ("x-forwarded-client-cert", format!("URI={};By=spiffe://x/edge,URI={}", own.uri, own.uri)),
            ("x-forwarded-client-cert", format!("URI=\"{}\",,URI={}", own.uri, own.uri)),
        ]);
    "certificate.asserted-by-standard" "the header by which RFC 9440 tells of a certificate", "RFC 9440 §4" =>
        |given| asserted(given, |own| vec![("client-cert", format!(":{}:", own.base64))]);
    "certificate.asserted-by-standard-chain" "the header by which RFC 9440 tells of a chain alone", "RFC 9440 §4" =>
        |given| asserted(given, |own| vec![("client-cert-chain", format!(":{0}:, :{0}:", own.base64))]);
    "certificate.asserted-by-nginx" "headers by which nginx is configured to tell of a certificate", "CWE-290" =>
        |given| asserted(given, |own| vec![
            ("ssl-client-cert", own.quoted.clone()), ("x-ssl-client-cert", own.quoted.clone()),
            ("x-ssl-client-verify", "SUCCESS".to_owned()), ("x-client-verify", "SUCCESS".to_owned()),
        ]);
    "certificate.asserted-by-subject" "headers that tell of the subject of a certificate", "CWE-290" =>
        |given| asserted(given, |own| vec![
            ("x-ssl-client-s-dn", format!("CN={}", own.uri)), ("x-client-dn", format!("CN={}", own.uri)),
            ("ssl-client-s-dn", format!("CN={}", own.uri)), ("x-client-cn", own.uri.clone()),
        ]);
    "certificate.asserted-by-traefik" "the headers by which Traefik tells of a certificate", "CWE-290" =>
        |given| asserted(given, |own| vec![
            ("x-forwarded-tls-client-cert", own.base64.clone()),
            ("x-forwarded-tls-client-cert-info", format!("SAN=\"{}\"", own.uri)),
        ]);
    "certificate.asserted-by-amazon" "the headers by which Amazon's balancer tells of a certificate", "CWE-290" =>
        |given| asserted(given, |own| vec![
            ("x-amzn-mtls-clientcert", own.quoted.clone()), ("x-amzn-mtls-clientcert-leaf", own.quoted.clone()),
            ("x-amzn-mtls-clientcert-subject", format!("CN={}", own.uri)),
        ]);
    "certificate.asserted-by-azure" "the header by which Azure tells of a certificate", "CWE-290" =>
        |given| asserted(given, |own| vec![("x-arr-clientcert", own.base64.clone()), ("x-ms-client-cert", own.base64.clone())]);
    "certificate.asserted-by-google" "the headers by which Google's balancer tells of a certificate", "CWE-290" =>
        |given| asserted(given, |own| vec![
            ("x-client-cert-present", "true".to_owned()), ("x-client-cert-chain-verified", "true".to_owned()),
            ("x-client-cert-spiffe", own.uri.clone()), ("x-client-cert-leaf", format!(":{}:", own.base64)),
        ]);
    "certificate.asserted-by-cloudflare" "the headers by which Cloudflare tells of a certificate", "CWE-290" =>
        |given| asserted(given, |own| vec![
            ("cf-client-cert-sha256", own.hash.clone()), ("cf-client-cert-der-base64", own.base64.clone()),
            ("cf-client-cert-verified", "true".to_owned()),
        ]);
    "certificate.asserted-by-linkerd" "the headers by which Linkerd tells of an identity", "CWE-290" =>
        |given| asserted(given, |own| vec![("l5d-client-id", own.uri.clone()), ("l5d-remote-ip", "127.0.0.1".to_owned())]);
    "certificate.asserted-by-istio" "the headers by which Istio and Envoy tell of a peer", "CWE-290" =>
        |given| asserted(given, |own| vec![
            ("x-envoy-peer-metadata-id", own.uri.clone()), ("x-envoy-downstream-service-cluster", "web".to_owned()),
            ("x-envoy-internal", "true".to_owned()), ("x-istio-attributes", own.base64.clone()),
        ]);
    "certificate.asserted-by-haproxy" "headers by which HAProxy is configured to tell of a certificate", "CWE-290" =>
        |given| asserted(given, |own| vec![
            ("x-ssl-client-used", "1".to_owned()), ("x-ssl-client-has-cert", "1".to_owned()),
            ("x-ssl-client-sha1", own.hash.clone()), ("x-ssl-client-cn", own.uri.clone()),
        ]);
    "certificate.asserted-by-f5" "headers by which balancers of F5 tell of a certificate", "CWE-290" =>
        |given| asserted(given, |own| vec![("x-client-cert", own.quoted.clone()), ("clientcert", own.base64.clone())]);
    "certificate.asserted-as-identity" "headers that name an identity and nothing else", "CWE-290" =>
        |given| asserted(given, |own| {
            ["x-spiffe-id", "spiffe-id", "x-peer", "x-bartizan-peer", "x-workload-identity", "x-source-principal", "x-svid"]
                .map(|name| (name, own.uri.clone())).to_vec()
        });
}

/// The certificate that the service accepts, as proxies would tell of it.
struct Own {
    uri: String,
    hash: String,
    base64: String,
    /// PEM, percent-encoded.
    quoted: String,
}

/// Requests with such a header each: of another workload where certificates can be made, otherwise
/// without credentials.
fn asserted(given: &Given<'_>, make: impl FnOnce(&Own) -> Vec<(&'static str, String)>) -> Made {
    let identity = given.identity().ok();
    let der = identity.map_or(&b"0"[..], |it| it.leaf());
    let leaf = given.leaf().ok();
    let uri = leaf.and_then(|leaf| leaf.uris().into_iter().next());
    let sha256 = identity.map(|it| it.sha256()).unwrap_or_default();
    let quoted = pem::write("CERTIFICATE", der);
    let own = Own {
        uri: uri.unwrap_or_else(|| "spiffe://example.org/admin".to_owned()),
        hash: sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
        base64: STANDARD.encode(der),
        quoted: quoted
            .replace('\n', "%0A")
            .replace(' ', "%20")
            .replace('+', "%2B"),
    };
    let fields = make(&own).into_iter();
    let Ok(authority) = given.authority() else {
        let bare = given.bare()?;
        let shots = fields.map(|(name, value)| bare.clone().field(name, value));
        return Ok(Volley::new("given", given.control(), shots));
    };
    let leaf = given.leaf()?;
    let domain = own.uri.split('/').take(3).collect::<Vec<_>>().join("/");
    let intruder = leaf.uri(format!("{domain}/{INTRUDER}")).issue(authority)?;
    let shots = fields
        .map(|(name, value)| Shot::As(Some(intruder.clone()), given.control().field(name, value)));
    Ok(Volley::new("given", given.control(), shots))
}
