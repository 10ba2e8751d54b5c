//! OCSF 1.8.0. Classes are closed: what they have no attribute for stands under `unmapped`.
//!
//! | record | class |
//! |---|---|
//! | request with a template | API Activity (6003), profile `security_control` |
//! | request without | HTTP Activity (4002), profile `security_control` |
//! | refusals by a layer that authenticates | Authentication (3002) |
//! | other refusals, losses, faults, recoveries | Detection Finding (2004) |
//! | everything else | API Activity (6003) of the service itself |

use bartizan_core::{Enforcement, IpNetwork, Outcome};
use serde_json::{Value, json};

use super::Event;
use super::json::{facts, hex, pairs, without_null};
use crate::record::{DecisionRecord, Ending, Record, RefusalsRecord, RequestRecord};

const VERSION: &str = "1.8.0";
const OTHER: u64 = 99;

/// A class, and its category.
#[derive(Clone, Copy)]
struct Class {
    uid: u64,
    category: u64,
}

const API_ACTIVITY: Class = Class {
    uid: 6003,
    category: 6,
};
const HTTP_ACTIVITY: Class = Class {
    uid: 4002,
    category: 4,
};
const AUTHENTICATION: Class = Class {
    uid: 3002,
    category: 3,
};
const DETECTION_FINDING: Class = Class {
    uid: 2004,
    category: 2,
};

/// Layers that say who somebody is.
const AUTHENTICATING: [&str; 3] = ["apikey", "jwt", "mtls"];

pub(super) fn render(event: &Event<'_>) -> Value {
    match event.record {
        Record::Request(request) => self::request(event, request),
        Record::Refusals(refusals) if AUTHENTICATING.contains(&refusals.layer) => {
            authentication(event, refusals)
        }
        Record::Refusals(refusals) => {
            let title = "requests of strangers were refused";
            let mut finding = finding(event, title, 2);
            put(&mut finding, "count", refusals.count.into());
            finding
        }
        Record::Loss(_) => finding(event, "audit events were lost, and counted", 4),
        Record::Fault(_) => finding(event, "the storage of the audit log failed", 4),
        Record::Recovered(_) => finding(event, "the audit log was continued after a crash", 3),
        _ => own(event),
    }
}

/// What every class has.
fn base(event: &Event<'_>, class: Class, activity: u64, severity: u64) -> Value {
    json!({
        "class_uid": class.uid,
        "category_uid": class.category,
        "activity_id": activity,
        "type_uid": class.uid * 100 + activity,
        "severity_id": severity,
        "time": event.record.time() / 1_000_000,
        "metadata": {
            "version": VERSION,
            "product": {"name": "bartizan-audit", "vendor_name": "Bartizan"},
            "log_name": event.origin,
            "uid": event.uid(),
            "sequence": event.index,
            "event_code": event.record.kind().as_str(),
        },
    })
}

fn put(object: &mut Value, name: &str, value: Value) {
    if let Value::Object(members) = object
        && !value.is_null()
    {
        members.insert(name.to_owned(), value);
    }
}

fn request(event: &Event<'_>, request: &RequestRecord<'_>) -> Value {
    let refusal = request.decisions.iter().find(|it| refuses(it));
    let failed = refusal.is_some()
        || request.status.is_none_or(|status| status >= 400)
        || request.grpc_status.is_some_and(|status| status != 0)
        || !matches!(request.ending, Ending::Complete | Ending::Pending);
    let severity = if refusal.is_some() { 2 } else { 1 };
    let (class, activity) = match request.template {
        Some(_) => (API_ACTIVITY, api_activity(request)),
        None => (HTTP_ACTIVITY, http_activity(request.method)),
    };
    let mut out = base(event, class, activity, severity);
    if let Some(metadata) = out.get_mut("metadata") {
        put(metadata, "profiles", json!(["security_control"]));
        let trace = request.trace.map(|trace| hex(&trace.trace_id));
        put(metadata, "correlation_uid", trace.into());
        put(metadata, "is_truncated", (request.cut > 0).into());
    }
    put(&mut out, "status_id", if failed { 2 } else { 1 }.into());
    let status = request.status.map(|status| status.to_string());
    put(&mut out, "status_code", status.into());
    put(
        &mut out,
        "status_detail",
        refusal.and_then(|it| it.code).into(),
    );
    put(&mut out, "duration", (request.duration / 1000).into());
    let (action, disposition) = if refusal.is_some() { (2, 2) } else { (1, 1) };
    put(&mut out, "action_id", action.into());
    put(&mut out, "disposition_id", disposition.into());
    put(&mut out, "actor", actor(request));
    put(
        &mut out,
        "src_endpoint",
        endpoint(request.network, request.peer),
    );
    let http_request = without_null(json!({
        "http_method": http_method(request.method),
        "url": request.path.map(|path| json!({"path": path})),
        "http_headers": pairs(&request.request_headers),
    }));
    put(&mut out, "http_request", http_request);
    if let Some(status) = request.status {
        let response = json!({
            "code": status, "body_length": clamp(request.response_bytes),
            "http_headers": pairs(&request.response_headers),
        });
        put(&mut out, "http_response", without_null(response));
    }
    if let Some(template) = request.template {
        let operation = if request.protocol.is_grpc() {
            template.to_owned()
        } else {
            format!("{} {template}", request.method)
        };
        let response = request.grpc_status.or(request.status);
        let api = json!({
            "operation": operation, "service": {"name": event.service},
            "request": {"uid": request.number.to_string()},
            "response": response.map(|code| json!({"code": code})),
        });
        put(&mut out, "api", without_null(api));
    } else {
        put(&mut out, "dst_endpoint", json!({"svc_name": event.service}));
    }
    put(&mut out, "unmapped", unmapped(event.record));
    out
}

/// What has no attribute of its own. Nothing is said twice but what orders the rest.
fn unmapped(record: &Record<'_>) -> Value {
    let mut facts = facts(record);
    if let Value::Object(members) = &mut facts {
        for mapped in [
            "path",
            "request_headers",
            "response_headers",
            "status",
            "network",
        ] {
            members.remove(mapped);
        }
    }
    facts
}

fn refuses(decision: &DecisionRecord<'_>) -> bool {
    matches!(decision.outcome, Outcome::Denied | Outcome::CouldNotDecide)
        && decision.enforcement == Enforcement::Enforce
}

fn api_activity(request: &RequestRecord<'_>) -> u64 {
    match request.method {
        _ if request.protocol.is_grpc() => OTHER,
        "POST" => 1,
        "GET" | "HEAD" | "OPTIONS" => 2,
        "PUT" | "PATCH" => 3,
        "DELETE" => 4,
        _ => OTHER,
    }
}

fn http_activity(method: &str) -> u64 {
    match method {
        "CONNECT" => 1,
        "DELETE" => 2,
        "GET" => 3,
        "HEAD" => 4,
        "OPTIONS" => 5,
        "POST" => 6,
        "PUT" => 7,
        "TRACE" => 8,
        "PATCH" => 9,
        _ => OTHER,
    }
}

/// The schema lists methods; another one stands under `unmapped`.
fn http_method(method: &str) -> Option<&str> {
    (http_activity(method) != OTHER).then_some(method)
}

fn actor(request: &RequestRecord<'_>) -> Value {
    let person = request.sealed.map(|sealed| hex(&sealed.handle));
    let uid = request.subject.map(str::to_owned).or(person);
    let session = json!({"uid": request.token_id, "issuer": request.issuer});
    let authorizations: Vec<Value> = request
        .decisions
        .iter()
        .map(|it| json!({"decision": it.outcome.as_str(), "policy": {"name": it.layer}}))
        .collect();
    // An actor of whom nothing is known has to say so.
    let nobody = uid.is_none()
        && request.issuer.is_none()
        && request.peer.is_none()
        && request.forwarded.is_none();
    without_null(json!({
        "user": uid.map(|uid| json!({"uid": uid, "type_id": 0})),
        "session": request.issuer.map(|_| without_null(session)),
        "app_uid": request.peer,
        "app_name": request.client.or_else(|| nobody.then_some("unknown")),
        "invoked_by": request.forwarded,
        "authorizations": (!authorizations.is_empty()).then_some(authorizations),
    }))
}

/// An endpoint has an address and no prefix, so that the network is named beside it.
fn endpoint(network: Option<IpNetwork>, name: Option<&str>) -> Value {
    let ip = network.map(|network| network.base().to_string());
    let name = match (name, network) {
        (Some(name), _) => name.to_owned(),
        (None, Some(network)) => network.to_string(),
        (None, None) => "unknown".to_owned(),
    };
    without_null(json!({"ip": ip, "name": name}))
}

fn authentication(event: &Event<'_>, refusals: &RefusalsRecord<'_>) -> Value {
    let mut out = base(event, AUTHENTICATION, 1, 2);
    put(&mut out, "status_id", 2.into());
    put(&mut out, "status_code", refusals.code.into());
    put(&mut out, "count", clamp(refusals.count).into());
    // Nobody proved to be somebody: that is what the event says.
    put(&mut out, "user", json!({"name": "unknown", "type_id": 0}));
    put(&mut out, "service", json!({"name": event.service}));
    put(&mut out, "src_endpoint", endpoint(refusals.network, None));
    put(&mut out, "unmapped", facts(event.record));
    out
}

fn finding(event: &Event<'_>, title: &str, severity: u64) -> Value {
    let mut out = base(event, DETECTION_FINDING, 1, severity);
    let info = json!({"uid": event.uid(), "title": title});
    put(&mut out, "finding_info", info);
    put(&mut out, "is_alert", true.into());
    put(&mut out, "unmapped", facts(event.record));
    out
}

/// What the service did by itself.
fn own(event: &Event<'_>) -> Value {
    let kind = event.record.kind().as_str();
    let mut out = base(event, API_ACTIVITY, OTHER, 1);
    put(&mut out, "activity_name", kind.into());
    put(&mut out, "actor", json!({"app_name": event.service}));
    let operation = match event.record {
        Record::Lifecycle(it) => it.code.to_owned(),
        _ => format!("audit.{kind}"),
    };
    let api = json!({"operation": operation, "service": {"name": event.service}});
    put(&mut out, "api", api);
    let network = match event.record {
        Record::Lifecycle(it) => it.network,
        _ => None,
    };
    put(
        &mut out,
        "src_endpoint",
        endpoint(network, Some(event.service)),
    );
    put(&mut out, "unmapped", facts(event.record));
    out
}

/// Integers of the schema are signed.
fn clamp(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
