//! Plain JSON: every fact, under the name that this crate has for it.

use serde_json::{Map, Value, json};

use super::Event;
use super::time::rfc3339;
use crate::record::{Level, Record, RequestRecord};

pub(super) fn render(event: &Event<'_>) -> Value {
    let mut out = Map::new();
    out.insert("log".to_owned(), event.origin.into());
    out.insert("service".to_owned(), event.service.into());
    out.insert("index".to_owned(), event.index.into());
    out.insert("kind".to_owned(), event.record.kind().as_str().into());
    out.insert("time".to_owned(), rfc3339(event.record.time()).into());
    if let Value::Object(facts) = facts(event.record) {
        out.extend(facts);
    }
    Value::Object(out)
}

/// What a record says, without what is absent.
pub(super) fn facts(record: &Record<'_>) -> Value {
    let value = match record {
        Record::Epoch(it) => json!({"epoch": it.epoch, "key": hex(&it.key)}),
        Record::Erased(it) => json!({"handle": hex(&it.handle)}),
        Record::Fault(it) => json!({
            "segment": it.segment, "length": it.length, "attempts": it.attempts,
            "reason": it.reason,
        }),
        Record::Heartbeat { .. } => json!({}),
        Record::Lifecycle(it) => json!({
            "event": it.kind, "layer": it.layer, "code": it.code,
            "network": it.network.map(|network| network.to_string()),
            "subject": it.subject, "detail": it.detail,
        }),
        Record::Loss(it) => json!({
            "lossy": it.lossy, "buffered": it.buffered, "durable": it.durable,
        }),
        Record::Pruned(it) => json!({
            "segment": it.segment, "entries": it.entries,
        }),
        Record::Recovered(it) => json!({
            "segment": it.segment, "unsealed": it.unsealed, "torn_bytes": it.torn_bytes,
        }),
        Record::Refusals(it) => json!({
            "count": it.count, "layer": it.layer, "code": it.code,
            "network": it.network.map(|network| network.to_string()),
        }),
        Record::Request(it) => request(it),
        Record::Start(it) => json!({
            "segment": it.segment, "name": it.service, "detail": it.detail,
        }),
        Record::Stop(it) => json!({
            "accepted": it.totals.accepted, "durable": it.totals.durable,
            "lost": it.totals.lost,
        }),
    };
    without_null(value)
}

fn request(it: &RequestRecord<'_>) -> Value {
    let decisions: Vec<Value> = it
        .decisions
        .iter()
        .map(|decision| {
            without_null(json!({
                "layer": decision.layer, "outcome": decision.outcome.as_str(),
                "shadow": decision.enforcement == bartizan_core::Enforcement::Shadow,
                "code": decision.code, "detail": decision.detail,
            }))
        })
        .collect();
    json!({
        "number": it.number, "stage": it.stage.as_str(), "level": level(it.level),
        "durability": it.durability.as_str(), "protocol": it.protocol.as_str(),
        "ending": it.ending.as_str(), "duration_us": it.duration, "status": it.status,
        "grpc_status": it.grpc_status, "response_bytes": it.response_bytes,
        "lost_decisions": it.lost_decisions, "cut_fields": it.cut, "method": it.method,
        "template": it.template, "path": it.path, "peer": it.peer,
        "certificate_sha256": it.certificate.as_ref().map(|it| hex(it)),
        "forwarded": it.forwarded, "scheme": it.scheme, "issuer": it.issuer,
        "subject": it.subject, "client": it.client, "token_id": it.token_id,
        "network": it.network.map(|network| network.to_string()),
        "trace_id": it.trace.map(|trace| hex(&trace.trace_id)),
        "parent_id": it.trace.map(|trace| hex(&trace.parent_id)),
        "person": it.sealed.map(|sealed| hex(&sealed.handle)),
        "sealed": it.sealed.map(|sealed| hex(sealed.ciphertext)),
        "decisions": decisions,
        "query": pairs(&it.query),
        "request_headers": pairs(&it.request_headers),
        "response_headers": pairs(&it.response_headers),
        "request_fields": pairs(&it.request_fields),
        "response_fields": pairs(&it.response_fields),
    })
}

const fn level(level: Level) -> &'static str {
    match level {
        Level::None => "none",
        Level::Metadata => "metadata",
        Level::Request => "request",
        Level::RequestResponse => "request_response",
    }
}

/// Names may repeat, so that they are no members of an object.
pub(super) fn pairs(pairs: &[(&str, &str)]) -> Option<Value> {
    let list = pairs
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value}));
    (!pairs.is_empty()).then(|| list.collect())
}

/// The object without members that say nothing.
pub(super) fn without_null(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let said = members.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(said.collect())
        }
        other => other,
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
