//! What is rendered as OCSF, held against the compiled schema, where that and Python's jsonschema
//! are at hand; and strings that were made to break things, on lines that hold.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use bartizan_audit::{AuditConfig, AuditLayer, AuditObserver, Format, Renderer, Rule, StoredEntry};
use bartizan_core::{
    Code, Decision, Entrance, Event, LifecycleEvent, LifecycleKind, Observe, Outcome, RouteTable,
    SecurityContext,
};
use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderValue, Request};
use http_body_util::Full;
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Folder, ORIGIN, authenticate, end, get, ok};

/// The published vectors, where they are at hand.
pub(crate) fn vectors() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors");
    let folder = std::env::var_os("BARTIZAN_VECTORS").map_or_else(|| beside.into(), PathBuf::from);
    folder.is_dir().then_some(folder)
}

/// Strings that break what does not expect them: those that were published, where they are at hand.
fn strings() -> Vec<String> {
    let mut strings: Vec<String> = ["\r\nX: y", "\u{1b}[2J", "\u{202e}", "|=\\\"", "%0d%0a", ""]
        .map(str::to_owned)
        .to_vec();
    let published = vectors().map(|it| it.join("http-attacks/blns.base64.json"));
    if let Some(text) = published.and_then(|path| std::fs::read_to_string(path).ok()) {
        let list: Vec<String> = serde_json::from_str(&text).unwrap();
        strings.extend(list.iter().map(|encoded| {
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(encoded)
                .unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        }));
    }
    strings
}

/// A ledger of requests that carry the strings wherever a client can put one, and of everything
/// else that is recorded.
async fn entries() -> Vec<StoredEntry> {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let rule = Rule::request_response()
        .allow_path()
        .add_query("q")
        .add_request_header("user-agent")
        .add_response_header("etag");
    let config = AuditConfig::builder(ledger.clone())
        .add_rule(rule)
        .build()
        .unwrap();
    let routes = RouteTable::new(["/orders/{id}"]).unwrap();
    let layer = AuditLayer::new(config).with_entrance(Entrance::new().with_routes(routes));
    let service = layer.layer(service_fn(|request: Request<Full<Bytes>>| async move {
        let context = SecurityContext::of(request.extensions()).unwrap();
        match request.uri().path() {
            "/orders/2" => authenticate(&request),
            "/orders/3" => {
                let denied = Decision::new("jwt", Outcome::Denied);
                context.record(denied.with_code(Code::new("jwt.missing")));
            }
            "/orders/4" => {
                let denied = Decision::new("ratelimit", Outcome::Denied);
                context.record(denied.with_code(Code::new("ratelimit.exceeded")));
            }
            "/orders/5" => {
                authenticate(&request);
                let denied = Decision::new("authz", Outcome::Denied);
                context.record(denied.with_code(Code::new("authz.no_rule")));
            }
            _ => {}
        }
        ok("hello")
    }));
    for (number, string) in strings().iter().enumerate() {
        let path = [
            "/orders/1",
            "/orders/2",
            "/orders/3",
            "/orders/4",
            "/orders/5",
            "/else",
        ];
        let safe: String = string.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let mut request = get(&format!(
            "{}?q={}",
            path[number % 6],
            &safe[..safe.len().min(600)]
        ));
        *request.method_mut() =
            [http::Method::GET, http::Method::POST, http::Method::PATCH][number % 3].clone();
        if let Ok(value) = HeaderValue::from_bytes(string.as_bytes()) {
            request.headers_mut().insert("user-agent", value);
        }
        let raw = format!("/orders/{string}").parse::<http::Uri>();
        service.clone().oneshot(request).await.unwrap();
        if let Ok(uri) = raw {
            let mut request = get("/");
            *request.uri_mut() = uri;
            service.clone().oneshot(request).await.unwrap();
        }
        let observer = AuditObserver::new(ledger.clone());
        let code = Code::new("encrypt.key_changed");
        let event = LifecycleEvent::new("encrypt", LifecycleKind::KeyChanged, code);
        observer.observe(&Event::Lifecycle(
            event.with_subject(string).with_detail(string),
        ));
    }
    end(&ledger, &folder).await;
    folder.entries()
}

#[tokio::test]
async fn no_string_breaks_a_line_or_a_schema() {
    let entries = entries().await;
    let mut events = Vec::new();
    for format in [Format::Cef, Format::Ecs, Format::Json, Format::Ocsf] {
        let renderer = Renderer::new(format, ORIGIN).with_service("orders");
        for entry in &entries {
            let line = renderer.render(entry).unwrap();
            assert!(
                !line.contains(|c: char| c.is_control()),
                "{format}: {line:?}"
            );
            assert!(
                !line.contains(['\u{202e}', '\u{2028}', '\u{feff}']),
                "{format}: {line:?}"
            );
            if format != Format::Cef {
                let event: Value = serde_json::from_str(&line).unwrap();
                if format == Format::Ocsf {
                    events.push(event);
                }
            }
        }
    }
    let mut classes: Vec<u64> = events
        .iter()
        .map(|it| it["class_uid"].as_u64().unwrap())
        .collect();
    classes.sort_unstable();
    classes.dedup();
    assert_eq!(classes, [2004, 3002, 4002, 6003]);
    validate(&events);
}

/// Reads events by line, and prints what a schema says against them.
const VALIDATE: &str = r#"
import json, sys, pathlib, jsonschema
schemas = {}
for path in pathlib.Path(sys.argv[1]).glob('*.schema.json'):
    schema = json.loads(path.read_text())
    schemas[int(path.name.split('_')[-1].split('.')[0])] = jsonschema.Draft202012Validator(schema)
seen = bad = 0
for line in sys.stdin:
    event = json.loads(line)
    seen += 1
    for error in schemas[event['class_uid']].iter_errors(event):
        bad += 1
        print(event['class_uid'], list(error.absolute_path), error.message[:300])
        break
print('validated', seen, 'bad', bad)
"#;

/// Holds events against the compiled schema.
pub(crate) fn validate(events: &[Value]) {
    let Some(schemas) = vectors()
        .map(|it| it.join("ocsf/1.8.0"))
        .filter(|it| it.is_dir())
    else {
        eprintln!("skipped: no compiled OCSF schema at hand");
        return;
    };
    let probe = Command::new("python3")
        .args(["-c", "import jsonschema"])
        .output();
    if !probe.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no Python with jsonschema at hand");
        return;
    }
    let mut child = Command::new("python3")
        .args(["-c", VALIDATE])
        .arg(schemas)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let expected = format!("validated {} bad 0", events.len());
    assert!(said.trim_end().ends_with(&expected), "{said}");
}
