//! The issuer's side of its connections.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::Endpoint;
use crate::fault::{Fault, IssuerBody};
use crate::mint::TokenMint;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) mint: TokenMint,
    pub(super) path: String,
    pub(super) faults: Mutex<[Option<Fault>; Endpoint::ALL.len()]>,
    pub(super) counts: watch::Sender<[usize; Endpoint::ALL.len()]>,
}

/// Accepts until aborted; the connections are aborted with it, because it owns them.
pub(super) async fn serve(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((socket, _)) = listener.accept().await else {
            continue;
        };
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        connections.spawn(async move {
            // A client that gives up is its own affair.
            let Ok(stream) = acceptor.accept(socket).await else {
                return;
            };
            let service = service_fn(|request| answer(Arc::clone(&shared), request));
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<IssuerBody>, io::Error> {
    let endpoint = shared.endpoint(request.uri().path());
    shared.counts.send_modify(|counts| {
        if let Some(count) = counts.get_mut(endpoint.index()) {
            *count += 1;
        }
    });
    let fault = {
        let faults = shared.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.get(endpoint.index()).cloned().flatten()
    };
    let document = shared.document(endpoint);
    let Some(fault) = fault else {
        return Ok(match document {
            Some(document) => json_answer(document.to_string()),
            None => empty(StatusCode::NOT_FOUND),
        });
    };
    let mut document = document.unwrap_or_default();
    Ok(match fault {
        Fault::Body(bytes) => json_answer(bytes),
        Fault::Disconnect => return Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
        Fault::Drip(span) => {
            let interval = tokio::time::interval(span);
            json_body(IssuerBody::Drip {
                rest: Bytes::from(document.to_string()),
                interval,
            })
        }
        Fault::EmptyKeySet => json_answer(json!({ "keys": [] }).to_string()),
        Fault::Hang => match std::future::pending::<Infallible>().await {},
        Fault::Html => {
            let page = Bytes::from_static(b"<!doctype html><title>Sign in</title>");
            typed(
                IssuerBody::Whole(page),
                HeaderValue::from_static("text/html"),
            )
        }
        Fault::Huge(length) => json_body(IssuerBody::Huge { rest: length }),
        Fault::MalformedKey => {
            if let Some(keys) = document.get_mut("keys").and_then(Value::as_array_mut) {
                keys.insert(0, json!({ "kty": "RSA", "kid": "malformed", "e": "AQAB" }));
            }
            json_answer(document.to_string())
        }
        Fault::Redirect(target) => {
            let mut response = empty(StatusCode::FOUND);
            let target = HeaderValue::try_from(target).map_err(io::Error::other)?;
            response.headers_mut().insert(header::LOCATION, target);
            response
        }
        Fault::Status(status) => empty(StatusCode::from_u16(status).map_err(io::Error::other)?),
        Fault::WrongIssuer(issuer) => json_answer(with_member(document, "issuer", issuer)),
        Fault::WrongJwksUri(uri) => json_answer(with_member(document, "jwks_uri", uri)),
    })
}

impl Shared {
    fn endpoint(&self, path: &str) -> Endpoint {
        // RFC 8414 §3.1 puts its well-known part between host and path, OpenID Connect Discovery
        // 1.0 §4.1 behind the path.
        if path.strip_prefix("/.well-known/oauth-authorization-server") == Some(&self.path) {
            return Endpoint::AuthorizationServer;
        }
        match path.strip_prefix(&self.path) {
            Some("/.well-known/openid-configuration") => Endpoint::OpenIdConfiguration,
            Some("/jwks.json") => Endpoint::Jwks,
            _ => Endpoint::Other,
        }
    }

    fn document(&self, endpoint: Endpoint) -> Option<Value> {
        match endpoint {
            Endpoint::AuthorizationServer | Endpoint::OpenIdConfiguration => {
                Some(self.mint.discovery())
            }
            Endpoint::Jwks => Some(self.mint.jwks()),
            Endpoint::Other => None,
        }
    }
}

fn with_member(mut document: Value, name: &str, value: String) -> String {
    if let Some(members) = document.as_object_mut() {
        members.insert(name.to_owned(), Value::String(value));
    }
    document.to_string()
}

fn json_answer(text: impl Into<Bytes>) -> Response<IssuerBody> {
    json_body(IssuerBody::Whole(text.into()))
}

fn json_body(body: IssuerBody) -> Response<IssuerBody> {
    typed(body, HeaderValue::from_static("application/json"))
}

fn typed(body: IssuerBody, content_type: HeaderValue) -> Response<IssuerBody> {
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

fn empty(status: StatusCode) -> Response<IssuerBody> {
    let mut response = Response::new(IssuerBody::Whole(Bytes::new()));
    *response.status_mut() = status;
    response
}
