//! Upstreams that are away, slow, break off or talk nonsense; clients that do not go on.

use std::net::SocketAddr;
use std::time::Duration;

use bartizan_testkit::{Endpoint, Fault};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::support::{PATIENCE, Town, bare_upstream, raw, read_head};

async fn refused(town: &Town, text: &str) -> (u16, String) {
    let gate = town.start(text).await;
    let answer = town
        .client(None)
        .get(gate.url("/open/a"))
        .send()
        .await
        .unwrap();
    let status = answer.status().as_u16();
    (status, answer.text().await.unwrap())
}

#[tokio::test]
async fn an_upstream_that_is_away_is_502() {
    let town = Town::new().await;
    // A port that nobody listens on any more.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr();
    let (status, text) = refused(&town, &town.plain(gone.unwrap())).await;
    assert_eq!(status, 502);
    assert!(text.contains("gateway.upstream_unreachable"), "{text}");
    assert!(!text.contains("refused"), "the cause is ours: {text}");
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_is_504() {
    let town = Town::new().await;
    let silent = bare_upstream(async |mut stream| {
        let _ = read_head(&mut stream).await;
        std::future::pending().await
    });
    let text = town.plain(silent.await);
    let text = text.replace("response_seconds = 10", "response_seconds = 0.2");
    let (status, text) = refused(&town, &text).await;
    assert_eq!(status, 504);
    assert!(text.contains("gateway.upstream_slow"), "{text}");
}

#[tokio::test]
async fn what_is_no_http_is_502() {
    let town = Town::new().await;
    for nonsense in [
        "HTTP/1.1 999999 NO\r\n\r\n",
        "SSH-2.0-OpenSSH_9.9\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n",
        "",
    ] {
        let talks = bare_upstream(move |mut stream: TcpStream| async move {
            let _ = read_head(&mut stream).await;
            let _ = stream.write_all(nonsense.as_bytes()).await;
        });
        let (status, text) = refused(&town, &town.plain(talks.await)).await;
        assert_eq!(status, 502, "{nonsense:?}: {text}");
        assert!(text.contains("gateway.upstream_failed"), "{text}");
    }
}

#[tokio::test]
async fn a_protocol_that_nobody_asked_for_is_502() {
    let town = Town::new().await;
    let switches = bare_upstream(async |mut stream| {
        let _ = read_head(&mut stream).await;
        let head =
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: own\r\n\r\n";
        let _ = stream.write_all(head.as_bytes()).await;
        std::future::pending().await
    });
    let (status, text) = refused(&town, &town.plain(switches.await)).await;
    assert_eq!(status, 502);
    assert!(text.contains("gateway.upstream_failed"), "{text}");
}

/// An upstream that sends this and breaks off.
async fn breaks_off_after(text: &'static str) -> SocketAddr {
    bare_upstream(move |mut stream: TcpStream| async move {
        let _ = read_head(&mut stream).await;
        let _ = stream.write_all(text.as_bytes()).await;
    })
    .await
}

#[tokio::test]
async fn a_response_that_breaks_off_does_not_look_whole() {
    let town = Town::new().await;
    for text in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nthe beginning",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nbegin\r\n",
    ] {
        let gate = town.start(&town.plain(breaks_off_after(text).await)).await;
        let answer = town.client(None).get(gate.url("/open/a")).send().await;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.text().await.is_err(), "{text}");
    }
}

#[tokio::test]
async fn an_upstream_that_falls_silent_in_the_middle_is_not_waited_for_forever() {
    let town = Town::new().await;
    let stalls = bare_upstream(async |mut stream| {
        let _ = read_head(&mut stream).await;
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nthe beginning";
        let _ = stream.write_all(head.as_bytes()).await;
        std::future::pending().await
    });
    let text = town
        .plain(stalls.await)
        .replace("idle_seconds = 10", "idle_seconds = 0.2");
    let gate = town.start(&text).await;
    let answer = town
        .client(None)
        .get(gate.url("/open/a"))
        .send()
        .await
        .unwrap();
    let read = tokio::time::timeout(PATIENCE, answer.text()).await;
    assert!(read.expect("an end").is_err());
}

#[tokio::test]
async fn a_client_that_does_not_go_on_is_408_and_not_the_upstreams_fault() {
    let town = Town::new().await;
    let waits = bare_upstream(async |mut stream| {
        let _ = read_head(&mut stream).await;
        std::future::pending().await
    });
    let text = town.plain(waits.await);
    let text = text.replace("response_seconds = 10", "response_seconds = 0.3");
    let gate = town.start(&text).await;
    let half = "POST /open/a HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf";
    let answer = raw(gate.at.requests, half.as_bytes(), Duration::from_secs(5)).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("gateway.client_slow"), "{answer}");
}

#[tokio::test]
async fn an_issuer_that_is_away_is_503_and_not_401() {
    let town = Town::new().await;
    let token = town.token().sign().unwrap();
    let text = town.plain(crate::support::echo().await);
    town.issuer.set_fault(Endpoint::Jwks, Fault::Status(502));
    let gate = town.start(&text).await;
    let client = town.client(None);
    let open = client.get(gate.url("/open/a")).send().await.unwrap();
    assert_eq!(open.status(), 200, "what needs no token goes on");
    let answer = client
        .get(gate.url("/api/a"))
        .bearer_auth(token)
        .send()
        .await;
    assert_eq!(answer.unwrap().status(), 503);
}
