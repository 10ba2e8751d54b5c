//! The issuer as an authorization server.

use std::time::Duration;

use bartizan_testkit::{
    DevelopmentCa, Endpoint, ManualClock, SigningAlgorithm, SigningKey, TokenBuilder, TokenIssuer,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{part, post_form};

const EXCHANGE: &str = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange\
    &subject_token_type=urn:ietf:params:oauth:token-type:access_token";

struct Server {
    ca: DevelopmentCa,
    clock: ManualClock,
    issuer: TokenIssuer,
}

impl Server {
    async fn new() -> Self {
        let ca = DevelopmentCa::new("example.org").unwrap();
        let clock = ManualClock::default();
        let key = SigningKey::generate(SigningAlgorithm::Es256, "k").unwrap();
        let builder = TokenIssuer::builder(key).with_clock(clock.clone());
        let issuer = builder.ask_for_certificates().start(&ca).await.unwrap();
        issuer.add_client("orders", "secret");
        Self { ca, clock, issuer }
    }

    async fn token(&self, form: &str) -> (u16, Value) {
        let form = format!("client_id=orders&client_secret=secret&{form}");
        let url = self.issuer.token_endpoint();
        post_form(&self.ca, None, &url, None, &form).await
    }

    fn alice(&self) -> TokenBuilder {
        self.issuer.token().audience("orders").scope("read write")
    }
}

fn error(answer: (u16, Value)) -> (u16, String) {
    (
        answer.0,
        answer.1["error"].as_str().unwrap_or("none").to_owned(),
    )
}

#[tokio::test]
async fn clients_prove_themselves_by_secret_key_or_certificate() {
    let server = Server::new().await;
    let url = server.issuer.token_endpoint();
    let grant = "grant_type=client_credentials";
    let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
    for (pair, status) in [
        ("orders:secret", 200),
        ("orders:wrong", 401),
        ("x:secret", 401),
    ] {
        let answer = post_form(&server.ca, None, &url, Some(&basic(pair)), grant).await;
        assert_eq!(answer.0, status, "{pair}");
    }
    assert_eq!(server.token(grant).await.0, 200);
    let wrong = format!("client_id=orders&client_secret=wrong&{grant}");
    let answer = post_form(&server.ca, None, &url, None, &wrong).await;
    assert_eq!(error(answer), (401, "invalid_client".to_owned()));

    let key = SigningKey::generate(SigningAlgorithm::EdDsa, "c").unwrap();
    server.issuer.add_client_with_key("stock", &key);
    let assertion = |audience: &str| {
        let token = server
            .issuer
            .token()
            .key(&key)
            .issuer("stock")
            .subject("stock");
        let token = token.audience(audience).sign().unwrap();
        format!(
            "client_id=stock&client_assertion={token}&client_assertion_type=\
             urn:ietf:params:oauth:client-assertion-type:jwt-bearer&{grant}"
        )
    };
    for (audience, status) in [(url.as_str(), 200), ("https://other.example", 401)] {
        let answer = post_form(&server.ca, None, &url, None, &assertion(audience)).await;
        assert_eq!(answer.0, status, "{audience}");
    }

    let identity = server.ca.workload("/web").unwrap();
    server
        .issuer
        .add_client_with_certificate("web", identity.sha256());
    let other = server.ca.workload("/other").unwrap();
    for (identity, status) in [(Some(&identity), 200), (Some(&other), 401), (None, 401)] {
        let form = format!("client_id=web&{grant}");
        let answer = post_form(&server.ca, identity, &url, None, &form).await;
        assert_eq!(answer.0, status);
    }
    assert_eq!(
        server.issuer.forms().len(),
        server.issuer.requests(Endpoint::Token)
    );
}

#[tokio::test]
async fn client_credentials_give_a_token_of_the_client_itself() {
    let server = Server::new().await;
    server.issuer.set_token_lifetime(Duration::from_secs(7));
    let form = "grant_type=client_credentials&scope=a+b&resource=https://b.example&audience=c";
    let (status, answer) = server.token(form).await;
    assert_eq!((status, &answer["expires_in"]), (200, &json!(7)));
    let claims = part(answer["access_token"].as_str().unwrap(), 1);
    assert_eq!(claims["sub"], "orders");
    assert_eq!(claims["scope"], "a b");
    assert_eq!(claims["aud"], json!(["c", "https://b.example"]));
    let (status, _) = server.token("grant_type=password").await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn an_exchange_keeps_the_subject_and_adds_no_scope() {
    let server = Server::new().await;
    let subject = server.alice().sign().unwrap();
    let form = format!("{EXCHANGE}&subject_token={subject}&scope=read&audience=b");
    let (status, answer) = server.token(&form).await;
    assert_eq!(status, 200, "{answer}");
    let claims = part(answer["access_token"].as_str().unwrap(), 1);
    assert_eq!(
        (&claims["sub"], &claims["scope"]),
        (&json!("alice"), &json!("read"))
    );
    assert_eq!(
        (&claims["client_id"], &claims["aud"]),
        (&json!("orders"), &json!("b"))
    );
    assert_eq!(claims.get("act"), None);

    let actor = server.issuer.token().subject("orders").sign().unwrap();
    let kind = "actor_token_type=urn:ietf:params:oauth:token-type:access_token";
    let (_, answer) = server
        .token(&format!("{form}&actor_token={actor}&{kind}"))
        .await;
    let claims = part(answer["access_token"].as_str().unwrap(), 1);
    assert_eq!(claims["act"], json!({ "sub": "orders" }));

    let thief = SigningKey::generate(SigningAlgorithm::Es256, "k").unwrap();
    let forged = server.alice().sign_with_foreign_key(&thief).unwrap();
    for (form, expected) in [
        (
            format!("{EXCHANGE}&subject_token={subject}&scope=admin&audience=b"),
            "invalid_scope",
        ),
        (
            format!("{EXCHANGE}&subject_token={subject}&scope=read"),
            "invalid_target",
        ),
        (
            format!("{EXCHANGE}&subject_token={forged}&audience=b"),
            "invalid_grant",
        ),
    ] {
        assert_eq!(error(server.token(&form).await), (400, expected.to_owned()));
    }
    server.clock.advance(Duration::from_secs(300));
    let expired = server.token(&form).await;
    assert_eq!(error(expired), (400, "invalid_grant".to_owned()));
}

#[tokio::test]
async fn introspection_tells_what_a_token_stands_for_until_it_ends() {
    let server = Server::new().await;
    let introspect = async |token: &str| {
        let form = format!("client_id=orders&client_secret=secret&token={token}");
        let url = server.issuer.introspection_endpoint();
        post_form(&server.ca, None, &url, None, &form).await
    };
    let token = server.issuer.opaque(&server.alice());
    let other = server.issuer.opaque(&server.alice().subject("bob"));
    let (status, answer) = introspect(&token).await;
    assert_eq!(
        (status, &answer["active"], &answer["sub"]),
        (200, &json!(true), &json!("alice"))
    );
    assert_eq!(introspect(&other).await.1["sub"], "bob");
    let jwt = server.alice().sign().unwrap();
    assert_eq!(introspect(&jwt).await.1["active"], true);
    for unknown in ["x", "", "a.b.c"] {
        assert_eq!(introspect(unknown).await.1, json!({ "active": false }));
    }
    server.issuer.end_opaque(&token);
    assert_eq!(introspect(&token).await.1, json!({ "active": false }));
    server.clock.advance(Duration::from_secs(300));
    assert_eq!(introspect(&other).await.1, json!({ "active": false }));
    let url = server.issuer.introspection_endpoint();
    let answer = post_form(&server.ca, None, &url, None, "token=x").await;
    assert_eq!(error(answer), (401, "invalid_client".to_owned()));
}

#[test]
fn a_key_that_is_read_is_the_key_that_was_written() {
    for (algorithm, curve) in [
        (
            SigningAlgorithm::Es256,
            &ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        ),
        (
            SigningAlgorithm::Es384,
            &ring::signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        ),
    ] {
        let random = ring::rand::SystemRandom::new();
        let der = ring::signature::EcdsaKeyPair::generate_pkcs8(curve, &random).unwrap();
        let one = SigningKey::from_pkcs8_der(der.as_ref(), algorithm, "a").unwrap();
        let other = SigningKey::from_pkcs8_der(der.as_ref(), algorithm, "b").unwrap();
        assert!(other.verifies(b"message", &one.sign(b"message").unwrap()));
        assert!(!other.verifies(b"massage", &one.sign(b"message").unwrap()));
        assert!(SigningKey::from_pkcs8_der(&[], algorithm, "a").is_err());
    }
}
