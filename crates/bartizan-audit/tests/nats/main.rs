//! Entries in a real JetStream.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

mod bus;
#[path = "../servers/line.rs"]
mod line;
#[path = "../servers/log.rs"]
mod log;
#[path = "../servers/process.rs"]
mod process;
#[path = "../servers/programs.rs"]
mod programs;
mod server;
#[path = "../servers/strings.rs"]
mod strings;
#[allow(dead_code, reason = "each binary uses a part of it")]
#[path = "../it/support.rs"]
mod support;
#[path = "../servers/trouble.rs"]
mod trouble;

use bartizan_audit::{
    Batch, Format, NatsSink, NatsSinkBuilder, Sink, SinkError, SinkErrorKind, StoredEntry,
};
use bartizan_testkit::DevelopmentCa;
use serde_json::{Value, json};

use crate::log::{ledger_of, tell};
use crate::server::{Nats, STREAM};
use crate::strings::strings;
use crate::support::{Folder, ORIGIN, end};
use crate::trouble::Server as _;

async fn deliver(sink: &mut NatsSink, entries: &[StoredEntry]) -> Result<(), SinkError> {
    sink.deliver(Batch::new(ORIGIN, entries)).await.map(drop)
}

async fn refusal(builder: NatsSinkBuilder, entries: &[StoredEntry]) -> SinkError {
    deliver(&mut builder.build().unwrap(), entries)
        .await
        .unwrap_err()
}

#[tokio::test]
async fn everything_arrives_whatever_happens() {
    let Some(mut nats) = Nats::start().await else {
        return;
    };
    trouble::everything_arrives_whatever_happens(&mut nats).await;
}

#[tokio::test]
async fn messages_have_a_subject_and_an_identifier_of_their_own() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (folder, size) = ledger_of(3).await;
    let entries = folder.entries();
    let mut sink = nats.builder().allow_plaintext_loopback().build().unwrap();
    deliver(&mut sink, &entries).await.unwrap();
    deliver(&mut sink, &entries).await.unwrap();
    let messages = nats.messages().await;
    assert_eq!(messages.len() as u64, size, "what came twice is there once");
    let subjects: Vec<&str> = messages.iter().map(|it| it.subject.as_str()).collect();
    let expected = ["start", "lifecycle", "lifecycle", "lifecycle", "stop"];
    let expected = expected.map(|kind| format!("audit.orders_example_audit.{kind}"));
    assert_eq!(subjects, expected);
    for (message, index) in messages.iter().zip(0..) {
        let id = format!("Nats-Msg-Id: {ORIGIN}/{index}\r\n");
        assert!(message.headers.contains(&id), "{}", message.headers);
        let payload: Value = serde_json::from_str(&message.payload).unwrap();
        assert_eq!(payload["index"], index);
    }
}

#[tokio::test]
async fn without_a_stream_nothing_is_published_into_the_void() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (folder, _) = ledger_of(3).await;
    let entries = folder.entries();
    let plain = || nats.builder().allow_plaintext_loopback();
    let error = refusal(plain().with_subject("elsewhere.{kind}"), &entries).await;
    assert_eq!(error.kind(), SinkErrorKind::Unavailable);
    assert!(error.to_string().contains("no stream"), "{error}");

    let error = refusal(plain().with_stream("OTHER"), &entries).await;
    assert_eq!(error.kind(), SinkErrorKind::Refused, "{error}");
    assert!(error.to_string().contains("expected stream"), "{error}");
    assert!(nats.messages().await.is_empty());

    // A message that the server would end the connection for.
    let question = json!({"name": STREAM, "subjects": ["audit.>"], "max_msg_size": 64});
    let update = format!("STREAM.UPDATE.{STREAM}");
    let answer = nats.bus().await.ask(&update, &question).await;
    assert!(answer["error"].is_null(), "{answer}");
    let error = refusal(plain(), &entries).await;
    assert_eq!(error.kind(), SinkErrorKind::Refused, "{error}");
}

#[tokio::test]
async fn a_bus_is_believed_by_its_certificate_and_asks_for_ours() {
    for first in [false, true] {
        let Some(mut nats) = Nats::with("", json!({})) else {
            return;
        };
        nats.ca.write_pem(nats.folder(), "ca").unwrap();
        let server = nats.ca.loopback_server().unwrap();
        server.write_pem(nats.folder(), "server").unwrap();
        let path = |name: &str| nats.folder().join(name);
        nats.more = format!(
            "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true, \
             handshake_first: {first} }}",
            path("server.pem"),
            path("server-key.pem"),
            path("ca.pem"),
        );
        nats.spawn();
        let (folder, _) = ledger_of(3).await;
        let entries = folder.entries();
        let ours = nats.ca.workload("/orders").unwrap();
        let begin = || match first {
            true => nats.builder().require_tls_first(),
            false => nats.builder(),
        };
        let root = nats.ca.certificate_pem();
        let believing = || begin().with_root_pem(root.as_bytes());
        let identity = (ours.chain_pem(), ours.key_pem());
        let known = || believing().with_identity_pem(identity.0.as_bytes(), identity.1.as_bytes());
        // There is no stream, and only who was let in can learn that.
        let mut error = refusal(known(), &entries).await;
        for _ in 0..600 {
            if error.to_string().contains("no stream") {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            error = refusal(known(), &entries).await;
        }
        assert!(error.to_string().contains("no stream"), "{error}");

        let error = refusal(believing(), &entries).await;
        assert!(!error.to_string().contains("no stream"), "{error}");
        let other = DevelopmentCa::new("bus.test").unwrap().certificate_pem();
        let error = refusal(begin().with_root_pem(other.as_bytes()), &entries).await;
        assert!(error.to_string().contains("certificate"), "{error}");
        if !first {
            let error = refusal(nats.builder().allow_plaintext_loopback(), &entries).await;
            assert!(error.to_string().contains("wants TLS"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_server_without_tls_is_not_talked_to_in_its_place() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (folder, _) = ledger_of(3).await;
    let root = nats.ca.certificate_pem();
    let error = refusal(
        nats.builder().with_root_pem(root.as_bytes()),
        &folder.entries(),
    )
    .await;
    assert_eq!(error.to_string(), "the server has no TLS");
    assert!(nats.messages().await.is_empty());
}

#[tokio::test]
async fn passwords_and_tokens_are_told_to_the_server_alone() {
    let logins = [
        (
            "authorization { user: audit, password: hunter2 }",
            json!({"verbose": false, "user": "audit", "pass": "hunter2"}),
        ),
        (
            "authorization { token: hunter2 }",
            json!({"verbose": false, "auth_token": "hunter2"}),
        ),
    ];
    for (config, login) in logins {
        let Some(mut nats) = Nats::with(config, login.clone()) else {
            return;
        };
        nats.run().await;
        nats.make_stream(STREAM, "audit.>").await;
        let (folder, size) = ledger_of(3).await;
        let entries = folder.entries();
        let plain = || nats.builder().allow_plaintext_loopback();
        let with = |secret: &str| match login.get("user") {
            Some(_) => plain().with_password("audit", secret),
            None => plain().with_token(secret),
        };
        deliver(&mut with("hunter2").build().unwrap(), &entries)
            .await
            .unwrap();
        assert_eq!(nats.messages().await.len() as u64, size);
        for builder in [plain(), with("other-secret")] {
            let error = refusal(builder, &entries).await;
            assert_eq!(error.kind(), SinkErrorKind::Refused, "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}

#[tokio::test]
async fn another_server_has_its_turn_when_one_is_gone() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (folder, size) = ledger_of(3).await;
    let nobody = process::free_port();
    let mut sink = NatsSink::builder(&format!("127.0.0.1:{nobody}"))
        .add_server(&format!("127.0.0.1:{}", nats.port))
        .allow_plaintext_loopback()
        .build()
        .unwrap();
    let entries = folder.entries();
    let error = deliver(&mut sink, &entries).await.unwrap_err();
    assert_eq!(error.kind(), SinkErrorKind::Unavailable);
    deliver(&mut sink, &entries).await.unwrap();
    assert_eq!(nats.messages().await.len() as u64, size);
}

#[tokio::test]
async fn strings_of_attackers_come_back_as_they_were() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let folder = Folder::new();
    let ledger = folder.ledger();
    let strings = strings();
    for string in &strings {
        tell(&ledger, string);
    }
    end(&ledger, &folder).await;
    let builder = nats.builder().allow_plaintext_loopback();
    let mut sink = builder.with_format(Format::Ecs).build().unwrap();
    deliver(&mut sink, &folder.entries()).await.unwrap();
    let messages = nats.messages().await;
    let told = messages
        .iter()
        .filter(|it| it.subject.ends_with(".lifecycle"));
    let told: Vec<_> = told.collect();
    assert_eq!(told.len(), strings.len());
    for (message, string) in told.iter().zip(&strings) {
        let payload: Value = serde_json::from_str(&message.payload).unwrap();
        let detail = payload["bartizan"]["detail"].as_str().unwrap_or_default();
        assert!(string.starts_with(detail), "{string:?}");
        assert!(detail.len() > 1000 || detail == string, "{string:?}");
    }
}
