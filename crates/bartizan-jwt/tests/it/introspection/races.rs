//! Answers that take their time, and are overtaken by others.

use std::sync::Arc;
use std::time::Duration;

use bartizan_jwt::{ClientAuthentication, HttpsFetcher, Introspection, JwtConfig, JwtLayer, Rules};
use bartizan_testkit::ManualClock;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, yield_now};

use crate::support::{AUDIENCE, ISSUER, outcome, passed, refused};

/// More than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

const TOKEN: &str = "2YotnFZFEjr1zCsicMWpAA";

/// An issuer that answers when it is told to.
struct Issuer {
    listener: TcpListener,
    clock: ManualClock,
}

/// What it was asked and has not answered.
struct Question(TcpStream);

impl Issuer {
    async fn new() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            clock: ManualClock::default(),
        }
    }

    fn layer(&self) -> JwtLayer {
        let rules = Rules::builder(ISSUER, AUDIENCE)
            .allow_missing_issued_at()
            .allow_missing_token_id()
            .allow_missing_client();
        let url = format!("http://{}/", self.listener.local_addr().unwrap());
        let secret = ClientAuthentication::basic("orders", "s3cr3t");
        let fetcher = HttpsFetcher::builder()
            .allow_plaintext_loopback()
            .with_deadline(PATIENCE);
        let introspection = Introspection::builder(rules.build().unwrap(), &url, secret)
            .with_fetcher(fetcher.build().unwrap());
        let config = JwtConfig::introspecting(introspection.build().unwrap())
            .with_patience(PATIENCE)
            .with_clock(Arc::new(self.clock.clone()));
        JwtLayer::start(config.build().unwrap()).unwrap()
    }

    async fn asked(&self) -> Question {
        let (mut socket, _) = self.listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"=access_token") {
            assert_ne!(socket.read_buf(&mut request).await.unwrap(), 0);
        }
        Question(socket)
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

impl Question {
    async fn answer(self, is_active: bool) {
        let body = match is_active {
            true => json!({
                "active": true, "iss": ISSUER, "aud": AUDIENCE, "sub": "alice",
                "exp": 4_000_000_000_u64,
            }),
            false => json!({ "active": false }),
        };
        let body = body.to_string();
        let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json";
        let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let mut socket = self.0;
        socket.write_all(answer.as_bytes()).await.unwrap();
        // Whoever asked has read it when they hang up, and may make something of it then.
        let _ = socket.read_to_end(&mut Vec::new()).await;
        for _ in 0..100 {
            yield_now().await;
        }
    }
}

fn send(layer: &JwtLayer) -> JoinHandle<(u16, Option<String>)> {
    let layer = layer.clone();
    tokio::spawn(async move { outcome(&layer, TOKEN).await })
}

#[tokio::test]
async fn an_earlier_answer_does_not_take_a_later_refusal_back() {
    let issuer = Issuer::new().await;
    let layer = issuer.layer();
    let first = send(&layer);
    issuer.asked().await.answer(true).await;
    assert_eq!(first.await.unwrap(), passed());
    // It is asked about again in the background, and the answer is a long time coming.
    issuer.pass(55);
    assert_eq!(outcome(&layer, TOKEN).await, passed());
    let slow = issuer.asked().await;
    // It is forgotten meanwhile, ends at its issuer, and is asked about for a request.
    issuer.pass(6);
    let second = send(&layer);
    issuer.asked().await.answer(false).await;
    let inactive = || refused(401, "jwt.inactive");
    assert_eq!(second.await.unwrap(), inactive());
    slow.answer(true).await;
    assert_eq!(outcome(&layer, TOKEN).await, inactive());
    assert_eq!(layer.guard().introspected_tokens(), 0);
}

#[tokio::test]
async fn what_was_answered_late_is_remembered_no_longer_for_that() {
    let issuer = Issuer::new().await;
    let layer = issuer.layer();
    let first = send(&layer);
    let slow = issuer.asked().await;
    issuer.pass(20);
    slow.answer(true).await;
    assert_eq!(first.await.unwrap(), passed());
    assert_eq!(layer.guard().introspected_tokens(), 1);
    // A minute after the question it may have ended for as long as may be.
    issuer.pass(40);
    let mut second = send(&layer);
    tokio::select! {
        unasked = &mut second => panic!("nobody was asked: {unasked:?}"),
        question = issuer.asked() => question.answer(false).await,
    }
    assert_eq!(second.await.unwrap(), refused(401, "jwt.inactive"));
}
