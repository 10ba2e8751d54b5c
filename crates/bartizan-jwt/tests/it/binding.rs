//! Tokens that are bound to a client certificate.

use bartizan_core::{
    Connection, Forwarded, ForwardedBy, Peer, PeerIdentity, SecurityContext, VerifiedCertificate,
    WallTime,
};
use bartizan_jwt::JwtLayer;
use bartizan_testkit::{Call, Host, SigningAlgorithm};
use serde_json::json;

use crate::support::{Offline, outcome, passed, refused};

pub(crate) fn connection(certificate_sha256: [u8; 32]) -> Connection {
    let peer = Peer::assert_verified(VerifiedCertificate {
        identity: PeerIdentity::Spiffe("spiffe://example.org/web".parse().unwrap()),
        certificate_sha256,
        serial: Box::from([1]),
        not_after: WallTime::from_unix_seconds(4_000_000_000),
    });
    Connection::from_remote("127.0.0.1:4000".parse().unwrap()).with_peer(peer)
}

async fn code(layer: &JwtLayer, call: &Call) -> Option<String> {
    let answer = Host::Hyper.send(layer, call).await.unwrap();
    answer.code().filter(|_| !answer.is_success())
}

#[tokio::test]
async fn c16_a_token_passes_over_the_connection_of_its_certificate_alone() {
    let offline = Offline::new(SigningAlgorithm::Es256);
    let layer = offline.layer();
    let token = offline
        .token()
        .bound_to_certificate(&[7; 32])
        .sign()
        .unwrap();
    let call = || Call::echo("").with_bearer(&token).unwrap();
    let mismatch = Some("jwt.certificate_mismatch".to_owned());
    assert_eq!(code(&layer, &call()).await, mismatch);
    let own = call().with_connection(connection([7; 32]));
    for host in Host::WITHOUT_SOCKETS {
        let answer = host.send(&layer, &own).await.unwrap();
        assert!(answer.is_success(), "{host:?} {answer:?}");
    }
    // It is remembered by now, and held to its certificate all the same.
    assert_eq!(layer.guard().cached_tokens(), 1);
    let other = call().with_connection(connection([8; 32]));
    assert_eq!(code(&layer, &other).await, mismatch);
}

#[tokio::test]
async fn c16_a_proxy_tells_of_a_certificate_where_it_was_granted_that() {
    let offline = Offline::new(SigningAlgorithm::Es256);
    let layer = offline.layer();
    let token = offline
        .token()
        .bound_to_certificate(&[7; 32])
        .sign()
        .unwrap();
    let told = |forwarded: Forwarded| {
        let context = SecurityContext::new(http::Uri::from_static("/echo"));
        context.set_forwarded(forwarded).unwrap();
        let call = Call::echo("").with_bearer(&token).unwrap();
        call.add_extension(context)
    };
    let forwarded = || Forwarded::new(ForwardedBy::Xfcc, None, Some([7; 32]));
    let granted = told(forwarded().allow_certificate_binding());
    assert_eq!(code(&layer, &granted).await, None);
    assert_eq!(
        code(&layer, &told(forwarded())).await.as_deref(),
        Some("jwt.certificate_mismatch")
    );
}

#[tokio::test]
async fn a_token_bound_to_a_proxy_is_not_for_everybody_behind_it() {
    let offline = Offline::new(SigningAlgorithm::Es256);
    let layer = offline.layer();
    let token = offline
        .token()
        .bound_to_certificate(&[7; 32])
        .sign()
        .unwrap();
    let Some(proxy) = connection([7; 32]).peer().cloned() else {
        panic!("no peer")
    };
    let through = |forwarded: Option<Forwarded>| {
        let context = SecurityContext::new(http::Uri::from_static("/echo"));
        context.set_peer(proxy.clone()).unwrap();
        if let Some(forwarded) = forwarded {
            context.set_forwarded(forwarded).unwrap();
        }
        Call::echo("")
            .with_bearer(&token)
            .unwrap()
            .add_extension(context)
    };
    // The proxy itself may use it.
    assert_eq!(code(&layer, &through(None)).await, None);
    for client in [Some([8; 32]), None] {
        let told = Forwarded::new(ForwardedBy::Xfcc, None, client).allow_certificate_binding();
        let answered = code(&layer, &through(Some(told))).await;
        assert_eq!(
            answered.as_deref(),
            Some("jwt.certificate_mismatch"),
            "{client:?}"
        );
    }
}

#[tokio::test]
async fn c15_a_binding_that_is_not_understood_is_refused() {
    let offline = Offline::new(SigningAlgorithm::Es256);
    let layer = offline.layer();
    for confirmation in [
        json!(null),
        json!("x"),
        json!([]),
        json!({}),
        json!({ "x-new": "1" }),
        json!({ "kid": "key-1" }),
        json!({ "x5t#S256": "" }),
        json!({ "x5t#S256": null }),
        json!({ "jkt": "a", "x5t#S256": "b" }),
    ] {
        let token = offline
            .token()
            .claim("cnf", confirmation.clone())
            .sign()
            .unwrap();
        assert_eq!(
            outcome(&layer, &token).await,
            refused(401, "jwt.bound_token"),
            "{confirmation}"
        );
    }
}

#[tokio::test]
async fn a_service_may_want_bound_tokens_alone() {
    let offline = Offline::new(SigningAlgorithm::Es256);
    let config = offline.config().require_binding().build().unwrap();
    let layer = JwtLayer::start(config).unwrap();
    let unbound = offline.token().sign().unwrap();
    assert_eq!(
        outcome(&layer, &unbound).await,
        refused(401, "jwt.unbound_token")
    );
    let bound = offline
        .token()
        .bound_to_certificate(&[7; 32])
        .sign()
        .unwrap();
    let call = Call::echo("").with_bearer(&bound).unwrap();
    let call = call.with_connection(connection([7; 32]));
    assert_eq!(code(&layer, &call).await, None);
    assert_eq!(outcome(&offline.layer(), &unbound).await, passed());
}
