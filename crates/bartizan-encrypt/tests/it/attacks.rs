//! What somebody would try who wants a value past the layer.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bartizan_encrypt::{EncryptBody, FieldRule, Grant, Place, Shown};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};

use crate::stage::{DOCUMENT, Stage, json_response, put, request};

const UNUSABLE: &str = "encrypt.response_unusable";

/// A stored document of record 17.
async fn stored(stage: &Stage) -> Value {
    stage.put("/p/17", DOCUMENT, "").await;
    serde_json::from_slice(&stage.last_seen()).unwrap()
}

async fn check_put(stage: &Stage, document: &str, status: u16, code: &str) {
    let answer = stage.put("/p/17", document, "pii:read").await;
    assert_eq!(answer.refusal(), (status, code.to_owned()), "{document}");
}

#[tokio::test]
async fn a_ciphertext_in_the_place_of_another_field_does_not_open() {
    let stage = Stage::new();
    let mut document = stored(&stage).await;
    let ssn = document["ssn"].take();
    let card = document["cards"][0]["number"].take();
    document["ssn"] = card;
    document["cards"][0]["number"] = ssn;
    let swapped = Bytes::from(document.to_string());
    let answer = stage.get("/p/17", &swapped, "pii:read").await;
    assert_eq!(
        answer.refusal(),
        (500, "encrypt.context_mismatch".to_owned())
    );
    assert!(stage.last_event().contains("context_mismatch 1"));
}

#[tokio::test]
async fn elements_of_one_array_may_change_places_and_nothing_else_may() {
    let stage = Stage::new();
    let mut document = stored(&stage).await;
    document["cards"].as_array_mut().unwrap().reverse();
    let reversed = Bytes::from(document.to_string());
    let answer = stage.get("/p/17", &reversed, "pii:read").await;
    assert_eq!(answer.json()["cards"][1]["number"], 4111111111111111_u64);
    let answer = stage.get("/p/18", &reversed, "pii:read").await;
    assert_eq!(answer.status, 500);
}

#[tokio::test]
async fn an_injected_ciphertext_is_found_however_it_is_spelled() {
    let stage = Stage::new();
    let sealed = stored(&stage).await["ssn"].as_str().unwrap().to_owned();
    let escaped: String = sealed.bytes().map(|b| format!("\\u{b:04X}")).collect();
    for document in [
        format!("{{\"ssn\":\"{sealed}\"}}"),
        format!("{{\"\\u0073\\u0073\\u006e\":\"{sealed}\"}}"),
        format!("{{\"ssn\":\"{escaped}\"}}"),
        format!("{{\"ssn\":\"\\u0066e1.{}\"}}", &sealed[4..]),
        format!("{{\"ssn\" \t:\r\n\"{sealed}\"}}"),
        format!("{{\"c\\u0061rds\":[{{}},{{\"number\":\"{sealed}\"}}]}}"),
        // Whether it could be one is not asked.
        "{\"ssn\":\"fe1.\"}".to_owned(),
    ] {
        check_put(&stage, &document, 400, "encrypt.ciphertext_injected").await;
    }
    // Where nothing is sealed it is a text like any other, and is never opened.
    let elsewhere = format!("{{\"name\":\"{sealed}\",\"ssn\":{{\"a\":\"{sealed}\"}}}}");
    let answer = stage.put("/p/17", &elsewhere, "pii:read").await;
    assert_eq!(answer.body, elsewhere);
    assert!(!String::from_utf8_lossy(&answer.body).contains("078"));
}

#[tokio::test]
async fn a_member_that_is_there_twice_is_refused_in_any_spelling() {
    let stage = Stage::new();
    for document in [
        r#"{"ssn":1,"ssn":2}"#,
        r#"{"ssn":null,"ssn":"078-05-1120"}"#,
        r#"{"ssn":1,"\u0073sn":2}"#,
        r#"{"\u0073sn":1,"s\u0073n":2}"#,
        r#"{"cards":[],"cards":[{"number":1}]}"#,
        r#"{"cards":[{"number":1,"n\u0075mber":2}]}"#,
    ] {
        check_put(&stage, document, 400, "encrypt.duplicate_member").await;
        let answer = stage.get("/p/17", &Bytes::from(document), "pii:read").await;
        assert_eq!(answer.status, 500, "{document}");
    }
    // Another member's name, if it ends in the same letters or in another case.
    let others = r#"{"xssn":1,"SSN":2,"ssn\u0000":3,"ssn ":4}"#;
    assert_eq!(stage.put("/p/17", others, "").await.body, others);
}

#[tokio::test]
async fn what_is_around_the_document_or_nests_too_deep_is_refused() {
    let stage = Stage::new();
    let nested = |depth: usize| format!("{{\"x\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
    let inside = |depth: usize| nested(depth).replace("\"x\"", "\"ssn\"");
    let mixed = format!("{{\"x\":{}{}", "{\"a\":[".repeat(40), "1");
    for (document, code) in [
        ("\u{feff}{\"ssn\":1}", "encrypt.malformed_json"),
        ("{\"ssn\":1}\0", "encrypt.malformed_json"),
        ("{\"ssn\":1}{\"ssn\":2}", "encrypt.malformed_json"),
        ("{\"ssn\":1}\n{\"ssn\":2}", "encrypt.malformed_json"),
        ("{\"ssn\":1}//", "encrypt.malformed_json"),
        ("/**/{\"ssn\":1}", "encrypt.malformed_json"),
        ("{\"ssn\":1,}", "encrypt.malformed_json"),
        ("{ssn:1}", "encrypt.malformed_json"),
        ("{\"ssn\":NaN}", "encrypt.malformed_json"),
        ("{\"ssn\":\"\\ud800\"}", "encrypt.malformed_json"),
        ("{\"ssn\":\"a\u{0}\"}", "encrypt.malformed_json"),
        ("\u{a0}{\"ssn\":1}", "encrypt.malformed_json"),
        (nested(64).as_str(), "encrypt.too_deep"),
        (inside(64).as_str(), "encrypt.too_deep"),
        (nested(400_000).as_str(), "encrypt.too_deep"),
        (mixed.as_str(), "encrypt.too_deep"),
    ] {
        let answer = stage.put("/p/17", document, "").await;
        let shown = &document[..document.len().min(40)];
        assert_eq!(answer.refusal(), (400, code.to_owned()), "{shown}");
    }
    for fine in [nested(63), inside(63)] {
        assert_eq!(stage.put("/p/17", &fine, "pii:read").await.body, fine);
    }
    let utf16: Vec<u8> = "{\"ssn\":1}"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for bytes in [
        &utf16[..],
        b"{\"ssn\":\"\xff\"}",
        b"{\"ssn\":\"\xed\xa0\x80\"}",
    ] {
        let mut request = put("/p/17", "{}", "");
        *request.body_mut() = Full::new(Bytes::copy_from_slice(bytes));
        let answer = stage.send(request, None).await;
        assert_eq!(answer.refusal(), (400, "encrypt.malformed_json".to_owned()));
    }
}

#[tokio::test]
async fn more_values_than_allowed_are_refused() {
    let stage = Stage::with(|builder| builder.with_max_values(3).add_field(FieldRule::new("/n/*")));
    check_put(&stage, "{\"n\":[1,2,3,4]}", 413, "encrypt.too_large").await;
    assert_eq!(stage.put("/p/17", "{\"n\":[1,2,3]}", "").await.status, 200);
    let four = Bytes::from_static(b"{\"n\":[null,null,null,null]}");
    assert_eq!(stage.get("/p/17", &four, "").await.refusal().1, UNUSABLE);
    // By default what a body of the greatest size can grow to is bounded too.
    let stage = Stage::with(|builder| builder.add_field(FieldRule::new("/n/*")));
    let many = format!("{{\"n\":[{}1]}}", "1,".repeat(10_000));
    check_put(&stage, &many, 413, "encrypt.too_large").await;
}

#[tokio::test]
async fn a_body_in_pieces_is_the_same_body() {
    let stage = Stage::new();
    let document = "{\"n\\u0061me\":\"é😀\",\"\\u0073sn\":\"\\ud83d\\ude00-é\",\"z\":1.50}";
    let seen = Arc::new(Mutex::new(Bytes::new()));
    let keep = Arc::clone(&seen);
    let handler = service_fn(move |request: Request<EncryptBody<_>>| {
        let keep = Arc::clone(&keep);
        async move {
            let body: EncryptBody<_> = request.into_body();
            let body = BodyExt::collect(body).await.unwrap().to_bytes();
            *keep.lock().unwrap() = body.clone();
            Ok::<_, Infallible>(json_response(body).map(Full::new))
        }
    });
    for size in 1..8 {
        let pieces: Vec<_> = document
            .as_bytes()
            .chunks(size)
            .map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(piece))))
            .collect();
        let (parts, _) = put("/p/17", document, "pii:read").into_parts();
        let body = StreamBody::new(tokio_stream::iter(pieces));
        let request = Request::from_parts(parts, Box::pin(body));
        let service = stage.layer.layer(handler.clone());
        let response = service.oneshot(request).await.unwrap();
        let shown = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(shown, document, "{size}");
        let seen = String::from_utf8(seen.lock().unwrap().to_vec()).unwrap();
        assert!(seen.contains("\"\\u0073sn\":\"fe1."), "{seen}");
        assert!(seen.contains("\"n\\u0061me\":\"é😀\"") && seen.ends_with("\"z\":1.50}"));
    }
}

#[tokio::test]
async fn content_types_that_are_not_plain_json_are_refused_both_ways() {
    let stage = Stage::new();
    for media in [
        "text/plain",
        "text/json",
        "application/x-ndjson",
        "application/json-seq",
        "text/event-stream",
        "multipart/form-data; boundary=x",
        "multipart/byteranges; boundary=x",
        "application/json; charset=utf-16",
        "application/json; charset =utf-16",
        "application/json; charset=utf-8; charset=utf-7",
        "application/json, text/plain",
        "application/jsonx",
        "*/*",
        "",
    ] {
        let mut request = put("/p/17", "{\"ssn\":1}", "");
        request
            .headers_mut()
            .insert("content-type", media.parse().unwrap());
        let answer = stage.send(request, None).await;
        let unsupported = (415, "encrypt.unsupported_media".to_owned());
        assert_eq!(answer.refusal(), unsupported, "{media}");

        let mut response = json_response(Bytes::from_static(b"{\"ssn\":\"078-05-1120\"}"));
        response
            .headers_mut()
            .insert("content-type", media.parse().unwrap());
        let get = request_of("GET");
        let answer = stage.send(get, Some(response)).await;
        assert_eq!(answer.refusal(), (500, UNUSABLE.to_owned()), "{media}");
    }
    for coding in ["gzip", "br", "identity, gzip", "", "zstd"] {
        let mut request = put("/p/17", "{\"ssn\":1}", "");
        request
            .headers_mut()
            .insert("content-encoding", coding.parse().unwrap());
        let answer = stage.send(request, None).await;
        assert_eq!(
            answer.status,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "{coding}"
        );
    }
    for media in [
        "application/merge-patch+json",
        "APPLICATION/JSON;charset=UTF-8",
    ] {
        let mut request = put("/p/17", "{\"ssn\":1}", "");
        request
            .headers_mut()
            .insert("content-type", media.parse().unwrap());
        assert_eq!(stage.send(request, None).await.status, 200, "{media}");
        let seen = stage.last_seen();
        assert!(seen.starts_with(b"{\"ssn\":\"fe1."), "{media}");
    }
}

fn request_of(method: &str) -> Request<Full<Bytes>> {
    request(method, "/p/17", "", "pii:read")
}

#[tokio::test]
async fn streams_of_events_and_lines_fail_closed() {
    let stage = Stage::new();
    let sealed = stored(&stage).await.to_string();
    for (media, body) in [
        ("text/event-stream", format!("data: {sealed}\n\n")),
        ("application/x-ndjson", format!("{sealed}\n{sealed}\n")),
        ("application/json", format!("{sealed}\n{sealed}\n")),
    ] {
        let mut response = json_response(Bytes::from(body));
        response
            .headers_mut()
            .insert("content-type", media.parse().unwrap());
        let answer = stage.send(request_of("GET"), Some(response)).await;
        assert_eq!(answer.refusal(), (500, UNUSABLE.to_owned()), "{media}");
    }
}

#[tokio::test]
async fn parts_of_a_response_are_neither_asked_for_nor_shown() {
    let stage = Stage::new();
    let sealed = Bytes::from(stored(&stage).await.to_string());
    let asked = Arc::new(Mutex::new(HeaderMap::new()));
    let (keep, whole) = (Arc::clone(&asked), sealed.clone());
    let handler = service_fn(move |request: Request<EncryptBody<Full<Bytes>>>| {
        *keep.lock().unwrap() = request.headers().clone();
        let mut response = json_response(whole.clone());
        let headers = response.headers_mut();
        headers.insert("accept-ranges", "bytes".parse().unwrap());
        headers.insert("digest", "sha-256=AA==".parse().unwrap());
        headers.insert("cache-control", "public, max-age=3600".parse().unwrap());
        async { Ok::<_, Infallible>(response.map(Full::new)) }
    });
    let mut request = request_of("GET");
    for (name, value) in [("range", "bytes=0-9"), ("if-range", "\"1\"")] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let response = stage.layer.layer(handler).oneshot(request).await.unwrap();
    assert!(!asked.lock().unwrap().contains_key("range"));
    assert!(!asked.lock().unwrap().contains_key("if-range"));
    let headers = response.headers();
    for gone in ["accept-ranges", "digest", "etag"] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
    assert_eq!(headers["cache-control"], "no-store");
    let mut part = json_response(sealed);
    *part.status_mut() = StatusCode::PARTIAL_CONTENT;
    let answer = stage.send(request_of("GET"), Some(part)).await;
    assert_eq!(answer.refusal(), (500, UNUSABLE.to_owned()));
}

#[tokio::test]
async fn responses_without_a_body_say_nothing_of_the_ciphertext() {
    let stage = Stage::new();
    let empty = |status: u16| {
        let response = Response::builder().status(status).header("etag", "\"1\"");
        let response = response.header("content-length", "4711");
        response.body(Bytes::new()).unwrap()
    };
    for (method, status, kept) in [
        ("HEAD", 200, false),
        ("HEAD", 404, false),
        ("GET", 304, false),
        ("DELETE", 204, true),
        ("PUT", 201, true),
    ] {
        let answer = stage.send(request_of(method), Some(empty(status))).await;
        assert_eq!(answer.status.as_u16(), status);
        for name in ["etag", "content-length"] {
            assert_eq!(answer.headers.contains_key(name), kept, "{method} {status}");
        }
    }
}

#[tokio::test]
async fn trailers_pass_without_checksums_of_another_body() {
    let stage = Stage::new();
    let sealed = stored(&stage).await.to_string();
    let handler = service_fn(move |_: Request<EncryptBody<Full<Bytes>>>| {
        let mut trailers = HeaderMap::new();
        trailers.insert("content-digest", "sha-256=:AA==:".parse().unwrap());
        trailers.insert("server-timing", "db;dur=1".parse().unwrap());
        let data = Frame::data(Bytes::from(sealed.clone()));
        let frames = [Ok::<_, Infallible>(data), Ok(Frame::trailers(trailers))];
        let body = Box::pin(StreamBody::new(tokio_stream::iter(frames)));
        let response = Response::builder().header("content-type", "application/json");
        async { Ok::<_, Infallible>(response.body(body).unwrap()) }
    });
    let service = stage.layer.layer(handler);
    let response = service.oneshot(request_of("GET")).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    let trailers = body.trailers().unwrap();
    assert!(trailers.contains_key("server-timing"));
    assert!(!trailers.contains_key("content-digest"));
    assert!(body.to_bytes().starts_with(b"{"));
}

#[tokio::test]
async fn what_one_caller_may_not_see_is_kept_for_no_other() {
    let stage = Stage::new();
    let sealed = Bytes::from(stored(&stage).await.to_string());
    for scope in ["pii:read", "support", "minimal", "nothing"] {
        let mut response = json_response(sealed.clone());
        let headers = response.headers_mut();
        headers.insert("cache-control", "public, max-age=3600".parse().unwrap());
        let get = request("GET", "/p/17", "", scope);
        let answer = stage.send(get, Some(response)).await;
        assert_eq!(answer.headers["cache-control"], "no-store", "{scope}");
    }
    let mut response = json_response(Bytes::from_static(b"{\"name\":\"Alice\"}"));
    let public = "public, max-age=3600".parse().unwrap();
    response.headers_mut().insert("cache-control", public);
    let answer = stage.send(request_of("GET"), Some(response)).await;
    assert_eq!(answer.headers["cache-control"], "public, max-age=3600");
}

#[tokio::test]
async fn whoever_may_refuse_decides_by_the_caller_and_not_by_what_is_sent() {
    let stage = Stage::with(|builder| {
        let by_name = |context: &bartizan_core::SecurityContext| {
            context.principal().is_some_and(|p| p.subject() == "caller")
        };
        let rule = FieldRule::new("/note").show(Grant::predicate(by_name), Shown::Plain);
        builder.add_field(rule.otherwise(Shown::Refused))
    });
    let document = "{\"note\":\"x\",\"scope\":\"pii:read\"}";
    let answer = stage.put("/p/17", document, "").await;
    assert_eq!(answer.body, document, "the predicate holds");
    let nobody = Request::put("/p/17").header("content-type", "application/json");
    let nobody = nobody.header("x-scope", "pii:read");
    let body = Full::new(Bytes::from_static(document.as_bytes()));
    let answer = stage.send(nobody.body(body).unwrap(), None).await;
    assert_eq!(answer.refusal(), (403, "encrypt.access_denied".to_owned()));
    assert!(stage.last_event().starts_with("denied"));
}

struct Ssn;

impl bartizan_encrypt::Field for Ssn {
    const COLLECTION: &'static str = "patient";
    const PATH: &'static str = "/ssn";
}

#[tokio::test]
async fn what_a_service_sealed_unseen_is_one_value_or_none() {
    let stage = Stage::new();
    let keys = stage.setup.acme().await;
    let place = Place::new("acme").and_then(|place| place.with_record("17"));
    let place = place.unwrap();
    let shown = async |content: &str| {
        let sealed = keys.seal_json::<String, Ssn>(&place, content.as_bytes());
        let stored = Bytes::from(format!("{{\"ssn\":\"{}\"}}", sealed.unwrap()));
        stage.get("/p/17", &stored, "pii:read").await
    };
    assert_eq!(shown("{\"a\":[1]}").await.body, "{\"ssn\":{\"a\":[1]}}");
    for content in ["1,\"admin\":true", "", "x", "1}", "\"a\" ,", "\u{feff}1"] {
        let answer = shown(content).await;
        let invalid = (500, "encrypt.invalid_value".to_owned());
        assert_eq!(answer.refusal(), invalid, "{content}");
    }
}
