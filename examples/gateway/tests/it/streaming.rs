//! Bodies stream through in both directions, and nothing piles up.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::{PATIENCE, Town, h2, upstream};

/// A body whose frames are sent one by one.
struct ByHand(mpsc::Receiver<Frame<Bytes>>);

impl ByHand {
    fn new() -> (mpsc::Sender<Frame<Bytes>>, Self) {
        let (sender, frames) = mpsc::channel(1);
        (sender, Self(frames))
    }
}

impl Body for ByHand {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

/// A body without an end, which counts what was taken of it.
struct Endless(Arc<AtomicUsize>);

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        const PIECE: &[u8] = &[b'x'; 64 * 1024];
        self.0.fetch_add(PIECE.len(), Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(PIECE)))))
    }
}

fn data(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(text.as_bytes()))
}

async fn next(body: &mut Incoming) -> Frame<Bytes> {
    let frame = timeout(PATIENCE, body.frame()).await.expect("in time");
    frame.expect("a frame").expect("no error")
}

/// More than all buffers of sockets and pools on the way together.
const MUCH: usize = 64 * 1024 * 1024;

/// Waits a while for so much to be taken; with nobody reading it must not be.
async fn much_is_taken(taken: &AtomicUsize) -> bool {
    let reached = async {
        while taken.load(Ordering::Relaxed) < MUCH {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(1), reached).await.is_ok()
}

#[tokio::test]
async fn a_piece_arrives_before_the_next_is_sent() {
    let town = Town::new().await;
    let mirror = upstream(async |request: Request<Incoming>| Response::new(request.into_body()));
    let gate = town.start(&town.plain(mirror.await)).await;
    let stream = TcpStream::connect(gate.at.requests).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (frames, body) = ByHand::new();
    let request = Request::post("/open/a")
        .header("host", "a")
        .body(body)
        .unwrap();
    let response = timeout(PATIENCE, sender.send_request(request)).await;
    let mut response = response
        .expect("the head, before any of the body")
        .unwrap()
        .into_body();
    for piece in ["one", "two", "three"] {
        frames.send(data(piece)).await.unwrap();
        assert_eq!(next(&mut response).await.into_data().unwrap(), piece);
    }
    drop(frames);
    assert!(response.frame().await.is_none());
}

#[tokio::test]
async fn a_response_that_nobody_reads_is_not_collected() {
    let town = Town::new().await;
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let endless = upstream(move |_| {
        let body = Endless(Arc::clone(&counted));
        async { Response::new(body) }
    });
    let gate = town.start(&town.plain(endless.await)).await;
    let answer = town.client(None).get(gate.url("/open/a")).send().await;
    let answer = answer.unwrap();
    assert!(!much_is_taken(&taken).await, "{taken:?}");
    drop(answer);
}

#[tokio::test]
async fn a_request_that_nobody_reads_is_not_collected() {
    let town = Town::new().await;
    let deaf = upstream(async |request: Request<Incoming>| {
        let response: Response<ByHand> = std::future::pending().await;
        drop(request);
        response
    });
    let text = town
        .plain(deaf.await)
        .replace("body = 1000000", "body = 1000000000000");
    let gate = town.start(&text).await;
    let stream = TcpStream::connect(gate.at.requests).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let taken = Arc::new(AtomicUsize::new(0));
    let request = Request::post("/open/a").header("host", "a");
    let request = request.body(Endless(Arc::clone(&taken))).unwrap();
    let sending = tokio::spawn(sender.send_request(request));
    assert!(!much_is_taken(&taken).await, "{taken:?}");
    sending.abort();
}

#[tokio::test]
async fn an_upload_without_a_length_ends_where_the_limit_is() {
    let town = Town::new().await;
    let mirror = upstream(async |request: Request<Incoming>| {
        // Reads on until it is told that there is no more.
        let whole = request.into_body().collect().await;
        Response::new(format!("{}", whole.is_ok()))
    });
    let gate = town.start(&town.plain(mirror.await)).await;
    let stream = TcpStream::connect(gate.at.requests).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post("/open/a").header("host", "a");
    let request = request.body(Endless(Arc::default())).unwrap();
    let response = timeout(PATIENCE, sender.send_request(request)).await;
    assert_eq!(response.expect("in time").unwrap().status(), 413);
}

#[tokio::test]
async fn trailers_pass_without_what_would_mean_something_in_a_head() {
    let town = Town::new().await;
    // The trailers of the request come back as those of the response, and as its body.
    let mirror = upstream(async |request: Request<Incoming>| {
        let trailers = request
            .into_body()
            .collect()
            .await
            .unwrap()
            .trailers()
            .cloned();
        let mut trailers = trailers.unwrap_or_default();
        let (frames, body) = ByHand::new();
        let mut names: Vec<_> = trailers
            .keys()
            .map(|name| name.as_str().to_owned())
            .collect();
        names.sort();
        tokio::spawn(async move {
            let _ = frames.send(Frame::data(Bytes::from(names.join(" ")))).await;
            trailers.insert("x-bartizan-peer", HeaderValue::from_static("spoofed"));
            let _ = frames.send(Frame::trailers(trailers)).await;
        });
        Response::new(body)
    });
    let gate = town.start(&h2(&town.plain(mirror.await))).await;
    let stream = TcpStream::connect(gate.at.requests).await.unwrap();
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.unwrap();
    tokio::spawn(connection);
    let (frames, body) = ByHand::new();
    let request = Request::post("http://a/open/a").body(body).unwrap();
    let answer = tokio::spawn(async move { sender.send_request(request).await });
    frames.send(data("body")).await.unwrap();
    let mut trailers = HeaderMap::new();
    for name in [
        "x-sum",
        "x-bartizan-subject",
        "authorization",
        "x-forwarded-for",
    ] {
        trailers.insert(name, HeaderValue::from_static("1"));
    }
    frames.send(Frame::trailers(trailers)).await.unwrap();
    drop(frames);
    let answer = timeout(PATIENCE, answer).await.expect("in time");
    let body = answer
        .unwrap()
        .unwrap()
        .into_body()
        .collect()
        .await
        .unwrap();
    let trailers = body.trailers().cloned().unwrap();
    assert_eq!(body.to_bytes(), "x-sum");
    let names: Vec<_> = trailers.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["x-sum"]);
}
