//! Where keys are looked for, and what happens as long as there are none.

use std::error::Error;
use std::time::Duration;

use bartizan_jwt::{ConfigError, JwtConfig, JwtLayer, Rules};
use bartizan_testkit::{Call, Endpoint, Fault, Host};

use crate::support::{AUDIENCE, Online, outcome, passed, refused, send};

const DISCOVERY: [Endpoint; 2] = [Endpoint::OpenIdConfiguration, Endpoint::AuthorizationServer];

fn whole_message(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message += &format!(": {error}");
        cause = error.source();
    }
    message
}

#[tokio::test]
async fn discovery_finds_the_keys() {
    for path in ["", "/realms/shop"] {
        let online = Online::at_path(path).await;
        let layer = online.layer().await;
        assert_eq!(
            outcome(&layer, &online.token().sign().unwrap()).await,
            passed(),
            "{path:?}"
        );
        assert_eq!(online.issuer.requests(Endpoint::OpenIdConfiguration), 1);
        assert_eq!(online.issuer.requests(Endpoint::AuthorizationServer), 0);
        assert!(layer.guard().is_ready());
    }
}

#[tokio::test]
async fn authorization_server_metadata_serves_where_openid_discovery_is_missing() {
    let online = Online::at_path("/realms/shop").await;
    online
        .issuer
        .set_fault(Endpoint::OpenIdConfiguration, Fault::Status(404));
    let layer = online.layer().await;
    assert_eq!(
        outcome(&layer, &online.token().sign().unwrap()).await,
        passed()
    );
    assert_eq!(online.issuer.requests(Endpoint::AuthorizationServer), 1);
}

#[tokio::test]
async fn a_stated_location_needs_no_discovery() {
    let online = Online::new().await;
    let config = online.config().with_key_location(&online.issuer.jwks_uri());
    let layer = JwtLayer::load(config.build().unwrap()).await.unwrap();
    assert_eq!(
        outcome(&layer, &online.token().sign().unwrap()).await,
        passed()
    );
    for endpoint in DISCOVERY {
        assert_eq!(online.issuer.requests(endpoint), 0);
    }
}

#[tokio::test]
async fn k08_a_discovery_document_of_another_issuer_is_refused() {
    let online = Online::new().await;
    for endpoint in DISCOVERY {
        online.issuer.set_fault(
            endpoint,
            Fault::WrongIssuer("https://evil.example".to_owned()),
        );
    }
    let error = JwtLayer::load(online.config().build().unwrap())
        .await
        .unwrap_err();
    let message = whole_message(&error);
    assert!(message.contains("another issuer"), "{message}");
    assert_eq!(online.issuer.requests(Endpoint::Jwks), 0);
}

#[tokio::test]
async fn an_issuer_whose_certificate_is_not_trusted_is_not_believed() {
    let online = Online::new().await;
    let rules = Rules::builder(online.issuer.issuer(), AUDIENCE)
        .build()
        .unwrap();
    let config = JwtConfig::builder(rules).build().unwrap();
    assert!(matches!(
        JwtLayer::load(config).await,
        Err(ConfigError::KeysNotLoaded(_))
    ));
    assert_eq!(online.issuer.requests(Endpoint::OpenIdConfiguration), 0);
}

#[tokio::test]
async fn k07_a_cold_start_without_the_issuer_fails_or_answers_503_as_chosen() {
    let online = Online::new().await;
    for endpoint in DISCOVERY {
        online.issuer.set_fault(endpoint, Fault::Status(500));
    }
    let config = || online.config().build().unwrap();
    assert!(matches!(
        JwtLayer::load(config()).await,
        Err(ConfigError::KeysNotLoaded(_))
    ));

    let layer = JwtLayer::start(config()).unwrap();
    let token = online.token().sign().unwrap();
    let answer = send(&layer, &token).await;
    assert_eq!(answer.http_status.as_u16(), 503);
    assert_eq!(answer.code().as_deref(), Some("jwt.keys_unavailable"));
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert_eq!(answer.header("www-authenticate"), None);
    let call = Call::echo("").with_bearer(&token).unwrap();
    let answer = Host::TonicRoutes.send(&layer, &call).await.unwrap();
    assert_eq!(answer.grpc_status, Some(14));
    // What is wrong by itself is still told.
    let forged = online.token().unsigned("none");
    assert_eq!(
        outcome(&layer, &forged).await,
        refused(401, "jwt.algorithm_not_allowed")
    );

    for endpoint in DISCOVERY {
        online.issuer.clear_fault(endpoint);
    }
    // The next request after the cool-down asks again, whenever the background would.
    online.clock.advance(Duration::from_secs(30));
    assert_eq!(outcome(&layer, &token).await, passed());
}

#[tokio::test]
async fn the_first_request_after_a_cold_start_waits_for_the_keys() {
    let online = Online::new().await;
    let layer = JwtLayer::start(online.config().build().unwrap()).unwrap();
    assert!(!layer.guard().is_ready());
    assert_eq!(
        outcome(&layer, &online.token().sign().unwrap()).await,
        passed()
    );
}

#[tokio::test]
async fn k08_keys_in_an_unsafe_place_are_not_fetched() {
    for place in [
        "http://169.254.169.254/keys",
        "file:///etc/passwd",
        "",
        "https://",
    ] {
        let online = Online::new().await;
        for endpoint in DISCOVERY {
            let fault = Fault::WrongJwksUri(place.to_owned());
            online.issuer.set_fault(endpoint, fault);
        }
        let error = JwtLayer::load(online.config().build().unwrap())
            .await
            .unwrap_err();
        let message = whole_message(&error);
        assert!(message.contains("jwks_uri"), "{message}");
        assert_eq!(online.issuer.requests(Endpoint::Jwks), 0);
    }
}
