//! The layer in front of real handlers: they see ciphertext, callers what they may.

use std::convert::Infallible;
use std::time::Duration;

use bartizan_core::{Clock, Enforcement, SecurityContext, Subject};
use bartizan_encrypt::{
    Ciphertext, ConfigError, EncryptConfig, EncryptLayer, FieldRule, Generalizer, PlaintextPolicy,
    Shown,
};
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

use crate::stage::{DOCUMENT, Stage, json_response, locate, put, request};
use crate::support::{Setup, acme, kek};

#[tokio::test]
async fn handlers_see_ciphertext_and_callers_what_their_scopes_allow() {
    let stage = Stage::new();
    let answer = stage.put("/p/17", DOCUMENT, "pii:read").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, DOCUMENT, "byte for byte");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(answer.headers.get("etag").is_none());
    assert_eq!(answer.headers["content-length"], DOCUMENT.len().to_string());
    let key = stage.setup.table.records()[0].id;
    let note = format!(
        "allowed None /ssn sealed 1 {key}; /cards/*/number sealed 2 {key}; \
         /ssn plain 1 {key}; /cards/*/number plain 2 {key}"
    );
    assert_eq!(stage.last_event(), note);

    let stored = stage.last_seen();
    let document: Value = serde_json::from_slice(&stored).unwrap();
    assert_eq!(document["name"], "Alice");
    for sealed in [
        &document["ssn"],
        &document["cards"][0]["number"],
        &document["cards"][1]["number"],
    ] {
        assert!(
            sealed.as_str().unwrap().parse::<Ciphertext>().is_ok(),
            "{sealed}"
        );
    }
    let text = std::str::from_utf8(&stored).unwrap();
    assert!(
        text.starts_with("{ \"name\":\"Alice\", \"ssn\" : \"fe1.") && text.contains("\"n\":1.10")
    );

    let shown = async |scope| stage.get("/p/17", &stored, scope).await.json();
    let plain = shown("pii:read").await;
    assert_eq!(plain, serde_json::from_str::<Value>(DOCUMENT).unwrap());
    let support = shown("support").await;
    assert_eq!(support["ssn"], "****1120");
    assert_eq!(support["cards"], json!([{"till":"12/30"}, {}]));
    let analytics = shown("analytics").await;
    assert!(analytics["ssn"].as_str().unwrap().starts_with("psn_"));
    assert_eq!(shown("analytics").await, analytics);
    assert!(shown("minimal").await.get("ssn").is_none());
    assert_eq!(
        shown("nothing").await["ssn"],
        document["ssn"],
        "the ciphertext"
    );
    assert_eq!(
        shown("pii:readonly").await["ssn"],
        document["ssn"],
        "scopes compare whole"
    );
    let refused = stage.get("/p/17", &stored, "audit").await;
    assert_eq!(refused.refusal(), (403, "encrypt.access_denied".to_owned()));
    assert!(!String::from_utf8_lossy(&refused.body).contains("fe1."));
}

#[tokio::test]
async fn a_value_of_another_record_or_person_is_refused() {
    let stage = Stage::new();
    stage.put("/p/17", DOCUMENT, "").await;
    let stored = stage.last_seen();
    let moved = stage.get("/p/18", &stored, "pii:read").await;
    assert_eq!(
        moved.refusal(),
        (500, "encrypt.context_mismatch".to_owned())
    );
    let key = stage.setup.table.records()[0].id;
    assert_eq!(
        stage.last_event(),
        format!(
            "could_not_decide Some(\"encrypt.context_mismatch\") /ssn context_mismatch 1 {key}"
        ),
        "what was moved is named"
    );
    let moved = stage.get("/p/17?bob", &stored, "pii:read").await;
    assert_eq!(moved.refusal(), (500, "encrypt.unknown_key".to_owned()));
    let event = "denied";
    assert!(
        !stage.last_event().starts_with(event),
        "a fault of ours is not a denial"
    );
    assert_eq!(
        stage.get("/p/17", &stored, "pii:read").await.status,
        200,
        "the control"
    );
}

#[tokio::test]
async fn values_of_whoever_was_erased_are_null() {
    let stage = Stage::new();
    stage.put("/p/17?alice", DOCUMENT, "").await;
    let stored = stage.last_seen();
    let shown = stage.get("/p/17?alice", &stored, "pii:read").await.json();
    assert_eq!(shown["ssn"], "078-05-1120");
    let alice = Subject::new("acme", "alice");
    stage.setup.keyring.erase(&alice).await.unwrap();
    let shown = stage.get("/p/17?alice", &stored, "pii:read").await.json();
    assert_eq!(
        (&shown["ssn"], &shown["name"]),
        (&Value::Null, &json!("Alice"))
    );
    assert!(
        stage.last_event().contains("/ssn shredded 1"),
        "{}",
        stage.last_event()
    );
    let written = stage.put("/p/17?alice", DOCUMENT, "").await;
    assert_eq!(written.refusal(), (500, "encrypt.shredded".to_owned()));
}

#[tokio::test]
async fn requests_that_may_hide_a_value_are_refused() {
    let stage = Stage::with(|builder| builder.with_max_body(2000));
    stage.put("/p/17", DOCUMENT, "").await;
    let sealed: Value = serde_json::from_slice(&stage.last_seen()).unwrap();
    let injected = json!({"ssn": sealed["ssn"]}).to_string();
    let escaped = injected.replacen("fe1.", "f\\u00651.", 1);
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(2000));
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(70), "]".repeat(70));
    let before = stage.seen.lock().unwrap().len();
    for (document, status, code) in [
        ("{\"ssn\":1,\"ssn\":2}", 400, "encrypt.duplicate_member"),
        (
            "{\"ssn\":1,\"\\u0073sn\":2}",
            400,
            "encrypt.duplicate_member",
        ),
        (
            "{\"cards\":{\"number\":4111}}",
            400,
            "encrypt.unexpected_shape",
        ),
        ("[]", 400, "encrypt.unexpected_shape"),
        ("{\"ssn\":1", 400, "encrypt.malformed_json"),
        (&injected, 400, "encrypt.ciphertext_injected"),
        (&escaped, 400, "encrypt.ciphertext_injected"),
        (&deep, 400, "encrypt.too_deep"),
        (&large, 413, "encrypt.too_large"),
    ] {
        let answer = stage.put("/p/17", document, "").await;
        assert_eq!(answer.refusal(), (status, code.to_owned()), "{document}");
        let event = stage.last_event();
        assert!(
            event.starts_with(&format!("denied Some({code:?}) ")),
            "{event}"
        );
    }
    let mut form = put("/p/17", DOCUMENT, "");
    let urlencoded = "application/x-www-form-urlencoded".parse().unwrap();
    form.headers_mut().insert("content-type", urlencoded);
    let mut gzip = put("/p/17", DOCUMENT, "");
    gzip.headers_mut()
        .insert("content-encoding", "gzip".parse().unwrap());
    for unfit in [form, gzip] {
        let answer = stage.send(unfit, None).await;
        assert_eq!(
            answer.refusal(),
            (415, "encrypt.unsupported_media".to_owned())
        );
    }
    assert_eq!(
        stage.seen.lock().unwrap().len(),
        before,
        "no handler saw any of it"
    );
    assert_eq!(stage.put("/p/17", "{}", "").await.body, "{}", "the control");
}

#[tokio::test]
async fn responses_that_cannot_be_looked_at_are_refused() {
    let stage = Stage::new();
    let plain = Bytes::from_static(b"{\"ssn\":\"078-05-1120\"}");
    let answer = stage.get("/p/17", &plain, "pii:read").await;
    assert_eq!(
        answer.refusal(),
        (500, "encrypt.plaintext_found".to_owned())
    );
    let null = stage
        .get("/p/17", &Bytes::from_static(b"{\"ssn\":null}"), "")
        .await;
    assert_eq!(null.json(), json!({"ssn": null}));

    let with = |change: fn(&mut Response<Bytes>)| {
        let mut response = json_response(Bytes::from_static(b"{\"x\":1}"));
        change(&mut response);
        response
    };
    let text = |r: &mut Response<Bytes>| {
        r.headers_mut()
            .insert("content-type", "text/plain".parse().unwrap());
    };
    let unusable = [
        with(text),
        with(|r| {
            r.headers_mut()
                .insert("content-encoding", "br".parse().unwrap());
        }),
        with(|r| *r.status_mut() = StatusCode::PARTIAL_CONTENT),
        with(|r| *r.body_mut() = Bytes::from_static(b"{\"ssn\":null,\"ssn\":null}")),
        with(|r| *r.body_mut() = Bytes::from_static(b"{")),
    ];
    for response in unusable {
        let shown = format!("{response:?}");
        let answer = stage
            .send(request("GET", "/p/17", "", ""), Some(response))
            .await;
        let expected = (500, "encrypt.response_unusable".to_owned());
        assert_eq!(answer.refusal(), expected, "{shown}");
    }
    let failure = with(|r| {
        *r.status_mut() = StatusCode::NOT_FOUND;
        r.headers_mut()
            .insert("content-type", "text/plain".parse().unwrap());
    });
    let answer = stage
        .send(request("GET", "/p/17", "", ""), Some(failure))
        .await;
    assert_eq!(
        (answer.status.as_u16(), &answer.body[..]),
        (404, &b"{\"x\":1}"[..])
    );
}

#[tokio::test]
async fn values_from_before_the_migration_are_shown_until_its_end() {
    let clock = Setup::new().clock;
    let end = clock.wall() + Duration::from_secs(60);
    let policy = PlaintextPolicy::AcceptUntil(end);
    let stage = Stage::with(|builder| builder.with_plaintext(policy));
    let stored = Bytes::from_static(b"{\"ssn\":\"078-05-1120\"}");
    let shown = stage.get("/p/17", &stored, "support").await.json();
    assert_eq!(shown["ssn"], "****1120");
    assert_eq!(
        stage.last_event(),
        "allowed Some(\"encrypt.plaintext_accepted\") /ssn stored as plaintext 1"
    );
    let shown = stage.get("/p/17", &stored, "").await.json();
    assert!(
        shown["ssn"].as_str().unwrap().starts_with("fe1."),
        "sealed on the way out"
    );
    stage.setup.clock.advance(Duration::from_secs(61));
    let late = stage.get("/p/17", &stored, "support").await;
    assert_eq!(late.refusal(), (500, "encrypt.plaintext_found".to_owned()));
}

#[tokio::test]
async fn without_keys_nothing_passes() {
    let stage = Stage::new();
    stage.setup.table.set_down(true);
    let answer = stage.put("/p/17", DOCUMENT, "").await;
    assert_eq!(
        answer.refusal(),
        (503, "encrypt.keys_unavailable".to_owned())
    );
    assert_eq!(answer.headers["retry-after"], "5");
    assert!(stage.seen.lock().unwrap().is_empty());
    assert!(stage.last_event().starts_with("could_not_decide"));
    stage.setup.table.set_down(false);
    stage.setup.clock.advance(Duration::from_secs(1));
    assert_eq!(stage.put("/p/17", DOCUMENT, "").await.status, 200);
    stage.setup.table.set_down(true);
    stage.setup.clock.advance(Duration::from_secs(3599));
    assert_eq!(
        stage.put("/p/17", DOCUMENT, "").await.status,
        200,
        "the cached keys serve"
    );
    stage.setup.clock.advance(Duration::from_secs(1));
    assert_eq!(stage.put("/p/17", DOCUMENT, "").await.status, 503);
}

#[tokio::test]
async fn a_key_that_rotates_meanwhile_loses_no_request() {
    let stage = Stage::new();
    stage.put("/p/17", DOCUMENT, "").await;
    let stored = stage.last_seen();
    stage.setup.keyring.rotate(&acme()).await.unwrap();
    assert_eq!(stage.get("/p/17", &stored, "pii:read").await.body, DOCUMENT);
}

#[tokio::test]
async fn rejects_when_unconfigured() {
    let setup = Setup::new();
    let none = EncryptConfig::builder(setup.keyring.clone(), "patient", locate).build();
    assert!(matches!(none, Err(ConfigError::NoField)));
    let field = || FieldRule::new("/ssn");
    let unnamed = EncryptConfig::builder(setup.keyring.clone(), "", locate).add_field(field());
    assert!(matches!(unnamed.build(), Err(ConfigError::Collection(0))));
    let twice = EncryptConfig::builder(setup.keyring.clone(), "patient", locate)
        .add_field(field())
        .add_field(field());
    assert!(matches!(twice.build(), Err(ConfigError::Path { .. })));
    // A request that does not say whose fields they are.
    let nowhere = |_: &Parts, _: &SecurityContext| None;
    let config = EncryptConfig::builder(setup.keyring.clone(), "patient", nowhere);
    let stage = Stage {
        layer: EncryptLayer::new(config.add_field(field()).build().unwrap()),
        ..Stage::new()
    };
    let answer = stage.put("/p/17", DOCUMENT, "pii:read").await;
    assert_eq!(answer.refusal(), (500, "encrypt.no_place".to_owned()));
}

#[tokio::test]
async fn renders_grpc_rejection() {
    let stage = Stage::new();
    let mut call = request("POST", "/p/17", DOCUMENT, "");
    call.headers_mut()
        .insert("content-type", "application/grpc".parse().unwrap());
    let answer = stage.send(call, None).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["grpc-status"], "3");
    assert!(answer.body.is_empty());
    assert_eq!(
        stage.last_event(),
        "denied Some(\"encrypt.unsupported_media\") "
    );
}

#[tokio::test]
async fn shadow_mode_lets_pass_and_records() {
    let stage = Stage::new();
    stage.put("/p/17", DOCUMENT, "").await;
    let sealed = stage.last_seen();
    let shadow = Stage::with(|builder| {
        builder
            .with_enforcement(Enforcement::Shadow)
            .with_max_body(1500)
    });
    let answer = shadow.put("/p/17", DOCUMENT, "pii:read").await;
    assert_eq!(
        (&shadow.last_seen()[..], &answer.body[..]),
        (DOCUMENT.as_bytes(), DOCUMENT.as_bytes())
    );
    assert_eq!(answer.headers["etag"], "\"1\"", "no head is changed either");
    let key = shadow.setup.table.records()[0].id;
    let told = format!(
        "allowed Some(\"encrypt.plaintext_accepted\") /ssn sealed 1 {key}; \
         /cards/*/number sealed 2 {key}; /ssn stored as plaintext 1; \
         /cards/*/number stored as plaintext 1"
    );
    assert_eq!(shadow.last_event(), told, "which fields would have changed");

    // What the same keys sealed is looked at, and not shown.
    let with_keys = Stage::on(stage.setup, |builder| {
        builder.with_enforcement(Enforcement::Shadow)
    });
    let answer = with_keys.get("/p/17", &sealed, "pii:read").await;
    assert_eq!(answer.body, sealed, "nothing is revealed");
    let event = with_keys.last_event();
    assert!(
        event.contains("/ssn plain 1") && !event.contains("078"),
        "{event}"
    );

    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(2000));
    for document in ["{\"ssn\":1,\"ssn\":2}", "{", large.as_str()] {
        let answer = shadow.put("/p/17", document, "").await;
        assert_eq!(answer.body, document);
        assert!(shadow.last_event().starts_with("would_have_denied"));
    }
    let mut form = put("/p/17", "a=b", "");
    form.headers_mut()
        .insert("content-type", "text/plain".parse().unwrap());
    assert_eq!(shadow.send(form, None).await.body, "a=b");
}

#[tokio::test]
async fn generalised_values_say_less_or_nothing() {
    let stage = Stage::with(|builder| {
        let to =
            |path, generalizer| FieldRule::new(path).otherwise(Shown::Generalized(generalizer));
        builder
            .add_field(to("/zip", Generalizer::Zip3))
            .add_field(to("/age", Generalizer::Age))
            .add_field(to("/born", Generalizer::Year))
    });
    let document = r#"{"zip":"03601","age":93,"born":"1931-05-17"}"#;
    let answer = stage.put("/p/17", document, "").await;
    assert_eq!(
        answer.json(),
        json!({"zip":"000","age":"90+","born":"1931"})
    );
    assert_eq!(answer.headers["cache-control"], "no-store");
    let answer = stage
        .put("/p/17", r#"{"zip":"nowhere","age":-1}"#, "")
        .await;
    assert_eq!(answer.json(), json!({"zip":null,"age":null}));
}

#[tokio::test]
async fn each_request_leaves_one_decision() {
    let stage = Stage::new();
    stage.put("/p/17", DOCUMENT, "pii:read").await;
    stage.put("/p/17", "{", "").await;
    stage.get("/p/17", &Bytes::from_static(b"{}"), "").await;
    assert_eq!(stage.events.lock().unwrap().len(), 3);
    // A client that goes away leaves one as well.
    let stuck = service_fn(|_: Request<bartizan_encrypt::EncryptBody<Full<Bytes>>>| {
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
    });
    let mut call = Box::pin(stage.layer.layer(stuck).oneshot(put("/p/17", DOCUMENT, "")));
    assert!(futures_pending(&mut call));
    drop(call);
    let events = stage.events.lock().unwrap();
    assert_eq!(events.len(), 4);
    assert!(events[3].contains("/ssn sealed 1"), "{events:?}");
    assert!(!events.concat().contains("078"), "no value is told");
}

/// Polls once; says whether it waits.
fn futures_pending<F: Future + Unpin>(future: &mut F) -> bool {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::Pin::new(future).poll(&mut context).is_pending()
}

#[tokio::test]
async fn the_layer_fits_axum() {
    use axum::{Json, Router, routing::post};
    let stage = Stage::new();
    let app = Router::new()
        .route(
            "/p/{id}",
            post(async |Json(document): Json<Value>| Json(document)),
        )
        .layer(stage.layer.clone());
    let request = Request::post("/p/17").header("content-type", "application/json");
    let request = request.body(axum::body::Body::from(DOCUMENT)).unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let shown: Value = serde_json::from_slice(&body).unwrap();
    assert!(shown["ssn"].as_str().unwrap().starts_with("fe1."));
    assert_eq!(shown["cards"], json!([{"till":"12/30"}, {}]));
}

const fn is_send<T: Send + Sync + Clone>() {}
const _: () = is_send::<EncryptLayer>();

#[tokio::test]
async fn who_only_looks_leaves_no_key_of_anybody_behind() {
    let stage = Stage::new();
    let nothing = Bytes::from_static(br#"{"name":"Nobody"}"#);
    for person in ["made-up", "invented", "thought-of"] {
        let answer = stage
            .get(&format!("/p/17?{person}"), &nothing, "pii:read")
            .await;
        assert_eq!(answer.status, 200);
    }
    let records = stage.setup.table.records();
    let personal = records.iter().filter(|it| it.scope.is_personal());
    assert_eq!(personal.count(), 0, "{records:?}");

    // What is stored of one of them elsewhere by now is shown at once.
    let another = stage.setup.another(kek(1)).build().unwrap();
    let another = Stage::on(
        Setup {
            table: stage.setup.table.clone(),
            clock: stage.setup.clock.clone(),
            keyring: another,
        },
        |builder| builder,
    );
    another.put("/p/17?invented", DOCUMENT, "pii:read").await;
    let stored = another.last_seen();
    let shown = stage.get("/p/17?invented", &stored, "pii:read").await;
    assert_eq!(
        shown.json(),
        serde_json::from_str::<Value>(DOCUMENT).unwrap()
    );
}
