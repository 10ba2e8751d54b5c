//! Where the audit log is brought.

use std::time::Duration;

use bartizan::config::Config;

use crate::sample::{Folder, WHOLE};
use crate::service::{WEB, built, call};
use bartizan_testkit::Host;

/// A log with sinks.
fn text(sinks: &str) -> String {
    format!(
        "[[rules.rule]]\nname = 'all'\neffect = 'allow'\n[audit]\nfolder = 'audit'\norigin = \
         'orders.example/audit'\nsegment = '128KiB'\nspare_segments = 0\n{sinks}\n"
    )
}

#[tokio::test]
async fn what_passed_and_what_was_refused_is_brought_into_a_file() {
    let folder = Folder::new();
    let sink = "[[audit.sink]]\nname = 'lines'\nfile = 'lines.jsonl'\npoll_interval = '10ms'\n";
    let configured = built(&folder, &format!("{WHOLE}{sink}")).await;
    let token = folder.mint.token().audience("orders").scope("echo");
    let token = token.sign().unwrap();
    for (address, token, expected) in [
        ("192.0.2.1", Some(&token), None),
        ("192.0.2.2", None, Some("jwt.missing")),
    ] {
        let call = call(address, Some(WEB), token.map(String::as_str));
        let answer = Host::Hyper.send(&configured.layer(), &call).await.unwrap();
        assert_eq!(answer.code().as_deref(), expected);
    }
    let delivery = configured.deliveries()[0].clone();
    let report = configured.shutdown(Duration::from_secs(10)).await.unwrap();
    let status = delivery.status();
    assert_eq!((status.position, status.lag), (report.entries, Some(0)));
    let lines = std::fs::read_to_string(folder.path().join("lines.jsonl")).unwrap();
    assert_eq!(lines.lines().count() as u64, report.entries);
    let of = |address: &str| lines.lines().find(|line| line.contains(address));
    let passed = of("192.0.2.1").unwrap();
    assert!(passed.contains("alice") && passed.contains(WEB), "{passed}");
    assert!(
        lines.contains("jwt.missing") && !lines.contains(&token),
        "{lines}"
    );
}

#[test]
fn what_is_wrong_with_a_sink_is_told_with_its_line() {
    let folder = Folder::new();
    let one = "takes one of `file`, `stdout`, `nats`, `otlp`, `postgres` and `syslog`";
    for (sinks, expected) in [
        (
            "[[audit.sink]]\nname = 'a'",
            format!("line 9, column 1: audit.sink: {one}"),
        ),
        (
            "[[audit.sink]]\nname = 'a'\nfile = 'b'\nstdout = true",
            format!("line 9, column 1: audit.sink: {one}"),
        ),
        (
            "[[audit.sink]]\nname = 'a b'\nstdout = true",
            "line 9, column 1: audit.sink: `name` takes letters, digits, `-` and `_`".to_owned(),
        ),
        (
            "[[audit.sink]]\nname = 'a'\nstdout = true\n\
             [[audit.sink]]\nname = 'a'\nfile = 'b'",
            "line 12, column 1: audit.sink: two sinks are called \"a\"".to_owned(),
        ),
        (
            "[[audit.sink]]\nname = 'a'\nstdout = true\ndeadline = '0s'",
            "line 9, column 1: audit.sink: an interval or a batch is zero".to_owned(),
        ),
        (
            "[[audit.sink]]\nname = 'a'\nsyslog = { reciever = 'a:1' }",
            "line 11, column 12: audit.sink[0].syslog.reciever: unknown option, did you mean \
             `receiver`?"
                .to_owned(),
        ),
        (
            "[[audit.sink]]\nname = 'a'\nstdout = true\nformat = 'oscf'",
            "line 12, column 10: audit.sink[0].format: \"oscf\" is not known, did you mean \
             \"ocsf\"?"
                .to_owned(),
        ),
        (
            "keep_for = '0s'",
            "line 4, column 1: audit: an interval is zero".to_owned(),
        ),
    ] {
        let error = Config::from_toml(&text(sinks), folder.path()).unwrap_err();
        let told: Vec<_> = error.problems().iter().map(ToString::to_string).collect();
        assert!(told.contains(&expected), "{told:?}\n{expected}");
    }
}

/// A sink of each kind that takes a feature.
#[allow(dead_code, reason = "some builds have none of them")]
const EACH: [(&str, &str); 4] = [
    (
        "audit-nats",
        "nats = { servers = ['nats.internal:4222'], roots = 'ca.pem', token = 'file:token' }",
    ),
    (
        "audit-otlp",
        "otlp = { url = 'https://otel.internal/v1/logs', roots = 'ca.pem', \
                    header = [{ name = 'x-key', value = 'file:token' }] }",
    ),
    (
        "audit-postgres",
        "postgres = { url = 'file:database', roots = 'ca.pem' }",
    ),
    (
        "audit-syslog",
        "syslog = { receiver = 'logs.internal:6514', roots = 'ca.pem', \
                      chain = 'orders.pem', key = 'orders-key.pem' }",
    ),
];

#[test]
fn each_kind_is_understood_or_the_feature_is_named_that_lacks() {
    let folder = Folder::new();
    folder.write("token", "hunter2-token");
    folder.write("database", "postgresql://orders:hunter2@db.internal/orders");
    for (feature, sink) in EACH {
        let there = match feature {
            "audit-nats" => cfg!(feature = "audit-nats"),
            "audit-otlp" => cfg!(feature = "audit-otlp"),
            "audit-postgres" => cfg!(feature = "audit-postgres"),
            _ => cfg!(feature = "audit-syslog"),
        };
        let sink = format!("[[audit.sink]]\nname = 'a'\n{sink}");
        let read = Config::from_toml(&text(&sink), folder.path());
        match read {
            Ok(config) => {
                assert!(there, "{feature}");
                let said = format!("{config:?}\n{}", config.effective());
                assert!(!said.contains("hunter2"), "{said}");
            }
            Err(error) => {
                assert!(!there, "{feature}: {error}");
                let [problem] = error.problems() else {
                    panic!("{error}")
                };
                assert_eq!(problem.missing_feature(), Some(feature));
                assert_eq!(problem.line(), Some(11));
            }
        }
    }
}

#[cfg(all(
    feature = "audit-nats",
    feature = "audit-otlp",
    feature = "audit-syslog"
))]
#[test]
fn what_a_sink_refuses_is_told_at_its_line_without_its_secrets() {
    let folder = Folder::new();
    folder.write("token", "hunter2-token");
    for (sink, expected) in [
        (
            "nats = { servers = ['nats.internal:4222'] }",
            "root_pem is not set",
        ),
        (
            "nats = { servers = ['nats:1'], roots = 'ca.pem', user = 'a' }",
            "takes `user` and `password`, or `token`",
        ),
        (
            "nats = { servers = ['nats:1'], roots = 'ca.pem', token = 'file:token', subject = 'a.>' }",
            "it is no subject to publish to",
        ),
        (
            "nats = { servers = ['nats:1'], roots = 'nowhere.pem' }",
            "cannot read ",
        ),
        (
            "otlp = { url = 'https://otel.internal/v1/logs' }",
            "root_pem is not set",
        ),
        (
            "otlp = { url = 'http://otel.internal/v1/logs', allow_plaintext_loopback = true }",
            "url",
        ),
        (
            "syslog = { receiver = 'logs.internal', roots = 'ca.pem' }",
            "it is not host:port",
        ),
        (
            "syslog = { receiver = 'logs:1', roots = 'ca.pem', facility = 24 }",
            "up to 23",
        ),
        (
            "syslog = { receiver = 'logs:1', roots = 'ca.pem', chain = 'orders.pem' }",
            "`chain` and `key` go together",
        ),
    ] {
        let text = text(&format!("[[audit.sink]]\nname = 'a'\n{sink}"));
        let error = Config::from_toml(&text, folder.path()).unwrap_err();
        let told = error.to_string();
        assert!(
            told.starts_with("line 11, ") && told.contains(expected),
            "{sink}\n{told}"
        );
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[cfg(all(unix, feature = "audit-postgres"))]
#[tokio::test]
async fn a_database_takes_what_passed_and_what_was_refused() {
    let postgres = bartizan_testkit::PostgresServer::start("orders", &[]).await;
    let Some(postgres) = postgres.unwrap() else {
        return;
    };
    let folder = Folder::new();
    folder.write("database", &postgres.url());
    let sink = "[[audit.sink]]\nname = 'database'\nfirst_pause = '50ms'\nlongest_pause = '50ms'\n\
                postgres = { url = 'file:database', allow_plaintext_loopback = true, \
                create_tables = true }\n";
    let configured = built(&folder, &format!("{WHOLE}{sink}")).await;
    let call = call("192.0.2.2", Some(WEB), None);
    let answer = Host::Hyper.send(&configured.layer(), &call).await.unwrap();
    assert_eq!(answer.code().as_deref(), Some("jwt.missing"));
    let report = configured.shutdown(Duration::from_secs(60)).await.unwrap();
    let status = configured.deliveries()[0].status();
    assert_eq!(
        (status.position, status.lag),
        (report.entries, Some(0)),
        "{status:?}"
    );
}
