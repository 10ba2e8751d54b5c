//! Raw bytes that two hops could read differently. Behind the gateway stands a service that writes
//! down, byte by byte, what it is sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Town, bare_upstream, raw, read_head};

/// After so long a silence nothing more is to come: all of it is on loopback.
const QUIET: Duration = Duration::from_secs(1);

type Record = Arc<Mutex<Vec<String>>>;

/// A service that records each request, head and body, as its bytes came.
async fn recorder() -> (SocketAddr, Record) {
    let record = Record::default();
    let written = Arc::clone(&record);
    let address = bare_upstream(move |mut stream: TcpStream| {
        let record = Arc::clone(&written);
        async move {
            while let Some(head) = read_head(&mut stream).await {
                let body = read_body(&mut stream, &head).await;
                record.lock().unwrap().push(head + &body);
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nrecorded";
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    });
    (address.await, record)
}

/// Reads a body as the head frames it, and notes if it broke off.
async fn read_body(stream: &mut TcpStream, head: &str) -> String {
    let mut body = Vec::new();
    let field = |name: &str| {
        let lower = head.to_ascii_lowercase();
        let line = lower
            .lines()
            .find_map(|line| line.strip_prefix(name).map(str::to_owned));
        line.map(|value| value.trim().to_owned())
    };
    let chunked = field("transfer-encoding:").is_some();
    let length: usize = field("content-length:").map_or(0, |length| length.parse().unwrap());
    let whole = |body: &[u8]| match chunked {
        // The last chunk, and trailers perhaps.
        true => {
            let text = String::from_utf8_lossy(body);
            text.ends_with("\r\n\r\n") && format!("\r\n{text}").contains("\r\n0\r\n")
        }
        false => body.len() == length,
    };
    while !whole(&body) {
        match stream.read_u8().await {
            Ok(byte) => body.push(byte),
            Err(_) => {
                body.extend_from_slice(b"<broken off>");
                break;
            }
        }
    }
    String::from_utf8_lossy(&body).into_owned()
}

/// What is expected of a trick.
enum Expect {
    /// 400, and the upstream hears at most of one request, which breaks off.
    Broken,
    /// This status, and the upstream hears nothing.
    Refused(&'static str),
    /// The upstream gets one request, framed in one way, with nothing behind it.
    OneRequest,
}

use Expect::{Broken, OneRequest, Refused};

const HIDDEN: &str = "GET /open/hidden HTTP/1.1\r\nhost: a\r\nx-bartizan-subject: root\r\n\r\n";

fn tricks() -> Vec<(&'static str, String, Expect)> {
    let post = |fields: &str, body: &str| {
        format!("POST /open/a HTTP/1.1\r\nhost: a\r\n{fields}\r\n{body}")
    };
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n");
    let chunked = "transfer-encoding: chunked\r\n";
    let empty = format!("0\r\n\r\n{HIDDEN}");
    vec![
        // Two lengths. Whatever follows such a request on its connection is not read.
        ("CL.TE", post(&format!("content-length: 6\r\n{chunked}"), &empty), OneRequest),
        ("TE.CL", post(&format!("{chunked}content-length: 4\r\n"), &empty), OneRequest),
        ("two lengths", post("content-length: 0\r\ncontent-length: 5\r\n", HIDDEN), Refused("400")),
        ("a list of lengths", post("content-length: 0, 5\r\n", HIDDEN), Refused("400")),
        ("a signed length", post("content-length: +0\r\n", HIDDEN), Refused("400")),
        ("a negative length", post("content-length: -1\r\n", HIDDEN), Refused("400")),
        ("a hexadecimal length", post("content-length: 0x0\r\n", HIDDEN), Refused("400")),
        ("a huge length", post("content-length: 99999999999999999999\r\n", HIDDEN), Refused("400")),
        ("no length", post("content-length:\r\n", HIDDEN), Refused("400")),
        // Codings that are not quite `chunked`.
        ("unknown coding", post("transfer-encoding: xchunked\r\n", &empty), Refused("400")),
        ("identity", post("transfer-encoding: identity\r\n", &empty), Refused("400")),
        ("chunked is not last", post("transfer-encoding: chunked, identity\r\n", &empty), Refused("400")),
        ("two codings", post("transfer-encoding: chunked\r\ntransfer-encoding: x\r\n", &empty), Refused("400")),
        ("space before the colon", post("transfer-encoding : chunked\r\n", &empty), Refused("400")),
        ("a tab before the colon", post("transfer-encoding\t: chunked\r\n", &empty), Refused("400")),
        ("folded", post("transfer-encoding:\r\n chunked\r\n", &empty), Refused("400")),
        ("folded field", post("x: y\r\n transfer-encoding: chunked\r\n", &empty), Refused("400")),
        ("NUL in a value", post("x: a\0b\r\n", HIDDEN), Refused("400")),
        ("bare CR in a value", post("x: a\rtransfer-encoding: chunked\r\n", &empty), Refused("400")),
        ("HTTP/1.0 with chunks", format!("POST /open/a HTTP/1.0\r\nhost: a\r\n{chunked}\r\n{empty}"), Refused("400")),
        // Chunks that are not quite chunks: nothing behind them becomes a request.
        ("bad chunk size", post(chunked, &format!("0x0\r\n\r\n{HIDDEN}")), Broken),
        ("negative chunk size", post(chunked, &format!("-1\r\n\r\n{HIDDEN}")), Broken),
        ("huge chunk size", post(chunked, &format!("FFFFFFFFFFFFFFFFF\r\n\r\n{HIDDEN}")), Broken),
        ("LF in a chunk extension", post(chunked, &format!("2;\nxx\r\n{empty}")), Broken),
        ("no CRLF behind a chunk", post(chunked, &format!("2\r\nabc\r\n{empty}")), Broken),
        // Bodies where none belongs.
        ("GET with a body", format!("GET /open/a HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{HIDDEN}", HIDDEN.len()), Refused("400")),
        ("GET with chunks", format!("GET /open/a HTTP/1.1\r\nhost: a\r\n{chunked}\r\n2\r\nab\r\n0\r\n\r\n"), Refused("400")),
        ("a body that is a request", post(&format!("content-length: {}\r\n", HIDDEN.len()), HIDDEN), OneRequest),
        // Whose request it is.
        ("two hosts", "GET /open/a HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n".to_owned(), Refused("400")),
        ("the same host twice", "GET /open/a HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n".to_owned(), Refused("400")),
        ("no host", "GET /open/a HTTP/1.1\r\n\r\n".to_owned(), Refused("400")),
        ("another host in the target", get("http://b/open/a"), Refused("400")),
        ("a host with a path", "GET /open/a HTTP/1.1\r\nhost: a/x\r\n\r\n".to_owned(), Refused("400")),
        ("a host with a user", "GET /open/a HTTP/1.1\r\nhost: me@a\r\n\r\n".to_owned(), Refused("400")),
        // Headers that take others away.
        ("a length that is the connection's", post("connection: content-length\r\ncontent-length: 2\r\n", "ab"), Refused("400")),
        ("a host that is the connection's", post("connection: close, Host\r\n", ""), Refused("400")),
        ("an identity that is the connection's", post("connection: x-bartizan-subject\r\n", ""), Refused("400")),
        // Ways past the paths that were decided on.
        ("dot segments", get("/open/../api/a"), Refused("400")),
        ("encoded dot segments", get("/open/%2e%2e/api/a"), Refused("400")),
        ("an encoded slash", get("/open/a%2f..%2f..%2fapi/a"), Refused("400")),
        ("a backslash", get("/open/..%5capi/a"), Refused("400")),
        ("two slashes", get("//open/a"), Refused("400")),
        ("a path parameter", get("/open/..;/api/a"), Refused("400")),
        ("another route in the fragment", get("/open/a#/../../api"), OneRequest),
        // Methods and protocols that open other ways.
        ("CONNECT", "CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n".to_owned(), Refused("400")),
        ("TRACE", "TRACE /open/a HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), Refused("400")),
        ("HTTP/0.9", "GET /open/hidden\r\n\r\n".to_owned(), Refused("400")),
        ("two spaces", get(" /open/hidden"), Refused("400")),
        ("h2c", "GET /open/a HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n".to_owned(), OneRequest),
        // What is read must not mean what a head would.
        ("identity in trailers", post(&format!("{chunked}trailer: x-bartizan-subject, x-own\r\n"), "2\r\nab\r\n0\r\nx-bartizan-subject: root\r\nx-own: 1\r\n\r\n"), OneRequest),
    ]
}

#[tokio::test]
async fn no_trick_smuggles_a_request() {
    let town = Town::new().await;
    // Each has a gateway of its own, so that what one leaves behind is not another's.
    let mut running = tokio::task::JoinSet::new();
    for (name, bytes, expect) in tricks() {
        let (upstream, record) = recorder().await;
        let gate = town.start(&town.plain(upstream)).await;
        running.spawn(async move {
            let answer = raw(gate.at.requests, bytes.as_bytes(), QUIET).await;
            let record = record.lock().unwrap().clone();
            drop(gate);
            (name, answer, record, expect)
        });
    }
    while let Some(done) = running.join_next().await {
        let (name, answer, record, expect) = done.unwrap();
        let seen = record.concat();
        assert!(
            !seen.contains("GET /open/hidden") || name == "a body that is a request",
            "{name}: {seen}"
        );
        let alone = seen.replace(HIDDEN, "");
        assert!(
            !alone.contains("x-bartizan-subject:") && !alone.contains("http2-settings"),
            "{name}: {seen}"
        );
        match expect {
            Refused(status) => {
                assert!(
                    answer.starts_with(&format!("HTTP/1.1 {status} ")),
                    "{name}: {answer}"
                );
                assert_eq!(record.len(), 0, "{name}: {seen}");
            }
            Broken => {
                assert!(answer.starts_with("HTTP/1.1 400 "), "{name}: {answer}");
                assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{name}: {answer}");
                assert!(record.len() <= 1, "{name}: {seen}");
                let whole = |request: &String| !request.ends_with("<broken off>");
                assert!(!record.iter().any(whole), "{name}: {seen}");
            }
            OneRequest => {
                assert_eq!(record.len(), 1, "{name}: {answer} {seen}");
                let head = record[0].split("\r\n\r\n").next().unwrap();
                let framings = ["content-length:", "transfer-encoding:"];
                let framings = framings.iter().filter(|name| head.contains(*name)).count();
                assert!(framings <= 1, "{name}: {head}");
                assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{name}: {answer}");
            }
        }
    }
}

#[tokio::test]
async fn requests_one_behind_the_other_are_each_answered() {
    let town = Town::new().await;
    let (upstream, record) = recorder().await;
    let gate = town.start(&town.plain(upstream)).await;
    let two = "POST /open/a HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab\
               GET /open/b HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answer = raw(gate.at.requests, two.as_bytes(), QUIET).await;
    assert_eq!(answer.matches("HTTP/1.1 200 ").count(), 2, "{answer}");
    let record = record.lock().unwrap().clone();
    let lines: Vec<_> = record
        .iter()
        .filter_map(|request| request.lines().next())
        .collect();
    assert_eq!(lines, ["POST /open/a HTTP/1.1", "GET /open/b HTTP/1.1"]);
}

#[tokio::test]
async fn whoever_was_caught_at_a_trick_is_not_listened_to_any_more() {
    let town = Town::new().await;
    let (upstream, record) = recorder().await;
    let gate = town.start(&town.plain(upstream)).await;
    let bytes = format!("GET /open/a HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n{HIDDEN}");
    let answer = raw(gate.at.requests, bytes.as_bytes(), QUIET).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(
        answer.to_ascii_lowercase().contains("connection: close"),
        "{answer}"
    );
    assert!(record.lock().unwrap().is_empty());
}
