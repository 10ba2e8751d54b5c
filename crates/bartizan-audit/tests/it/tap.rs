use std::convert::Infallible;

use bartizan_audit::{AuditConfig, AuditLayer, AuditTapLayer, Rule, TapBody};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Folder, end, get, with_requests};

type Fields = Vec<(String, String)>;

/// Sends a body through layer and tap to a handler that answers with it, and gives the fields that
/// were recorded of request and response.
async fn fields(body: &'static str, media: &'static str) -> (Fields, Fields) {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let rule = Rule::request_response()
        .add_request_field("/order")
        .add_request_field("/card/last4")
        .add_response_field("/state");
    let config = AuditConfig::builder(ledger.clone())
        .add_rule(rule)
        .with_largest_tap(100);
    let layer = AuditLayer::new(config.build().unwrap());
    let handler = service_fn(async |request: Request<TapBody<Full<Bytes>>>| {
        let media = request.headers()["content-type"].clone();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let response = Response::builder().header("content-type", media);
        Ok::<_, Infallible>(response.body(Full::new(body)).unwrap())
    });
    let service = layer.layer(AuditTapLayer::new().layer(handler));
    let mut request = get("/orders");
    *request.body_mut() = Full::new(Bytes::from_static(body.as_bytes()));
    request
        .headers_mut()
        .insert("content-type", media.parse().unwrap());
    let response = service.oneshot(request).await.unwrap();
    let echoed = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(echoed, body, "nothing is changed");
    end(&ledger, &folder).await;
    let owned = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    with_requests(&folder, |requests| {
        (
            owned(&requests[0].request_fields),
            owned(&requests[0].response_fields),
        )
    })
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[tokio::test]
async fn named_fields_of_json_bodies_are_recorded_and_no_others() {
    let body = r#"{"order":17,"card":{"number":"4111","last4":"1111"},"state":"paid\n"}"#;
    let (request, response) = fields(body, "application/json; charset=utf-8").await;
    assert_eq!(
        request,
        [pair("/order", "17"), pair("/card/last4", "\"1111\"")]
    );
    assert_eq!(response, [pair("/state", "\"paid\\n\"")]);
}

#[tokio::test]
async fn what_is_no_json_is_not_read() {
    for (body, media) in [
        (r#"{"order":17}"#, "text/plain"),
        (r#"{"order":17"#, "application/json"),
        ("", "application/json"),
    ] {
        assert_eq!(
            fields(body, media).await,
            (vec![], vec![]),
            "{body} {media}"
        );
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_told() {
    let body = r#"{"order":17,"filler":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}"#;
    let (request, response) = fields(body, "application/json").await;
    assert_eq!(request, [pair("/order", ""), pair("/card/last4", "")]);
    assert_eq!(response, [pair("/state", "")]);
}
