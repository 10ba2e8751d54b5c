//! Responses that end because what they rest on has ended.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bartizan_core::{
    BodyCut, Check, Code, Duty, Guard, GuardLayer, Inspection, Never, Pass, Rejection,
    RejectionKind,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{grpc, http};

const EXPIRED: Code = Code::new("test.expired");

/// A guard whose passes can be revoked.
#[derive(Clone, Debug)]
struct Revocable {
    duty: Duty,
    state: Arc<Mutex<(bool, Option<Waker>)>>,
}

impl Revocable {
    fn new() -> Self {
        Self {
            duty: Duty::new("revocable"),
            state: Arc::default(),
        }
    }

    fn revoke(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 = true;
        if let Some(waker) = state.1.take() {
            waker.wake();
        }
    }
}

impl Guard for Revocable {
    type Pass = Self;
    type Inquiry = Never;

    fn duty(&self) -> Option<&Duty> {
        Some(&self.duty)
    }

    fn check(&self, _: &mut Inspection<'_>) -> Check<Self, Never> {
        Check::Now(Ok(self.clone()))
    }
}

impl Pass for Revocable {
    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<Rejection> {
        let mut state = self.state.lock().unwrap();
        if state.0 {
            return Poll::Ready(Rejection::new(RejectionKind::Unauthenticated, EXPIRED));
        }
        state.1 = Some(cx.waker().clone());
        Poll::Pending
    }
}

type Stalled = StreamBody<
    futures_util::stream::Chain<
        futures_util::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>,
        futures_util::stream::Pending<Result<Frame<Bytes>, Infallible>>,
    >,
>;

/// One frame, then nothing for ever.
async fn stall(_: Request<Full<Bytes>>) -> Result<Response<Stalled>, Infallible> {
    use futures_util::StreamExt as _;

    let first = vec![Ok(Frame::data(Bytes::from_static(b"first")))];
    let frames = futures_util::stream::iter(first).chain(futures_util::stream::pending());
    Ok(Response::new(StreamBody::new(frames)))
}

#[tokio::test]
async fn a_stalled_http_stream_breaks_off_with_the_reason() {
    let guard = Revocable::new();
    let service = GuardLayer::new(guard.clone()).layer(service_fn(stall));
    let mut body = service.oneshot(http(true)).await.unwrap().into_body();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    let waiting = tokio::spawn(async move {
        let last = body.frame().await.unwrap();
        (last, body.frame().await.is_none())
    });
    tokio::task::yield_now().await;
    guard.revoke();
    let (last, ended) = waiting.await.unwrap();
    let error: Box<dyn std::error::Error + Send + Sync> = last.unwrap_err().into();
    assert_eq!(error.downcast::<BodyCut>().unwrap().code(), EXPIRED);
    assert!(ended);
}

#[tokio::test]
async fn a_stalled_grpc_stream_ends_with_a_status() {
    let guard = Revocable::new();
    let service =
        GuardLayer::new(guard.clone()).layer(service_fn(async |request: Request<Full<Bytes>>| {
            let content = request.headers()["content-type"].clone();
            let mut response = stall(request).await?;
            response.headers_mut().insert("content-type", content);
            Ok::<_, Infallible>(response)
        }));
    let mut body = service.oneshot(grpc(true)).await.unwrap().into_body();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    guard.revoke();
    let trailers = body
        .frame()
        .await
        .unwrap()
        .unwrap()
        .into_trailers()
        .unwrap();
    assert_eq!(trailers["grpc-status"], "16");
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_stream_that_never_waits_is_cut_as_well() {
    let guard = Revocable::new();
    let service =
        GuardLayer::new(guard.clone()).layer(service_fn(async |_: Request<Full<Bytes>>| {
            let frames = futures_util::stream::repeat_with(|| {
                Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"more")))
            });
            Ok::<_, Infallible>(Response::new(StreamBody::new(frames)))
        }));
    let mut body = service.oneshot(http(true)).await.unwrap().into_body();
    for _ in 0..500 {
        assert!(body.frame().await.unwrap().is_ok());
    }
    guard.revoke();
    let mut more = 0;
    while body.frame().await.unwrap().is_ok() {
        more += 1;
        assert!(more <= 64, "not cut after {more} more frames");
    }
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_answered_for() {
    let guard = Revocable::new();
    let service =
        GuardLayer::new(guard.clone()).layer(service_fn(async |_: Request<Full<Bytes>>| {
            std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>().await
        }));
    let waiting = tokio::spawn(service.oneshot(http(true)));
    tokio::task::yield_now().await;
    guard.revoke();
    assert_eq!(waiting.await.unwrap().unwrap().status(), 401);
}

#[tokio::test]
async fn a_cut_is_recorded_and_told() {
    use bartizan_core::{Outcome, SecurityContext, observe_fn};

    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let observer = observe_fn(move |event| {
        if let bartizan_core::Event::Decision(d) = event {
            log.lock().unwrap().push(d.outcome());
        }
    });
    let mut guard = Revocable::new();
    guard.duty = guard.duty.with_observer(Arc::new(observer));
    let context = SecurityContext::new("/hello".parse().unwrap());
    let mut request = http(true);
    request.extensions_mut().insert(context.clone());
    let service = GuardLayer::new(guard.clone()).layer(service_fn(stall));
    let mut body = service.oneshot(request).await.unwrap().into_body();
    assert!(body.frame().await.unwrap().is_ok());
    guard.revoke();
    assert!(body.frame().await.unwrap().is_err());
    let outcomes: Vec<_> = context.decisions().iter().map(|d| d.outcome()).collect();
    assert_eq!(outcomes, [Outcome::Allowed, Outcome::Denied]);
    assert_eq!(context.decisions()[1].code(), Some(EXPIRED));
    assert_eq!(*told.lock().unwrap(), outcomes);
}

#[tokio::test]
async fn shadow_mode_records_a_cut_and_goes_on() {
    use bartizan_core::{Enforcement, Outcome, SecurityContext};

    let mut guard = Revocable::new();
    guard.duty = guard.duty.with_enforcement(Enforcement::Shadow);
    let context = SecurityContext::new("/hello".parse().unwrap());
    let mut request = http(true);
    request.extensions_mut().insert(context.clone());
    let service =
        GuardLayer::new(guard.clone()).layer(service_fn(async |_: Request<Full<Bytes>>| {
            let frames = futures_util::stream::repeat_with(|| {
                Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"more")))
            });
            Ok::<_, Infallible>(Response::new(StreamBody::new(frames)))
        }));
    let mut body = service.oneshot(request).await.unwrap().into_body();
    guard.revoke();
    for _ in 0..300 {
        assert!(body.frame().await.unwrap().is_ok());
    }
    let outcomes: Vec<_> = context.decisions().iter().map(|d| d.outcome()).collect();
    assert_eq!(outcomes, [Outcome::Allowed, Outcome::WouldHaveDenied]);
}

#[tokio::test]
async fn a_response_that_is_not_grpc_is_broken_off_and_not_ended() {
    let guard = Revocable::new();
    // The request says gRPC; what `stall` answers does not.
    let service = GuardLayer::new(guard.clone()).layer(service_fn(stall));
    let mut body = service.oneshot(grpc(true)).await.unwrap().into_body();
    assert!(body.frame().await.unwrap().is_ok());
    guard.revoke();
    assert!(body.frame().await.unwrap().is_err());
}
