//! Requests that are given up.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use bartizan_core::GuardLayer;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full, StreamBody};
use tower::{Layer as _, Service as _, ServiceExt as _, service_fn};

use crate::support::{Gate, http};

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn a_request_dropped_while_the_guard_waits_never_reaches_the_service() {
    let called = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&called);
    let gate = Gate::new().later();
    let held = gate.held();
    let mut service = GuardLayer::new(gate).layer(service_fn(move |_: Request<Full<Bytes>>| {
        flag.store(true, Ordering::SeqCst);
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    }));
    service.ready().await.unwrap();
    let mut response = Box::pin(service.call(http(true)));
    assert!(poll(response.as_mut()).is_pending());
    drop(response);
    assert!(!called.load(Ordering::SeqCst));
    assert_eq!(*held.borrow(), 0);
}

#[tokio::test]
async fn a_request_dropped_while_the_service_works_gives_its_pass_back() {
    let gate = Gate::new();
    let held = gate.held();
    let service = GuardLayer::new(gate).layer(service_fn(async |_: Request<Full<Bytes>>| {
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>().await
    }));
    let mut response = Box::pin(service.oneshot(http(true)));
    assert!(poll(response.as_mut()).is_pending());
    assert_eq!(*held.borrow(), 1);
    drop(response);
    assert_eq!(*held.borrow(), 0);
}

#[tokio::test]
async fn the_pass_is_held_to_the_end_of_the_body_and_not_longer() {
    let gate = Gate::new();
    let held = gate.held();
    let service = GuardLayer::new(gate).layer(service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")))
    }));
    let response = service.clone().oneshot(http(true)).await.unwrap();
    assert_eq!(*held.borrow(), 1);
    let mut body = response.into_body();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    assert!(body.frame().await.is_none());
    assert_eq!(
        *held.borrow(),
        0,
        "the body has ended, though it is not dropped"
    );

    let response = service.oneshot(http(true)).await.unwrap();
    drop(response);
    assert_eq!(*held.borrow(), 0, "the body was abandoned");
}

#[tokio::test]
async fn a_body_that_fails_gives_its_pass_back_and_keeps_its_error() {
    let gate = Gate::new();
    let held = gate.held();
    let service = GuardLayer::new(gate).layer(service_fn(async |_: Request<Full<Bytes>>| {
        let frames = [Err::<http_body::Frame<Bytes>, _>(std::io::Error::other(
            "broken",
        ))];
        let body = StreamBody::new(tokio_stream(frames));
        Ok::<_, Infallible>(Response::new(body))
    }));
    let mut body = service.oneshot(http(true)).await.unwrap().into_body();
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(*held.borrow(), 0);
    let boxed: Box<dyn std::error::Error + Send + Sync> = error.into();
    assert_eq!(
        boxed.downcast::<std::io::Error>().unwrap().to_string(),
        "broken"
    );
}

#[tokio::test]
async fn frames_and_trailers_pass_one_for_one() {
    use http::HeaderMap;
    use http_body::Frame;

    let service =
        GuardLayer::new(Gate::new()).layer(service_fn(async |_: Request<Full<Bytes>>| {
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", "7".parse().unwrap());
            let mut frames: Vec<Result<Frame<Bytes>, Infallible>> = (0..200)
                .map(|n| Ok(Frame::data(Bytes::from(n.to_string()))))
                .collect();
            frames.push(Ok(Frame::trailers(trailers)));
            Ok::<_, Infallible>(Response::new(StreamBody::new(tokio_stream(frames))))
        }));
    let mut body = service.oneshot(http(true)).await.unwrap().into_body();
    assert!(!body.is_end_stream());
    for n in 0..200 {
        let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(data, n.to_string());
    }
    let trailers = body
        .frame()
        .await
        .unwrap()
        .unwrap()
        .into_trailers()
        .unwrap();
    assert_eq!(trailers["x-sum"], "7");
    assert!(body.frame().await.is_none());
}

fn tokio_stream<T>(items: impl IntoIterator<Item = T>) -> impl futures_core::Stream<Item = T> {
    futures_util::stream::iter(items)
}
