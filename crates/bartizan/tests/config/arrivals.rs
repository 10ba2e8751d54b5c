//! Sinks that are servers, as the file names them: what arrives there.

use std::time::Duration;

use bartizan_testkit::Host;

use crate::sample::{Folder, WHOLE};
use crate::service::{WEB, built, call};

/// Refuses one request, with this sink, and gives the number of entries that were brought there.
async fn brought(folder: &Folder, sink: &str) -> u64 {
    let sink =
        format!("[[audit.sink]]\nname = 'it'\nfirst_pause = '50ms'\nlongest_pause = '1s'\n{sink}");
    let configured = built(folder, &format!("{WHOLE}{sink}\n")).await;
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
    report.entries
}

/// Whether it tells of the request that was refused.
fn tells(record: &str) -> bool {
    record.contains("jwt.missing") && record.contains(WEB)
}

#[cfg(feature = "audit-nats")]
#[tokio::test]
async fn a_stream_of_nats_takes_what_was_refused() {
    use std::process::{Command, Stdio};

    use serde_json::json;

    use crate::bus::Bus;
    use crate::process::{Running, free_port};
    use crate::programs::{in_path, require};
    use crate::wait::until;

    let Some(program) = require("nats-server", in_path("nats-server")) else {
        return;
    };
    let folder = Folder::new();
    let port = free_port();
    let child = Command::new(program)
        .args(["--addr", "127.0.0.1", "--port", &port.to_string()])
        .args(["--auth", "a token of the bus", "--jetstream", "--store_dir"])
        .arg(folder.path().join("streams"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _running = Running(child.unwrap());
    let login = json!({"verbose": false, "headers": true, "auth_token": "a token of the bus"});
    let stream = json!({"name": "AUDIT", "subjects": ["audit.>"], "storage": "file"});
    // It answers before JetStream is there.
    until("there is a stream", async || {
        match Bus::connect(port, &login).await {
            Ok(mut bus) => bus.ask("STREAM.CREATE.AUDIT", &stream).await["error"].is_null(),
            Err(_) => false,
        }
    })
    .await;

    folder.write("bus-token", "a token of the bus\n");
    let sink = format!(
        "nats = {{ servers = ['127.0.0.1:{port}'], allow_plaintext_loopback = true, \
         token = 'file:bus-token', stream = 'AUDIT' }}"
    );
    let entries = brought(&folder, &sink).await;
    let mut bus = Bus::connect(port, &login).await.unwrap();
    let messages = bus.messages("AUDIT").await;
    assert_eq!(messages.len() as u64, entries);
    let told = messages.iter().find(|it| tells(&it.payload)).unwrap();
    assert_eq!(told.subject, "audit.orders_example_audit.request");
}

#[cfg(feature = "audit-otlp")]
#[tokio::test]
async fn a_collector_takes_what_was_refused() {
    use std::sync::{Arc, Mutex};

    use axum::routing::post;
    use http::HeaderMap;

    let taken = Arc::new(Mutex::new(Vec::<String>::new()));
    let noted = Arc::clone(&taken);
    let take = async move |headers: HeaderMap, body: String| {
        assert_eq!(headers["x-key"], "a key of the collector");
        noted.lock().unwrap().push(body);
        "{}"
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let collector = axum::Router::new().route("/v1/logs", post(take));
    tokio::spawn(axum::serve(listener, collector).into_future());

    let folder = Folder::new();
    folder.write("collector-key", "a key of the collector\n");
    let sink = format!(
        "otlp = {{ url = 'http://{address}/v1/logs', allow_plaintext_loopback = true, \
         header = [{{ name = 'x-key', value = 'file:collector-key' }}] }}"
    );
    let entries = brought(&folder, &sink).await;
    let mut records = 0;
    for body in taken.lock().unwrap().iter() {
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        let of_one_scope = body.pointer("/resourceLogs/0/scopeLogs/0/logRecords");
        records += of_one_scope.unwrap().as_array().unwrap().len() as u64;
    }
    assert!(records >= entries, "{records} of {entries}");
    assert!(taken.lock().unwrap().iter().any(|body| tells(body)));
}

#[cfg(feature = "audit-syslog")]
#[tokio::test]
async fn a_receiver_of_syslog_takes_what_was_refused() {
    use bartizan_testkit::DevelopmentCa;

    use crate::receiver::Receiver;
    use crate::wait::until;

    let folder = Folder::new();
    let ca = DevelopmentCa::new("logs.test").unwrap();
    ca.write_pem(folder.path(), "logs-ca").unwrap();
    let receiver = Receiver::start(&ca, &[]).await;
    let sink = format!(
        "syslog = {{ receiver = '127.0.0.1:{}', roots = 'logs-ca.pem', chain = 'orders.pem', \
         key = 'orders-key.pem', facility = 10, require_close_notify = true }}",
        receiver.port
    );
    let entries = brought(&folder, &sink).await;
    // It says that it has them before it notes them.
    until("the receiver has noted them", async || {
        receiver.messages().len() as u64 >= entries
    })
    .await;
    let messages = receiver.messages();
    let told = messages.iter().find(|it| tells(it)).unwrap();
    // The priority is the facility eight times, and the severity.
    let priority: u8 = told[1..].split('>').next().unwrap().parse().unwrap();
    assert_eq!(priority / 8, 10, "{told}");
}
