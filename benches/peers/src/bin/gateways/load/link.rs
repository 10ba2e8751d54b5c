//! One connection, and one request at a time on it.
//!
//! HTTP/1.1 is written and read by hand: what the load generator spends is spent on the same two
//! cores as what it measures. HTTP/2 and gRPC are hyper's.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use bytes::{BufMut as _, Bytes};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, TE};
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use payments::proto::ChargeRequest;
use prost::Message as _;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::options::Protocol;
use crate::policy;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    /// The token, without its scheme; none, for a request without.
    pub(crate) token: Option<String>,
}

/// What was answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `grpc-status`, from the trailers or, in an answer without a body, the headers.
    pub(crate) grpc: Option<u8>,
}

impl Answer {
    pub(crate) fn is_success(self, protocol: Protocol) -> bool {
        let expected = (protocol == Protocol::Grpc).then_some(0);
        self.status == 200 && self.grpc == expected
    }
}

/// An open connection.
pub(crate) enum Link {
    Http1(Box<Plain>),
    Http2 {
        sender: SendRequest<Full<Bytes>>,
        authority: String,
        message: Option<Bytes>,
    },
}

pub(crate) struct Plain {
    stream: Box<dyn Stream>,
    authority: String,
    output: Vec<u8>,
    input: Vec<u8>,
}

impl Link {
    /// Connects, in plaintext if there is no configuration for TLS.
    pub(crate) async fn open(
        address: SocketAddr,
        tls: Option<Arc<ClientConfig>>,
        protocol: Protocol,
    ) -> anyhow::Result<Self> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match tls {
            Some(tls) => {
                let name = ServerName::from(address.ip());
                Box::new(TlsConnector::from(tls).connect(name, tcp).await?)
            }
            None => Box::new(tcp),
        };
        let authority = address.to_string();
        if protocol == Protocol::Http1 {
            return Ok(Self::Http1(Box::new(Plain {
                stream,
                authority,
                output: Vec::with_capacity(2_048),
                input: Vec::with_capacity(8_192),
            })));
        }
        let handshake = hyper::client::conn::http2::handshake::<_, _, Full<Bytes>>;
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        // How it ends is seen by the requests on it.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Self::Http2 {
            sender,
            authority,
            message: (protocol == Protocol::Grpc).then(message),
        })
    }

    /// Sends a request, and reads the answer to its end.
    pub(crate) async fn send(&mut self, call: &Call) -> anyhow::Result<Answer> {
        match self {
            Self::Http1(link) => link.send(call).await,
            Self::Http2 {
                sender,
                authority,
                message,
            } => {
                let request = request(call, authority, message.as_ref())?;
                sender.ready().await?;
                let (head, mut body) = sender.send_request(request).await?.into_parts();
                let mut grpc = head.headers.get("grpc-status").cloned();
                while let Some(frame) = body.frame().await {
                    if let Ok(trailers) = frame?.into_trailers() {
                        grpc = trailers.get("grpc-status").cloned().or(grpc);
                    }
                }
                let number = |value: HeaderValue| value.to_str().ok()?.parse().ok();
                Ok(Answer {
                    status: head.status.as_u16(),
                    grpc: grpc.and_then(number),
                })
            }
        }
    }
}

fn request(
    call: &Call,
    authority: &str,
    message: Option<&Bytes>,
) -> anyhow::Result<Request<Full<Bytes>>> {
    let uri = format!("https://{authority}{}", call.path);
    let mut request = Request::builder().method(call.method.clone()).uri(uri);
    if let Some(token) = &call.token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    if message.is_some() {
        request = request.header(CONTENT_TYPE, "application/grpc");
        request = request.header(TE, "trailers");
    }
    Ok(request.body(Full::new(message.cloned().unwrap_or_default()))?)
}

/// One message of gRPC in its frame.
fn message() -> Bytes {
    let charge = ChargeRequest {
        order: "7".to_owned(),
        cents: 4_200,
    };
    let mut frame = vec![0];
    frame.put_u32(charge.encoded_len() as u32);
    frame.extend(charge.encode_to_vec());
    frame.into()
}

impl Plain {
    async fn send(&mut self, call: &Call) -> anyhow::Result<Answer> {
        let output = &mut self.output;
        output.clear();
        for piece in [call.method.as_str(), " ", call.path, " HTTP/1.1\r\n"] {
            output.put_slice(piece.as_bytes());
        }
        for piece in [HOST.as_str(), ": ", &self.authority, "\r\n"] {
            output.put_slice(piece.as_bytes());
        }
        if let Some(token) = &call.token {
            for piece in [AUTHORIZATION.as_str(), ": Bearer ", token, "\r\n"] {
                output.put_slice(piece.as_bytes());
            }
        }
        output.put_slice(b"\r\n");
        self.stream.write_all(output).await?;
        self.stream.flush().await?;

        self.input.clear();
        loop {
            if self.stream.read_buf(&mut self.input).await? == 0 {
                bail!("the connection was closed");
            }
            if let Some((status, length)) = answered(&self.input)? {
                while self.input.len() < length {
                    if self.stream.read_buf(&mut self.input).await? == 0 {
                        bail!("the connection was closed within an answer");
                    }
                }
                return Ok(Answer { status, grpc: None });
            }
        }
    }
}

/// The status of an answer and how long it is with its body, once its head is there.
fn answered(input: &[u8]) -> anyhow::Result<Option<(u16, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(input)? else {
        return Ok(None);
    };
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.context("an answer without content-length")?;
    let length: usize = std::str::from_utf8(length.value)?.parse()?;
    let status = response.code.context("an answer without a status")?;
    Ok(Some((status, head + length)))
}

/// The call that is accepted, with this token.
pub(crate) fn good(protocol: Protocol, token: String) -> Call {
    let (method, path) = match protocol {
        Protocol::Grpc => (Method::POST, policy::GRPC_PATH),
        Protocol::Http1 | Protocol::Http2 => (Method::GET, "/orders/7"),
    };
    Call {
        method,
        path,
        token: Some(token),
    }
}
