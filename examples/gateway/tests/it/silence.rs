//! Clients that say nothing, or not enough, keep no place from those who do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{interval, timeout};

use crate::support::{PATIENCE, Town, bare_upstream, echo, upstream};

/// A connection on which this was said, and nothing more.
async fn after(address: SocketAddr, said: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(said.as_bytes()).await.unwrap();
    stream
}

async fn ends(mut stream: TcpStream) {
    let mut rest = Vec::new();
    let end = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    // By a reset perhaps, and perhaps after the settings of HTTP/2.
    let _ = end.expect("an end");
}

#[tokio::test]
async fn silent_connections_leave_the_health_port_to_probers() {
    let town = Town::new().await;
    let gate = town.start(&town.plain(echo().await)).await;
    let health = gate.at.health.unwrap();
    let mut silent = Vec::new();
    for said in ["", "G", "PRI * HTTP/2.0\r\n", "GET /healthz HTTP/1.1\r\n"] {
        for _ in 0..40 {
            silent.push(after(health, said).await);
        }
    }
    let client = town.client(None);
    // Probers do not wait until the silent have had their time.
    let soon = Duration::from_secs(4);
    for path in ["/healthz", "/readyz"] {
        let probe = client.get(format!("http://{health}{path}")).send();
        let answer = timeout(soon, probe).await.expect("in time");
        assert_eq!(answer.unwrap().status(), 200, "{path}");
    }
    drop(silent);
}

#[tokio::test]
async fn a_connection_without_a_request_ends_and_one_that_waits_for_its_answer_does_not() {
    let town = Town::new().await;
    let may_answer = Arc::new(Semaphore::new(0));
    let told = Arc::clone(&may_answer);
    let patient = upstream(move |_| {
        let told = Arc::clone(&told);
        async move {
            let _ = told.acquire().await;
            Response::new(Full::new(Bytes::from("at last")))
        }
    });
    let text = town
        .plain(patient.await)
        .replace("[limits]", "[limits]\nhead_seconds = 0.3");
    let gate = town.start(&text).await;
    let whole = "GET /open/a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let mut waits = after(gate.at.requests, whole).await;
    for said in [
        "",
        "P",
        "PRI * HTTP/2.0\r\n\r\nSM",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        "GET /open/a HTTP/1.1\r\nhost: a\r\n",
    ] {
        ends(after(gate.at.requests, said).await).await;
    }
    may_answer.add_permits(1);
    let mut answer = String::new();
    let read = timeout(PATIENCE, waits.read_to_string(&mut answer)).await;
    read.expect("in time").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_body_that_trickles_in_does_not_hold_its_place() {
    let town = Town::new().await;
    let waits = bare_upstream(async |mut stream| {
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        std::future::pending().await
    });
    let text = town.plain(waits.await).replace(
        "[limits]",
        "[limits]\nupload_per_second = 1000\nupload_seconds = 0.5",
    );
    let gate = town.start(&text).await;
    // What it calls itself does not help it.
    for (kind, says) in [
        ("text/plain", "HTTP/1.1 408 "),
        ("application/grpc", "grpc-status: "),
    ] {
        let head = format!(
            "POST /open/a HTTP/1.1\r\nhost: a\r\ncontent-type: {kind}\r\n\
             transfer-encoding: chunked\r\n\r\n"
        );
        let (mut from, mut to) = after(gate.at.requests, &head).await.into_split();
        let trickle = async {
            let mut often = interval(Duration::from_millis(20));
            loop {
                often.tick().await;
                // The gateway may be gone already; what it said is still to be read.
                let _ = to.write_all(b"1\r\nx\r\n").await;
            }
        };
        let mut head = Vec::new();
        let answered = async {
            while !head.ends_with(b"\r\n\r\n") {
                head.push(from.read_u8().await.expect("an answer"));
            }
        };
        let answered = timeout(PATIENCE, answered);
        tokio::select! {
            answered = answered => answered.expect("in time"),
            () = trickle => {}
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.contains(says), "{kind}: {head}");
        assert!(
            head.to_ascii_lowercase().contains("connection: close"),
            "{head}"
        );
    }
}

#[tokio::test]
async fn a_silent_connection_gives_its_place_to_the_next() {
    let town = Town::new().await;
    let text = town
        .plain(echo().await)
        .replace("[limits]", "[limits]\nconnections = 1\nhead_seconds = 0.3");
    let gate = town.start(&text).await;
    let silent = after(gate.at.requests, "").await;
    let request = town.client(None).get(gate.url("/open/a")).send();
    let answer = timeout(PATIENCE, request).await.expect("in time");
    assert_eq!(answer.unwrap().status(), 200);
    drop(silent);
}
