//! How the service proves to the authorization server who it is.

use bartizan_jwt::{
    Algorithm, ClientAuthentication, ClientKey, HttpsFetcher, OutgoingConfig, TokenEndpoint,
    TokenRequest,
};
use bartizan_testkit::{DevelopmentCa, RsaKey, SigningAlgorithm, SigningKey, TokenIssuer, tls};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
};

use super::{Bench, SECRET, call, carried, claims};
use crate::support::Online;

async fn subject(bench: &Bench, authentication: ClientAuthentication) -> Option<String> {
    let request = TokenRequest::new(bench.endpoint(authentication));
    let layer = bench.layer(OutgoingConfig::client_credentials(request));
    let token = carried(&layer, call()).await.ok()?;
    let claims = claims(&token);
    claims.get("sub")?.as_str().map(str::to_owned)
}

#[tokio::test]
async fn by_a_secret_in_the_header_or_in_the_form() {
    let bench = Bench::new().await;
    let orders = Some("orders".to_owned());
    let basic = ClientAuthentication::basic("orders", SECRET);
    assert_eq!(subject(&bench, basic).await, orders);
    assert!(bench.sent("client_secret").is_empty() && bench.sent("client_id").is_empty());
    let post = ClientAuthentication::post("orders", SECRET);
    assert_eq!(subject(&bench, post).await, orders);
    assert_eq!(bench.sent("client_secret"), [SECRET]);
    // What has a meaning in either place goes through unharmed.
    let odd = "a:b c+d%&=é/~\"";
    bench.online.issuer.add_client("odd:name", odd);
    for authentication in [
        ClientAuthentication::basic("odd:name", odd),
        ClientAuthentication::post("odd:name", odd),
    ] {
        assert_eq!(
            subject(&bench, authentication).await.as_deref(),
            Some("odd:name")
        );
    }
}

#[tokio::test]
async fn by_an_assertion_of_any_kind_of_key() {
    let bench = Bench::new().await;
    let random = SystemRandom::new();
    let ecdsa = |algorithm| EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let rsa = RsaKey::generate(2048).unwrap();
    let keys = [
        (
            Algorithm::Es256,
            SigningAlgorithm::Es256,
            ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING).as_ref().to_vec(),
        ),
        (
            Algorithm::Es384,
            SigningAlgorithm::Es384,
            ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING).as_ref().to_vec(),
        ),
        (
            Algorithm::EdDsa,
            SigningAlgorithm::EdDsa,
            Ed25519KeyPair::generate_pkcs8(&random)
                .unwrap()
                .as_ref()
                .to_vec(),
        ),
        (
            Algorithm::Rs256,
            SigningAlgorithm::Rs256,
            rsa.private_key_pkcs8_der(),
        ),
        (
            Algorithm::Ps512,
            SigningAlgorithm::Ps512,
            rsa.private_key_pkcs8_der(),
        ),
    ];
    for (algorithm, known, der) in keys {
        let registered = match algorithm {
            Algorithm::Rs256 | Algorithm::Ps512 => SigningKey::from_rsa(&rsa, known, "c"),
            _ => SigningKey::from_pkcs8_der(&der, known, "c"),
        };
        bench
            .online
            .issuer
            .add_client_with_key("stock", &registered.unwrap());
        let key = ClientKey::from_pkcs8_der(&der, algorithm)
            .unwrap()
            .with_key_id("c");
        let shown = format!("{key:?}");
        let secret = format!("{:?}", &der[36..44]);
        assert!(shown.contains("\"c\"") && !shown.contains(secret.trim_matches(['[', ']'])));
        let issuer = bench.online.issuer.issuer();
        for authentication in [
            ClientAuthentication::private_key_jwt("stock", key.clone()),
            ClientAuthentication::private_key_jwt_for("stock", key.clone(), issuer),
        ] {
            assert_eq!(
                subject(&bench, authentication).await.as_deref(),
                Some("stock"),
                "{algorithm}"
            );
            assert_eq!(bench.sent("client_id"), ["stock"]);
        }
        let elsewhere = "https://other.example";
        let authentication = ClientAuthentication::private_key_jwt_for("stock", key, elsewhere);
        assert_eq!(subject(&bench, authentication).await, None);
    }
}

#[tokio::test]
async fn by_a_client_certificate() {
    let ca = DevelopmentCa::new("example.org").unwrap();
    let clock = bartizan_testkit::ManualClock::default();
    let key = SigningKey::generate(SigningAlgorithm::Es256, "key-1").unwrap();
    let builder = TokenIssuer::builder(key).with_clock(clock.clone());
    let issuer = builder.ask_for_certificates().start(&ca).await.unwrap();
    let identity = ca.workload("/orders").unwrap();
    issuer.add_client_with_certificate("orders", identity.sha256());
    let bench = Bench {
        online: Online { ca, clock, issuer },
        notes: std::sync::Arc::default(),
    };
    let other = bench.online.ca.workload("/other").unwrap();
    for (identity, expected) in [(&identity, Some("orders")), (&other, None)] {
        let config = tls::dangerous_client_config(&bench.online.ca, Some(identity)).unwrap();
        let fetcher = HttpsFetcher::builder()
            .with_tls_config(config)
            .build()
            .unwrap();
        let authentication = ClientAuthentication::tls("orders", fetcher);
        let url = bench.online.issuer.token_endpoint();
        let endpoint = TokenEndpoint::builder(&url, authentication)
            .build()
            .unwrap();
        let layer = bench.layer(OutgoingConfig::client_credentials(TokenRequest::new(
            endpoint,
        )));
        let token = carried(&layer, call()).await;
        let subject = token
            .ok()
            .map(|token| claims(&token)["sub"].as_str().unwrap().to_owned());
        assert_eq!(subject.as_deref(), expected);
    }
}
