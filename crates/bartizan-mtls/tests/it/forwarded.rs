//! What proxies say of the client behind them, through the layer and without sockets.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bartizan_core::{
    Connection, Decision, Enforcement, Forwarded, ForwardedBy, Outcome, Peer, PeerIdentity,
    SecurityContext, VerifiedCertificate, WallTime,
};
use bartizan_mtls::{
    AllowedPeers, FORWARDED_BY_OTHER, FORWARDED_MALFORMED, Identity, MtlsLayer, MtlsLayerBuilder,
    ProxyGrant,
};
use bartizan_testkit::IssuedCertificate;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::*;

const EDGE: &str = "spiffe://example.org/ns/edge/sa/envoy";
const HASH: &str = "468ed33be74eee6556d90c0149c1309e9ba61d6425303443c0748a02dd8de688";
const XFCC: &str = "x-forwarded-client-cert";

fn peer(id: &str) -> Peer {
    Peer::assert_verified(VerifiedCertificate {
        identity: PeerIdentity::Spiffe(id.parse().unwrap()),
        certificate_sha256: [0; 32],
        serial: [1].into(),
        not_after: WallTime::MAX,
    })
}

fn builder() -> MtlsLayerBuilder {
    MtlsLayer::builder().allow_trust_domain("example.org".parse().unwrap())
}

fn trusting(grant: impl FnOnce(AllowedPeers) -> ProxyGrant) -> MtlsLayer {
    builder().trust_proxy(grant(only(EDGE))).build().unwrap()
}

/// What came of one request.
struct Seen {
    status: StatusCode,
    body: String,
    context: SecurityContext,
    /// The headers that the service got, if it was called.
    inner: Option<HeaderMap>,
}

impl Seen {
    fn forwarded(&self) -> &Forwarded {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        self.context.forwarded().expect("something forwarded")
    }
}

async fn call(layer: &MtlsLayer, from: &str, headers: &[(&'static str, &str)]) -> Seen {
    let mut request = Request::new(Empty::<Bytes>::new());
    for (name, value) in headers {
        let value = http::HeaderValue::from_bytes(value.as_bytes()).unwrap();
        request.headers_mut().append(*name, value);
    }
    let context = SecurityContext::new(request.uri().clone());
    context.set_peer(peer(from)).unwrap();
    let remote = Connection::from_remote(([192, 0, 2, 1], 4711).into());
    request.extensions_mut().insert(remote);
    request.extensions_mut().insert(context.clone());
    let inner = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&inner);
    let service = layer.layer(service_fn(move |request: Request<Empty<Bytes>>| {
        *seen.lock().unwrap() = Some(request.headers().clone());
        async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
    }));
    let response = service.oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    Seen {
        status,
        body: String::from_utf8(body.to_vec()).unwrap(),
        context,
        inner: inner.lock().unwrap().take(),
    }
}

fn leaf_of(issued: &IssuedCertificate) -> (Vec<u8>, [u8; 32]) {
    let der = issued.chain_der().swap_remove(0);
    let sha256 = *Identity::from_der(issued.chain_der(), issued.key().to_rustls())
        .unwrap()
        .certificate_sha256();
    (der.to_vec(), sha256)
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    format!(":{}:", base64::prelude::BASE64_STANDARD.encode(bytes))
}

fn url_encoded(pem: &str) -> String {
    pem.bytes()
        .map(|byte| format!("%{byte:02X}"))
        .collect::<String>()
}

fn hexadecimal(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn records_the_last_element_of_a_trusted_proxy_beside_the_peer() {
    let line = format!(
        "By=spiffe://example.org/ns/far/sa/envoy;URI=spiffe://evil.org/a,\
         By={EDGE};Hash={HASH};Subject=\"CN=x, O=y\";URI={ORDERS}"
    );
    let seen = call(&trusting(ProxyGrant::xfcc), EDGE, &[(XFCC, &line)]).await;
    let forwarded = seen.forwarded();
    assert_eq!(forwarded.header(), ForwardedBy::Xfcc);
    assert_eq!(forwarded.spiffe_id().unwrap().as_str(), ORDERS);
    assert_eq!(hexadecimal(forwarded.certificate_sha256().unwrap()), HASH);
    assert!(!forwarded.satisfies_certificate_binding());
    let proven = seen.context.peer().unwrap();
    assert_eq!(proven.spiffe_id().unwrap().as_str(), EDGE);
    assert!(!seen.inner.unwrap().contains_key(XFCC), "read and removed");
}

#[tokio::test]
async fn the_last_of_several_lines_is_the_proxys() {
    let lines = [
        (XFCC, "By=spiffe://x.org/x;URI=spiffe://evil.org/a"),
        (XFCC, &format!("URI={ORDERS}")),
    ];
    let seen = call(&trusting(ProxyGrant::xfcc), EDGE, &lines).await;
    assert_eq!(seen.forwarded().spiffe_id().unwrap().as_str(), ORDERS);
}

#[tokio::test]
async fn a_request_without_the_header_forwards_nothing() {
    for grant in [ProxyGrant::xfcc, ProxyGrant::client_cert] {
        let seen = call(&trusting(grant), EDGE, &[("x-other", "1")]).await;
        assert_eq!(seen.status, StatusCode::OK);
        assert_eq!(seen.context.forwarded(), None);
        assert!(seen.inner.unwrap().contains_key("x-other"));
    }
}

#[tokio::test]
async fn spoofed_headers_of_everybody_else_are_removed_and_not_believed() {
    let spoofed = [
        (XFCC, &*format!("By={ORDERS};Hash={HASH};URI={PAYMENTS}")),
        ("client-cert", ":AQID:"),
        ("client-cert-chain", ":AQID:"),
        ("x-other", "1"),
    ];
    let strangers = builder().build().unwrap();
    for layer in [
        strangers,
        trusting(ProxyGrant::xfcc),
        trusting(ProxyGrant::client_cert),
    ] {
        let seen = call(&layer, ORDERS, &spoofed).await;
        assert_eq!(seen.status, StatusCode::OK);
        assert_eq!(seen.context.forwarded(), None);
        let inner = seen.inner.unwrap();
        assert_eq!(
            inner.keys().map(|name| name.as_str()).collect::<Vec<_>>(),
            ["x-other"]
        );
    }
}

#[tokio::test]
async fn a_proxy_is_believed_in_its_own_header_alone() {
    let ca = ca();
    let (der, _) = leaf_of(&ca.workload("/ns/shop/sa/orders").unwrap());
    let sent = [
        (XFCC, &*format!("URI={PAYMENTS}")),
        ("client-cert", &base64(&der)),
    ];
    let keeps = |grant: ProxyGrant| grant.allow_header_inward();

    let layer = trusting(|proxies| keeps(ProxyGrant::client_cert(proxies)));
    let seen = call(&layer, EDGE, &sent).await;
    assert_eq!(seen.forwarded().spiffe_id().unwrap().as_str(), ORDERS);
    let inner = seen.inner.unwrap();
    assert!(inner.contains_key("client-cert") && !inner.contains_key(XFCC));

    let layer = trusting(|proxies| keeps(ProxyGrant::xfcc(proxies)));
    let seen = call(&layer, EDGE, &sent).await;
    assert_eq!(seen.forwarded().spiffe_id().unwrap().as_str(), PAYMENTS);
    let inner = seen.inner.unwrap();
    assert!(inner.contains_key(XFCC) && !inner.contains_key("client-cert"));
}

#[tokio::test]
async fn reads_name_and_digest_from_the_certificate() {
    let ca = ca();
    let issued = ca.workload("/ns/shop/sa/orders").unwrap();
    let (der, sha256) = leaf_of(&issued);
    let pem = url_encoded(&issued.chain_pem());
    let layer = trusting(|proxies| ProxyGrant::client_cert(proxies).allow_certificate_binding());
    let chain = base64(ca.root_der());
    let lines = [
        ("client-cert", &*base64(&der)),
        ("client-cert-chain", &*chain),
        ("client-cert-chain", &*chain),
    ];
    let by_rfc = call(&layer, EDGE, &lines).await;
    let layer = trusting(|proxies| ProxyGrant::xfcc(proxies).allow_certificate_binding());
    let by_envoy = call(&layer, EDGE, &[(XFCC, &format!("Cert=\"{pem}\""))]).await;
    let chain = format!("Hash={};Chain=\"{pem}\";URI={ORDERS}", hexadecimal(&sha256));
    let by_chain = call(&layer, EDGE, &[(XFCC, &chain)]).await;
    for seen in [by_rfc, by_envoy, by_chain] {
        let forwarded = seen.forwarded();
        assert_eq!(forwarded.spiffe_id().unwrap().as_str(), ORDERS);
        assert_eq!(forwarded.certificate_sha256(), Some(&sha256));
        assert!(forwarded.satisfies_certificate_binding());
        assert!(seen.inner.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_certificate_without_svid_names_nobody_and_binds() {
    let ca = ca();
    let (der, sha256) = leaf_of_server(&ca.loopback_server().unwrap());
    let line = [("client-cert", &*base64(&der))];
    let seen = call(&trusting(ProxyGrant::client_cert), EDGE, &line).await;
    assert_eq!(seen.forwarded().spiffe_id(), None);
    assert_eq!(seen.forwarded().certificate_sha256(), Some(&sha256));
    let line = "URI=https://client.example/;DNS=client.example";
    let seen = call(&trusting(ProxyGrant::xfcc), EDGE, &[(XFCC, line)]).await;
    assert_eq!(seen.forwarded().spiffe_id(), None);
    assert_eq!(seen.forwarded().certificate_sha256(), None);
    // There is nothing to bind to without a digest.
    let layer = trusting(|proxies| ProxyGrant::xfcc(proxies).allow_certificate_binding());
    let seen = call(&layer, EDGE, &[(XFCC, line)]).await;
    assert!(!seen.forwarded().satisfies_certificate_binding());
}

fn leaf_of_server(issued: &IssuedCertificate) -> (Vec<u8>, [u8; 32]) {
    let der = issued.chain_der().swap_remove(0);
    let sha256 = *Identity::dns_from_der(issued.chain_der(), issued.key().to_rustls())
        .unwrap()
        .certificate_sha256();
    (der.to_vec(), sha256)
}

async fn refused(
    layer: &MtlsLayer,
    headers: &[(&'static str, &str)],
    status: StatusCode,
    code: &str,
) {
    let seen = call(layer, EDGE, headers).await;
    assert_eq!(seen.status, status, "{headers:?}");
    assert!(seen.body.contains(&format!("\"{code}\"")), "{}", seen.body);
    assert!(seen.inner.is_none());
    assert_eq!(seen.context.forwarded(), None);
}

#[tokio::test]
async fn a_malformed_header_of_a_trusted_proxy_is_refused() {
    let ca = ca();
    let issued = ca.workload("/ns/shop/sa/orders").unwrap();
    let (der, sha256) = leaf_of(&issued);
    let pem = url_encoded(&issued.chain_pem());
    let own = hexadecimal(&sha256);
    let layer = trusting(ProxyGrant::xfcc);
    for line in [
        "",
        "URI",
        "Hash=00",
        "Subject=\"x",
        "URI=spiffe://example.org",
        "URI=spiffe://EXAMPLE.org/a",
        "URI=SPIFFE://example.org/../a",
        "URI=spiffe://example.org/a;URI=spiffe://example.org/b",
        "URI=https://a.example;URI=spiffe://example.org/b",
        "Cert=none",
        "Subject=\u{fffd}\u{1f600};;",
        &format!("Hash={HASH};Cert=\"{pem}\""),
        &format!("Hash={own};Cert=\"{pem}\";URI={PAYMENTS}"),
    ] {
        let headers = [(XFCC, line)];
        refused(
            &layer,
            &headers,
            StatusCode::BAD_REQUEST,
            "mtls.forwarded_malformed",
        )
        .await;
    }
    let good = format!("Hash={own};Cert=\"{pem}\";URI={ORDERS}");
    call(&layer, EDGE, &[(XFCC, &good)]).await.forwarded();

    let layer = trusting(ProxyGrant::client_cert);
    let good = base64(&der);
    for headers in [
        vec![("client-cert", "AQID")],
        vec![("client-cert", ":AQID:")],
        vec![
            ("client-cert", good.as_str()),
            ("client-cert", good.as_str()),
        ],
        vec![("client-cert-chain", good.as_str())],
        vec![("client-cert", good.as_str()), ("client-cert-chain", "x")],
    ] {
        refused(
            &layer,
            &headers,
            StatusCode::BAD_REQUEST,
            "mtls.forwarded_malformed",
        )
        .await;
    }
    call(&layer, EDGE, &[("client-cert", &good)])
        .await
        .forwarded();
}

#[tokio::test]
async fn by_must_name_the_proxy() {
    let front = "spiffe://example.org/ns/edge/sa/front";
    let said = |by: &str| format!("By={by};Hash={HASH};URI={ORDERS}");
    let strict = trusting(ProxyGrant::xfcc);
    let with_front = trusting(|proxies| ProxyGrant::xfcc(proxies).add_by(front.parse().unwrap()));
    call(&strict, EDGE, &[(XFCC, &said(EDGE))])
        .await
        .forwarded();
    call(&with_front, EDGE, &[(XFCC, &said(EDGE))])
        .await
        .forwarded();
    call(&with_front, EDGE, &[(XFCC, &said(front))])
        .await
        .forwarded();
    let code = "mtls.forwarded_by_other";
    for by in [front, ORDERS, "", "spiffe://example.org/ns/edge/sa/envoy/"] {
        let said = said(by);
        refused(&strict, &[(XFCC, &said)], StatusCode::FORBIDDEN, code).await;
    }
    let said = said(PAYMENTS);
    refused(&with_front, &[(XFCC, &said)], StatusCode::FORBIDDEN, code).await;
}

#[tokio::test]
async fn a_grant_lets_nobody_in() {
    let layer = MtlsLayer::builder()
        .allow_peer(ORDERS.parse().unwrap())
        .trust_proxy(ProxyGrant::xfcc(only(EDGE)))
        .build()
        .unwrap();
    let line = format!("URI={ORDERS}");
    let seen = call(&layer, EDGE, &[(XFCC, &line)]).await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN);
    assert_eq!(seen.context.forwarded(), None);
}

#[tokio::test]
async fn the_first_grant_that_admits_a_proxy_counts() {
    let layer = builder()
        .trust_proxy(ProxyGrant::xfcc(only(EDGE)))
        .trust_proxy(ProxyGrant::xfcc(only(EDGE)).allow_certificate_binding())
        .build()
        .unwrap();
    let line = format!("Hash={HASH}");
    let seen = call(&layer, EDGE, &[(XFCC, &line)]).await;
    assert!(!seen.forwarded().satisfies_certificate_binding());
}

#[tokio::test]
async fn shadow_mode_writes_nothing_and_leaves_the_request_alone() {
    let layer = builder()
        .trust_proxy(ProxyGrant::xfcc(only(EDGE)))
        .with_enforcement(Enforcement::Shadow)
        .build()
        .unwrap();
    let by_other = format!("By={PAYMENTS};URI={ORDERS}");
    for (line, code) in [
        ("URI", FORWARDED_MALFORMED),
        (&*by_other, FORWARDED_BY_OTHER),
    ] {
        let seen = call(&layer, EDGE, &[(XFCC, line)]).await;
        assert_eq!(seen.status, StatusCode::OK);
        assert_eq!(seen.context.forwarded(), None);
        assert_eq!(seen.inner.unwrap()[XFCC], line);
        let would_deny = Decision::new("mtls", Outcome::WouldHaveDenied).with_code(code);
        assert_eq!(seen.context.decisions(), [would_deny]);
    }
    let seen = call(&layer, ORDERS, &[(XFCC, &by_other)]).await;
    assert_eq!(seen.context.forwarded(), None);
    assert_eq!(
        seen.context.decisions(),
        [Decision::new("mtls", Outcome::Allowed).with_enforcement(Enforcement::Shadow)]
    );
}
