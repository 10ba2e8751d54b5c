//! The issuer's side of its connections.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use ring::digest;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::Endpoint;
use super::authorization::{Asked, Authorization, Form, Reply};
use crate::fault::{Fault, IssuerBody};
use crate::mint::TokenMint;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) mint: TokenMint,
    pub(super) path: String,
    pub(super) faults: Mutex<[Option<Fault>; Endpoint::ALL.len()]>,
    pub(super) counts: watch::Sender<[usize; Endpoint::ALL.len()]>,
    pub(super) authorization: Authorization,
    pub(super) forms: Mutex<Vec<Vec<(String, String)>>>,
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
            let certificates = stream.get_ref().1.peer_certificates();
            let certificate = certificates.and_then(|chain| Some(sha256(chain.first()?)));
            let service = service_fn(|request| answer(Arc::clone(&shared), certificate, request));
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    shared: Arc<Shared>,
    certificate: Option<[u8; 32]>,
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
    let document = match endpoint {
        Endpoint::Introspection | Endpoint::Token => {
            Some(shared.ask(endpoint, certificate, request).await?)
        }
        _ => shared.document(endpoint).map(|it| (StatusCode::OK, it)),
    };
    let Some(fault) = fault else {
        return Ok(match document {
            Some((status, document)) => {
                let mut answer = json_answer(document.to_string());
                *answer.status_mut() = status;
                answer
            }
            None => empty(StatusCode::NOT_FOUND),
        });
    };
    let document = document.map(|(_, document)| document);
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
            Some("/introspect") => Endpoint::Introspection,
            Some("/jwks.json") => Endpoint::Jwks,
            Some("/token") => Endpoint::Token,
            _ => Endpoint::Other,
        }
    }

    fn document(&self, endpoint: Endpoint) -> Option<Value> {
        match endpoint {
            Endpoint::AuthorizationServer | Endpoint::OpenIdConfiguration => {
                Some(self.mint.discovery())
            }
            Endpoint::Jwks => Some(self.mint.jwks()),
            Endpoint::Introspection | Endpoint::Other | Endpoint::Token => None,
        }
    }

    /// What a client that asked is answered.
    async fn ask(
        &self,
        endpoint: Endpoint,
        certificate: Option<[u8; 32]>,
        request: Request<Incoming>,
    ) -> io::Result<Reply> {
        let (parts, body) = request.into_parts();
        if parts.method != Method::POST {
            return Ok((StatusCode::METHOD_NOT_ALLOWED, Value::Null));
        }
        let body = Limited::new(body, 64 * 1024).collect().await;
        let form = Form::parse(&body.map_err(io::Error::other)?.to_bytes());
        self.forms().push(form.clone().into_fields());
        let issuer = self.mint.issuer();
        let (url, answer): (_, fn(&_, &_, &_) -> _) = match endpoint {
            Endpoint::Introspection => (format!("{issuer}/introspect"), Authorization::introspect),
            _ => (format!("{issuer}/token"), Authorization::grant),
        };
        let asked = Asked {
            headers: &parts.headers,
            form: &form,
            certificate,
            endpoint: &url,
        };
        Ok(answer(&self.authorization, &self.mint, &asked))
    }

    pub(super) fn forms(&self) -> MutexGuard<'_, Vec<Vec<(String, String)>>> {
        self.forms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sha256(certificate: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    let hash = digest::digest(&digest::SHA256, certificate);
    bytes
        .iter_mut()
        .zip(hash.as_ref())
        .for_each(|(to, from)| *to = *from);
    bytes
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
