//! Entries in a real rsyslog, and at a receiver that is careless.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

#[path = "../servers/line.rs"]
mod line;
#[path = "../servers/log.rs"]
mod log;
#[path = "../servers/process.rs"]
mod process;
#[path = "../servers/programs.rs"]
mod programs;
mod receiver;
mod server;
#[path = "../servers/strings.rs"]
mod strings;
#[allow(dead_code, reason = "each binary uses a part of it")]
#[path = "../it/support.rs"]
mod support;
#[path = "../servers/trouble.rs"]
mod trouble;

use std::time::Duration;

use bartizan_audit::{
    Batch, Delivery, Format, Sink, SinkError, SinkErrorKind, StoredEntry, SyslogSink,
    SyslogSinkBuilder,
};
use bartizan_testkit::DevelopmentCa;
use serde_json::Value;

use crate::log::{all, ledger_of, tell};
use crate::receiver::{Plan, Receiver};
use crate::server::Rsyslog;
use crate::strings::strings;
use crate::support::{Folder, ORIGIN, end};
use crate::trouble::Server as _;

async fn deliver(builder: SyslogSinkBuilder, entries: &[StoredEntry]) -> Result<u64, SinkError> {
    let mut sink = builder.build().unwrap();
    let accepted = sink.deliver(Batch::new(ORIGIN, entries)).await?;
    Ok(accepted.rejected)
}

#[tokio::test]
async fn everything_arrives_whatever_happens() {
    let Some(mut rsyslog) = Rsyslog::start().await else {
        return;
    };
    trouble::everything_arrives_whatever_happens(&mut rsyslog).await;
}

#[tokio::test]
async fn whatever_is_in_an_entry_it_is_one_message() {
    let Some(mut rsyslog) = Rsyslog::start().await else {
        return;
    };
    let folder = Folder::new();
    let ledger = folder.ledger();
    let strings = strings();
    for string in &strings {
        tell(&ledger, string);
    }
    end(&ledger, &folder).await;
    let entries = folder.entries();
    for format in [Format::Cef, Format::Json, Format::Ocsf, Format::Ecs] {
        let builder = rsyslog.builder(rsyslog.port()).with_format(format);
        let cut = deliver(builder.with_message_limit(60_000), &entries).await;
        assert_eq!(cut.unwrap(), 0);
        let lines = rsyslog.lines();
        assert_eq!(lines.len(), entries.len(), "{format}: a line each");
        for (line, index) in lines.iter().zip(0..) {
            let expected = format!("[bartizan@32473 log=\"{ORIGIN}\" index=\"{index}\" hash=\"");
            assert!(line.starts_with("<110>1 "), "{line}");
            let (_, rest) = line.split_once(&expected).unwrap();
            let (_, text) = rest.split_once("\"] ").unwrap();
            let at = usize::try_from(index).unwrap();
            if at == 0 || at + 1 == entries.len() {
                continue;
            }
            check_text(format, text, &strings[at - 1]);
        }
        rsyslog.clear().await;
    }
}

fn check_text(format: Format, text: &str, string: &str) {
    if format == Format::Cef {
        assert!(
            text.starts_with("CEF:0|Bartizan|bartizan-audit|1|lifecycle|"),
            "{text}"
        );
        assert!(!text.contains(|c: char| c.is_control()), "{text:?}");
        return;
    }
    let document: Value = serde_json::from_str(text).unwrap();
    let detail = match format {
        Format::Ecs => &document["bartizan"]["detail"],
        Format::Ocsf => &document["unmapped"]["detail"],
        _ => &document["detail"],
    };
    let detail = detail.as_str().unwrap_or_default();
    assert!(string.starts_with(detail), "{string:?}");
    assert!(detail.len() > 1000 || detail == string, "{string:?}");
}

#[tokio::test]
async fn a_receiver_is_believed_by_its_certificate_and_asks_for_ours() {
    let Some(rsyslog) = Rsyslog::start().await else {
        return;
    };
    let (folder, size) = ledger_of(5).await;
    let entries = folder.entries();
    let receiver = format!("127.0.0.1:{}", rsyslog.port());
    let root = rsyslog.ca.certificate_pem();
    let nobody = SyslogSink::builder(&receiver).with_root_pem(root.as_bytes());
    let error = deliver(nobody, &entries).await.unwrap_err();
    assert_eq!(error.kind(), SinkErrorKind::Unavailable, "{error}");
    let other = DevelopmentCa::new("logs.test").unwrap().certificate_pem();
    let wrong = SyslogSink::builder(&receiver).with_root_pem(other.as_bytes());
    let error = deliver(wrong, &entries).await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    assert!(rsyslog.lines().is_empty());
    deliver(rsyslog.builder(rsyslog.port()), &entries)
        .await
        .unwrap();
    assert_eq!(rsyslog.lines().len() as u64, size);
}

#[tokio::test]
async fn what_a_receiver_did_not_read_is_sent_again() {
    let ca = DevelopmentCa::new("logs.test").unwrap();
    let plans = [
        Plan::GoAfter(100),
        Plan::EndAtOnce,
        Plan::GoAfter(20_000),
        Plan::Take,
    ];
    let receiver = Receiver::start(&ca, &[plans, plans].concat()).await;
    let (folder, size) = ledger_of(2000).await;
    let sink = SyslogSink::builder(&format!("127.0.0.1:{}", receiver.port))
        .with_root_pem(ca.certificate_pem().as_bytes())
        .require_close_notify()
        .build()
        .unwrap();
    let delivery = Delivery::builder(folder.path(), "syslog", sink)
        .with_backoff(Duration::ZERO, Duration::from_millis(10))
        .start()
        .unwrap();
    let status = delivery.shutdown(Duration::from_secs(60)).await;
    assert_eq!((status.position, status.retries), (size, 6), "{status:?}");
    let messages = receiver.messages();
    let index = |message: &String| {
        let (_, rest) = message.split_once(" index=\"").unwrap();
        rest.split('"').next().unwrap().parse().unwrap()
    };
    let indexes: Vec<u64> = messages.iter().map(index).collect();
    assert_eq!(indexes, all(size), "of what was read to its end, each once");
}

#[tokio::test]
async fn an_end_without_a_word_is_enough_unless_one_is_required() {
    let ca = DevelopmentCa::new("logs.test").unwrap();
    let receiver = Receiver::start(&ca, &[Plan::TakeAndGo, Plan::TakeAndGo, Plan::Take]).await;
    let (folder, _) = ledger_of(5).await;
    let entries = folder.entries();
    let root = ca.certificate_pem();
    let address = format!("127.0.0.1:{}", receiver.port);
    let begin = || SyslogSink::builder(&address).with_root_pem(root.as_bytes());
    deliver(begin(), &entries).await.unwrap();
    let error = deliver(begin().require_close_notify(), &entries)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), SinkErrorKind::Unavailable);
    assert!(error.to_string().contains("close_notify"), "{error}");
    deliver(begin().require_close_notify(), &entries)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_too_long_is_sent_without_its_content_and_counted() {
    let ca = DevelopmentCa::new("logs.test").unwrap();
    let receiver = Receiver::start(&ca, &[]).await;
    let folder = Folder::new();
    let ledger = folder.ledger();
    tell(&ledger, "short");
    tell(&ledger, &"é".repeat(500));
    end(&ledger, &folder).await;
    let builder = SyslogSink::builder(&format!("127.0.0.1:{}", receiver.port));
    let builder = builder.with_root_pem(ca.certificate_pem().as_bytes());
    let cut = deliver(builder.with_message_limit(2048), &folder.entries()).await;
    assert_eq!(cut.unwrap(), 1);
    let messages = receiver.messages();
    assert_eq!(messages.len(), 4);
    assert!(messages.iter().all(|message| message.len() <= 2048));
    assert!(messages[1].contains("short") && !messages[1].contains("too_long"));
    assert!(messages[2].contains(" index=\"2\" ") && messages[2].contains("too_long"));
}
