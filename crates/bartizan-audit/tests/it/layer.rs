use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bartizan_audit::{
    AuditConfig, AuditLayer, AuditObserver, Durability, Ending, Kind, Ledger, Level, Record, Rule,
    RuleOutcome, Stage,
};
use bartizan_core::{
    Code, Decision, Entrance, Event, LifecycleEvent, LifecycleKind, Observe, Outcome, RouteTable,
    SecurityContext,
};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{Folder, alice, authenticate, end, get, ok, with_requests};

fn layer(ledger: &Ledger, rules: impl IntoIterator<Item = Rule>) -> AuditLayer {
    let mut builder = AuditConfig::builder(ledger.clone());
    for rule in rules {
        builder = builder.add_rule(rule);
    }
    let routes = RouteTable::new(["/orders/{id}", "/healthz", "/payments"]).unwrap();
    AuditLayer::new(builder.build().unwrap()).with_entrance(Entrance::new().with_routes(routes))
}

#[tokio::test]
async fn a_request_is_recorded_with_who_what_when_where_and_every_decision() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let service =
        layer(&ledger, []).layer(service_fn(|request: Request<Full<Bytes>>| async move {
            authenticate(&request);
            let context = SecurityContext::of(request.extensions()).unwrap();
            context.record(Decision::new("jwt", Outcome::Allowed));
            context.record(
                Decision::new("ratelimit", Outcome::WouldHaveDenied)
                    .with_code(Code::new("ratelimit.exceeded"))
                    .with_detail("orders".into()),
            );
            ok("hello")
        }));
    let mut request = get("/orders/17?page=2&token=secret");
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request
        .headers_mut()
        .insert("traceparent", trace.parse().unwrap());
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "hello"
    );
    end(&ledger, &folder).await;
    with_requests(&folder, |requests| {
        let [request] = requests else {
            panic!("one request: {requests:?}");
        };
        assert_eq!(
            (request.method, request.template),
            ("GET", Some("/orders/{id}"))
        );
        assert_eq!(
            (request.status, request.ending),
            (Some(200), Ending::Complete)
        );
        assert_eq!(
            (request.stage, request.level),
            (Stage::Whole, Level::Metadata)
        );
        assert_eq!(request.response_bytes, 5);
        assert_eq!(request.subject, Some("alice"));
        assert_eq!(request.issuer, Some("https://issuer.example"));
        assert_eq!(
            (request.client, request.token_id),
            (Some("app"), Some("t-1"))
        );
        assert_eq!(request.scheme, Some("jwt"));
        assert_eq!(request.network, Some("192.0.2.7/32".parse().unwrap()));
        assert_eq!(request.trace.unwrap().parent_id[0], 0xb7);
        assert!(request.time > 1_700_000_000_000_000_000);
        assert_eq!(request.path, None);
        assert!(request.query.is_empty());
        let [first, second] = request.decisions.as_slice() else {
            panic!("two decisions");
        };
        assert_eq!(
            (first.layer, first.outcome, first.code),
            ("jwt", Outcome::Allowed, None)
        );
        assert_eq!(second.code, Some("ratelimit.exceeded"));
        assert_eq!(second.detail, Some("orders"));
    });
}

#[tokio::test]
async fn a_rule_names_what_else_is_recorded_and_the_first_match_decides() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let rules = [
        Rule::none().add_template("/healthz"),
        Rule::request_response()
            .add_template("/orders/*")
            .allow_path()
            .add_query("page")
            .add_request_header("user-agent")
            .add_response_header("etag"),
        Rule::metadata(),
    ];
    let service = layer(&ledger, rules).layer(service_fn(|_: Request<Full<Bytes>>| async {
        let mut response = Response::new(Full::new(Bytes::new()));
        let headers = response.headers_mut();
        headers.insert("etag", "v1".parse().unwrap());
        headers.insert("set-cookie", "session=1".parse().unwrap());
        Ok::<_, Infallible>(response)
    }));
    for uri in [
        "/healthz",
        "/orders/17?page=1&x=2&page=Bearer%20x&page=Bearer x",
        "/payments?page=1",
    ] {
        let uri = uri.replace(' ', "+");
        let mut request = get(&uri);
        let headers = request.headers_mut();
        headers.insert(
            "user-agent",
            "curl\u{1b}[2J"
                .as_bytes()
                .try_into()
                .unwrap_or("curl".parse().unwrap()),
        );
        headers.insert("authorization", "Bearer secret".parse().unwrap());
        service.clone().oneshot(request).await.unwrap();
    }
    end(&ledger, &folder).await;
    with_requests(&folder, |requests| {
        let [order, payment] = requests else {
            panic!("two requests: {requests:?}");
        };
        assert_eq!(order.path, Some("/orders/17"));
        assert_eq!(order.query.first(), Some(&("page", "1")));
        assert_eq!(order.query.len(), 3);
        assert_eq!(order.request_headers, [("user-agent", "curl")]);
        assert_eq!(order.response_headers, [("etag", "v1")]);
        assert!(payment.query.is_empty() && payment.request_headers.is_empty());
        assert!(!format!("{requests:?}").contains("secret"));
        assert!(!format!("{requests:?}").contains("session"));
    });
}

#[tokio::test]
async fn a_handler_that_panics_is_recorded() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let service = layer(&ledger, []).layer(service_fn(|_: Request<Full<Bytes>>| async {
        if true {
            panic!("planned");
        }
        ok("never")
    }));
    let task = tokio::spawn(service.oneshot(get("/orders/1")));
    assert!(task.await.unwrap_err().is_panic());
    end(&ledger, &folder).await;
    with_requests(&folder, |requests| {
        assert_eq!(requests[0].ending, Ending::Panicked);
        assert_eq!(requests[0].status, None);
    });
}

#[tokio::test]
async fn a_client_that_leaves_is_recorded_with_who_it_was() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let service =
        layer(&ledger, []).layer(service_fn(|request: Request<Full<Bytes>>| async move {
            authenticate(&request);
            std::future::pending::<()>().await;
            ok("never")
        }));
    let mut call = Box::pin(service.oneshot(get("/orders/1")));
    assert!(futures_poll(call.as_mut()).is_pending());
    drop(call);
    end(&ledger, &folder).await;
    with_requests(&folder, |requests| {
        assert_eq!(requests[0].ending, Ending::Disconnected);
        assert_eq!(requests[0].subject, Some("alice"));
    });
}

fn futures_poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(std::task::Waker::noop()))
}

/// A body of these frames, the last of which may fail.
fn frames(
    frames: Vec<Result<Frame<Bytes>, &'static str>>,
) -> impl Body<Data = Bytes, Error = &'static str> + Default {
    Frames(frames.into_iter().collect())
}

#[derive(Default)]
struct Frames(std::collections::VecDeque<Result<Frame<Bytes>, &'static str>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        Poll::Ready(self.0.pop_front())
    }
}

#[tokio::test]
async fn a_body_that_breaks_and_one_that_is_dropped_are_told_apart() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let service = layer(&ledger, []).layer(service_fn(|_: Request<Full<Bytes>>| async {
        let data = || Ok(Frame::data(Bytes::from_static(b"12345")));
        Ok::<_, Infallible>(Response::new(frames(vec![data(), data(), Err("broken")])))
    }));
    let broken = service.clone().oneshot(get("/orders/1")).await.unwrap();
    assert!(broken.into_body().collect().await.is_err());
    let mut dropped = service.oneshot(get("/orders/2")).await.unwrap().into_body();
    dropped.frame().await.unwrap().unwrap();
    drop(dropped);
    end(&ledger, &folder).await;
    with_requests(&folder, |requests| {
        let endings: Vec<_> = requests
            .iter()
            .map(|it| (it.ending, it.response_bytes))
            .collect();
        assert_eq!(
            endings,
            [(Ending::BodyFailed, 10), (Ending::Disconnected, 5)]
        );
    });
}

#[tokio::test]
async fn a_grpc_call_is_finished_by_its_trailers() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let service = layer(&ledger, []).layer(service_fn(|_: Request<Full<Bytes>>| async {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "9".parse().unwrap());
        let data = Frame::data(Bytes::from_static(b"abc"));
        Ok::<_, Infallible>(Response::new(frames(vec![
            Ok(data),
            Ok(Frame::trailers(trailers)),
        ])))
    }));
    let mut request = get("/shop.Payments/Charge");
    *request.method_mut() = http::Method::POST;
    request
        .headers_mut()
        .insert("content-type", "application/grpc".parse().unwrap());
    let response = service.oneshot(request).await.unwrap();
    response.into_body().collect().await.unwrap();
    end(&ledger, &folder).await;
    with_requests(&folder, |requests| {
        assert_eq!(requests[0].template, Some("/shop.Payments/Charge"));
        assert_eq!(requests[0].grpc_status, Some(9));
        assert_eq!(requests[0].ending, Ending::Complete);
    });
}

#[tokio::test]
async fn a_body_that_gave_what_it_promised_is_complete_although_nobody_asks_for_its_end() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let service = layer(&ledger, []).layer(service_fn(|_: Request<Full<Bytes>>| async {
        let stream = tokio_stream(b"12345");
        let mut response = Response::new(StreamBody::new(stream));
        response.headers_mut().insert("content-length", 5.into());
        Ok::<_, Infallible>(response)
    }));
    let mut head = get("/orders/1");
    *head.method_mut() = http::Method::HEAD;
    drop(service.clone().oneshot(head).await.unwrap());
    drop(service.oneshot(get("/orders/1")).await.unwrap());
    end(&ledger, &folder).await;
    with_requests(&folder, |requests| {
        let endings: Vec<_> = requests.iter().map(|it| it.ending).collect();
        assert_eq!(
            endings,
            [Ending::Complete, Ending::Disconnected],
            "HEAD has no body"
        );
    });
}

fn tokio_stream(
    data: &'static [u8],
) -> impl futures_core::Stream<Item = Result<Frame<Bytes>, Infallible>> {
    futures_util::stream::iter([Ok(Frame::data(Bytes::from_static(data)))])
}

#[tokio::test]
async fn refusals_of_strangers_are_counted_together_and_exactly() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let rules = [Rule::metadata().with_durability(Durability::Durable)];
    let service =
        layer(&ledger, rules).layer(service_fn(|request: Request<Full<Bytes>>| async move {
            let context = SecurityContext::of(request.extensions()).unwrap();
            let denied = Decision::new("jwt", Outcome::Denied).with_code(Code::new("jwt.missing"));
            context.record(denied);
            let mut response = Response::new(Full::new(Bytes::new()));
            *response.status_mut() = http::StatusCode::UNAUTHORIZED;
            Ok::<_, Infallible>(response)
        }));
    for _ in 0..5000 {
        let response = service.clone().oneshot(get("/orders/1")).await.unwrap();
        assert_eq!(response.status(), 401);
    }
    end(&ledger, &folder).await;
    let entries = folder.entries();
    let counts: Vec<u64> = entries
        .iter()
        .filter_map(|entry| match entry.record().unwrap() {
            Record::Refusals(refusals) => {
                assert_eq!(refusals.code, "jwt.missing");
                assert_eq!(refusals.network, Some("192.0.2.0/24".parse().unwrap()));
                Some(refusals.count)
            }
            _ => None,
        })
        .collect();
    assert_eq!(counts.iter().sum::<u64>(), 5000);
    assert!(
        entries.len() < 40,
        "a flood does not fill the log: {}",
        entries.len()
    );
    with_requests(&folder, |requests| assert!(requests.is_empty()));
}

#[tokio::test]
async fn a_refusal_of_somebody_known_is_recorded_by_itself() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let rules = [
        Rule::none().with_outcome(RuleOutcome::Passed),
        Rule::metadata().with_outcome(RuleOutcome::Refused),
    ];
    let service =
        layer(&ledger, rules).layer(service_fn(|request: Request<Full<Bytes>>| async move {
            authenticate(&request);
            if request.uri().path() == "/orders/2" {
                let context = SecurityContext::of(request.extensions()).unwrap();
                let denied =
                    Decision::new("authz", Outcome::Denied).with_code(Code::new("authz.no_rule"));
                context.record(denied);
            }
            ok("")
        }));
    for uri in ["/orders/1", "/orders/2"] {
        service.clone().oneshot(get(uri)).await.unwrap();
    }
    end(&ledger, &folder).await;
    with_requests(&folder, |requests| {
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0].decisions[0].code, Some("authz.no_rule"));
    });
}

#[tokio::test]
async fn an_ambiguous_path_is_refused_and_counted() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let service =
        layer(&ledger, []).layer(service_fn(|_: Request<Full<Bytes>>| async { ok("never") }));
    let response = service.oneshot(get("/orders/%2e%2e/x")).await.unwrap();
    assert_eq!(response.status(), 400);
    end(&ledger, &folder).await;
    assert!(folder.kinds().contains(&Kind::Refusals));
}

#[tokio::test]
async fn a_durable_answer_waits_for_its_record() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let rules = [Rule::metadata().with_durability(Durability::Durable)];
    let service =
        layer(&ledger, rules).layer(service_fn(|request: Request<Full<Bytes>>| async move {
            authenticate(&request);
            match request.uri().path() {
                "/orders/1" => Ok::<_, Infallible>(Response::new(Full::new(Bytes::new()))),
                _ => ok("hello"),
            }
        }));
    let response = service.clone().oneshot(get("/orders/1")).await.unwrap();
    // It is on the disk now, whatever becomes of the process.
    with_requests(&folder, |requests| {
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0].stage, Stage::Whole);
        assert_eq!(requests[0].durability, Durability::Durable);
    });
    drop(response);
    let response = service.oneshot(get("/orders/2")).await.unwrap();
    with_requests(&folder, |requests| {
        assert_eq!(
            (requests[1].stage, requests[1].ending),
            (Stage::Answered, Ending::Pending)
        );
    });
    response.into_body().collect().await.unwrap();
    end(&ledger, &folder).await;
    with_requests(&folder, |requests| {
        assert_eq!(
            requests.len(),
            3,
            "one for what was whole, two for what went on"
        );
        assert_eq!(
            (requests[2].stage, requests[2].ending),
            (Stage::Completed, Ending::Complete)
        );
        assert_eq!(requests[2].number, requests[1].number);
        assert_eq!(requests[2].response_bytes, 5);
    });
}

#[tokio::test]
async fn an_answer_that_cannot_be_recorded_is_withheld() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let rules = [Rule::metadata().with_durability(Durability::Durable)];
    let service =
        layer(&ledger, rules).layer(service_fn(|request: Request<Full<Bytes>>| async move {
            authenticate(&request);
            ok("secret")
        }));
    // The run is over: nothing can be made durable any more.
    end(&ledger, &folder).await;
    let response = service.clone().oneshot(get("/orders/1")).await.unwrap();
    assert_eq!(response.status(), 503);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    assert!(
        body.contains("audit.not_durable") && !body.contains("secret"),
        "{body}"
    );
    let mut grpc = get("/shop.Payments/Charge");
    *grpc.method_mut() = http::Method::POST;
    grpc.headers_mut()
        .insert("content-type", "application/grpc".parse().unwrap());
    let response = service.oneshot(grpc).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "14");
    assert!(ledger.totals().lost > 0, "counted");
}

#[tokio::test]
async fn a_shutdown_waits_for_requests_under_way() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let (go, wait) = tokio::sync::oneshot::channel::<()>();
    let wait = Arc::new(tokio::sync::Mutex::new(Some(wait)));
    let service = layer(&ledger, []).layer(service_fn(move |_: Request<Full<Bytes>>| {
        let wait = Arc::clone(&wait);
        async move {
            let wait = wait.lock().await.take().unwrap();
            let _ = wait.await;
            ok("")
        }
    }));
    let request = tokio::spawn(service.oneshot(get("/orders/1")));
    let closing = ledger.clone();
    tokio::task::yield_now().await;
    let report = tokio::spawn(async move { closing.shutdown(Duration::from_secs(60)).await });
    tokio::task::yield_now().await;
    assert!(!report.is_finished());
    go.send(()).unwrap();
    request.await.unwrap().unwrap();
    let report = report.await.unwrap();
    assert_eq!((report.totals.accepted, report.totals.lost), (1, 0));
    assert_eq!(
        ledger.shutdown(Duration::ZERO).await,
        report,
        "repeating it changes nothing"
    );
    with_requests(&folder, |requests| assert_eq!(requests.len(), 1));
}

#[tokio::test]
async fn lifecycle_events_are_recorded_and_handshakes_counted() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let observer = AuditObserver::new(ledger.clone());
    let rotated = Code::new("encrypt.key_changed");
    let event = LifecycleEvent::new("encrypt", LifecycleKind::KeyChanged, rotated);
    observer.observe(&Event::Lifecycle(
        event.with_subject("k1").with_detail(&"line\nbreak"),
    ));
    for _ in 0..100 {
        let failed = Code::new("mtls.handshake_failed");
        let event = LifecycleEvent::new("mtls", LifecycleKind::HandshakeFailed, failed);
        let address = "198.51.100.9".parse().unwrap();
        observer.observe(&Event::Lifecycle(event.with_address(address)));
    }
    end(&ledger, &folder).await;
    let entries = folder.entries();
    let mut counted = 0;
    for entry in &entries {
        match entry.record().unwrap() {
            Record::Lifecycle(record) => {
                assert_eq!((record.kind, record.subject), ("key_changed", "k1"));
                assert_eq!(record.detail, "line\nbreak");
            }
            Record::Refusals(refusals) => counted += refusals.count,
            _ => {}
        }
    }
    assert_eq!(counted, 100);
    assert_eq!(
        folder
            .kinds()
            .iter()
            .filter(|kind| **kind == Kind::Lifecycle)
            .count(),
        1
    );
}

#[test]
fn the_layer_can_be_shared() {
    fn check<T: Send + Sync + Clone + std::fmt::Debug>() {}
    check::<AuditLayer>();
    check::<AuditConfig>();
    check::<Ledger>();
}

#[tokio::test]
async fn it_works_on_axum() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let router = axum::Router::new()
        .route("/orders/{id}", axum::routing::get(|| async { "order" }))
        .layer(layer(&ledger, []));
    let request = get("/orders/7").map(axum::body::Body::new);
    let response = router
        .clone()
        .into_service()
        .ready()
        .await
        .unwrap()
        .call(request)
        .await
        .unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "order");
    end(&ledger, &folder).await;
    with_requests(&folder, |requests| {
        assert_eq!(requests[0].template, Some("/orders/{id}"))
    });
    let _ = alice();
}
