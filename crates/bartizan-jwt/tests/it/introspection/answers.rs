//! What becomes of a token by what its issuer says of it.

use std::time::Duration;

use bartizan_core::{BodyCut, Enforcement};
use bartizan_jwt::{CallerToken, Dpop, JwtLayer, RevocationList};
use bartizan_testkit::{Call, Endpoint, Fault, Host, SigningAlgorithm, SigningKey};
use bytes::Bytes;
use http::{HeaderName, Method, Request, Response};
use http_body_util::BodyExt as _;
use serde_json::json;
use tokio::time::timeout;
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::Desk;
use crate::binding::connection;
use crate::streams::{request, streaming};
use crate::support::{AUDIENCE, outcome, passed, refused, send};

#[tokio::test]
async fn an_opaque_token_passes_on_its_issuers_word_and_is_remembered() {
    let desk = Desk::new().await;
    for layer in [desk.layer().await, desk.asking(desk.introspection())] {
        let before = desk.asked();
        let token = desk.opaque();
        for host in Host::WITHOUT_SOCKETS {
            let call = Call::echo("").with_bearer(&token).unwrap();
            let answer = host.send(&layer, &call).await.unwrap();
            assert!(answer.is_success(), "{host:?} {answer:?}");
            let principal = &answer.json()["context"]["principal"];
            assert_eq!(principal["scheme"], "introspection");
            assert_eq!(principal["subject"], "alice");
            assert_eq!(principal["scopes"], json!(["orders:read"]));
            assert_eq!(principal["issuer"], desk.online.issuer.issuer());
        }
        assert_eq!(desk.asked() - before, 1);
        assert_eq!(layer.guard().introspected_tokens(), 1);
        assert_eq!(layer.guard().cached_tokens(), 0);
        let form = desk.online.issuer.forms().pop().unwrap();
        let expected = [
            ("token", token.as_str()),
            ("token_type_hint", "access_token"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(form, expected);
    }
}

#[tokio::test]
async fn a_crowd_shares_one_question() {
    let desk = Desk::new().await;
    let (layer, token) = (desk.layer().await, desk.opaque());
    let requests: Vec<_> = (0..50)
        .map(|_| {
            let (layer, token) = (layer.clone(), token.clone());
            tokio::spawn(async move { outcome(&layer, &token).await })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap(), passed());
    }
    assert_eq!(desk.asked(), 1);
}

#[tokio::test]
async fn k12_a_token_that_is_not_active_is_refused_and_that_is_remembered_shortly() {
    let desk = Desk::new().await;
    let layer = desk.layer().await;
    for _ in 0..10 {
        let answer = send(&layer, "made-up").await;
        assert_eq!(answer.http_status.as_u16(), 401);
        assert_eq!(answer.code().as_deref(), Some("jwt.inactive"));
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(
            challenge.contains(r#"error="invalid_token""#),
            "{challenge}"
        );
    }
    let call = Call::echo("").with_bearer("made-up").unwrap();
    let answer = Host::TonicRoutes.send(&layer, &call).await.unwrap();
    assert_eq!(answer.grpc_status, Some(16));
    assert_eq!((desk.asked(), layer.guard().introspected_tokens()), (1, 0));
    desk.pass(10);
    assert_eq!(
        outcome(&layer, "made-up").await,
        refused(401, "jwt.inactive")
    );
    assert_eq!(desk.asked(), 2);
}

#[tokio::test]
async fn a_token_that_ended_at_its_issuer_is_refused_within_the_lifetime() {
    let desk = Desk::new().await;
    let (layer, token) = (desk.layer().await, desk.opaque());
    assert_eq!(outcome(&layer, &token).await, passed());
    desk.online.issuer.end_opaque(&token);
    assert_eq!(outcome(&layer, &token).await, passed());
    desk.pass(60);
    assert_eq!(outcome(&layer, &token).await, refused(401, "jwt.inactive"));
}

#[tokio::test]
async fn a_token_that_is_used_is_asked_about_again_in_the_background() {
    let desk = Desk::new().await;
    let (layer, token) = (desk.layer().await, desk.opaque());
    assert_eq!(outcome(&layer, &token).await, passed());
    // Between 43.2 and 52.8 s.
    desk.pass(43);
    assert_eq!(outcome(&layer, &token).await, passed());
    assert_eq!(desk.asked(), 1);
    desk.online.issuer.end_opaque(&token);
    desk.pass(10);
    assert_eq!(outcome(&layer, &token).await, passed(), "nobody waits");
    desk.online
        .issuer
        .requests_reach(Endpoint::Introspection, 2)
        .await;
    // And what is learnt counts, before the lifetime is over.
    while outcome(&layer, &token).await == passed() {
        tokio::task::yield_now().await;
    }
    assert_eq!(outcome(&layer, &token).await, refused(401, "jwt.inactive"));
    assert_eq!(desk.asked(), 2);
}

#[tokio::test]
async fn the_rules_for_signed_tokens_hold_for_opaque_ones() {
    let desk = Desk::new().await;
    let layer = desk.layer().await;
    let future = desk.online.clock.clone();
    let later = bartizan_core::Clock::wall(&future) + Duration::from_secs(60);
    for (token, code) in [
        (
            desk.token().audience("https://other.example"),
            "jwt.wrong_audience",
        ),
        (desk.token().without_claim("aud"), "jwt.invalid_claim"),
        (desk.token().claim("aud", 5), "jwt.invalid_claim"),
        (
            desk.token().issuer("https://other.example"),
            "jwt.wrong_issuer",
        ),
        (desk.token().without_claim("iss"), "jwt.invalid_claim"),
        (desk.token().without_claim("exp"), "jwt.invalid_claim"),
        (desk.token().not_before(later), "jwt.not_yet_valid"),
        (desk.token().issued_at(later), "jwt.issued_in_future"),
        (desk.token().without_claim("sub"), "jwt.invalid_claim"),
        (
            desk.token().claim("cnf", json!({ "x": 1 })),
            "jwt.bound_token",
        ),
        (
            desk.token().claim("token_type", "refresh_token"),
            "jwt.wrong_type",
        ),
        // No bearer token, and nothing says whose it is.
        (
            desk.token().claim("token_type", "DPoP"),
            "jwt.invalid_claim",
        ),
        (
            desk.token().expired_since(Duration::from_secs(60)),
            "jwt.inactive",
        ),
    ] {
        let opaque = desk.online.issuer.opaque(&token);
        let before = desk.asked();
        for _ in 0..2 {
            assert_eq!(outcome(&layer, &opaque).await, refused(401, code));
        }
        assert_eq!(desk.asked() - before, 1, "{code} is remembered");
    }
}

#[tokio::test]
async fn what_an_issuer_leaves_out_is_accepted_where_that_was_allowed() {
    let desk = Desk::new().await;
    let bare = desk.token().without_claim("iss").without_claim("aud");
    let bare = desk.online.issuer.opaque(&bare);
    let lax = desk
        .introspection()
        .allow_missing_issuer()
        .allow_missing_audience();
    assert_eq!(outcome(&desk.asking(lax.clone()), &bare).await, passed());
    let other = desk.token().audience("https://other.example");
    let other = desk.online.issuer.opaque(&other);
    assert_eq!(
        outcome(&desk.asking(lax), &other).await,
        refused(401, "jwt.wrong_audience")
    );
}

#[tokio::test]
async fn k12_a_token_expires_while_it_is_remembered() {
    let desk = Desk::new().await;
    let layer = desk.layer().await;
    let token = desk.token().expires_in(Duration::from_secs(10));
    let token = desk.online.issuer.opaque(&token);
    assert_eq!(outcome(&layer, &token).await, passed());
    // The leeway is 30 s.
    desk.online
        .issuer
        .set_fault(Endpoint::Introspection, Fault::Hang);
    desk.online
        .clock
        .set_wall(bartizan_core::Clock::wall(&desk.online.clock) + Duration::from_secs(39));
    assert_eq!(outcome(&layer, &token).await, passed());
    desk.online
        .clock
        .set_wall(bartizan_core::Clock::wall(&desk.online.clock) + Duration::from_secs(1));
    assert_eq!(outcome(&layer, &token).await, refused(401, "jwt.expired"));
}

#[tokio::test]
async fn k12_layers_with_other_rules_do_not_share_what_they_know() {
    let desk = Desk::new().await;
    let (layer, token) = (desk.layer().await, desk.opaque());
    assert_eq!(outcome(&layer, &token).await, passed());
    let rules = bartizan_jwt::Rules::builder(desk.online.issuer.issuer(), "https://other.example");
    let url = desk.online.issuer.introspection_endpoint();
    let secret = bartizan_jwt::ClientAuthentication::basic("orders", super::SECRET);
    let other = bartizan_jwt::Introspection::builder(rules.build().unwrap(), &url, secret);
    let other = desk.asking(other.with_roots(desk.online.roots()));
    assert_eq!(
        outcome(&other, &token).await,
        refused(401, "jwt.wrong_audience")
    );
}

#[tokio::test]
async fn a_token_bound_to_a_certificate_passes_over_its_connection_alone() {
    let desk = Desk::new().await;
    let layer = desk.layer().await;
    let token = desk.token().bound_to_certificate(&[7; 32]);
    let token = desk.online.issuer.opaque(&token);
    let call = || Call::echo("").with_bearer(&token).unwrap();
    // Twice: asked about, and remembered.
    for _ in 0..2 {
        let own = call().with_connection(connection([7; 32]));
        assert!(Host::Hyper.send(&layer, &own).await.unwrap().is_success());
        for call in [call(), call().with_connection(connection([8; 32]))] {
            let answer = Host::Hyper.send(&layer, &call).await.unwrap();
            assert_eq!(answer.code().as_deref(), Some("jwt.certificate_mismatch"));
        }
    }
    assert_eq!(desk.asked(), 1);
}

#[tokio::test]
async fn a_token_bound_to_a_key_passes_with_a_proof_alone() {
    let desk = Desk::new().await;
    let dpop = Dpop::builder(AUDIENCE).build().unwrap();
    let config = desk.config().with_dpop(dpop);
    let layer = JwtLayer::load(config.build().unwrap()).await.unwrap();
    let key = SigningKey::generate(SigningAlgorithm::Es256, "client").unwrap();
    let token = desk
        .token()
        .claim("cnf", json!({ "jkt": key.thumbprint() }));
    let token = desk.online.issuer.opaque(&token);
    let now = bartizan_core::Clock::wall(&desk.online.clock);
    let proof = |id: &str| {
        let proof = key.proof("GET", &format!("{AUDIENCE}/echo"), now);
        proof.id(id).for_token(&token).sign().unwrap()
    };
    let call = |scheme: &str, proof: Option<&str>| {
        let mut call = Call::echo("").with_http_method(Method::GET);
        let field = format!("{scheme} {token}").parse().unwrap();
        call = call.add_header(http::header::AUTHORIZATION, field);
        match proof {
            Some(proof) => {
                let name = HeaderName::from_static("dpop");
                call.add_header(name, proof.parse().unwrap())
            }
            None => call,
        }
    };
    let code = async |call: Call| {
        let answer = Host::Hyper.send(&layer, &call).await.unwrap();
        answer.code().filter(|_| !answer.is_success())
    };
    // Twice: asked about, and remembered.
    for id in ["p-1", "p-2"] {
        let used = proof(id);
        assert_eq!(code(call("DPoP", Some(&used))).await, None);
        let replayed = code(call("DPoP", Some(&used))).await;
        assert_eq!(replayed.as_deref(), Some("jwt.proof_replayed"));
        let bearer = code(call("Bearer", None)).await;
        assert_eq!(bearer.as_deref(), Some("jwt.proof_missing"));
    }
    assert_eq!(desk.asked(), 1);
}

#[tokio::test]
async fn revocation_holds_for_opaque_tokens_too() {
    let desk = Desk::new().await;
    let list = RevocationList::new(10);
    let config = desk.config().with_revocations(list.clone());
    let layer = JwtLayer::load(config.build().unwrap()).await.unwrap();
    let token = desk.opaque();
    assert_eq!(outcome(&layer, &token).await, passed());
    let issuer = desk.online.issuer.issuer();
    let until = bartizan_core::Clock::wall(&desk.online.clock) + Duration::from_secs(600);
    let now = bartizan_core::Clock::wall(&desk.online.clock) + Duration::from_secs(1);
    list.revoke_subject(issuer, "alice", now, until).unwrap();
    assert_eq!(outcome(&layer, &token).await, refused(401, "jwt.revoked"));
}

#[tokio::test]
async fn shadow_mode_lets_pass_and_records() {
    let desk = Desk::new().await;
    let config = desk.config().with_enforcement(Enforcement::Shadow);
    let layer = JwtLayer::load(config.build().unwrap()).await.unwrap();
    let answer = send(&layer, "made-up").await;
    assert!(answer.is_success());
    let context = &answer.json()["context"];
    assert_eq!(context["principal"], json!(null));
    assert_eq!(context["decisions"][0]["code"], "jwt.inactive");
}

#[tokio::test]
async fn an_opaque_token_can_be_passed_on() {
    let desk = Desk::new().await;
    let config = desk.config().allow_forwarding();
    let layer = JwtLayer::load(config.build().unwrap()).await.unwrap();
    let token = desk.opaque();
    let service = layer.layer(service_fn(async |request: Request<String>| {
        let caller = request.extensions().get::<CallerToken>();
        let subject = caller.unwrap().principal().subject().to_owned();
        Ok::<_, std::convert::Infallible>(Response::new(subject))
    }));
    for _ in 0..2 {
        let request = Request::builder()
            .header("authorization", format!("Bearer {token}"))
            .body(String::new());
        let answer = service.clone().oneshot(request.unwrap()).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, Bytes::from_static(b"alice"));
    }
}

#[tokio::test]
async fn a_stream_ends_when_its_token_is_found_inactive() {
    let desk = Desk::new().await;
    let (layer, token) = (desk.layer().await, desk.opaque());
    let (service, mut begun) = streaming();
    let response = layer
        .layer(service)
        .oneshot(request(&token, "text/plain"))
        .await
        .unwrap();
    let _frames = begun.recv().await.unwrap();
    let mut body = response.into_body();
    assert!(body.frame().await.unwrap().is_ok());
    let mut next = tokio::spawn(async move { body.frame().await });
    assert!(timeout(Duration::from_millis(1), &mut next).await.is_err());
    desk.online.issuer.end_opaque(&token);
    desk.pass(60);
    // Another request learns of it.
    assert_eq!(outcome(&layer, &token).await, refused(401, "jwt.inactive"));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(5)).await;
    let error = next.await.unwrap().unwrap().unwrap_err();
    let error: Box<dyn std::error::Error + Send + Sync> = error.into();
    assert_eq!(
        error.downcast::<BodyCut>().unwrap().code().as_str(),
        "jwt.inactive"
    );
}
