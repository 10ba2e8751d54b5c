//! The issuer over real TLS, behaving and misbehaving.

use std::time::Duration;

use bartizan_testkit::{
    DevelopmentCa, Endpoint, Fault, ManualClock, OldKey, SigningAlgorithm, SigningKey, TokenIssuer,
};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::net::TcpStream;

use crate::support::{get, get_json, part};

async fn started() -> (DevelopmentCa, TokenIssuer) {
    let ca = DevelopmentCa::new("example.org").unwrap();
    let issuer = TokenIssuer::start(&ca, SigningAlgorithm::Es256)
        .await
        .unwrap();
    (ca, issuer)
}

fn openid(issuer: &TokenIssuer) -> String {
    format!("{}/.well-known/openid-configuration", issuer.issuer())
}

#[tokio::test]
async fn serves_discovery_and_keys_over_tls_and_counts() {
    let (ca, issuer) = started().await;
    let document = get_json(&ca, &openid(&issuer)).await;
    assert_eq!(document["issuer"], issuer.issuer());
    assert_eq!(
        document["id_token_signing_alg_values_supported"][0],
        "ES256"
    );
    let keys = get_json(&ca, document["jwks_uri"].as_str().unwrap()).await;
    assert_eq!(keys, issuer.jwks());
    issuer.rotate(OldKey::Remove).unwrap();
    let rotated = get_json(&ca, document["jwks_uri"].as_str().unwrap()).await;
    assert_eq!(rotated["keys"][0]["kid"], "key-2");
    assert_eq!(rotated["keys"].as_array().unwrap().len(), 1);
    assert_eq!(issuer.requests(Endpoint::OpenIdConfiguration), 1);
    assert_eq!(issuer.requests(Endpoint::Jwks), 2);
    assert_eq!(issuer.requests(Endpoint::AuthorizationServer), 0);
    issuer.requests_reach(Endpoint::Jwks, 2).await;
}

#[tokio::test]
async fn a_path_stands_before_openid_and_behind_rfc_8414_metadata() {
    let ca = DevelopmentCa::new("example.org").unwrap();
    let key = SigningKey::generate(SigningAlgorithm::EdDsa, "k").unwrap();
    let clock = ManualClock::at_unix_seconds(77);
    let builder = TokenIssuer::builder(key)
        .with_path("/realms/shop")
        .with_clock(clock);
    let issuer = builder.start(&ca).await.unwrap();
    let origin = format!("https://{}", issuer.address());
    assert_eq!(issuer.issuer(), format!("{origin}/realms/shop"));
    assert_eq!(
        get_json(&ca, &openid(&issuer)).await["issuer"],
        issuer.issuer()
    );
    let metadata = format!("{origin}/.well-known/oauth-authorization-server/realms/shop");
    assert_eq!(get_json(&ca, &metadata).await["issuer"], issuer.issuer());
    let response = get(&ca, &format!("{origin}/jwks.json")).await.unwrap();
    assert_eq!(response.status(), 404);
    assert_eq!(issuer.requests(Endpoint::Other), 1);
    let token = issuer.token().sign().unwrap();
    assert_eq!(part(&token, 1)["iat"], 77);
    assert_eq!(part(&token, 1)["iss"], issuer.issuer());
}

#[tokio::test]
async fn faults_come_and_go() {
    let (ca, issuer) = started().await;
    let keys = issuer.jwks_uri();
    let text = async |url: &str| {
        let response = get(&ca, url).await.unwrap();
        let (parts, body) = response.into_parts();
        (parts, body.collect().await.unwrap().to_bytes())
    };

    issuer.set_fault(Endpoint::Jwks, Fault::Status(500));
    assert_eq!(text(&keys).await.0.status, 500);

    issuer.set_fault(Endpoint::Jwks, Fault::Html);
    let (parts, body) = text(&keys).await;
    assert_eq!(
        (parts.status.as_u16(), &parts.headers["content-type"]),
        (200, &"text/html".parse().unwrap())
    );
    assert!(body.starts_with(b"<!doctype html>"));

    issuer.set_fault(
        Endpoint::Jwks,
        Fault::Redirect("http://127.0.0.1:1/keys".to_owned()),
    );
    let (parts, _) = text(&keys).await;
    assert_eq!(parts.status, 302);
    assert_eq!(parts.headers["location"], "http://127.0.0.1:1/keys");

    issuer.set_fault(Endpoint::Jwks, Fault::EmptyKeySet);
    assert_eq!(text(&keys).await.1, r#"{"keys":[]}"#);

    issuer.set_fault(Endpoint::Jwks, Fault::Body(Bytes::from_static(b"{")));
    assert_eq!(text(&keys).await.1, "{");

    issuer.set_fault(Endpoint::Jwks, Fault::Huge(100_000));
    let (parts, body) = text(&keys).await;
    assert_eq!(body.len(), 100_000);
    assert!(parts.headers.get("content-length").is_none());

    issuer.set_fault(Endpoint::Jwks, Fault::MalformedKey);
    let (_, body) = text(&keys).await;
    let set: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(set["keys"][0]["kid"], "malformed");
    assert_eq!(set["keys"][1], issuer.jwks()["keys"][0]);
    assert_eq!(set["keys"][0]["kty"], "RSA");
    assert!(set["keys"][0].get("n").is_none());

    let discovery = openid(&issuer);
    issuer.set_fault(
        Endpoint::OpenIdConfiguration,
        Fault::WrongIssuer("https://evil".to_owned()),
    );
    let document = get_json(&ca, &discovery).await;
    assert_eq!(document["issuer"], "https://evil");
    assert_eq!(document["jwks_uri"], keys);
    issuer.set_fault(
        Endpoint::OpenIdConfiguration,
        Fault::WrongJwksUri("http://x".to_owned()),
    );
    assert_eq!(get_json(&ca, &discovery).await["jwks_uri"], "http://x");

    issuer.clear_fault(Endpoint::Jwks);
    assert_eq!(get_json(&ca, &keys).await, issuer.jwks());
    assert_eq!(issuer.requests(Endpoint::Jwks), 8);
}

#[tokio::test]
async fn a_disconnect_is_no_answer() {
    let (ca, issuer) = started().await;
    issuer.set_fault(Endpoint::Jwks, Fault::Disconnect);
    assert!(get(&ca, &issuer.jwks_uri()).await.is_err());
    assert_eq!(issuer.requests(Endpoint::Jwks), 1);
}

#[tokio::test]
async fn a_hanging_endpoint_disturbs_no_other() {
    let (ca, issuer) = started().await;
    issuer.set_fault(Endpoint::Jwks, Fault::Hang);
    let (client, url) = (ca.clone(), issuer.jwks_uri());
    let hanging = tokio::spawn(async move { get(&client, &url).await.map(|r| r.status()) });
    issuer.requests_reach(Endpoint::Jwks, 1).await;
    get_json(&ca, &openid(&issuer)).await;
    assert!(!hanging.is_finished());
    // The connection goes with the issuer, and the request fails at last.
    drop(issuer);
    assert!(hanging.await.unwrap().is_err());
}

#[tokio::test]
async fn a_dripping_body_arrives_byte_by_byte() {
    let (ca, issuer) = started().await;
    issuer.set_fault(Endpoint::Jwks, Fault::Drip(Duration::from_millis(1)));
    let response = get(&ca, &issuer.jwks_uri()).await.unwrap();
    assert!(response.headers().get("content-length").is_none());
    let mut body = response.into_body();
    let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(frame, "{");
    let rest = body.collect().await.unwrap().to_bytes();
    assert_eq!(
        format!("{{{}", String::from_utf8_lossy(&rest)),
        issuer.jwks().to_string()
    );
}

#[tokio::test]
async fn dropping_the_issuer_closes_its_socket() {
    let (_, issuer) = started().await;
    let address = issuer.address();
    let mint = issuer.mint().clone();
    drop(issuer);
    // The listener goes when the runtime gets to the aborted task.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(mint.token().sign().is_ok());
}
