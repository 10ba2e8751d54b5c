//! How many requests are served at once.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Check, Enforcement, Guard as _, Inspection, Principal};
use bartizan_ratelimit::{LoadLayer, LoadLimit, LoadLimitBuilder, Priority};
use bartizan_testkit::{Call, Host, HostLayer, ManualClock};
use http::{Request, Response};
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::Asked;

fn limit(most: usize) -> LoadLimit {
    LoadLimit::builder(most).build().unwrap()
}

/// A response whose body nobody has read yet, from behind a layer.
async fn begin(layer: &LoadLayer, path: &str) -> Response<impl Sized + use<>> {
    let service = service_fn(async |_: Request<()>| {
        Ok::<_, Infallible>(Response::new(String::from("hello")))
    });
    let request = Request::get(path).body(()).unwrap();
    layer.layer(service).oneshot(request).await.unwrap()
}

#[tokio::test]
async fn a_request_holds_its_place_to_the_end_of_its_body() {
    let layer = LoadLayer::new(limit(2));
    let first = begin(&layer, "/").await;
    let second = begin(&layer, "/").await;
    assert_eq!(
        (first.status().as_u16(), second.status().as_u16()),
        (200, 200)
    );
    // Both heads are there, and neither body is at its end.
    assert_eq!(layer.guard().limit().in_flight(), 2);
    let shed = begin(&layer, "/").await;
    assert_eq!(shed.status(), 503);
    assert_eq!(shed.headers()["retry-after"], "1");
    drop(second);
    assert_eq!(layer.guard().limit().in_flight(), 1);
    assert_eq!(begin(&layer, "/").await.status(), 200);
    assert_eq!(layer.guard().limit().shed(), 1);
}

#[tokio::test]
async fn a_request_that_is_dropped_gives_its_place_back() {
    let layer = LoadLayer::new(limit(1));
    let never = service_fn(async |_: Request<()>| {
        std::future::pending::<Result<Response<String>, Infallible>>().await
    });
    let mut waiting = Box::pin(layer.layer(never).oneshot(Request::new(())));
    assert!(futures_poll(waiting.as_mut()).is_pending());
    assert_eq!(layer.guard().limit().in_flight(), 1);
    drop(waiting);
    assert_eq!(layer.guard().limit().in_flight(), 0);
}

fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}

#[tokio::test]
async fn what_is_beyond_is_shed_on_every_host_and_places_come_back() {
    for host in Host::WITHOUT_SOCKETS {
        let layer = LoadLayer::new(limit(1));
        for _ in 0..3 {
            let answer = host.send(&layer, &Call::echo("hello")).await.unwrap();
            assert!(answer.is_success(), "{host:?}");
        }
        let held = begin(&layer, "/").await;
        let answer = host.send(&layer, &Call::echo("hello")).await.unwrap();
        assert_eq!(
            answer.code().as_deref(),
            Some("ratelimit.overloaded"),
            "{host:?}"
        );
        if host.is_grpc() {
            assert_eq!(answer.grpc_status, Some(14));
        } else {
            assert_eq!(answer.http_status, 503);
        }
        drop(held);
        let answer = host.send(&layer, &Call::echo("hello")).await.unwrap();
        assert!(answer.is_success(), "{host:?}");
    }
}

#[tokio::test]
async fn what_is_critical_finds_a_place_when_others_do_not() {
    let layer =
        LoadLayer::new(limit(10)).with_priority(|inspection| match inspection.context.path() {
            Ok("/critical") => Priority::Critical,
            Ok("/low") => Priority::Low,
            _ => Priority::Normal,
        });
    let mut held = Vec::new();
    for (path, places) in [("/low", 5), ("/", 3), ("/critical", 2)] {
        for _ in 0..places {
            let response = begin(&layer, path).await;
            assert_eq!(response.status(), 200, "{path}");
            held.push(response);
        }
        assert_eq!(begin(&layer, path).await.status(), 503, "{path}");
    }
}

#[test]
fn who_matters_is_told_by_who_asks() {
    let layer = LoadLayer::new(limit(10)).with_priority(|inspection| {
        match inspection.context.principal().map(Principal::subject) {
            Some("payments") => Priority::Critical,
            Some("reports") => Priority::Low,
            _ => Priority::Normal,
        }
    });
    let mut held = Vec::new();
    for (subject, places) in [("reports", 5), ("shop", 3), ("payments", 2)] {
        let mut enter = || {
            let mut asked = Asked::new().with_principal("https://a.example", subject, None);
            let mut inspection = Inspection::new(&mut asked.parts, &asked.context);
            match layer.guard().check(&mut inspection) {
                Check::Now(Ok(pass)) => held.push(pass),
                Check::Now(Err(_)) => return false,
                Check::Later(never) => match never {},
            }
            true
        };
        for _ in 0..places {
            assert!(enter(), "{subject}");
        }
        assert!(!enter(), "{subject}");
    }
    drop(held);
    assert_eq!(layer.guard().limit().in_flight(), 0);
}

#[tokio::test]
async fn in_shadow_nothing_is_shed() {
    let layer = LoadLayer::new(limit(1)).with_enforcement(Enforcement::Shadow);
    let _held = begin(&layer, "/").await;
    let answer = Host::Hyper
        .send(&layer, &Call::echo("hello"))
        .await
        .unwrap();
    assert!(answer.is_success());
    let decision = &answer.json()["context"]["decisions"][0];
    assert_eq!(decision["code"], "ratelimit.overloaded");
    assert_eq!(layer.guard().limit().in_flight(), 1);
}

#[tokio::test]
async fn the_limit_follows_how_fast_responses_come() {
    let clock = ManualClock::default();
    let limit = LoadLimit::builder(20)
        .with_adaptation(10, 40, Duration::from_millis(100))
        .with_clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    let layer = LoadLayer::new(limit.clone());
    let respond_after = async |delay: Duration| {
        let clock = clock.clone();
        let service = service_fn(move |_: Request<()>| {
            let clock = clock.clone();
            async move {
                clock.advance(delay);
                Ok::<_, Infallible>(Response::new(String::new()))
            }
        });
        layer
            .layer(service)
            .oneshot(Request::new(()))
            .await
            .unwrap()
    };
    respond_after(Duration::from_millis(101)).await;
    assert_eq!(limit.limit(), 18);
    for _ in 0..20 {
        respond_after(Duration::from_millis(101)).await;
    }
    assert_eq!(limit.limit(), 10);
    // Fast, but hardly any: that says nothing.
    for _ in 0..20 {
        respond_after(Duration::from_millis(1)).await;
    }
    assert_eq!(limit.limit(), 10);
    let mut held = Vec::new();
    for _ in 0..9 {
        held.push(respond_after(Duration::from_millis(1)).await);
    }
    for _ in 0..100 {
        respond_after(Duration::from_millis(1)).await;
    }
    assert!(limit.limit() > 12, "{}", limit.limit());
}

#[test]
fn limits_that_cannot_work_are_refused() {
    let refused = |builder: LoadLimitBuilder| builder.build().is_err();
    let second = Duration::from_secs(1);
    assert!(refused(LoadLimit::builder(0)));
    assert!(refused(LoadLimit::builder((1 << 20) + 1)));
    assert!(refused(
        LoadLimit::builder(5).with_adaptation(6, 10, second)
    ));
    assert!(refused(LoadLimit::builder(5).with_adaptation(1, 4, second)));
    assert!(refused(
        LoadLimit::builder(5).with_adaptation(0, 10, second)
    ));
    assert!(refused(LoadLimit::builder(5).with_adaptation(
        1,
        10,
        Duration::ZERO
    )));
}

#[test]
fn the_layer_fits_every_host() {
    fn check<L: HostLayer>() {}
    check::<LoadLayer>();
}
