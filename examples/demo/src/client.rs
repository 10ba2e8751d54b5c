//! Real clients, and what they read from the wire.

use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bartizan_mtls::{AllowedPeers, MaterialFiles, MtlsConnector};
use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use payments::proto::ChargeRequest;
use payments::proto::payments_client::PaymentsClient;
use tokio::net::TcpStream;
use tonic::transport::Endpoint;
use tonic_types::StatusExt as _;

use crate::scene::Dialler;
use crate::wire::{Alert, Wire};

/// No answer takes longer; a row that waits for it deviates.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came back.
#[derive(Debug)]
pub(crate) struct Got {
    /// `200`, `gRPC 16`, or that an alert ended the handshake.
    pub(crate) answer: String,
    /// The stable code of a refusal, or what the service said on success.
    pub(crate) said: String,
    /// From the first packet to the last.
    pub(crate) took: Duration,
    /// What else there is to say, for a line of its own.
    pub(crate) note: Option<String>,
}

impl Got {
    /// Nothing could be sent.
    pub(crate) fn failed(error: &dyn std::fmt::Display) -> Self {
        Self {
            answer: "error".to_owned(),
            said: error.to_string(),
            took: Duration::ZERO,
            note: None,
        }
    }
}

/// An HTTP request.
#[derive(Clone, Debug)]
pub(crate) struct HttpCall {
    method: Method,
    path: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    from: IpAddr,
    /// The field of the response that is shown, instead of what the body says.
    shown: Option<&'static str>,
}

impl HttpCall {
    pub(crate) fn new(method: Method, path: &'static str) -> Self {
        Self {
            method,
            path,
            headers: Vec::new(),
            body: Bytes::new(),
            from: Ipv4Addr::LOCALHOST.into(),
            shown: None,
        }
    }

    pub(crate) fn get(path: &'static str) -> Self {
        Self::new(Method::GET, path)
    }

    /// On behalf of whom this token is for, if there is one.
    pub(crate) fn token(self, token: Option<String>) -> Self {
        match token {
            Some(token) => self.header("authorization", format!("Bearer {token}")),
            None => self,
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn json(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header("content-type", "application/json".to_owned())
    }

    /// From another address of this machine.
    pub(crate) fn from(mut self, address: Ipv4Addr) -> Self {
        self.from = address.into();
        self
    }

    /// Where it comes from.
    pub(crate) fn origin(&self) -> IpAddr {
        self.from
    }

    /// Shows this field of the response.
    pub(crate) fn showing(mut self, field: &'static str) -> Self {
        self.shown = Some(field);
        self
    }

    fn request(self) -> http::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder().method(self.method).uri(self.path);
        request = request.header("host", "localhost");
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        request.body(Full::new(self.body))
    }
}

/// Sends an HTTP request over a connection of its own.
pub(crate) async fn http(dialler: Dialler, address: SocketAddr, call: HttpCall) -> Got {
    let alert = Alert::default();
    measured(alert.clone(), async {
        let wire = Wire::dial(dialler, (call.from, address), alert).await?;
        Line::over(wire).await?.send(call).await
    })
    .await
}

/// A connection that stays open from one request to the next.
pub(crate) struct Line(http1::SendRequest<Full<Bytes>>);

impl Line {
    pub(crate) async fn over(wire: Wire) -> Result<Self, BoxError> {
        let (sender, connection) = http1::handshake(TokioIo::new(wire)).await?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Sends a request, and gives status and what was said.
    pub(crate) async fn send(&mut self, call: HttpCall) -> Result<(String, String), BoxError> {
        self.0.ready().await?;
        let shown = call.shown;
        let response = self.0.send_request(call.request()?).await?;
        let answer = response.status().as_str().to_owned();
        let headers = response.headers().clone();
        let body = response.into_body().collect().await?.to_bytes();
        if let Some(field) = shown {
            let value = headers
                .get(field)
                .map_or(Ok("no such field"), |value| value.to_str());
            return Ok((answer, value?.to_owned()));
        }
        let body: serde_json::Value = serde_json::from_slice(&body)?;
        Ok((answer, said(&headers, &body)))
    }
}

/// The stable code of a refusal, or what the service says on success.
fn said(headers: &HeaderMap, body: &serde_json::Value) -> String {
    let text = |name: &str| body.get(name).and_then(|value| value.as_str());
    if let Some(code) = text("code") {
        return match headers.get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()) {
            Some(wait) if code.starts_with("ratelimit") => format!("{code}, {wait} s"),
            _ => code.to_owned(),
        };
    }
    for (member, before) in [
        ("payment", "paid by "),
        ("card", "card "),
        ("key", "new key "),
        ("erased", "erased "),
        ("signed_out", "goodbye "),
        ("customer", "hello "),
        ("address", "listed at "),
        ("resource", "for "),
        ("state", ""),
    ] {
        if let Some(value) = text(member) {
            return format!("{before}{value}");
        }
    }
    if let Some(instances) = body.get("instances") {
        let first = instances.get(0).and_then(|value| value.as_str());
        return format!("found at {}", first.unwrap_or("no address"));
    }
    match body.get("card") {
        Some(card) => format!("card {card}"),
        None => "no card".to_owned(),
    }
}

/// Asks in the clear, as a prober does, and gives the text of the answer.
pub(crate) async fn probe(address: SocketAddr, path: &str) -> Result<(String, String), BoxError> {
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut sender, connection) = http1::handshake(stream).await?;
    tokio::spawn(connection);
    let request = Request::get(path).header("host", "localhost");
    let response = sender
        .send_request(request.body(Full::<Bytes>::default())?)
        .await?;
    let answer = response.status().as_str().to_owned();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((answer, String::from_utf8_lossy(&body).into_owned()))
}

/// Calls payments over a connection of its own.
pub(crate) async fn grpc(dialler: Dialler, address: SocketAddr, token: Option<String>) -> Got {
    let alert = Alert::default();
    measured(alert.clone(), async {
        let connector = tower::service_fn(move |_: http::Uri| {
            let wire = Wire::dial(
                dialler.clone(),
                (Ipv4Addr::LOCALHOST.into(), address),
                alert.clone(),
            );
            async { Ok::<_, io::Error>(TokioIo::new(wire.await?)) }
        });
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        let channel = endpoint.connect_with_connector(connector).await?;
        let mut request = tonic::Request::new(ChargeRequest {
            order: "1".into(),
            cents: 100,
        });
        if let Some(token) = token {
            request
                .metadata_mut()
                .insert("authorization", format!("Bearer {token}").parse()?);
        }
        Ok(match PaymentsClient::new(channel).charge(request).await {
            Ok(reply) => (
                "gRPC 0".to_owned(),
                format!("charged {}", reply.into_inner().payer),
            ),
            Err(status) => {
                let details = status.get_error_details();
                let code = details
                    .error_info()
                    .and_then(|info| info.metadata.get("code"));
                let mut said = code.cloned().unwrap_or_else(|| status.message().to_owned());
                if let Some(wait) = details.retry_info().and_then(|retry| retry.retry_delay) {
                    said = format!("{said}, {} s", wait.as_secs_f64().ceil());
                }
                (format!("gRPC {}", i32::from(status.code())), said)
            }
        })
    })
    .await
}

/// Dials `address` as orders does when it wants payments: under its own certificate, and only to
/// who proves to be payments.
pub(crate) async fn dial_payments(folder: PathBuf, address: SocketAddr) -> Got {
    measured(Alert::default(), async {
        let material = MaterialFiles::new(folder.join("orders.pem"), folder.join("orders-key.pem"))
            .with_bundle("example.org".parse()?, folder.join("ca.pem"))
            .load()?;
        let payments = AllowedPeers::id("spiffe://example.org/payments".parse()?);
        let connector = MtlsConnector::new(material.published(), payments);
        Ok(
            match connector
                .connect(&format!("http://{address}").parse()?)
                .await
            {
                Ok(stream) => ("connected".to_owned(), format!("to {}", stream.peer())),
                Err(error) => ("not connected".to_owned(), format!("{:?}", error.kind())),
            },
        )
    })
    .await
}

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

pub(crate) async fn measured(
    alert: Alert,
    call: impl Future<Output = Result<(String, String), BoxError>>,
) -> Got {
    measured_within(PATIENCE, alert, call).await
}

/// As [`measured`], for a row that takes longer.
#[expect(
    clippy::disallowed_methods,
    reason = "measures how long a row takes; decides nothing"
)]
pub(crate) async fn measured_within(
    patience: Duration,
    alert: Alert,
    call: impl Future<Output = Result<(String, String), BoxError>>,
) -> Got {
    let begun = Instant::now();
    let outcome = tokio::time::timeout(patience, call).await;
    let took = begun.elapsed();
    let (answer, said) = match (outcome, alert.name()) {
        (_, Some(alert)) => ("TLS alert".to_owned(), alert.to_owned()),
        (Ok(Ok(read)), None) => read,
        (Ok(Err(error)), None) => ("error".to_owned(), error.to_string()),
        (Err(_), None) => (
            "no answer".to_owned(),
            format!("within {} s", patience.as_secs()),
        ),
    };
    Got {
        answer,
        said,
        took,
        note: None,
    }
}
