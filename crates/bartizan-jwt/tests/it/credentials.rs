//! How a request carries its token, and how a refusal looks.

use std::time::Duration;

use bartizan_testkit::{Call, Host, SigningAlgorithm};
use http::HeaderValue;
use http::header::AUTHORIZATION;

use crate::support::Offline;

fn es256() -> Offline {
    Offline::new(SigningAlgorithm::Es256)
}

#[tokio::test]
async fn exactly_one_bearer_token_is_wanted() {
    let offline = es256();
    let layer = offline.layer();
    let good = offline.token().sign().unwrap();
    let bare = r#"Bearer realm="https://orders.example""#;
    let invalid_request = r#"Bearer realm="https://orders.example", error="invalid_request""#;
    let check = async |fields: &[&str], status, code: &str, challenge: &str| {
        let mut call = Call::echo("");
        for field in fields {
            call = call.add_header(AUTHORIZATION, HeaderValue::from_str(field).unwrap());
        }
        let answer = Host::Hyper.send(&layer, &call).await.unwrap();
        assert_eq!(answer.http_status.as_u16(), status, "{fields:?}");
        assert_eq!(answer.code().as_deref(), Some(code), "{fields:?}");
        assert_eq!(
            answer.header("www-authenticate"),
            Some(challenge),
            "{fields:?}"
        );
    };
    let bearer = format!("Bearer {good}");
    check(&[], 401, "jwt.missing", bare).await;
    check(&["Basic dXNlcjpwYXNz"], 401, "jwt.missing", bare).await;
    check(
        &["Bearer"],
        400,
        "jwt.malformed_credentials",
        invalid_request,
    )
    .await;
    check(
        &["Bearer a b"],
        400,
        "jwt.malformed_credentials",
        invalid_request,
    )
    .await;
    check(
        &[&bearer, &bearer],
        400,
        "jwt.multiple_tokens",
        invalid_request,
    )
    .await;
    check(
        &[&format!("{bearer}, {bearer}")],
        400,
        "jwt.multiple_tokens",
        invalid_request,
    )
    .await;

    let spelled = Call::echo("").add_header(
        AUTHORIZATION,
        HeaderValue::from_str(&format!("bEARER   {good}")).unwrap(),
    );
    assert!(
        Host::Hyper
            .send(&layer, &spelled)
            .await
            .unwrap()
            .is_success()
    );
}

#[tokio::test]
async fn a_token_in_the_query_is_not_looked_for() {
    let offline = es256();
    let token = offline.token().sign().unwrap();
    let call = Call::echo("").with_http_path(format!("/echo?access_token={token}"));
    let answer = Host::AxumLayer.send(&offline.layer(), &call).await.unwrap();
    assert_eq!(answer.code().as_deref(), Some("jwt.missing"));
}

#[tokio::test]
async fn renders_grpc_rejection() {
    let offline = es256();
    let layer = offline.layer();
    let bearer = |token: &str| Call::echo("").with_bearer(token).unwrap();
    let two = bearer("a").add_header(AUTHORIZATION, HeaderValue::from_static("Bearer b"));
    let expired = offline
        .token()
        .expired_since(Duration::from_secs(60))
        .sign()
        .unwrap();
    for host in [Host::TonicRoutes, Host::TonicNamedLayer, Host::TonicServe] {
        for (call, status, code) in [
            (Call::echo(""), 16, "jwt.missing"),
            (two.clone(), 3, "jwt.multiple_tokens"),
            (bearer(&expired), 16, "jwt.expired"),
        ] {
            let answer = host.send(&layer, &call).await.unwrap();
            assert_eq!(answer.http_status.as_u16(), 200, "{host:?} {code}");
            assert_eq!(answer.grpc_status, Some(status), "{host:?} {code}");
            assert_eq!(answer.code().as_deref(), Some(code), "{host:?}");
            assert_ne!(answer.ended_with_headers, Some(false), "{host:?} {code}");
            assert!(
                answer.header("www-authenticate").is_some(),
                "{host:?} {code}"
            );
        }
    }
}

#[tokio::test]
async fn real_sockets_carry_tokens_and_refusals() {
    let offline = es256();
    let layer = offline.layer();
    let good = Call::echo("")
        .with_bearer(&offline.token().sign().unwrap())
        .unwrap();
    for host in Host::WITH_SOCKETS {
        assert!(
            host.send(&layer, &good).await.unwrap().is_success(),
            "{host:?}"
        );
        let answer = host.send(&layer, &Call::echo("")).await.unwrap();
        assert_eq!(answer.code().as_deref(), Some("jwt.missing"), "{host:?}");
    }
}
