//! Entries at a collector of our own.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

mod collector;
#[path = "../servers/line.rs"]
mod line;
#[path = "../servers/log.rs"]
mod log;
#[path = "../servers/process.rs"]
#[allow(dead_code, reason = "this server is no process")]
mod process;
#[path = "../servers/strings.rs"]
mod strings;
#[allow(dead_code, reason = "each binary uses a part of it")]
#[path = "../it/support.rs"]
mod support;
#[path = "../servers/trouble.rs"]
mod trouble;

use std::time::Duration;

use bartizan_audit::{
    Accepted, AuditConfig, AuditLayer, Batch, Delivery, Format, OtlpSink, OtlpSinkBuilder,
    Renderer, Sink, SinkError, SinkErrorKind, StoredEntry,
};
use bartizan_core::{Code, Decision, Entrance, Outcome, RouteTable, SecurityContext};
use bartizan_testkit::DevelopmentCa;
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};

use crate::collector::{Collector, Plan};
use crate::log::{ledger_of, tell};
use crate::strings::strings;
use crate::support::{Folder, ORIGIN, authenticate, end, get, ok};

async fn export(builder: OtlpSinkBuilder, entries: &[StoredEntry]) -> Result<Accepted, SinkError> {
    let mut sink = builder.build().unwrap();
    sink.deliver(Batch::new(ORIGIN, entries)).await
}

#[tokio::test]
async fn everything_arrives_whatever_happens() {
    let mut collector = Collector::start(&[]).await;
    trouble::everything_arrives_whatever_happens(&mut collector).await;
}

#[tokio::test]
async fn an_entry_is_a_record_with_attributes_of_its_own() {
    let collector = Collector::start(&[]).await;
    let folder = Folder::new();
    let ledger = folder.ledger();
    let config = AuditConfig::builder(ledger.clone()).build().unwrap();
    let routes = RouteTable::new(["/orders/{id}"]).unwrap();
    let layer = AuditLayer::new(config).with_entrance(Entrance::new().with_routes(routes));
    let service = layer.layer(service_fn(
        async |request: http::Request<http_body_util::Full<bytes::Bytes>>| {
            authenticate(&request);
            let context = SecurityContext::of(request.extensions()).unwrap();
            let denied = Decision::new("authz", Outcome::Denied);
            context.record(denied.with_code(Code::new("authz.denied")));
            ok("")
        },
    ));
    let mut request = get("/orders/17");
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let value = http::HeaderValue::from_static(trace);
    request.headers_mut().insert("traceparent", value);
    service.oneshot(request).await.unwrap();
    end(&ledger, &folder).await;
    let entries = folder.entries();
    for format in [Format::Json, Format::Ocsf, Format::Ecs, Format::Cef] {
        let builder = collector
            .builder()
            .with_format(format)
            .with_service("orders");
        assert_eq!(export(builder, &entries).await.unwrap(), Accepted::all());
        let records = collector.records();
        let record = &records[records.len() - 2];
        let renderer = Renderer::new(format, ORIGIN).with_service("orders");
        let line = renderer.render(&entries[1]).unwrap();
        let body = record.body.to_json();
        match format {
            Format::Cef => assert_eq!(body, line),
            _ => assert_eq!(body, serde_json::from_str::<Value>(&line).unwrap()),
        }
        assert_eq!(record.event_name, "bartizan.audit.request");
        assert_eq!(
            (record.severity_number, record.severity_text.as_str()),
            (13, "WARN")
        );
        assert_eq!(record.time_unix_nano, record.observed_time_unix_nano);
        let time = entries[1].record().unwrap().time();
        assert_eq!(record.time_unix_nano, time.to_string());
        let trace = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(record.trace_id.as_deref(), Some(trace));
        assert_eq!(record.span_id.as_deref(), Some("b7ad6b7169203331"));
        let uid = format!("{ORIGIN}/1");
        for (name, expected) in [
            ("log.record.uid", uid.as_str()),
            ("bartizan.audit.origin", ORIGIN),
            ("bartizan.audit.index", "1"),
            ("bartizan.audit.outcome", "denied"),
            ("bartizan.audit.code", "authz.denied"),
            ("bartizan.audit.issuer", "https://issuer.example"),
            ("user.id", "alice"),
            ("client.address", "192.0.2.7"),
            ("http.request.method", "GET"),
            ("http.route", "/orders/{id}"),
            ("http.response.status_code", "200"),
        ] {
            assert_eq!(record.text(name), expected, "{name}");
        }
        assert_eq!(record.text("bartizan.audit.hash").len(), 64);
    }
}

#[tokio::test]
async fn a_status_says_what_is_to_be_done() {
    use SinkErrorKind::{Refused, TooLarge, Unavailable};

    let (folder, _) = ledger_of(3).await;
    let entries = folder.entries();
    let check = async |status, retry_after: Option<&'static str>, kind, seconds: Option<u64>| {
        let collector = Collector::start(&[Plan::Status(status, retry_after)]).await;
        let error = export(collector.builder(), &entries).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status}: {error}");
        let pause = seconds.map(Duration::from_secs);
        assert_eq!(error.retry_after(), pause, "{status}");
        assert!(collector.records().is_empty());
    };
    check(429, Some("7"), Unavailable, Some(7)).await;
    check(503, Some("120"), Unavailable, Some(120)).await;
    check(503, Some("soon"), Unavailable, None).await;
    check(502, None, Unavailable, None).await;
    check(504, None, Unavailable, None).await;
    check(413, None, TooLarge, None).await;
    for status in [400, 401, 403, 404, 415, 500, 501] {
        check(status, None, Refused, None).await;
    }
    check(307, None, Refused, None).await;
    // Some collectors say so.
    let collector = Collector::start(&[Plan::Status(204, None)]).await;
    assert_eq!(
        export(collector.builder(), &entries).await.unwrap(),
        Accepted::all()
    );
}

#[tokio::test]
async fn what_is_rejected_is_counted_and_not_sent_again() {
    let partial = r#"{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"too old"}}"#;
    let collector = Collector::start(&[Plan::Say(partial)]).await;
    let (folder, size) = ledger_of(8).await;
    let sink = collector.builder().build().unwrap();
    let delivery = Delivery::builder(folder.path(), "otlp", sink)
        .start()
        .unwrap();
    let status = delivery.shutdown(Duration::from_secs(30)).await;
    assert_eq!(
        (status.position, status.rejected, status.retries),
        (size, 2, 0)
    );
    assert_eq!(status.last_remark.as_deref(), Some("too old"));
    assert_eq!(collector.headers().len(), 1, "one request");
}

#[tokio::test]
async fn what_is_too_large_is_sent_in_parts() {
    let collector = Collector::start(&vec![Plan::TooLargeAbove(40_000); 200]).await;
    let (folder, size) = ledger_of(300).await;
    let sink = collector.builder().build().unwrap();
    let delivery = Delivery::builder(folder.path(), "otlp", sink)
        .start()
        .unwrap();
    let status = delivery.shutdown(Duration::from_secs(60)).await;
    assert_eq!(status.position, size, "{status:?}");
    assert!(status.retries > 0);
    let records = collector.records();
    let indexes: Vec<u64> = records
        .iter()
        .map(|record| record.number("bartizan.audit.index"))
        .collect();
    assert_eq!(indexes, log::all(size));
}

#[tokio::test]
async fn a_collector_is_believed_by_its_certificate() {
    let ca = DevelopmentCa::new("collector.test").unwrap();
    let root = ca.certificate_pem();
    let collector = Collector::start_tls(ca).await;
    let (folder, size) = ledger_of(3).await;
    let entries = folder.entries();
    let url = format!("https://127.0.0.1:{}/v1/logs", collector.port);
    let believing = |pem: &str| OtlpSink::builder(&url).with_root_pem(pem.as_bytes());
    let builder = believing(&root).add_header("x-api-key", "hunter2");
    export(builder, &entries).await.unwrap();
    assert_eq!(collector.records().len() as u64, size);
    assert_eq!(collector.headers()[0]["x-api-key"], "hunter2");
    let other = DevelopmentCa::new("collector.test")
        .unwrap()
        .certificate_pem();
    let error = export(believing(&other), &entries).await.unwrap_err();
    assert_eq!(error.kind(), SinkErrorKind::Unavailable);
    assert!(error.to_string().contains("TLS"), "{error}");
    let public = OtlpSink::builder(&url).allow_public_roots();
    assert!(export(public, &entries).await.is_err());
    assert_eq!(collector.headers().len(), 1, "nobody else got through");
}

#[tokio::test]
async fn strings_of_attackers_come_back_as_they_were() {
    let collector = Collector::start(&[]).await;
    let folder = Folder::new();
    let ledger = folder.ledger();
    let strings = strings();
    for string in &strings {
        tell(&ledger, string);
    }
    end(&ledger, &folder).await;
    let entries = folder.entries();
    export(collector.builder(), &entries).await.unwrap();
    let records = collector.records();
    assert_eq!(records.len(), entries.len());
    for (record, string) in records[1..].iter().zip(&strings) {
        let body = record.body.to_json();
        let detail = body["detail"].as_str().unwrap_or_default();
        assert!(string.starts_with(detail), "{string:?}");
        assert!(detail.len() > 1000 || detail == string, "{string:?}");
    }
}
