//! The layer in front of a handler that keeps what it gets, and what both say.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bartizan_core::{Event, Principal, Scheme, SecurityContext, observe_fn};
use bartizan_encrypt::{
    EncryptConfig, EncryptConfigBuilder, EncryptLayer, FieldRule, Grant, Mask, Place,
    PseudonymDomain, Shown,
};
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::Setup;

/// The record is the last segment of the path, the person what the query says.
pub(crate) fn locate(parts: &Parts, _: &SecurityContext) -> Option<Place> {
    let place = Place::new("acme").ok()?;
    let place = place
        .with_record(parts.uri.path().rsplit('/').next()?)
        .ok()?;
    match parts.uri.query() {
        Some(subject) => place.with_subject(subject).ok(),
        None => Some(place),
    }
}

pub(crate) fn rules(builder: EncryptConfigBuilder) -> EncryptConfigBuilder {
    let domain = PseudonymDomain::new("analytics");
    builder
        .add_field(
            FieldRule::new("/ssn")
                .show(Grant::scope("pii:read"), Shown::Plain)
                .show(Grant::scope("support"), Shown::Masked(Mask::Last4))
                .show(Grant::scope("analytics"), Shown::Pseudonym(domain))
                .show(Grant::scope("audit"), Shown::Refused)
                .show(Grant::scope("minimal"), Shown::Omitted),
        )
        .add_field(
            FieldRule::new("/cards/*/number")
                .show(Grant::scope("pii:read"), Shown::Plain)
                .otherwise(Shown::Omitted),
        )
}

pub(crate) struct Stage {
    pub(crate) setup: Setup,
    pub(crate) layer: EncryptLayer,
    pub(crate) seen: Arc<Mutex<Vec<Bytes>>>,
    pub(crate) events: Arc<Mutex<Vec<String>>>,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn refusal(&self) -> (u16, String) {
        let json = self.json();
        let code = json
            .get("code")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        (self.status.as_u16(), code)
    }
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(change: impl FnOnce(EncryptConfigBuilder) -> EncryptConfigBuilder) -> Self {
        Self::on(Setup::new(), change)
    }

    pub(crate) fn on(
        setup: Setup,
        change: impl FnOnce(EncryptConfigBuilder) -> EncryptConfigBuilder,
    ) -> Self {
        let events = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&events);
        let observer = observe_fn(move |event: &Event<'_>| {
            if let Event::Decision(event) = event {
                let detail = event.decision().detail().unwrap_or_default();
                let code = event.code().map(|code| code.as_str());
                let line = format!("{} {code:?} {detail}", event.outcome().as_str());
                sink.lock().unwrap().push(line);
            }
        });
        let builder = EncryptConfig::builder(setup.keyring.clone(), "patient", locate)
            .with_clock(Arc::new(setup.clock.clone()))
            .with_observer(Arc::new(observer));
        let layer = EncryptLayer::new(change(rules(builder)).build().unwrap());
        let seen = Arc::default();
        Self {
            setup,
            layer,
            seen,
            events,
        }
    }

    /// Sends a request to a handler that keeps what it gets and answers with `stored`, or with
    /// what it got.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
        stored: Option<Response<Bytes>>,
    ) -> Answer {
        let seen = Arc::clone(&self.seen);
        let handler = service_fn(
            move |request: Request<bartizan_encrypt::EncryptBody<Full<Bytes>>>| {
                let (seen, stored) = (Arc::clone(&seen), stored.clone());
                async move {
                    let (parts, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes();
                    if let Some(length) = parts.headers.get("content-length") {
                        assert_eq!(length.to_str().unwrap(), body.len().to_string());
                    }
                    let sealed = String::from_utf8_lossy(&body).contains("fe1.");
                    assert!(!sealed || parts.headers.get("content-digest").is_none());
                    seen.lock().unwrap().push(body.clone());
                    let response = stored.unwrap_or_else(|| json_response(body));
                    Ok::<_, Infallible>(response.map(Full::new))
                }
            },
        );
        let response = self.layer.layer(handler).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    pub(crate) async fn put(&self, path: &str, document: &str, scope: &str) -> Answer {
        self.send(put(path, document, scope), None).await
    }

    pub(crate) async fn get(&self, path: &str, stored: &Bytes, scope: &str) -> Answer {
        let response = json_response(stored.clone());
        self.send(request("GET", path, "", scope), Some(response))
            .await
    }

    pub(crate) fn last_seen(&self) -> Bytes {
        self.seen.lock().unwrap().last().unwrap().clone()
    }

    pub(crate) fn last_event(&self) -> String {
        self.events.lock().unwrap().last().unwrap().clone()
    }
}

pub(crate) fn json_response(body: Bytes) -> Response<Bytes> {
    Response::builder()
        .header("content-type", "application/json")
        .header("etag", "\"1\"")
        .header("content-length", body.len())
        .body(body)
        .unwrap()
}

pub(crate) fn request(method: &str, path: &str, body: &str, scope: &str) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path);
    if !body.is_empty() {
        request = request
            .header("content-type", "application/json")
            .header("content-digest", "sha-256=:AA==:")
            .header("content-length", body.len());
    }
    let context = SecurityContext::new(path.parse().unwrap());
    let principal = Principal::builder(Scheme::Jwt, "https://issuer.example", "caller");
    let principal = principal.with_scopes([scope]).assert_verified();
    context.set_principal(principal).unwrap();
    let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
    request.extension(context).body(body).unwrap()
}

pub(crate) fn put(path: &str, document: &str, scope: &str) -> Request<Full<Bytes>> {
    request("PUT", path, document, scope)
}

pub(crate) const DOCUMENT: &str = r#"{ "name":"Alice", "ssn" : "078-05-1120", "n":1.10,
 "cards":[{"number":4111111111111111,"till":"12/30"},{"number":null}] }"#;
