//! Requests that take too long.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_core::{Enforcement, GuardBodyError};
use bartizan_ratelimit::{ConfigError, Deadline, DeadlineLayer};
use bartizan_testkit::{Call, Host, HostLayer};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use http_body_util::channel::Channel;
use tokio::time::{Instant, sleep};
use tower::{Layer as _, ServiceExt as _, service_fn};

fn layer(seconds: u64) -> DeadlineLayer {
    DeadlineLayer::try_new(Duration::from_secs(seconds)).unwrap()
}

fn grpc(timeout: &str) -> Request<()> {
    let request = Request::post("/svc/Do").header(CONTENT_TYPE, "application/grpc");
    request.header("grpc-timeout", timeout).body(()).unwrap()
}

/// After how many seconds a handler that takes 100 of them is answered for, and with what: the
/// HTTP status, and the gRPC one.
async fn outcome(layer: &DeadlineLayer, request: Request<()>) -> (u64, u16, Option<String>) {
    let begun = Instant::now();
    let service = service_fn(async |_: Request<()>| {
        sleep(Duration::from_secs(100)).await;
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let response = layer.layer(service).oneshot(request).await.unwrap();
    let status = response.headers().get("grpc-status");
    let status = status.map(|status| status.to_str().unwrap().to_owned());
    (
        begun.elapsed().as_secs(),
        response.status().as_u16(),
        status,
    )
}

#[tokio::test(start_paused = true)]
async fn what_is_not_done_in_time_is_ended() {
    let exceeded = |after| (after, 200, Some("4".to_owned()));
    for (request, expected) in [
        (Request::new(()), (10, 504, None)),
        // A gRPC client may ask for less, and not for more.
        (grpc("3S"), exceeded(3)),
        (grpc("5000m"), exceeded(5)),
        (grpc("1H"), exceeded(10)),
        (grpc("99999999H"), exceeded(10)),
        // What has passed already is told at once.
        (grpc("0n"), exceeded(0)),
    ] {
        let what = format!("{request:?}");
        assert_eq!(outcome(&layer(10), request).await, expected, "{what}");
    }
    assert_eq!(
        outcome(&layer(101), Request::new(())).await,
        (100, 200, None)
    );
}

#[tokio::test(start_paused = true)]
async fn a_timeout_that_cannot_be_read_is_refused() {
    for timeout in ["", "S", "10", "1s", "123456789S", "-1S"] {
        let expected = (0, 200, Some("3".to_owned()));
        assert_eq!(
            outcome(&layer(10), grpc(timeout)).await,
            expected,
            "{timeout:?}"
        );
    }
    let mut two = grpc("1S");
    two.headers_mut()
        .append("grpc-timeout", "2S".parse().unwrap());
    assert_eq!(outcome(&layer(10), two).await.2.as_deref(), Some("3"));
    // Plain HTTP knows no such header.
    let mut plain = Request::new(());
    plain
        .headers_mut()
        .append("grpc-timeout", "1S".parse().unwrap());
    assert_eq!(outcome(&layer(10), plain).await.0, 10);
}

#[tokio::test(start_paused = true)]
async fn routes_have_limits_of_their_own_or_none() {
    let layer = layer(10).with_limit_for(|inspection| match inspection.context.path() {
        Ok("/reports") => Some(Duration::from_secs(60)),
        Ok("/events") => Some(Duration::MAX),
        _ => None,
    });
    for (path, after, status) in [("/reports", 60, 504), ("/events", 100, 200), ("/", 10, 504)] {
        let request = Request::get(path).body(()).unwrap();
        let found = outcome(&layer, request).await;
        assert_eq!(found, (after, status, None), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_that_streams_on_is_broken_off() {
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
    let body = Arc::new(Mutex::new(Some(body)));
    let service = service_fn(move |_: Request<()>| {
        let body = body.lock().unwrap().take().unwrap();
        async move { Ok::<_, Infallible>(Response::new(body)) }
    });
    let begun = Instant::now();
    let response = layer(10).layer(service).oneshot(Request::new(())).await;
    let mut body = response.unwrap().into_body();
    sender.send_data("abc".into()).await.unwrap();
    assert!(body.frame().await.unwrap().is_ok());
    let error = body.frame().await.unwrap().unwrap_err();
    let cut = GuardBodyError::into_inner(error).unwrap_err();
    assert_eq!(cut.code().as_str(), "ratelimit.deadline_exceeded");
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn handlers_are_told_how_much_time_is_left() {
    let service = service_fn(async |request: Request<()>| {
        sleep(Duration::from_secs(2)).await;
        let deadline = request.extensions().get::<Deadline>().copied();
        let left = deadline.map(|deadline| deadline.remaining().as_secs());
        Ok::<_, Infallible>(Response::new(format!("{left:?}")))
    });
    let response = layer(10).layer(service).oneshot(grpc("5S")).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "Some(3)");
}

#[tokio::test(start_paused = true)]
async fn in_shadow_requests_take_as_long_as_they_like() {
    let layer = layer(10).with_enforcement(Enforcement::Shadow);
    assert_eq!(outcome(&layer, Request::new(())).await, (100, 200, None));
}

#[tokio::test]
async fn what_is_done_in_time_passes_on_every_host() {
    for host in Host::WITHOUT_SOCKETS {
        let answer = host.send(&layer(10), &Call::echo("hello")).await.unwrap();
        assert!(answer.is_success(), "{host:?}");
    }
}

#[test]
fn a_deadline_without_any_time_is_refused() {
    let refused = DeadlineLayer::try_new(Duration::ZERO);
    assert!(matches!(refused, Err(ConfigError::Deadline(_))));
}

#[test]
fn the_layer_fits_every_host() {
    fn check<L: HostLayer>() {}
    check::<DeadlineLayer>();
}
