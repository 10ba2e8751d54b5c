//! gRPC calls may stream, and hold their place neither in silence nor for ever.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{interval, timeout};

use crate::support::{Gate, PATIENCE, POLICY, Town, h2, upstream};

/// A body that is open as long as its sender.
struct ByHand(mpsc::Receiver<Bytes>);

impl Body for ByHand {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.0.poll_recv(cx);
        data.map(|data| data.map(|data| Ok(Frame::data(data))))
    }
}

/// A body of one byte every 50 ms, until nobody reads it any more.
fn ticking() -> ByHand {
    let (sender, pieces) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut ticks = interval(Duration::from_millis(50));
        while sender.send(Bytes::from_static(b".")).await.is_ok() {
            ticks.tick().await;
        }
    });
    ByHand(pieces)
}

/// A gateway before a gRPC service that streams, whatever it is sent.
async fn gate(town: &Town, limits: &str) -> Gate {
    let service = upstream(async |request: Request<Incoming>| {
        tokio::spawn(request.into_body().collect());
        let mut response = Response::new(ticking());
        let kind = "application/grpc".parse().unwrap();
        response.headers_mut().insert("content-type", kind);
        response
    });
    let policy = POLICY.replace("/nowhere", "/grpc.health.v1.Health/{method}");
    std::fs::write(town.folder.join("policy.toml"), policy).unwrap();
    let text = h2(&town.plain(service.await));
    let text = text.replace("[limits]", &format!("[limits]\n{limits}"));
    town.start(&text).await
}

/// Calls with this body, and gives the head of the answer and what comes after it.
async fn call(gate: &Gate, body: ByHand) -> Incoming {
    let stream = TcpStream::connect(gate.at.requests).await.unwrap();
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.unwrap();
    tokio::spawn(connection);
    let request = Request::post("http://a/grpc.health.v1.Health/Watch")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let answer = sender.send_request(request.body(body).unwrap());
    let answer = timeout(PATIENCE, answer).await.expect("in time").unwrap();
    assert_eq!(answer.headers().get("grpc-status"), None, "{answer:?}");
    answer.into_body()
}

/// Reads on to the trailers with which the gateway ends a call.
async fn trailers(body: Incoming) -> HeaderMap {
    let whole = timeout(PATIENCE, body.collect()).await.expect("an end");
    whole.unwrap().trailers().cloned().expect("trailers")
}

async fn goes_on(body: &mut Incoming) {
    for _ in 0..4 {
        let frame = timeout(PATIENCE, body.frame()).await.expect("in time");
        assert!(frame.expect("no end").expect("no error").is_data());
    }
}

#[tokio::test]
async fn a_client_that_keeps_its_half_open_in_silence_loses_its_place() {
    let town = Town::new().await;
    let limits = "call_per_second = 10\ncall_window_seconds = 1";
    let gate = gate(&town, limits).await;
    // One has said what it had to say, and listens. One says enough.
    let (closed, body) = mpsc::channel(1);
    drop(closed);
    let mut listens = call(&gate, ByHand(body)).await;
    let mut talks = call(&gate, ticking()).await;
    // And one says nothing, and is not done.
    let (open, body) = mpsc::channel(1);
    let silent = trailers(call(&gate, ByHand(body)).await).await;
    assert_eq!(silent["grpc-status"], "4", "{silent:?}");
    assert!(!open.is_closed() || open.send(Bytes::new()).await.is_err());
    goes_on(&mut listens).await;
    goes_on(&mut talks).await;
}

#[tokio::test]
async fn a_call_has_to_be_made_anew_however_busy_it_is() {
    let town = Town::new().await;
    let gate = gate(&town, "call_seconds = 1").await;
    let mut body = call(&gate, ticking()).await;
    goes_on(&mut body).await;
    let ended = trailers(body).await;
    assert_eq!(ended["grpc-status"], "4", "{ended:?}");
    goes_on(&mut call(&gate, ticking()).await).await;
}
