//! How long requests take, and how they are answered.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Enforcement, Entrance, GuardLayer, RouteTable, WallTime};
use bartizan_telemetry::{METRICS, MeterLayer};
use bartizan_testkit::ManualClock;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::decisions::get;
use crate::scrape::{Picky, recorded};

const COUNT: &str = "bartizan_request_duration_seconds_count";
const IN_FLIGHT: &str = "bartizan_requests_in_flight";

fn routes() -> Entrance {
    Entrance::new().with_routes(RouteTable::new(["/a/{id}"]).unwrap())
}

#[tokio::test]
async fn a_request_lasts_until_its_body_has_ended() {
    let (builder, scrape) = recorded();
    let clock = Arc::new(ManualClock::at(WallTime::from_unix_seconds(1_000)));
    let meter = MeterLayer::new(Arc::new(builder.build()))
        .with_clock(clock.clone())
        .with_entrance(routes());
    let service = meter.layer(service_fn(async |_: Request<Full<Bytes>>| {
        let body = Full::new(Bytes::from_static(b"answer"));
        Ok::<_, Infallible>(Response::builder().status(201).body(body).unwrap())
    }));
    let response = service.oneshot(get("/a/1")).await.unwrap();
    let in_flight = scrape.value(IN_FLIGHT, &[("protocol", "http")]);
    assert!((in_flight - 1.0).abs() < 0.5, "{in_flight}");
    clock.advance(Duration::from_millis(30));
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "answer"
    );
    let labels = [
        ("protocol", "http"),
        ("method", "GET"),
        ("route", "/a/{id}"),
        ("status", "201"),
    ];
    assert!(
        (scrape.value(COUNT, &labels) - 1.0).abs() < 0.5,
        "{}",
        scrape.text()
    );
    let seconds = scrape.value("bartizan_request_duration_seconds_sum", &labels);
    assert!((seconds - 0.03).abs() < 0.000_1, "{seconds}");
    for (bucket, expected) in [("0.025", 0.0), ("0.05", 1.0), ("+Inf", 1.0)] {
        let name = "bartizan_request_duration_seconds_bucket";
        let counted = scrape.value(name, &[("le", bucket)]);
        assert!((counted - expected).abs() < 0.5, "{bucket}: {counted}");
    }
    assert!(scrape.value(IN_FLIGHT, &[]).abs() < 0.5);
}

#[tokio::test]
async fn refusals_further_in_are_measured_with_their_status() {
    let (builder, scrape) = recorded();
    let observer = builder.build();
    let meter = MeterLayer::new(Arc::new(observer.clone())).with_entrance(routes());
    let guard = GuardLayer::new(Picky::new(observer, Enforcement::Enforce));
    let inner = service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
    });
    let service = meter.layer(guard.layer(inner));
    let grpc = |path: &str| {
        let mut request = get(path);
        *request.method_mut() = Method::POST;
        let content = "application/grpc".parse().unwrap();
        request.headers_mut().insert("content-type", content);
        request
    };
    for request in [
        get("/a/denied"),
        get("/a/broken"),
        grpc("/a/denied"),
        grpc("/a/1"),
    ] {
        drop(service.clone().oneshot(request).await.unwrap());
    }
    for (protocol, status) in [
        ("http", "403"),
        ("http", "503"),
        ("grpc", "7"),
        ("grpc", "in_trailers"),
    ] {
        let counted = scrape.value(COUNT, &[("protocol", protocol), ("status", status)]);
        assert!(
            (counted - 1.0).abs() < 0.5,
            "{protocol} {status}: {}",
            scrape.text()
        );
    }
}

#[tokio::test]
async fn a_request_that_is_abandoned_is_counted_as_that() {
    let (builder, scrape) = recorded();
    let meter = MeterLayer::new(Arc::new(builder.build()));
    let service = meter.layer(service_fn(async |_: Request<Full<Bytes>>| {
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>().await
    }));
    let call = tokio::spawn(service.oneshot(get("/a/1")));
    tokio::task::yield_now().await;
    assert!((scrape.value(IN_FLIGHT, &[]) - 1.0).abs() < 0.5);
    call.abort();
    assert!(call.await.is_err());
    assert!((scrape.value(COUNT, &[("status", "abandoned")]) - 1.0).abs() < 0.5);
    assert!(scrape.value(IN_FLIGHT, &[]).abs() < 0.5);
}

#[tokio::test]
async fn a_method_of_a_clients_own_making_is_no_label() {
    let (builder, scrape) = recorded();
    let meter = MeterLayer::new(Arc::new(builder.build()));
    let service = meter.layer(service_fn(async |_: Request<Full<Bytes>>| {
        let mut response = Response::new(Full::new(Bytes::new()));
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        Ok::<_, Infallible>(response)
    }));
    for number in 0..100 {
        let mut request = get("/");
        *request.method_mut() = Method::from_bytes(format!("M{number}").as_bytes()).unwrap();
        drop(service.clone().oneshot(request).await.unwrap());
    }
    let counted = scrape.value(COUNT, &[("method", "_OTHER"), ("status", "405")]);
    assert!((counted - 100.0).abs() < 0.5, "{}", scrape.text());
    assert_eq!(scrape.series(COUNT), 1);
}

/// The table is what is exposed: the same names, and the same labels on each.
#[tokio::test]
async fn what_is_exposed_is_what_the_table_says() {
    let (builder, scrape) = recorded();
    let observer = builder
        .allow_peer_label("spiffe://example.org/orders")
        .with_limits(bartizan_telemetry::Limits::new().with_routes(0))
        .build();
    let meter = MeterLayer::new(Arc::new(observer.clone())).with_entrance(routes());
    let guard = GuardLayer::new(Picky::new(observer.clone(), Enforcement::Enforce));
    let inner = service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
    });
    drop(
        meter
            .layer(guard.layer(inner))
            .oneshot(get("/a/1"))
            .await
            .unwrap(),
    );
    crate::bounds::tell_sources(&observer, 1);
    let samples = scrape.samples();
    for metric in METRICS {
        let own = |name: &str| {
            let histogram = ["_bucket", "_sum", "_count"];
            let base = histogram.iter().find_map(|end| name.strip_suffix(end));
            name == metric.name || base == Some(metric.name)
        };
        let found: Vec<_> = samples.iter().filter(|sample| own(&sample.name)).collect();
        assert!(
            !found.is_empty(),
            "{metric} is not exposed:\n{}",
            scrape.text()
        );
        for sample in found {
            let labels = sample.labels.keys().filter(|label| *label != "le");
            let mut expected = metric.labels.to_vec();
            expected.sort_unstable();
            assert!(labels.eq(expected), "{metric}: {sample:?}");
        }
    }
    let listed = |name: &str| METRICS.iter().any(|metric| name.starts_with(metric.name));
    assert!(samples.iter().all(|sample| listed(&sample.name)));
}
