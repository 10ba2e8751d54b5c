//! The agent's side of the connections.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{BufMut as _, Bytes};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Status};

const METHOD: &str = "/SpiffeWorkloadAPI/FetchX509SVID";

#[derive(Clone, Debug)]
pub(super) enum Answer {
    Message(Bytes),
    Refusal(Code),
}

#[derive(Clone)]
pub(super) struct Agent {
    pub(super) answers: watch::Receiver<Answer>,
    pub(super) requests: Arc<AtomicUsize>,
}

impl Agent {
    /// Serves until it is dropped, which breaks off all connections.
    pub(super) async fn serve(self, listener: UnixListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => drop(connections.spawn(self.clone().converse(stream))),
                    Err(_) => return,
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }

    async fn converse(self, stream: UnixStream) {
        let service = hyper::service::service_fn(move |request| {
            let agent = self.clone();
            async move { Ok::<_, Infallible>(agent.answer(request).await) }
        });
        // How a conversation ends is the caller's affair.
        let _ = http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    async fn answer(self, request: Request<Incoming>) -> Response<Body> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if request.uri().path() != METHOD {
            return Status::unimplemented("only FetchX509SVID is served").into_http();
        }
        let header = request.headers().get("workload.spiffe.io");
        if header.is_none_or(|value| value != "true") {
            return Status::invalid_argument("security header missing").into_http();
        }
        let service = tower::service_fn(|_: tonic::Request<()>| {
            let states = self.stream();
            async move { Ok::<_, Status>(tonic::Response::new(states)) }
        });
        tonic::server::Grpc::new(Raw)
            .server_streaming(service, request)
            .await
    }

    /// The state now, and each state that follows, until the caller is gone or refused.
    fn stream(&self) -> ReceiverStream<Result<Bytes, Status>> {
        let (sender, receiver) = mpsc::channel(1);
        let mut answers = self.answers.clone();
        tokio::spawn(async move {
            loop {
                let answer = answers.borrow_and_update().clone();
                let message = match answer {
                    Answer::Message(message) => Ok(message),
                    Answer::Refusal(code) => Err(Status::new(code, "refused by the test")),
                };
                let refused = message.is_err();
                if sender.send(message).await.is_err() || refused {
                    return;
                }
                tokio::select! {
                    () = sender.closed() => return,
                    changed = answers.changed() => if changed.is_err() {
                        return;
                    }
                }
            }
        });
        ReceiverStream::new(receiver)
    }
}

/// Messages that are encoded already, so that wrong ones can be sent as well.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        use bytes::Buf as _;

        // The request carries nothing that would be of interest.
        buffer.advance(buffer.remaining());
        Ok(Some(()))
    }
}
