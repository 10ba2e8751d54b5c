//! ArcSight Common Event Format: a header between bars, then `key=value` pairs.

use std::fmt::Write as _;

use super::Event;
use super::line::is_unsafe;
use crate::record::{Record, RequestRecord};

pub(super) fn render(event: &Event<'_>) -> String {
    let (name, severity) = match event.record {
        Record::Request(request) => match refusal(request) {
            Some(code) => (code, 5),
            None => ("request", 1),
        },
        Record::Refusals(refusals) => (refusals.code, 5),
        Record::Lifecycle(record) => (record.code, 3),
        Record::Loss(_) | Record::Fault(_) => (event.record.kind().as_str(), 8),
        Record::Recovered(_) => ("recovered", 6),
        other => (other.kind().as_str(), 1),
    };
    let mut out = String::from("CEF:0|Bartizan|bartizan-audit|1|");
    header(&mut out, event.record.kind().as_str());
    header(&mut out, name);
    let _ = write!(out, "{severity}|");
    let mut fields = Fields(out, true);
    fields.put("rt", &(event.record.time() / 1_000_000).to_string());
    fields.put("externalId", &event.uid());
    fields.put("dvchost", event.service);
    match event.record {
        Record::Request(request) => of_request(&mut fields, request),
        Record::Refusals(it) => {
            fields.put("cnt", &it.count.to_string());
            fields.maybe("src", it.network.map(|it| it.base().to_string()).as_deref());
            fields.put("cat", it.layer);
            fields.put("reason", it.code);
        }
        Record::Lifecycle(it) => {
            fields.put("cat", it.layer);
            fields.put("reason", it.code);
            fields.put("msg", it.detail);
            fields.put("cs1Label", "subject");
            fields.put("cs1", it.subject);
        }
        Record::Loss(it) => fields.put("cnt", &it.total().to_string()),
        Record::Fault(it) => fields.put("msg", it.reason),
        Record::Start(it) => fields.put("msg", it.detail),
        _ => {}
    }
    fields.0
}

fn refusal<'a>(request: &RequestRecord<'a>) -> Option<&'a str> {
    use bartizan_core::{Enforcement, Outcome};

    let decision = request.decisions.iter().find(|decision| {
        matches!(decision.outcome, Outcome::Denied | Outcome::CouldNotDecide)
            && decision.enforcement == Enforcement::Enforce
    })?;
    Some(decision.code.unwrap_or(decision.layer))
}

fn of_request(fields: &mut Fields, request: &RequestRecord<'_>) {
    fields.maybe(
        "src",
        request.network.map(|it| it.base().to_string()).as_deref(),
    );
    fields.maybe("suser", request.subject);
    fields.maybe("sourceServiceName", request.peer);
    fields.put("requestMethod", request.method);
    fields.maybe("request", request.path.or(request.template));
    let status = request.grpc_status.or(request.status);
    fields.maybe(
        "outcome",
        status.map(|status| status.to_string()).as_deref(),
    );
    fields.put("out", &request.response_bytes.to_string());
    fields.put("act", request.ending.as_str());
    fields.maybe("reason", refusal(request));
    if let Some(issuer) = request.issuer {
        fields.put("cs1Label", "issuer");
        fields.put("cs1", issuer);
    }
    if let Some(template) = request.template {
        fields.put("cs2Label", "template");
        fields.put("cs2", template);
    }
    if let Some(trace) = request.trace {
        fields.put("cs3Label", "trace");
        fields.put("cs3", &super::json::hex(&trace.trace_id));
    }
    // A key may be there once, so that decisions share one.
    let decisions: Vec<String> = request
        .decisions
        .iter()
        .map(|it| format!("{}:{}", it.layer, it.outcome.as_str()))
        .collect();
    if !decisions.is_empty() {
        fields.put("cs4Label", "decisions");
        fields.put("cs4", &decisions.join(","));
    }
}

/// A field of the header: a bar ends it.
fn header(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '|' | '\\' => out.extend(['\\', c]),
            c if is_unsafe(c) => out.push('?'),
            c => out.push(c),
        }
    }
    out.push('|');
}

struct Fields(String, bool);

impl Fields {
    fn maybe(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    /// A value: an equals sign would begin another, and a line break the next event.
    fn put(&mut self, key: &str, value: &str) {
        if !std::mem::replace(&mut self.1, false) {
            self.0.push(' ');
        }
        self.0.push_str(key);
        self.0.push('=');
        for c in value.chars() {
            match c {
                '=' | '\\' => self.0.extend(['\\', c]),
                '\n' => self.0.push_str("\\n"),
                '\r' => self.0.push_str("\\r"),
                c if is_unsafe(c) => self.0.push('?'),
                c => self.0.push(c),
            }
        }
    }
}
