//! Elastic Common Schema. What it has no field for stands under `bartizan`.

use bartizan_core::{Enforcement, Outcome};
use serde_json::{Value, json};

use super::Event;
use super::json::{facts, hex, without_null};
use super::time::rfc3339;
use crate::record::{Ending, Record, RequestRecord};

pub(super) fn render(event: &Event<'_>) -> Value {
    let mut out = json!({
        "@timestamp": rfc3339(event.record.time()),
        "ecs": {"version": "8.17.0"},
        "service": {"name": event.service},
        "log": {"logger": event.origin},
        "bartizan": facts(event.record),
    });
    let (kind, category, outcome, source) = match event.record {
        Record::Request(it) => ("event", "web", outcome(it), it.network),
        Record::Refusals(it) => ("event", "authentication", "failure", it.network),
        Record::Loss(_) | Record::Fault(_) | Record::Recovered(_) => {
            ("alert", "host", "failure", None)
        }
        Record::Lifecycle(it) => ("event", "configuration", "unknown", it.network),
        _ => ("event", "host", "unknown", None),
    };
    if let Value::Object(members) = &mut out {
        let action = event.record.kind().as_str();
        let described = json!({
            "kind": kind, "category": [category], "type": ["info"], "outcome": outcome,
            "action": action, "id": event.uid(), "sequence": event.index,
            "dataset": "bartizan.audit",
            "duration": match event.record {
                Record::Request(it) => Some(it.duration.saturating_mul(1000)),
                _ => None,
            },
        });
        members.insert("event".to_owned(), without_null(described));
        if let Some(network) = source {
            let address = network.to_string();
            let source = json!({"ip": network.base().to_string(), "address": address});
            members.insert("source".to_owned(), source);
        }
        if let Record::Request(request) = event.record {
            members.extend(of_request(request));
        }
    }
    out
}

fn of_request(request: &RequestRecord<'_>) -> impl Iterator<Item = (String, Value)> {
    let user = request.subject.map(str::to_owned);
    let user = user.or(request.sealed.map(|sealed| hex(&sealed.handle)));
    [
        (
            "http",
            json!({
                "request": {"method": request.method},
                "response": without_null(json!({
                    "status_code": request.status, "body": {"bytes": request.response_bytes},
                })),
            }),
        ),
        ("url", json!({"path": request.path.or(request.template)})),
        ("user", json!({"id": user, "domain": request.issuer})),
        (
            "client",
            json!({"user": request.client.map(|name| json!({"name": name}))}),
        ),
        (
            "trace",
            json!({"id": request.trace.map(|trace| hex(&trace.trace_id))}),
        ),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), without_null(value)))
    .filter(|(_, value)| value.as_object().is_some_and(|members| !members.is_empty()))
}

fn outcome(request: &RequestRecord<'_>) -> &'static str {
    let refused = request.decisions.iter().any(|decision| {
        matches!(decision.outcome, Outcome::Denied | Outcome::CouldNotDecide)
            && decision.enforcement == Enforcement::Enforce
    });
    let failed = request.status.is_none_or(|status| status >= 400)
        || request.grpc_status.is_some_and(|status| status != 0);
    match request.ending {
        Ending::Pending => "unknown",
        Ending::Complete if !refused && !failed => "success",
        _ => "failure",
    }
}
