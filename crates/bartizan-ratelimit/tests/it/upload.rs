//! Bodies that are measured while they are read.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bartizan_core::{Enforcement, Event, GuardBodyError, observe_fn};
use bartizan_ratelimit::{
    ConfigError, RateLimitError, UploadBody, UploadLayer, UploadRules, UploadRulesBuilder,
};
use bartizan_testkit::{Call, Host, HostLayer};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::channel::{Channel, Sender};
use http_body_util::{BodyExt as _, Full};
use tokio::time::{Instant, sleep};
use tower::{Layer as _, ServiceExt as _, service_fn};

fn layer(rules: UploadRulesBuilder) -> UploadLayer {
    UploadLayer::new(rules.build().unwrap())
}

fn sized(most: u64) -> UploadLayer {
    layer(UploadRules::builder().with_max_body(most))
}

/// Whatever is sent here counts, gRPC too.
fn sized_for_all(most: u64) -> UploadLayer {
    let rules = UploadRules::builder().with_max_body(most).build().unwrap();
    sized(most).with_rules_for(move |_| Some(rules))
}

type Piece = Channel<Bytes, Infallible>;

/// A request whose body comes in piece by piece.
fn upload() -> (Sender<Bytes, Infallible>, Request<Piece>) {
    let (sender, body) = Channel::new(1);
    let request = Request::post("/").body(body).unwrap();
    (sender, request)
}

/// Reads everything, and answers how much there was.
async fn count<B>(request: Request<UploadBody<B>>) -> Result<Response<String>, Infallible>
where
    B: Body<Data = Bytes, Error = Infallible> + Unpin,
{
    // A handler that hides what went wrong: its answer must not come before the layer's.
    let collected = request.into_body().collect().await;
    let answer = collected.map_or(0, |body| body.to_bytes().len());
    Ok(Response::new(answer.to_string()))
}

/// What a handler that reads everything is answered with: the status, and the code of a refusal.
async fn answer<B>(layer: &UploadLayer, request: Request<B>) -> (u16, String)
where
    B: Body<Data = Bytes, Error = Infallible> + Unpin,
{
    let response = layer.layer(service_fn(count::<B>)).oneshot(request).await;
    let (parts, body) = response.unwrap().into_parts();
    let text = body.collect().await.unwrap_or_default().to_bytes();
    let problem: Option<serde_json::Value> = serde_json::from_slice(&text).ok();
    let code = problem.and_then(|problem| Some(problem.get("code")?.as_str()?.to_owned()));
    (parts.status.as_u16(), code.unwrap_or_default())
}

fn with_type(media: &'static str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let media = HeaderValue::from_static(media);
    let request = Request::post("/").header(CONTENT_TYPE, media);
    request.body(Full::new(body.into())).unwrap()
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, format!("ratelimit.{code}"))
}

const FINE: (u16, String) = (200, String::new());

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_on_every_host() {
    let hosts = Host::WITHOUT_SOCKETS.into_iter().chain(Host::WITH_SOCKETS);
    for host in hosts {
        let call = Call::echo("hello");
        let answer = host.send(&sized_for_all(4), &call).await.unwrap();
        let code = answer.code();
        assert_eq!(
            code.as_deref(),
            Some("ratelimit.body_too_large"),
            "{host:?}"
        );
        if host.is_grpc() {
            assert_eq!(answer.grpc_status, Some(8), "{host:?}");
        } else {
            assert_eq!(answer.http_status, 413, "{host:?}");
        }
        // gRPC has five bytes more in front of each message, and a field around the text.
        let answer = host.send(&sized_for_all(100), &call).await.unwrap();
        assert!(answer.is_success(), "{host:?} {answer:?}");
    }
}

#[tokio::test]
async fn a_size_holds_to_the_byte_however_the_body_is_cut_up() {
    for (sizes, expected) in [
        (vec![10], FINE),
        (vec![11], refused(413, "body_too_large")),
        (vec![1; 10], FINE),
        (vec![1; 11], refused(413, "body_too_large")),
        (vec![0, 10, 0], FINE),
        (vec![9, 2], refused(413, "body_too_large")),
    ] {
        let (mut sender, request) = upload();
        let sent = tokio::spawn(async move {
            for size in sizes {
                if sender.send_data(Bytes::from(vec![0; size])).await.is_err() {
                    break;
                }
            }
        });
        assert_eq!(answer(&sized(10), request).await, expected);
        sent.await.unwrap();
    }
}

#[tokio::test]
async fn a_declared_size_is_refused_before_anything_is_read() {
    let (_sender, mut request) = upload();
    let length = HeaderValue::from_static("11");
    request.headers_mut().insert(CONTENT_LENGTH, length);
    // Nobody sends anything: only the head can tell.
    let expected = refused(413, "body_too_large");
    assert_eq!(answer(&sized(10), request).await, expected);
}

#[tokio::test]
async fn grpc_is_measured_only_if_it_is_asked_for() {
    let call = Call::echo("hello");
    let answer = Host::TonicRoutes.send(&sized(1), &call).await.unwrap();
    assert!(answer.is_success(), "{answer:?}");
}

#[tokio::test]
async fn json_is_held_to_its_depth_and_size_and_nothing_else_is() {
    let layer = layer(UploadRules::builder().with_json(2, 5, 8));
    let of = |media, body| with_type(media, Bytes::from_static(body));
    let json = "application/json";
    for (request, expected) in [
        (of(json, br#"{"a":[1,2]}"#), FINE),
        (of(json, br#"{"a":[[1]]}"#), refused(400, "json_too_deep")),
        (
            of("application/ld+json", b"[[[["),
            refused(400, "json_too_deep"),
        ),
        (of(json, b"[1,2,3,4,5]"), refused(413, "json_too_large")),
        (
            of(json, br#"["123456789"]"#),
            refused(413, "json_too_large"),
        ),
        (of("text/plain", b"[[[[[[[["), FINE),
        (
            of("application/json; charset=utf-16", b"1"),
            refused(415, "unsupported_coding"),
        ),
        (of(json, b""), FINE),
    ] {
        let what = format!("{request:?}");
        assert_eq!(answer(&layer, request).await, expected, "{what}");
    }
    let mut coded = of(json, b"1");
    let gzip = HeaderValue::from_static("gzip");
    coded.headers_mut().insert(CONTENT_ENCODING, gzip);
    let expected = refused(415, "unsupported_coding");
    assert_eq!(answer(&layer, coded).await, expected);
}

#[tokio::test]
async fn a_rule_that_was_given_up_holds_nothing_and_the_others_go_on() {
    let strict = || UploadRules::builder().with_max_body(4).with_json(1, 9, 9);
    let json = |body| with_type("application/json", Bytes::from_static(body));
    let any_size = layer(strict().allow_any_size());
    let any_json = layer(strict().allow_any_json());
    let deep = refused(400, "json_too_deep");
    assert_eq!(answer(&any_size, json(b"        1")).await, FINE);
    assert_eq!(answer(&any_size, json(b"[[1]]")).await, deep);
    assert_eq!(answer(&any_json, json(b"[[]]")).await, FINE);
    let large = refused(413, "body_too_large");
    assert_eq!(answer(&any_json, json(b"[[1]]")).await, large);
}

#[tokio::test]
async fn frames_are_handed_on_at_once_and_none_after_the_fault() {
    let (mut sender, request) = upload();
    let (told, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let service = service_fn(move |request: Request<UploadBody<Piece>>| {
        let told = told.clone();
        async move {
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                told.send(frame.unwrap().into_data().unwrap()).unwrap();
            }
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    let answer = tokio::spawn(sized(6).layer(service).oneshot(request));
    for piece in ["one", "two"] {
        sender.send_data(piece.into()).await.unwrap();
        // Seen while the rest has not been sent yet.
        assert_eq!(seen.recv().await.unwrap(), piece);
    }
    sender.send_data("x".into()).await.unwrap();
    assert_eq!(answer.await.unwrap().unwrap().status(), 413);
    assert_eq!(seen.recv().await, None);
}

#[tokio::test]
async fn a_reader_in_a_task_of_its_own_is_told_when_the_answer_was_given() {
    let (mut sender, request) = upload();
    let (told, seen) = tokio::sync::oneshot::channel();
    let told = Arc::new(std::sync::Mutex::new(Some(told)));
    let service = service_fn(move |request: Request<UploadBody<Piece>>| {
        let told = told.lock().unwrap().take().unwrap();
        tokio::spawn(async move {
            let _ = told.send(request.into_body().collect().await.map(|_| ()));
        });
        std::future::pending::<Result<Response<String>, Infallible>>()
    });
    let answer = tokio::spawn(sized(2).layer(service).oneshot(request));
    sender.send_data("abc".into()).await.unwrap();
    assert_eq!(answer.await.unwrap().unwrap().status(), 413);
    let error = seen.await.unwrap().unwrap_err();
    let error = error.downcast::<RateLimitError>().unwrap();
    assert_eq!(error.code().as_str(), "ratelimit.body_too_large");
}

#[tokio::test]
async fn a_response_that_has_begun_is_broken_off() {
    let (mut sender, request) = upload();
    let echo = service_fn(async |request: Request<UploadBody<Piece>>| {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    });
    let response = sized(4).layer(echo).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    sender.send_data("abcd".into()).await.unwrap();
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "abcd");
    sender.send_data("e".into()).await.unwrap();
    let error = body.frame().await.unwrap().unwrap_err();
    let cut = GuardBodyError::into_inner(error).unwrap_err();
    assert_eq!(cut.code().as_str(), "ratelimit.body_too_large");
}

fn paced() -> UploadLayer {
    let second = Duration::from_secs(1);
    let rules = UploadRules::builder().with_min_rate(100, 2 * second);
    layer(rules.with_grace(4 * second))
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_begins_is_cut_after_its_grace() {
    let begun = Instant::now();
    let (_sender, request) = upload();
    let service = paced().layer(service_fn(count::<Piece>));
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 408);
    assert_eq!(response.headers()[CONNECTION], "close");
    assert_eq!(begun.elapsed(), Duration::from_secs(4));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_dribbles_is_cut_and_one_that_keeps_its_pace_is_not() {
    for (bytes, expected) in [(100, FINE), (10, refused(408, "upload_too_slow"))] {
        let begun = Instant::now();
        let (mut sender, request) = upload();
        tokio::spawn(async move {
            for _ in 0..60 {
                sleep(Duration::from_secs(1)).await;
                if sender.send_data(Bytes::from(vec![0; bytes])).await.is_err() {
                    break;
                }
            }
        });
        assert_eq!(answer(&paced(), request).await, expected);
        let seconds = begun.elapsed().as_secs();
        // Four seconds of grace, and a tenth of a second for each byte at most.
        assert_eq!(seconds, if bytes == 100 { 60 } else { 4 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_its_time_is_not_the_clients_fault() {
    let (mut sender, request) = upload();
    let service = service_fn(async |request: Request<UploadBody<Piece>>| {
        let mut body = request.into_body();
        while let Some(frame) = body.frame().await {
            frame.unwrap();
            sleep(Duration::from_secs(3_600)).await;
        }
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    tokio::spawn(async move {
        for _ in 0..10 {
            sender.send_data("a".into()).await.unwrap();
        }
    });
    let response = paced().layer(service).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn in_shadow_the_first_fault_is_recorded_and_the_body_read_on() {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let observer = Arc::clone(&seen);
    let layer = sized_for_all(2)
        .with_enforcement(Enforcement::Shadow)
        .with_observer(Arc::new(observe_fn(move |event| {
            if let Event::Decision(decision) = event {
                let code = decision.code().map(|code| code.as_str());
                let outcome = decision.outcome().as_str();
                observer.lock().unwrap().push((outcome, code));
            }
        })));
    let code = Some("ratelimit.body_too_large");
    let expected = [("allowed", None), ("would_have_denied", code)];
    let (mut sender, request) = upload();
    tokio::spawn(async move {
        for _ in 0..3 {
            sender.send_data("abc".into()).await.unwrap();
        }
    });
    assert_eq!(answer(&layer, request).await, FINE);
    assert_eq!(*seen.lock().unwrap(), expected);
    // All of it at once, so that the handler never has to wait.
    seen.lock().unwrap().clear();
    assert_eq!(answer(&layer, with_type("text/plain", "abc")).await, FINE);
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn a_body_without_a_runtime_is_measured_all_the_same() {
    let mut context = Context::from_waker(Waker::noop());
    let service = paced().layer(service_fn(count::<Full<Bytes>>));
    let request = with_type("application/json", "[".repeat(65));
    let mut response = std::pin::pin!(service.oneshot(request));
    let Poll::Ready(Ok(response)) = response.as_mut().poll(&mut context) else {
        panic!("everything is there");
    };
    assert_eq!(response.status(), 400);
}

#[test]
fn rules_that_cannot_work_are_refused() {
    let second = Duration::from_secs(1);
    let rules = UploadRules::builder;
    for rules in [
        rules().with_json(0, 1, 1),
        rules().with_json(1, 0, 1),
        rules().with_json(1, 1, 0),
        rules().with_min_rate(0, second),
        rules().with_min_rate(1, Duration::ZERO),
        rules().with_grace(Duration::ZERO),
    ] {
        assert!(matches!(rules.build(), Err(ConfigError::Upload(_))));
    }
}

#[test]
fn the_layer_fits_every_host() {
    fn check<L: HostLayer>() {}
    check::<UploadLayer>();
}
