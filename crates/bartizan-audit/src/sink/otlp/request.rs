//! Entries as log records of OpenTelemetry, in the JSON of [OTLP].
//!
//! Numbers of 64 bits are strings, identifiers of traces are hexadecimal, and enumerations are
//! numbers: so the specification has it.
//!
//! [OTLP]: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding

use serde_json::{Value, json};

use crate::read::StoredEntry;
use crate::render::{Format, Renderer, hex};
use crate::sink::Batch;
use crate::sink::error::{SinkError, SinkErrorKind};
use crate::sink::summary::{Severity, Summary};

/// A request with the entries of a batch.
pub(super) fn request(
    batch: Batch<'_>,
    format: Format,
    service: Option<&str>,
) -> Result<Vec<u8>, SinkError> {
    let service = service.unwrap_or(batch.origin);
    let renderer = Renderer::new(format, batch.origin).with_service(service);
    let records: Result<Vec<Value>, SinkError> = batch
        .entries
        .iter()
        .map(|entry| record(entry, batch.origin, &renderer))
        .collect();
    let request = json!({"resourceLogs": [{
        "resource": {"attributes": [attribute("service.name", string(service))]},
        "scopeLogs": [{
            "scope": {"name": "bartizan-audit", "version": env!("CARGO_PKG_VERSION")},
            "logRecords": records?,
        }],
    }]});
    let unfit = |error| SinkError::new(SinkErrorKind::Unreadable, error);
    serde_json::to_vec(&request).map_err(unfit)
}

fn record(entry: &StoredEntry, origin: &str, renderer: &Renderer) -> Result<Value, SinkError> {
    let read = entry.record()?;
    let summary = Summary::of(&read);
    let text = renderer.render(entry)?;
    let body = match renderer.format() {
        Format::Cef => string(&text),
        _ => {
            let unfit = |error| SinkError::new(SinkErrorKind::Unreadable, error);
            any(&serde_json::from_str(&text).map_err(unfit)?)
        }
    };
    let (number, name) = match summary.severity() {
        Severity::Error => (17, "ERROR"),
        Severity::Warning => (13, "WARN"),
        Severity::Information => (9, "INFO"),
    };
    let time = summary.time.to_string();
    let mut record = json!({
        "timeUnixNano": time, "observedTimeUnixNano": time,
        "severityNumber": number, "severityText": name,
        "eventName": format!("bartizan.audit.{}", summary.kind.as_str()),
        "body": body,
        "attributes": attributes(entry, origin, &summary),
    });
    if let (Some(trace), Some(members)) = (summary.trace, record.as_object_mut()) {
        members.insert("traceId".to_owned(), hex(&trace.trace_id).into());
        members.insert("spanId".to_owned(), hex(&trace.parent_id).into());
    }
    Ok(record)
}

/// What people look for, under the names of the semantic conventions where there are some.
fn attributes(entry: &StoredEntry, origin: &str, summary: &Summary<'_>) -> Vec<Value> {
    let mut attributes = vec![
        attribute(
            "log.record.uid",
            string(&format!("{origin}/{}", entry.index)),
        ),
        attribute("bartizan.audit.origin", string(origin)),
        attribute("bartizan.audit.index", integer(entry.index)),
        attribute("bartizan.audit.hash", string(&hex(&entry.hash))),
    ];
    let address = summary.network.map(|network| network.base().to_string());
    let texts = [
        (
            "bartizan.audit.outcome",
            summary.outcome.map(|it| it.as_str()),
        ),
        ("bartizan.audit.code", summary.code),
        ("bartizan.audit.peer", summary.peer),
        ("bartizan.audit.issuer", summary.issuer),
        ("user.id", summary.principal.as_deref()),
        ("client.address", address.as_deref()),
        ("http.request.method", summary.method),
        ("http.route", summary.route),
    ];
    let told = texts
        .into_iter()
        .filter_map(|(name, text)| Some((name, string(text?))));
    attributes.extend(told.map(|(name, value)| attribute(name, value)));
    let numbers = [
        ("http.response.status_code", summary.status),
        ("rpc.grpc.status_code", summary.grpc_status),
    ];
    let told = numbers
        .into_iter()
        .filter_map(|(name, number)| Some((name, integer(number?.into()))));
    attributes.extend(told.map(|(name, value)| attribute(name, value)));
    attributes
}

fn attribute(name: &str, value: Value) -> Value {
    json!({"key": name, "value": value})
}

fn string(text: &str) -> Value {
    json!({"stringValue": text})
}

fn integer(number: u64) -> Value {
    json!({"intValue": number.to_string()})
}

/// A document as an `AnyValue`.
fn any(value: &Value) -> Value {
    match value {
        Value::Null => json!({}),
        Value::Bool(truth) => json!({"boolValue": truth}),
        Value::Number(number) => match number.as_i64() {
            Some(number) => json!({"intValue": number.to_string()}),
            // One beyond what the type holds is still what it is.
            None if number.is_u64() => string(&number.to_string()),
            None => json!({"doubleValue": number}),
        },
        Value::String(text) => string(text),
        Value::Array(values) => {
            let values: Vec<Value> = values.iter().map(any).collect();
            json!({"arrayValue": {"values": values}})
        }
        Value::Object(members) => {
            let values: Vec<Value> = members
                .iter()
                .map(|(name, value)| attribute(name, any(value)))
                .collect();
            json!({"kvlistValue": {"values": values}})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_become_values() {
        fn check(value: Value, expected: Value) {
            assert_eq!(any(&value), expected, "{value}");
        }
        check(json!(null), json!({}));
        check(json!(true), json!({"boolValue": true}));
        check(json!(-7), json!({"intValue": "-7"}));
        check(
            json!(u64::MAX),
            json!({"stringValue": u64::MAX.to_string()}),
        );
        check(json!(0.5), json!({"doubleValue": 0.5}));
        check(
            json!({"a": ["b"]}),
            json!({"kvlistValue": {"values": [
                {"key": "a", "value": {"arrayValue": {"values": [{"stringValue": "b"}]}}},
            ]}}),
        );
    }
}
