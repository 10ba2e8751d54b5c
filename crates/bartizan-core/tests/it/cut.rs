//! Responses that end because what they rest on has ended.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bartizan_core::{
    Authenticator, Authenticators, BodyCut, Chain, Check, Code, Duty, Guard, GuardLayer,
    Inspection, Never, Pass, Presented, Rejection, RejectionKind,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame};
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

impl Authenticator for Revocable {
    fn presented(&self, _: &Inspection<'_>) -> Presented {
        Presented::Elsewhere
    }
}

/// Lets everybody pass, and cannot end what it let pass.
#[derive(Clone, Debug)]
struct Open(Duty);

impl Guard for Open {
    type Pass = ();
    type Inquiry = Never;

    fn duty(&self) -> Option<&Duty> {
        Some(&self.0)
    }

    fn check(&self, _: &mut Inspection<'_>) -> Check<(), Never> {
        Check::Now(Ok(()))
    }
}

impl Authenticator for Open {
    fn presented(&self, _: &Inspection<'_>) -> Presented {
        Presented::Nothing
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

/// Whether a stalled response that went through `guard` breaks off once `revocable` is revoked.
async fn is_cut(guard: impl Guard, revocable: &Revocable) -> bool {
    let service = GuardLayer::new(guard).layer(service_fn(stall));
    let mut body = service.oneshot(http(true)).await.unwrap().into_body();
    assert!(body.frame().await.unwrap().is_ok());
    let mut next = std::pin::pin!(body.frame());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(next.as_mut().poll(&mut cx).is_pending());
    revocable.revoke();
    matches!(next.poll(&mut cx), Poll::Ready(Some(Err(_))))
}

#[tokio::test]
async fn a_guard_ends_what_it_let_pass_beside_one_that_cannot() {
    let open = Open(Duty::new("open"));
    let guard = Revocable::new();
    assert!(is_cut(guard.clone(), &guard).await);
    let guard = Revocable::new();
    assert!(is_cut(Some(guard.clone()), &guard).await);
    let guard = Revocable::new();
    assert!(is_cut(Chain::new(guard.clone(), open.clone()), &guard).await);
    let guard = Revocable::new();
    assert!(is_cut(Chain::new(open.clone(), guard.clone()), &guard).await);
    let guard = Revocable::new();
    let first = Authenticators::new(Some(guard.clone()), Some(open.clone()));
    assert!(is_cut(first, &guard).await);
    let guard = Revocable::new();
    let second = Authenticators::new(Some(open.clone()), Some(guard.clone()));
    assert!(is_cut(second, &guard).await);
    assert!(!is_cut(open, &Revocable::new()).await);
}

/// Counts how often it was woken.
#[derive(Debug, Default)]
struct Woken(AtomicUsize);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_stalled_stream_sleeps_until_there_is_something() {
    let guard = Revocable::new();
    let service = GuardLayer::new(guard.clone()).layer(service_fn(stall));
    let mut body = service.oneshot(http(true)).await.unwrap().into_body();
    assert!(body.frame().await.unwrap().is_ok());
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut next = std::pin::pin!(body.frame());
    let polled = next.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    assert_eq!(woken.0.load(Ordering::Relaxed), 0, "it keeps no core busy");
    guard.revoke();
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_response_keeps_its_length_and_a_cut_one_has_ended() {
    let guard = Revocable::new();
    let service =
        GuardLayer::new(guard.clone()).layer(service_fn(async |_: Request<Full<Bytes>>| {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")))
        }));
    let body = service.oneshot(http(true)).await.unwrap().into_body();
    assert_eq!(
        (body.size_hint().exact(), body.is_end_stream()),
        (Some(5), false)
    );
    let service = GuardLayer::new(guard.clone()).layer(service_fn(stall));
    let mut body = service.oneshot(http(true)).await.unwrap().into_body();
    assert!(body.frame().await.unwrap().is_ok());
    assert_eq!(
        (body.size_hint().exact(), body.is_end_stream()),
        (None, false)
    );
    guard.revoke();
    assert!(body.frame().await.unwrap().is_err());
    assert_eq!(
        (body.size_hint().exact(), body.is_end_stream()),
        (Some(0), true)
    );
}

#[tokio::test]
async fn whoever_logs_a_broken_response_reads_why_it_broke() {
    let guard = Revocable::new();
    let service = GuardLayer::new(guard.clone()).layer(service_fn(stall));
    let mut body = service.oneshot(http(true)).await.unwrap().into_body();
    assert!(body.frame().await.unwrap().is_ok());
    guard.revoke();
    let error = body.frame().await.unwrap().unwrap_err();
    let expected = "response ended by a guard: test.expired";
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.into_inner().unwrap_err().to_string(), expected);

    let service = GuardLayer::new(guard).layer(service_fn(async |_: Request<Full<Bytes>>| {
        let broken = futures_util::stream::iter([Err::<Frame<Bytes>, _>("disk is full")]);
        Ok::<_, Infallible>(Response::new(StreamBody::new(broken)))
    }));
    let mut body = service.oneshot(http(true)).await.unwrap().into_body();
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "disk is full");
    assert_eq!(error.into_inner(), Ok("disk is full"));
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
