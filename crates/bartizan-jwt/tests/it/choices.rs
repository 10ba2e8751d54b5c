//! What a configuration may choose: where tokens come from, whom it trusts, what it asks for.

use std::time::Duration;

use bartizan_core::Clock as _;
use bartizan_jwt::{
    ConfigError, JwtConfig, JwtLayer, KeySet, ResourceMetadata, RevocationList, Rules,
};
use bartizan_testkit::{Call, Host, SigningAlgorithm, SigningKey, TokenMint};
use http::header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderName, HeaderValue};
use serde_json::json;
use tower::ServiceExt as _;

use crate::support::{AUDIENCE, Offline, outcome, passed, refused, send};

fn es256() -> Offline {
    Offline::new(SigningAlgorithm::Es256)
}

fn layer(config: bartizan_jwt::JwtConfigBuilder) -> JwtLayer {
    JwtLayer::start(config.build().unwrap()).unwrap()
}

async fn code(layer: &JwtLayer, fields: &[(HeaderName, String)]) -> Option<String> {
    let call = fields.iter().fold(Call::echo(""), |call, (name, value)| {
        call.add_header(name.clone(), HeaderValue::try_from(value).unwrap())
    });
    let answer = Host::Hyper.send(layer, &call).await.unwrap();
    answer.code().filter(|_| !answer.is_success())
}

#[tokio::test]
async fn anonymous_requests_pass_where_that_was_chosen_and_bad_tokens_never() {
    let offline = es256();
    let layer = layer(offline.config().allow_anonymous());
    for host in Host::WITHOUT_SOCKETS {
        let answer = host.send(&layer, &Call::echo("")).await.unwrap();
        assert!(answer.is_success(), "{answer:?}");
        assert!(answer.json()["context"]["principal"].is_null());
    }
    let good = offline.token().sign().unwrap();
    let answer = send(&layer, &good).await;
    assert_eq!(answer.json()["context"]["principal"]["subject"], "alice");
    let bad = offline.token().audience("other").sign().unwrap();
    assert_eq!(
        outcome(&layer, &bad).await,
        refused(401, "jwt.wrong_audience")
    );
    assert_eq!(outcome(&layer, "abc").await, refused(401, "jwt.malformed"));
}

#[tokio::test]
async fn e08_a_cookie_counts_where_that_was_chosen_and_never_beside_another_token() {
    let offline = es256();
    let chosen = layer(offline.config().allow_cookie("session"));
    let token = offline.token().sign().unwrap();
    let cookie = || (COOKIE, format!("theme=dark; session={token}"));
    let bearer = || (AUTHORIZATION, format!("Bearer {token}"));
    assert_eq!(code(&chosen, &[cookie()]).await, None);
    assert_eq!(code(&chosen, &[bearer()]).await, None);
    let both = code(&chosen, &[cookie(), bearer()]).await;
    assert_eq!(both.as_deref(), Some("jwt.multiple_tokens"));
    let twice = code(&chosen, &[cookie(), cookie()]).await;
    assert_eq!(twice.as_deref(), Some("jwt.multiple_tokens"));
    let not_chosen = code(&offline.layer(), &[cookie()]).await;
    assert_eq!(not_chosen.as_deref(), Some("jwt.missing"));
    assert!(offline.config().allow_cookie("a b").build().is_err());
}

#[tokio::test]
async fn a_websocket_brings_its_token_among_its_protocols_where_that_was_chosen() {
    let offline = es256();
    let chosen = layer(offline.config().allow_websocket_protocol("bearer"));
    let token = offline.token().sign().unwrap();
    let field = || (SEC_WEBSOCKET_PROTOCOL, format!("chat, bearer, {token}"));
    assert_eq!(code(&chosen, &[field()]).await, None);
    let not_chosen = code(&offline.layer(), &[field()]).await;
    assert_eq!(not_chosen.as_deref(), Some("jwt.missing"));
}

#[tokio::test]
async fn k18_a_token_in_the_query_is_never_taken() {
    let offline = es256();
    let token = offline.token().sign().unwrap();
    let call = Call::echo("").with_http_path(format!("/echo?access_token={token}"));
    let answer = Host::Hyper.send(&offline.layer(), &call).await.unwrap();
    assert_eq!(answer.code().as_deref(), Some("jwt.missing"));
}

#[tokio::test]
async fn h16_an_issuer_vouches_for_its_own_tokens_alone() {
    let offline = es256();
    let other = TokenMint::with_key(
        "https://partners.example",
        SigningKey::generate(SigningAlgorithm::Es256, "key-1").unwrap(),
        std::sync::Arc::new(offline.clock.clone()),
    );
    let rules = Rules::builder(other.issuer(), AUDIENCE).build().unwrap();
    let keys = KeySet::from_json(&other.jwks().to_string()).unwrap();
    let partners = JwtConfig::builder(rules).with_keys(keys).build().unwrap();
    let layer = layer(offline.config().add_issuer(partners.clone()));

    let ours = offline.token().sign().unwrap();
    let theirs = other.token().audience(AUDIENCE);
    assert_eq!(outcome(&layer, &ours).await, passed());
    assert_eq!(outcome(&layer, &theirs.sign().unwrap()).await, passed());
    // Both sets have a key of this name.
    let forged = theirs.clone().issuer(offline.mint.issuer()).sign().unwrap();
    assert_eq!(
        outcome(&layer, &forged).await,
        refused(401, "jwt.bad_signature")
    );
    let unknown = theirs.issuer("https://nobody.example").sign().unwrap();
    assert_eq!(
        outcome(&layer, &unknown).await,
        refused(401, "jwt.wrong_issuer")
    );
    let none = offline.token().without_claim("iss").sign().unwrap();
    assert_eq!(
        outcome(&layer, &none).await,
        refused(401, "jwt.invalid_claim")
    );

    let twice = offline
        .config()
        .add_issuer(partners.clone())
        .add_issuer(partners);
    assert!(matches!(twice.build(), Err(ConfigError::IssuerTwice(_))));
}

#[tokio::test]
async fn k11_a_token_is_refused_once_it_is_revoked_also_when_it_is_remembered() {
    let offline = es256();
    let revoked = RevocationList::new(10);
    let layer = layer(offline.config().with_revocations(revoked.clone()));
    let token = |id: &str| {
        let token = offline.token().token_id(id).claim("sid", "s-1");
        token.sign().unwrap()
    };
    let (one, other) = (token("t-1"), token("t-2"));
    assert_eq!(outcome(&layer, &one).await, passed());
    assert_eq!(outcome(&layer, &other).await, passed());
    let end = offline.clock.wall() + Duration::from_secs(600);
    let issuer = offline.mint.issuer();
    revoked.revoke_token(issuer, "t-1", end).unwrap();
    assert_eq!(outcome(&layer, &one).await, refused(401, "jwt.revoked"));
    assert_eq!(outcome(&layer, &other).await, passed());
    revoked.revoke_session(issuer, "s-1", end).unwrap();
    assert_eq!(outcome(&layer, &other).await, refused(401, "jwt.revoked"));
}

/// It is accepted for as long as the rules forgive a clock, and so is what revokes it.
#[tokio::test]
async fn a_revoked_token_does_not_come_back_in_its_last_seconds() {
    for leeway in [0, 30, 300] {
        let offline = es256();
        let revoked = RevocationList::new(10);
        let rules = offline.rules().with_leeway(Duration::from_secs(leeway));
        let keys = KeySet::from_json(&offline.mint.jwks().to_string()).unwrap();
        let config = JwtConfig::builder(rules.build().unwrap())
            .with_keys(keys)
            .with_clock(std::sync::Arc::new(offline.clock.clone()))
            .with_revocations(revoked.clone());
        let layer = layer(config);
        let end = offline.clock.wall() + Duration::from_secs(60);
        let token = |id: &str| {
            let token = offline.token().token_id(id).claim("sid", id).subject(id);
            token.expires_in(Duration::from_secs(60)).sign().unwrap()
        };
        let (issuer, later) = (offline.mint.issuer(), end);
        revoked.revoke_token(issuer, "t-1", end).unwrap();
        revoked.revoke_session(issuer, "s-1", end).unwrap();
        revoked.revoke_subject(issuer, "u-1", later, end).unwrap();
        let tokens = ["t-1", "s-1", "u-1", "good"].map(token);
        // Up to the last second in which they would be accepted, in one of which the list is tidied.
        for seconds in [59, leeway] {
            offline.clock.advance(Duration::from_secs(seconds));
            revoked.forget_expired(offline.clock.wall());
            let [bad @ .., good] = &tokens;
            for token in bad {
                let expected = refused(401, "jwt.revoked");
                assert_eq!(outcome(&layer, token).await, expected, "{leeway} {seconds}");
            }
            assert_eq!(outcome(&layer, good).await, passed(), "{leeway} {seconds}");
        }
        offline.clock.advance(Duration::from_secs(301 - leeway));
        assert_eq!(revoked.forget_expired(offline.clock.wall()), 0);
        let expired = refused(401, "jwt.expired");
        assert_eq!(outcome(&layer, &tokens[0]).await, expired);
    }
}

#[tokio::test]
async fn c10_an_authentication_that_does_not_suffice_is_asked_for_again() {
    let offline = es256();
    let config = offline
        .config()
        .require_authentication_context(["urn:mfa", "urn:\"x\""])
        .require_authentication_within(Duration::from_secs(300));
    let layer = layer(config);
    let now = offline.clock.wall().unix_seconds();
    let token = |context: &str, at: u64| {
        let token = offline.token().claim("acr", context).claim("auth_time", at);
        token.sign().unwrap()
    };
    let insufficient = refused(401, "jwt.insufficient_authentication");
    let good = token("urn:mfa", now - 300);
    assert_eq!(outcome(&layer, &good).await, passed());
    for bad in [
        token("urn:password", now),
        token("urn:mfa", now - 301),
        offline.token().claim("acr", "urn:mfa").sign().unwrap(),
        offline.token().claim("auth_time", now).sign().unwrap(),
        offline
            .token()
            .claim("acr", json!(["urn:mfa"]))
            .claim("auth_time", now)
            .sign()
            .unwrap(),
    ] {
        assert_eq!(outcome(&layer, &bad).await, insufficient);
    }
    let answer = send(&layer, &token("urn:password", now)).await;
    assert_eq!(
        answer.header("www-authenticate").unwrap(),
        r#"Bearer realm="https://orders.example", error="insufficient_user_authentication", acr_values="urn:mfa urn:\"x\"", max_age="300""#
    );
    // What is remembered grows old as well.
    offline.clock.advance(Duration::from_secs(1));
    assert_eq!(outcome(&layer, &good).await, insufficient);
    // One of no ways is none, and not any.
    let none = offline.config().require_authentication_context([]).build();
    assert!(matches!(none, Err(ConfigError::NoAuthenticationContext)));
}

#[tokio::test]
async fn challenges_name_the_metadata_and_its_route_serves_it() {
    let offline = es256();
    let config = offline.config().build().unwrap();
    let metadata = ResourceMetadata::of(&config, AUDIENCE)
        .unwrap()
        .with_scopes(["orders:read"])
        .with_name("Orders");
    let layer = layer(offline.config().with_resource_metadata(&metadata.url()));
    let answer = Host::Hyper.send(&layer, &Call::echo("")).await.unwrap();
    assert_eq!(
        answer.header("www-authenticate").unwrap(),
        r#"Bearer realm="https://orders.example", resource_metadata="https://orders.example/.well-known/oauth-protected-resource""#
    );
    let router = axum::Router::<()>::new().route_service(metadata.path(), metadata.service());
    let request = http::Request::get(metadata.path()).body(axum::body::Body::empty());
    let response = router.clone().oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    let body = axum::body::to_bytes(response.into_body(), 4096)
        .await
        .unwrap();
    let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(document["resource"], AUDIENCE);
    assert_eq!(
        document["authorization_servers"],
        json!([offline.mint.issuer()])
    );
    assert_eq!(document["scopes_supported"], json!(["orders:read"]));
    let request = http::Request::post(metadata.path()).body(axum::body::Body::empty());
    let response = router.oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), 405);
}

#[tokio::test]
async fn c12_roles_are_read_where_keycloak_and_entra_write_them() {
    let offline = es256();
    let layer = offline.layer();
    for (claims, expected) in [
        (json!({ "roles": ["a", "b"] }), json!(["a", "b"])),
        (json!({ "realm_access": { "roles": ["a"] } }), json!(["a"])),
        (
            json!({ "roles": ["a"], "realm_access": { "roles": ["b"] } }),
            json!(["a"]),
        ),
        (json!({ "realm_access": {} }), json!([])),
        (
            json!({ "resource_access": { "x": { "roles": ["a"] } } }),
            json!([]),
        ),
    ] {
        let mut token = offline.token();
        for (name, value) in claims.as_object().unwrap() {
            token = token.claim(name, value.clone());
        }
        let answer = send(&layer, &token.sign().unwrap()).await;
        assert_eq!(
            answer.json()["context"]["principal"]["roles"],
            expected,
            "{claims}"
        );
    }
}

#[tokio::test]
async fn names_with_control_characters_are_refused() {
    let offline = es256();
    let layer = offline.layer();
    for name in ["sub", "client_id", "jti", "azp"] {
        for text in ["a\r\nb", "a\0", "\u{7f}", "a\u{85}b"] {
            let token = offline.token().claim(name, text).sign().unwrap();
            assert_eq!(
                outcome(&layer, &token).await,
                refused(401, "jwt.invalid_claim"),
                "{name} {text:?}"
            );
        }
    }
}
