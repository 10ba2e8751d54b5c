//! Responses that go on for longer than their token holds.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{BodyCut, Enforcement};
use bartizan_jwt::{JwtConfig, JwtLayer, RevocationList};
use bartizan_testkit::{OldKey, SigningAlgorithm};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use tokio::sync::mpsc;
use tokio::time::{advance, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tower::{Layer as _, Service, ServiceExt as _, service_fn};

use crate::support::Offline;

pub(crate) type Frames = mpsc::Sender<Result<Frame<Bytes>, Infallible>>;
pub(crate) type Streamed = StreamBody<ReceiverStream<Result<Frame<Bytes>, Infallible>>>;

/// A service that answers with one frame and then waits, until it is told that nobody listens.
pub(crate) fn streaming() -> (
    impl Service<Request<Empty<Bytes>>, Response = Response<Streamed>, Error = Infallible> + Clone,
    mpsc::Receiver<Frames>,
) {
    let (begun, senders) = mpsc::channel(1);
    // It answers in the protocol that it is asked in.
    let service = service_fn(move |request: Request<Empty<Bytes>>| {
        let content_type = request.headers().get("content-type").cloned();
        let begun = begun.clone();
        async move {
            let (frames, body) = mpsc::channel(4);
            let first = Frame::data(Bytes::from_static(b"first"));
            frames.send(Ok(first)).await.unwrap();
            begun.send(frames).await.unwrap();
            let mut response = Response::new(StreamBody::new(ReceiverStream::new(body)));
            if let Some(content_type) = content_type {
                response.headers_mut().insert("content-type", content_type);
            }
            Ok(response)
        }
    });
    (service, senders)
}

pub(crate) fn request(token: &str, content_type: &str) -> Request<Empty<Bytes>> {
    Request::post("/watch")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", content_type)
        .body(Empty::new())
        .unwrap()
}

/// Lets time pass for the timers and for the layer's clock alike.
async fn pass(offline: &Offline, span: Duration) {
    offline.clock.advance(span);
    advance(span).await;
    // Timers that are due run before this one.
    sleep(Duration::from_millis(1)).await;
}

fn one_minute() -> (Offline, String) {
    let offline = Offline::new(SigningAlgorithm::Es256);
    let token = offline.token().expires_in(Duration::from_secs(60));
    let token = token.sign().unwrap();
    (offline, token)
}

#[tokio::test(start_paused = true)]
async fn an_http_stream_breaks_off_when_its_token_expires() {
    let (offline, token) = one_minute();
    let (service, mut begun) = streaming();
    let service = offline.layer().layer(service);
    let response = service
        .oneshot(request(&token, "text/plain"))
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let frames = begun.recv().await.unwrap();
    let mut body = response.into_body();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    let mut next = tokio::spawn(async move { body.frame().await });
    pass(&offline, Duration::from_secs(89)).await;
    assert!(
        timeout(Duration::ZERO, &mut next).await.is_err(),
        "the token holds"
    );
    pass(&offline, Duration::from_secs(1)).await;
    let error = next.await.unwrap().unwrap().unwrap_err();
    let error: Box<dyn std::error::Error + Send + Sync> = error.into();
    let cut = error.downcast::<BodyCut>().unwrap();
    assert_eq!(cut.code().as_str(), "jwt.expired");
    assert!(frames.is_closed(), "what feeds the stream is stopped");
}

#[tokio::test(start_paused = true)]
async fn a_grpc_stream_ends_with_unauthenticated_when_its_token_expires() {
    let (offline, token) = one_minute();
    let (service, mut begun) = streaming();
    let service = offline.layer().layer(service);
    let request = request(&token, "application/grpc");
    let mut body = service.oneshot(request).await.unwrap().into_body();
    let _frames = begun.recv().await.unwrap();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    let next = tokio::spawn(async move { body.frame().await });
    pass(&offline, Duration::from_secs(90)).await;
    let trailers = next.await.unwrap().unwrap().unwrap();
    let trailers = trailers.into_trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "16");
}

#[tokio::test(start_paused = true)]
async fn a_stream_follows_the_wall_clock_when_it_is_set() {
    let (offline, token) = one_minute();
    let (service, mut begun) = streaming();
    let service = offline.layer().layer(service);
    let request = request(&token, "text/plain");
    let mut body = service.oneshot(request).await.unwrap().into_body();
    let _frames = begun.recv().await.unwrap();
    assert!(body.frame().await.unwrap().is_ok());
    let next = tokio::spawn(async move { body.frame().await });
    sleep(Duration::from_millis(1)).await;
    // The clock is set to the token's end; only five seconds pass.
    let now = bartizan_core::Clock::wall(&offline.clock);
    offline.clock.set_wall(now + Duration::from_secs(90));
    advance(Duration::from_secs(5)).await;
    assert!(next.await.unwrap().unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn streams_go_on_where_that_was_chosen_and_in_shadow_mode() {
    let (offline, token) = one_minute();
    for config in [
        offline.config().allow_streams_past_expiry(),
        offline.config().with_enforcement(Enforcement::Shadow),
    ] {
        let layer = JwtLayer::start(config.build().unwrap()).unwrap();
        let (service, mut begun) = streaming();
        let request = request(&token, "text/plain");
        let response = layer.layer(service).oneshot(request).await.unwrap();
        let mut body = response.into_body();
        let frames = begun.recv().await.unwrap();
        assert!(body.frame().await.unwrap().is_ok());
        let next = tokio::spawn(async move { body.frame().await });
        sleep(Duration::from_millis(1)).await;
        let now = bartizan_core::Clock::wall(&offline.clock);
        offline.clock.advance(Duration::from_secs(3600));
        advance(Duration::from_secs(3600)).await;
        let more = Frame::data(Bytes::from_static(b"more"));
        frames.send(Ok(more)).await.unwrap();
        assert!(next.await.unwrap().unwrap().unwrap().is_data());
        offline.clock.set_wall(now);
    }
}

#[test]
fn a_response_without_a_runtime_needs_no_timer() {
    let (offline, token) = one_minute();
    let (frames, body) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
    let body = std::sync::Arc::new(std::sync::Mutex::new(Some(body)));
    let service = service_fn(move |_: Request<Empty<Bytes>>| {
        let body = body.lock().unwrap().take().unwrap();
        std::future::ready(Ok::<_, Infallible>(Response::new(StreamBody::new(
            ReceiverStream::new(body),
        ))))
    });
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let call = offline
        .layer()
        .layer(service)
        .oneshot(request(&token, "text/plain"));
    let std::task::Poll::Ready(response) = std::pin::pin!(call).poll(&mut cx) else {
        unreachable!("nothing is waited for");
    };
    let mut body = std::pin::pin!(response.unwrap().into_body());
    assert!(http_body::Body::poll_frame(body.as_mut(), &mut cx).is_pending());
    offline.clock.advance(Duration::from_secs(90));
    assert!(http_body::Body::poll_frame(body.as_mut(), &mut cx).is_ready());
    drop(frames);
}

#[tokio::test(start_paused = true)]
async fn k11_a_stream_ends_soon_after_its_token_is_revoked() {
    let (offline, token) = one_minute();
    let revoked = RevocationList::new(10);
    let config = offline.config().with_revocations(revoked.clone());
    let layer = JwtLayer::start(config.build().unwrap()).unwrap();
    let (service, mut begun) = streaming();
    let request = request(&token, "text/plain");
    let mut body = layer
        .layer(service)
        .oneshot(request)
        .await
        .unwrap()
        .into_body();
    let _frames = begun.recv().await.unwrap();
    assert!(body.frame().await.unwrap().is_ok());
    let mut next = tokio::spawn(async move { body.frame().await });
    advance(Duration::from_secs(6)).await;
    assert!(timeout(Duration::ZERO, &mut next).await.is_err());
    let now = bartizan_core::Clock::wall(&offline.clock);
    let end = now + Duration::from_secs(600);
    revoked
        .revoke_subject(offline.mint.issuer(), "alice", end, end)
        .unwrap();
    advance(Duration::from_secs(5)).await;
    let error = next.await.unwrap().unwrap().unwrap_err();
    assert_eq!(
        error.into_inner().unwrap_err().code().as_str(),
        "jwt.revoked"
    );
}

#[tokio::test(start_paused = true)]
async fn k03_a_stream_ends_soon_after_its_key_is_withdrawn() {
    let (offline, token) = one_minute();
    let name = format!("bartizan-jwt-{}-withdrawn.json", std::process::id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, offline.mint.jwks().to_string()).unwrap();
    let rules = offline.rules().build().unwrap();
    let config = JwtConfig::builder(rules)
        .with_key_file(&file)
        .with_clock(Arc::new(offline.clock.clone()));
    let layer = JwtLayer::load(config.build().unwrap()).await.unwrap();
    let (service, mut begun) = streaming();
    let request = request(&token, "text/plain");
    let response = layer.clone().layer(service).oneshot(request).await.unwrap();
    let mut body = response.into_body();
    let frames = begun.recv().await.unwrap();
    assert!(body.frame().await.unwrap().is_ok());
    let mut next = tokio::spawn(async move { body.frame().await });
    advance(Duration::from_secs(20)).await;
    assert!(
        timeout(Duration::ZERO, &mut next).await.is_err(),
        "the key is published"
    );
    offline.mint.rotate(OldKey::Remove).unwrap();
    std::fs::write(&file, offline.mint.jwks().to_string()).unwrap();
    let error = next.await.unwrap().unwrap().unwrap_err();
    let code = error.into_inner().unwrap_err().code();
    assert_eq!(code.as_str(), "jwt.unknown_key");
    assert!(frames.is_closed());
    std::fs::remove_file(&file).unwrap();
}

/// Answers with a body that is there at once.
async fn short(_: Request<Empty<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("short")))
}

#[test]
fn short_responses_never_pay_for_the_cut() {
    let (offline, token) = one_minute();
    // A runtime without a timer, where making one panics.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let panics = runtime.block_on(async {
        let timer = std::panic::AssertUnwindSafe(|| drop(sleep(Duration::from_secs(1))));
        std::panic::catch_unwind(timer).is_err()
    });
    assert!(panics, "the test would not notice a timer");
    runtime.block_on(async {
        let service = offline.layer().layer(service_fn(short));
        for _ in 0..2 {
            let request = request(&token, "text/plain");
            let response = service.clone().oneshot(request).await.unwrap();
            let body = response.into_body().collect().await.unwrap();
            assert_eq!(body.to_bytes(), "short");
        }
    });
}
