//! Real clients, and what they read from the wire.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use payments::proto::ChargeRequest;
use payments::proto::payments_client::PaymentsClient;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::Endpoint;
use tonic_types::StatusExt as _;

use crate::scene::Dialler;

/// No answer takes longer; a row that waits for it deviates.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came back.
#[derive(Debug)]
pub(crate) struct Got {
    /// `200`, `UNAUTHENTICATED`, or the alert that ended the handshake.
    pub(crate) answer: String,
    /// The stable code of a refusal, or what the service said on success.
    pub(crate) said: String,
    /// From the first packet to the last.
    pub(crate) took: Duration,
}

/// A request to orders.
#[derive(Clone, Debug)]
pub(crate) struct HttpCall {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) token: Option<String>,
}

/// Sends an HTTP request over a connection of its own.
pub(crate) async fn http(dialler: Dialler, address: SocketAddr, call: HttpCall) -> Got {
    measured(async {
        let tls = dial(dialler, address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(tls)).await?;
        let connection = tokio::spawn(connection);
        let mut request = Request::builder()
            .method(call.method)
            .uri(call.path)
            .header("host", "localhost");
        if let Some(token) = call.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let sent = sender
            .send_request(request.body(Empty::<Bytes>::new())?)
            .await;
        let response = match sent {
            Ok(response) => response,
            // The connection's own error knows more than the request's.
            Err(error) => return Err(connection.await?.err().unwrap_or(error).into()),
        };
        let answer = response.status().as_str().to_owned();
        let body = response.into_body().collect().await?.to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body)?;
        let text = |name: &str| body.get(name).and_then(|value| value.as_str());
        let said = match (text("code"), text("payment"), text("customer")) {
            (Some(code), ..) => code.to_owned(),
            (None, Some(payment), _) => format!("paid by {payment}"),
            (None, None, customer) => format!("hello {}", customer.unwrap_or("nobody")),
        };
        Ok((answer, said))
    })
    .await
}

/// Calls payments over a connection of its own.
pub(crate) async fn grpc(dialler: Dialler, address: SocketAddr, token: Option<String>) -> Got {
    measured(async {
        let connector = tower::service_fn(move |_: http::Uri| {
            let dialler = dialler.clone();
            async move { Ok::<_, io::Error>(TokioIo::new(dial(dialler, address).await?)) }
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
        match PaymentsClient::new(channel).charge(request).await {
            Ok(reply) => Ok((
                "OK".to_owned(),
                format!("charged {}", reply.into_inner().payer),
            )),
            Err(status) if alert(&status).is_some() => Err(status.into()),
            Err(status) => {
                let details = status.get_error_details();
                let code = details
                    .error_info()
                    .and_then(|info| info.metadata.get("code"));
                let name = format!("{:?}", status.code()).to_uppercase();
                Ok((
                    name,
                    code.cloned().unwrap_or_else(|| status.message().to_owned()),
                ))
            }
        }
    })
    .await
}

/// Opens a connection and shakes hands. With TLS 1.3 a server's refusal of our certificate comes
/// only after this: with the first read.
async fn dial(dialler: Dialler, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    TlsConnector::from(dialler).connect(name, tcp).await
}

type BoxError = Box<dyn Error + Send + Sync>;

#[expect(
    clippy::disallowed_methods,
    reason = "measures how long a row takes; decides nothing"
)]
async fn measured(call: impl Future<Output = Result<(String, String), BoxError>>) -> Got {
    let begun = Instant::now();
    let outcome = tokio::time::timeout(PATIENCE, call).await;
    let took = begun.elapsed();
    let (answer, said) = match outcome {
        Ok(Ok(read)) => read,
        Ok(Err(error)) => match alert(&*error) {
            Some(alert) => ("TLS alert".to_owned(), alert),
            None => ("error".to_owned(), error.to_string()),
        },
        Err(_) => (
            "no answer".to_owned(),
            format!("within {} s", PATIENCE.as_secs()),
        ),
    };
    Got { answer, said, took }
}

/// The TLS alert in a chain of causes, if the other side sent one.
fn alert(error: &(dyn Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(rustls::Error::AlertReceived(alert)) = error.downcast_ref() {
            return Some(format!("{alert:?}"));
        }
        // An `io::Error` shows the source of what it wraps, not what it wraps.
        if let Some(inner) = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            && let Some(alert) = alert(inner)
        {
            return Some(alert);
        }
        // HTTP/2 keeps of an I/O error nothing but its text.
        if let Some((_, alert)) = error.to_string().split_once("received fatal alert: ") {
            return Some(alert.to_owned());
        }
        cause = error.source();
    }
    None
}
