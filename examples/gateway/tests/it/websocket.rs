//! WebSockets pass where a route allows them, and end with what they rest on.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan::core::{Clock as _, SystemClock};
use bartizan_testkit::IssuedCertificate;
use bartizan_testkit::tls::dangerous_client_config;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{Gate, PATIENCE, POLICY, Town, bare_upstream, counted, read_head};

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
    let stream = TcpStream::connect(gate.at.requests).await.unwrap();
    open_over(stream, path, token).await
}

/// The same under mutual TLS.
async fn open_as(
    town: &Town,
    gate: &Gate,
    certificate: &IssuedCertificate,
    token: &str,
) -> (TlsStream<TcpStream>, String) {
    let mut tls = dangerous_client_config(&town.ca, Some(certificate)).unwrap();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = TcpStream::connect(gate.at.requests).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(tls)).connect(name, stream);
    open_over(stream.await.unwrap(), "/ws", Some(token)).await
}

async fn open_over<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    path: &str,
    token: Option<&str>,
) -> (S, String) {
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

async fn echoes(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), text: &[u8]) {
    stream.write_all(text).await.unwrap();
    let mut back = vec![0; text.len()];
    let read = timeout(PATIENCE, stream.read_exact(&mut back)).await;
    read.expect("in time").expect("no end");
    assert_eq!(back, text);
}

async fn ends(mut stream: impl AsyncRead + Unpin) {
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

#[tokio::test]
async fn it_ends_with_the_rule_that_allowed_it() {
    let town = Town::new().await;
    let (upstream, _) = mirror().await;
    let gate = town.start(&town.plain(upstream)).await;
    let (reader, writer) = (town.token(), town.token().scope("shop:write"));
    let (reader, writer) = (reader.sign().unwrap(), writer.sign().unwrap());
    let (mut withdrawn, head) = open(&gate, "/ws", Some(&reader)).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    echoes(&mut withdrawn, b"allowed").await;

    // Whoever may write is let in from now on, in place of whoever may read.
    let policy = POLICY.replace("shop:read", "shop:write");
    std::fs::write(town.folder.join("policy.toml"), policy).unwrap();
    ends(withdrawn).await;
    let (_, head) = open(&gate, "/ws", Some(&reader)).await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");

    // One that is still allowed is asked about as often, and goes on.
    let (mut allowed, head) = open(&gate, "/ws", Some(&writer)).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let asked = ["layer=\"authz\",outcome=\"allowed\""];
    let before = counted(&town, &gate, &asked).await;
    let often = async {
        while counted(&town, &gate, &asked).await < before + 3 {
            echoes(&mut allowed, b"still allowed").await;
        }
    };
    timeout(PATIENCE, often)
        .await
        .expect("that it is asked about");
    echoes(&mut allowed, b"still allowed").await;
}

#[tokio::test]
async fn it_ends_when_its_peer_is_revoked_and_no_other_does() {
    let town = Town::new().await;
    let (upstream, _) = mirror().await;
    let revoke = |certificates: &[&IssuedCertificate], number| {
        let serials = certificates.iter().map(|it| it.serial());
        let list = town.ca.revoke(serials, number).unwrap();
        town.ca.write_crl_pem(&town.folder, "crl", &list).unwrap();
    };
    revoke(&[], 1);
    let lists = "revocation_lists = \"crl.pem\"\npeers =";
    let gate = town
        .start(&town.tls(upstream).replace("peers =", lists))
        .await;
    let (stolen, own) = (town.ca.workload("/web"), town.ca.workload("/web"));
    let (stolen, own) = (stolen.unwrap(), own.unwrap());
    let token = town.token().sign().unwrap();
    let (mut thief, head) = open_as(&town, &gate, &stolen, &token).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let (mut owner, _) = open_as(&town, &gate, &own, &token).await;
    echoes(&mut thief, b"one").await;
    echoes(&mut owner, b"two").await;

    revoke(&[&stolen], 2);
    // Also one that is never silent.
    let mut back = [0];
    let busy = async {
        while thief.write_all(b"x").await.is_ok() && thief.read_exact(&mut back).await.is_ok() {}
    };
    timeout(PATIENCE, busy).await.expect("an end");
    echoes(&mut owner, b"goes on").await;
}

#[tokio::test]
async fn it_ends_with_the_certificate_of_its_peer() {
    let town = Town::new().await;
    let (upstream, _) = mirror().await;
    let gate = town.start(&town.tls(upstream)).await;
    let now = SystemClock.wall();
    let leaf = town.ca.leaf().add_uri("spiffe://example.org/web");
    let soon = now + Duration::from_secs(3);
    let leaf = leaf.with_validity(now.saturating_sub(Duration::from_secs(60)), soon);
    let token = town.token().sign().unwrap();
    let (mut stream, head) = open_as(&town, &gate, &leaf.issue().unwrap(), &token).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    echoes(&mut stream, b"as long as it is good").await;
    ends(stream).await;
}
