//! What a request may look like.

use bartizan_core::Enforcement;
use bartizan_ratelimit::{ConfigError, IntakeLayer, IntakeRules};
use bartizan_testkit::{Call, Host, HostLayer};
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};

fn layer() -> IntakeLayer {
    let rules = IntakeRules::builder()
        .with_max_target(40)
        .with_max_headers(500, 10)
        .with_max_body(1_000)
        .allow_content_type("application/json")
        .allow_content_type("application/grpc")
        .allow_content_type("application/grpc+proto");
    IntakeLayer::new(rules.build().unwrap())
}

fn json() -> Call {
    Call::echo("{}").add_header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
}

async fn outcome(call: &Call) -> (u16, Option<String>) {
    let answer = Host::Hyper.send(&layer(), call).await.unwrap();
    let code = answer.code().filter(|_| !answer.is_success());
    (answer.http_status.as_u16(), code)
}

fn refused(status: u16, code: &str) -> (u16, Option<String>) {
    (status, Some(code.to_owned()))
}

#[tokio::test]
async fn what_is_within_the_rules_passes_and_what_is_not_is_told_why() {
    assert_eq!(outcome(&json()).await, (200, None));
    let long = json().with_http_path(format!("/echo?q={}", "x".repeat(40)));
    assert_eq!(outcome(&long).await, refused(414, "ratelimit.uri_too_long"));
    let value = HeaderValue::try_from("x".repeat(500)).unwrap();
    let large = json().add_header("x-large".parse().unwrap(), value);
    assert_eq!(
        outcome(&large).await,
        refused(431, "ratelimit.headers_too_large")
    );
    let many = (0..10).fold(json(), |call, n: u8| {
        call.add_header("x-many".parse().unwrap(), HeaderValue::from(u16::from(n)))
    });
    assert_eq!(
        outcome(&many).await,
        refused(431, "ratelimit.headers_too_large")
    );
    for length in ["1001", "99999999999999999999999", "-1", "+1"] {
        let body = json().add_header(CONTENT_LENGTH, HeaderValue::from_static(length));
        assert_eq!(
            outcome(&body).await,
            refused(413, "ratelimit.body_too_large"),
            "{length}"
        );
    }
    let text = HeaderValue::from_static("text/plain");
    let other = Call::echo("{}").add_header(CONTENT_TYPE, text.clone());
    assert_eq!(
        outcome(&other).await,
        refused(415, "ratelimit.unsupported_media")
    );
    let both = json().add_header(CONTENT_TYPE, text);
    assert_eq!(
        outcome(&both).await,
        refused(415, "ratelimit.unsupported_media")
    );
}

#[tokio::test]
async fn grpc_is_refused_in_its_own_way() {
    let answer = Host::TonicRoutes
        .send(&layer(), &Call::echo("hello"))
        .await
        .unwrap();
    assert!(answer.is_success(), "{answer:?}");
    let value = HeaderValue::try_from("x".repeat(500)).unwrap();
    let large = Call::echo("hello").add_header("x-large".parse().unwrap(), value);
    let answer = Host::TonicRoutes.send(&layer(), &large).await.unwrap();
    assert_eq!(answer.http_status, 200);
    assert_eq!(answer.grpc_status, Some(8));
    assert_eq!(
        answer.code().as_deref(),
        Some("ratelimit.headers_too_large")
    );
}

#[tokio::test]
async fn in_shadow_everything_passes_and_is_recorded() {
    let layer = layer().with_enforcement(Enforcement::Shadow);
    let long = json().with_http_path(format!("/echo?q={}", "x".repeat(40)));
    let answer = Host::Hyper.send(&layer, &long).await.unwrap();
    assert!(answer.is_success());
    let decision = &answer.json()["context"]["decisions"][0];
    assert_eq!(decision["code"], "ratelimit.uri_too_long");
}

#[test]
fn rules_that_refuse_everybody_are_refused() {
    for rules in [
        IntakeRules::builder().with_max_target(0),
        IntakeRules::builder().with_max_headers(0, 1),
        IntakeRules::builder().with_max_headers(1, 0),
        IntakeRules::builder().allow_content_type("application/json; charset=utf-8"),
    ] {
        assert!(matches!(rules.build(), Err(ConfigError::Intake(_))));
    }
}

#[test]
fn the_layer_fits_every_host() {
    fn check<L: HostLayer>() {}
    check::<IntakeLayer>();
}
