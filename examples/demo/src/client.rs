//! Real clients, and what they read from the wire.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bartizan_mtls::{AllowedPeers, MaterialFiles, MtlsConnector};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use payments::proto::ChargeRequest;
use payments::proto::payments_client::PaymentsClient;
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
}

impl Got {
    /// Nothing could be sent.
    pub(crate) fn failed(error: &dyn std::fmt::Display) -> Self {
        Self {
            answer: "error".to_owned(),
            said: error.to_string(),
            took: Duration::ZERO,
        }
    }
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
    let alert = Alert::default();
    measured(alert.clone(), async {
        let wire = Wire::dial(dialler, address, alert).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(wire)).await?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(call.method)
            .uri(call.path)
            .header("host", "localhost");
        if let Some(token) = call.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = sender
            .send_request(request.body(Empty::<Bytes>::new())?)
            .await?;
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
    let alert = Alert::default();
    measured(alert.clone(), async {
        let connector = tower::service_fn(move |_: http::Uri| {
            let wire = Wire::dial(dialler.clone(), address, alert.clone());
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
                let said = code.cloned().unwrap_or_else(|| status.message().to_owned());
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

type BoxError = Box<dyn Error + Send + Sync>;

#[expect(
    clippy::disallowed_methods,
    reason = "measures how long a row takes; decides nothing"
)]
async fn measured(
    alert: Alert,
    call: impl Future<Output = Result<(String, String), BoxError>>,
) -> Got {
    let begun = Instant::now();
    let outcome = tokio::time::timeout(PATIENCE, call).await;
    let took = begun.elapsed();
    let (answer, said) = match (outcome, alert.name()) {
        (_, Some(alert)) => ("TLS alert".to_owned(), alert.to_owned()),
        (Ok(Ok(read)), None) => read,
        (Ok(Err(error)), None) => ("error".to_owned(), error.to_string()),
        (Err(_), None) => (
            "no answer".to_owned(),
            format!("within {} s", PATIENCE.as_secs()),
        ),
    };
    Got { answer, said, took }
}
