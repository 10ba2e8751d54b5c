//! WebSockets pass where a route allows them, and end with what they rest on.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Gate, PATIENCE, Town, bare_upstream, read_head};

type Heads = Arc<Mutex<Vec<String>>>;

/// A service that agrees to a WebSocket, and then sends everything back.
async fn mirror() -> (SocketAddr, Heads) {
    let heads = Heads::default();
    let seen = Arc::clone(&heads);
    let address = bare_upstream(move |mut stream: TcpStream| {
        let heads = Arc::clone(&seen);
        async move {
            let Some(head) = read_head(&mut stream).await else {
                return;
            };
            let asked = head.contains("upgrade: websocket");
            heads.lock().unwrap().push(head);
            if !asked {
                let answer = "HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\n\r\n";
                let _ = stream.write_all(answer.as_bytes()).await;
                return;
            }
            let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
                          upgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes()).await;
            let (mut from, mut to) = stream.split();
            let _ = tokio::io::copy(&mut from, &mut to).await;
        }
    });
    (address.await, heads)
}

/// Asks for a WebSocket, and gives the connection and the answer's head.
async fn open(gate: &Gate, path: &str, token: Option<&str>) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(gate.at.requests).await.unwrap();
    let token = token.map_or(String::new(), |token| {
        format!("authorization: Bearer {token}\r\n")
    });
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{token}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let head = timeout(PATIENCE, read_head(&mut stream)).await;
    let head = head.expect("in time").expect("a head");
    (stream, head)
}

async fn echoes(stream: &mut TcpStream, text: &[u8]) {
    stream.write_all(text).await.unwrap();
    let mut back = vec![0; text.len()];
    let read = timeout(PATIENCE, stream.read_exact(&mut back)).await;
    read.expect("in time").expect("no end");
    assert_eq!(back, text);
}

async fn ends(mut stream: TcpStream) {
    let mut rest = Vec::new();
    let end = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    let _ = end.expect("an end");
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_websocket_passes_for_whoever_may_open_it() {
    let town = Town::new().await;
    let (upstream, heads) = mirror().await;
    let gate = town.start(&town.plain(upstream)).await;
    let token = town.token().sign().unwrap();
    let (mut stream, head) = open(&gate, "/ws", Some(&token)).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("sec-websocket-accept"), "{head}");
    echoes(&mut stream, b"one").await;
    echoes(&mut stream, &[7; 100_000]).await;
    let seen = heads.lock().unwrap().concat();
    assert!(seen.contains("x-bartizan-subject: alice"), "{seen}");
    assert!(!seen.contains("Bearer"), "{seen}");
    drop(stream);

    let (_, head) = open(&gate, "/ws", None).await;
    assert!(head.starts_with("HTTP/1.1 401 "), "{head}");
}

#[tokio::test]
async fn a_route_that_allows_none_asks_for_none() {
    let town = Town::new().await;
    let (upstream, heads) = mirror().await;
    let gate = town.start(&town.plain(upstream)).await;
    let (_, head) = open(&gate, "/open/ws", None).await;
    assert!(head.starts_with("HTTP/1.1 426 "), "{head}");
    let seen = heads.lock().unwrap().concat();
    assert!(!seen.contains("upgrade"), "{seen}");
}

#[tokio::test]
async fn there_is_room_for_so_many() {
    let town = Town::new().await;
    let (upstream, _) = mirror().await;
    let text = town
        .plain(upstream)
        .replace("[limits]", "[limits]\ntunnels = 1");
    let gate = town.start(&text).await;
    let token = town.token().sign().unwrap();
    let (mut first, head) = open(&gate, "/ws", Some(&token)).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    echoes(&mut first, b"still here").await;
    let (_, head) = open(&gate, "/ws", Some(&token)).await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
}

#[tokio::test]
async fn it_ends_when_nothing_happens() {
    let town = Town::new().await;
    let (upstream, _) = mirror().await;
    let text = town
        .plain(upstream)
        .replace("idle_seconds = 10", "idle_seconds = 0.3");
    let gate = town.start(&text).await;
    let token = town.token().sign().unwrap();
    let (mut stream, _) = open(&gate, "/ws", Some(&token)).await;
    echoes(&mut stream, b"last words").await;
    ends(stream).await;
}

#[tokio::test]
async fn it_ends_with_the_token_that_it_rests_on() {
    let town = Town::new().await;
    let (upstream, _) = mirror().await;
    let gate = town.start(&town.plain(upstream)).await;
    let token = town
        .token()
        .expires_in(Duration::from_secs(3))
        .sign()
        .unwrap();
    let (mut stream, head) = open(&gate, "/ws", Some(&token)).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    echoes(&mut stream, b"as long as it is good").await;
    ends(stream).await;
}

#[tokio::test]
async fn it_has_to_be_opened_anew_however_busy_it_is_and_however_long_its_token_is_good() {
    let town = Town::new().await;
    let (upstream, _) = mirror().await;
    let text = town
        .plain(upstream)
        .replace("[limits]", "[limits]\ntunnel_seconds = 0.5");
    let gate = town.start(&text).await;
    let token = town.token().sign().unwrap();
    let (mut stream, _) = open(&gate, "/ws", Some(&token)).await;
    echoes(&mut stream, b"hello").await;
    let mut back = [0];
    let busy = async {
        while stream.write_all(b"x").await.is_ok() && stream.read_exact(&mut back).await.is_ok() {}
    };
    timeout(PATIENCE, busy).await.expect("an end");
    let (mut stream, _) = open(&gate, "/ws", Some(&token)).await;
    echoes(&mut stream, b"again").await;
}

#[tokio::test]
async fn it_ends_with_the_gateway() {
    let town = Town::new().await;
    let (upstream, _) = mirror().await;
    let mut gate = town.start(&town.plain(upstream)).await;
    let token = town.token().sign().unwrap();
    let (mut stream, _) = open(&gate, "/ws", Some(&token)).await;
    echoes(&mut stream, b"hello").await;
    gate.stop();
    ends(stream).await;
    gate.has_ended().await;
}
