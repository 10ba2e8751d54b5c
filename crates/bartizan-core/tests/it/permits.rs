//! The tower contract: what was polled ready is called, or gives its reservation back.

use std::convert::Infallible;
use std::task::{Context, Poll};

use bartizan_core::GuardLayer;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::limit::ConcurrencyLimit;
use tower::{Layer as _, Service, ServiceExt as _, service_fn};

use crate::support::{Gate, http};

async fn hello(_: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("hello")))
}

#[tokio::test]
async fn permit_is_released() {
    for gate in [Gate::new(), Gate::new().later()] {
        let limited = ConcurrencyLimit::new(service_fn(hello), 1);
        let mut service = GuardLayer::new(gate).layer(limited);
        for _ in 0..3 {
            let response = service
                .ready()
                .await
                .unwrap()
                .call(http(false))
                .await
                .unwrap();
            assert_eq!(response.status(), 403);
        }
        let response = service
            .ready()
            .await
            .unwrap()
            .call(http(true))
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
    }
}

/// Panics when it is called without having been polled ready, as tower's own services may.
#[derive(Debug, Default)]
struct Strict {
    ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { ready: false }
    }
}

impl Service<Request<Full<Bytes>>> for Strict {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called without being ready"
        );
        std::future::ready(Ok(Response::default()))
    }
}

#[tokio::test]
async fn readiness_is_kept() {
    for gate in [Gate::new(), Gate::new().later()] {
        let mut service = GuardLayer::new(gate).layer(Strict::default());
        for _ in 0..3 {
            let response = service
                .ready()
                .await
                .unwrap()
                .call(http(true))
                .await
                .unwrap();
            assert_eq!(response.status(), 200);
        }
    }
}

#[tokio::test]
async fn a_request_whose_guard_waits_holds_no_permit() {
    let limited = ConcurrencyLimit::new(service_fn(hello), 1);
    let mut waiting = GuardLayer::new(Gate::new().later()).layer(limited.clone());
    let mut at_once = GuardLayer::new(Gate::new()).layer(limited);
    // Asked about, and never polled again.
    let asked = waiting.ready().await.unwrap().call(http(false));
    let response = at_once
        .ready()
        .await
        .unwrap()
        .call(http(true))
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    drop(asked);
}
