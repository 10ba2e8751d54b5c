//! Entries in a real PostgreSQL.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

#[path = "../servers/line.rs"]
mod line;
#[path = "../servers/log.rs"]
mod log;
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
    AuditConfig, AuditLayer, Batch, Checkpoint, Delivery, Format, Ledger, PostgresSink, Rule, Sink,
    SinkError, SinkErrorKind, StoredEntry, inclusion_proof, leaf_hash, verify_inclusion,
};
use bartizan_core::{Code, Decision, Entrance, Outcome, RouteTable, SecurityContext};
use bartizan_testkit::DevelopmentCa;
use tower::{Layer, ServiceExt, service_fn};

use crate::log::{ledger_of, tell};
use crate::server::Postgres;
use crate::strings::strings;
use crate::support::{Folder, ORIGIN, authenticate, end, get, ok};

async fn deliver(sink: &mut PostgresSink, entries: &[StoredEntry]) -> Result<(), SinkError> {
    sink.deliver(Batch::new(ORIGIN, entries)).await.map(drop)
}

#[tokio::test]
async fn everything_arrives_whatever_happens() {
    let Some(mut postgres) = Postgres::start().await else {
        return;
    };
    trouble::everything_arrives_whatever_happens(&mut postgres).await;
}

#[tokio::test]
async fn what_people_look_for_has_columns() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let folder = Folder::new();
    let ledger = folder.ledger();
    serve(&ledger).await;
    end(&ledger, &folder).await;
    let entries = folder.entries();
    let sink = postgres.builder().create_table().with_format(Format::Ocsf);
    let mut sink = sink.build().unwrap();
    deliver(&mut sink, &entries).await.unwrap();
    let client = postgres.client().await;
    let row = client
        .query_one(
            "select index, kind, outcome, code, principal, issuer, host(address), method, route, \
             status, trace_id, time > now() - interval '1 hour' and time <= now(), \
             (document->>'class_uid')::int, document->'metadata'->>'uid' \
             from bartizan_audit where outcome = 'denied'",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 2);
    let texts: Vec<&str> = (1..9).map(|column| row.get(column)).collect();
    let expected = [
        "request",
        "denied",
        "authz.denied",
        "alice",
        "https://issuer.example",
        "192.0.2.7",
        "GET",
        "/orders/{id}",
    ];
    assert_eq!(texts, expected);
    assert_eq!(row.get::<_, i32>(9), 200);
    assert_eq!(row.get::<_, &str>(10), "0af7651916cd43dd8448eb211c80319c");
    assert!(row.get::<_, bool>(11), "the time is now");
    assert_eq!(row.get::<_, i32>(12), 6003);
    assert_eq!(row.get::<_, String>(13), format!("{ORIGIN}/2"));
    let others = "select count(*) from bartizan_audit where outcome is null and code is null";
    let count: i64 = client.query_one(others, &[]).await.unwrap().get(0);
    assert_eq!(count, entries.len() as i64 - 1);
}

/// One request to no route, and one that is denied.
async fn serve(ledger: &Ledger) {
    let rule = Rule::metadata();
    let config = AuditConfig::builder(ledger.clone()).add_rule(rule);
    let routes = RouteTable::new(["/orders/{id}"]).unwrap();
    let layer =
        AuditLayer::new(config.build().unwrap()).with_entrance(Entrance::new().with_routes(routes));
    let service = layer.layer(service_fn(
        async |request: http::Request<http_body_util::Full<bytes::Bytes>>| {
            if request.uri().path() != "/" {
                authenticate(&request);
                let context = SecurityContext::of(request.extensions()).unwrap();
                let denied = Decision::new("authz", Outcome::Denied);
                context.record(denied.with_code(Code::new("authz.denied")));
            }
            ok("")
        },
    ));
    service.clone().oneshot(get("/")).await.unwrap();
    let mut request = get("/orders/17?card=4111");
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let value = http::HeaderValue::from_static(trace);
    request.headers_mut().insert("traceparent", value);
    service.oneshot(request).await.unwrap();
}

#[tokio::test]
async fn another_entry_in_the_same_place_is_refused_loudly() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let (folder, size) = ledger_of(20).await;
    let entries = folder.entries();
    let mut sink = postgres.builder().create_table().build().unwrap();
    deliver(&mut sink, &entries[..10]).await.unwrap();
    let client = postgres.client().await;
    for change in [
        "set entry = overlay(entry placing '\\x00' from 3)",
        "set hash = sha256('another')",
    ] {
        client
            .batch_execute("create table kept as select * from bartizan_audit")
            .await
            .unwrap();
        let update = format!("update bartizan_audit {change} where index = 7");
        assert_eq!(client.execute(&update, &[]).await.unwrap(), 1);
        let refused = deliver(&mut sink, &entries).await.unwrap_err();
        assert_eq!(refused.kind(), SinkErrorKind::Conflict, "{change}");
        let expected = format!("the table has another entry 7 of {ORIGIN}");
        assert_eq!(refused.to_string(), expected);
        let count: i64 = client
            .query_one("select count(*) from bartizan_audit", &[])
            .await
            .unwrap()
            .get(0);
        assert_eq!(count, 10, "all of a batch or nothing");
        client
            .batch_execute(
                "delete from bartizan_audit; insert into bartizan_audit select * from kept; \
                 drop table kept",
            )
            .await
            .unwrap();
    }
    // And through a delivery, where everybody can see it.
    client
        .batch_execute("update bartizan_audit set entry = 'x' where index = 0")
        .await
        .unwrap();
    let delivery = Delivery::builder(folder.path(), "postgres", sink)
        .start()
        .unwrap();
    let status = delivery.wait_for(|status| status.failures > 0).await;
    assert_eq!(status.last_failure.unwrap().kind, SinkErrorKind::Conflict);
    let status = delivery.shutdown(Duration::from_millis(1)).await;
    assert_eq!(status.position, 0);
    assert!(size > 10);
}

#[tokio::test]
async fn proofs_are_made_from_the_database_alone() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let folder = Folder::new();
    let ledger = folder.ledger();
    for number in 0..77 {
        tell(&ledger, &format!("key-{number}"));
    }
    let report = end(&ledger, &folder).await;
    let mut sink = postgres.builder().create_table().build().unwrap();
    deliver(&mut sink, &folder.entries()).await.unwrap();
    drop(folder);
    let rows = postgres
        .client()
        .await
        .query(
            "select hash, entry from bartizan_audit where origin = $1 order by index",
            &[&ORIGIN],
        )
        .await
        .unwrap();
    let leaves: Vec<[u8; 32]> = rows
        .iter()
        .map(|row| {
            let hash = leaf_hash(row.get("entry"));
            assert_eq!(hash, row.get::<_, &[u8]>("hash"));
            hash
        })
        .collect();
    let note = bartizan_audit::Note::parse(report.checkpoint.as_bytes()).unwrap();
    let checkpoint = Checkpoint::parse(note.text()).unwrap();
    let proof = inclusion_proof(42, &leaves).unwrap();
    let holds = |leaf: &[u8; 32]| {
        verify_inclusion(42, checkpoint.size, leaf, &checkpoint.root, &proof).is_ok()
    };
    assert!(holds(&leaves[42]));
    assert!(!holds(&leaves[41]));
}

#[tokio::test]
async fn strings_of_attackers_come_back_as_they_were() {
    let Some(postgres) = Postgres::start().await else {
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
    for format in [Format::Json, Format::Ocsf, Format::Ecs] {
        let builder = postgres.builder().create_table().with_format(format);
        let mut sink = builder.build().unwrap();
        for batch in entries.chunks(500) {
            deliver(&mut sink, batch).await.unwrap();
        }
        let client = postgres.client().await;
        let path = match format {
            Format::Json => "{detail}",
            Format::Ocsf => "{unmapped,detail}",
            _ => "{bartizan,detail}",
        };
        let query = format!(
            "select index, entry, document#>>'{path}' from bartizan_audit \
             where kind = 'lifecycle' order by index"
        );
        let rows = client.query(&query, &[]).await.unwrap();
        assert_eq!(rows.len(), strings.len());
        for (row, string) in rows.iter().zip(&strings) {
            let entry = &entries[usize::try_from(row.get::<_, i64>(0)).unwrap()];
            assert_eq!(row.get::<_, &[u8]>(1), entry.bytes);
            let detail: &str = row.get::<_, Option<&str>>(2).unwrap_or_default();
            let expected = string.replace('\0', "\u{fffd}");
            // The record itself has at most a kilobyte of it.
            assert!(expected.starts_with(detail), "{format}: {string:?}");
            assert!(
                detail.len() > 1000 || detail == expected,
                "{format}: {string:?}"
            );
        }
        client
            .batch_execute("drop table bartizan_audit")
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_database_is_believed_by_its_certificate_and_a_table_is_made_when_asked() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let (folder, _) = ledger_of(3).await;
    let entries = folder.entries();
    let url = postgres.url();
    let sink = |ca: &DevelopmentCa| {
        PostgresSink::builder(&url).with_root_pem(ca.certificate_pem().as_bytes())
    };
    let mut right = sink(postgres.ca()).build().unwrap();
    let refused = deliver(&mut right, &entries).await.unwrap_err();
    assert_eq!(refused.kind(), SinkErrorKind::Refused, "there is no table");
    assert!(refused.to_string().starts_with("42P01"), "{refused}");
    let mut right = sink(postgres.ca()).create_table().build().unwrap();
    deliver(&mut right, &entries).await.unwrap();
    let other = DevelopmentCa::new("db.test").unwrap();
    let mut wrong = sink(&other).build().unwrap();
    let refused = deliver(&mut wrong, &entries).await.unwrap_err();
    assert_eq!(refused.kind(), SinkErrorKind::Unavailable);
    assert!(refused.to_string().contains("certificate"), "{refused}");
    assert!(
        PostgresSink::builder(&url).build().is_err(),
        "believed for nothing"
    );
}

#[tokio::test]
async fn who_writes_the_log_needs_no_right_to_change_it() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let (folder, _) = ledger_of(5).await;
    let entries = folder.entries();
    let client = postgres.client().await;
    client.batch_execute(PostgresSink::SCHEMA).await.unwrap();
    client.batch_execute(PostgresSink::SCHEMA).await.unwrap();
    client
        .batch_execute("create role writer login; grant select, insert on bartizan_audit to writer")
        .await
        .unwrap();
    let url = postgres.url().replace("audit@", "writer@");
    let sink = PostgresSink::builder(&url).allow_plaintext_loopback();
    let mut sink = sink.build().unwrap();
    deliver(&mut sink, &entries).await.unwrap();
    deliver(&mut sink, &entries).await.unwrap();
    let count = "select count(*) from bartizan_audit";
    let count: i64 = client.query_one(count, &[]).await.unwrap().get(0);
    assert_eq!(count, entries.len() as i64);
}
