//! Published requests, strings and documents of attackers, through the layer and out of every
//! renderer: one line each, read back as what was recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use bartizan_audit::{
    AuditConfig, AuditConfigBuilder, AuditLayer, AuditTapLayer, Format, Ledger, Record, Renderer,
    RequestRecord, Rule, StoredEntry, TapBody,
};
use bartizan_core::{
    Code, Connection, Decision, Entrance, Outcome, Principal, RouteTable, Scheme, SecurityContext,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::layer::util::Stack;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::ocsf::{validate, vectors};
use crate::support::{Folder, ORIGIN, end, get};

/// A corpus, or nothing and a line that says so.
fn corpus(name: &str) -> Option<String> {
    let path = vectors().map(|it| it.join("http-attacks").join(name));
    let text = path.and_then(|path| std::fs::read_to_string(path).ok());
    if text.is_none() {
        eprintln!("skipped: no {name} at hand");
    }
    text
}

fn builder(ledger: &Ledger, rule: Rule) -> AuditConfigBuilder {
    AuditConfig::builder(ledger.clone()).add_rule(rule)
}

fn layers(ledger: &Ledger, rule: Rule) -> Stack<AuditTapLayer, AuditLayer> {
    let routes = RouteTable::new(["/orders/{id}", "/get", "/post"]).unwrap();
    let layer = AuditLayer::new(builder(ledger, rule).build().unwrap())
        .with_entrance(Entrance::new().with_routes(routes));
    Stack::new(AuditTapLayer::new(), layer)
}

/// Adds all of these names that a rule can have.
fn allowing(
    ledger: &Ledger,
    mut rule: Rule,
    names: impl IntoIterator<Item = String>,
    add: fn(Rule, &str) -> Rule,
) -> Rule {
    for name in names {
        let with = add(rule.clone(), &name);
        if builder(ledger, with.clone()).build().is_ok() {
            rule = with;
        }
    }
    rule
}

/// Reads a body to its end, and answers with it.
async fn echo<B>(request: Request<TapBody<B>>) -> Result<Response<Full<Bytes>>, Infallible>
where
    B: Body<Data = Bytes>,
{
    let media = request.headers().get("content-type").cloned();
    let body = request.into_body().collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let mut response = Response::new(Full::new(body));
    if let Some(media) = media {
        response.headers_mut().insert("content-type", media);
    }
    Ok(response)
}

/// What nothing that is printed may hold, told apart from how the crate does it.
fn is_harmful(c: char) -> bool {
    let c = u32::from(c);
    c < 0x20
        || (0x7f..0xa0).contains(&c)
        || [0x61c, 0x180e, 0xfeff].contains(&c)
        || (0x200b..=0x200f).contains(&c)
        || (0x2028..=0x202e).contains(&c)
        || (0x2060..=0x206f).contains(&c)
        || (0xfff9..=0xfffb).contains(&c)
        || (0xe0000..=0xe007f).contains(&c)
}

/// A small reader of CEF: the header between bars, then pairs. A value ends where the next key
/// begins: the word in front of an equals sign that has no backslash.
fn read_cef(line: &str) -> (Vec<String>, BTreeMap<String, String>) {
    let mut header = Vec::new();
    let (mut part, mut chars) = (String::new(), line.chars());
    while header.len() < 7 {
        match chars.next().unwrap() {
            '\\' => part.push(chars.next().unwrap()),
            '|' => header.push(std::mem::take(&mut part)),
            c => part.push(c),
        }
    }
    let mut fields: Vec<(String, String)> = Vec::new();
    let (mut text, mut chars) = (String::new(), chars);
    let mut key: Option<String> = None;
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(match chars.next().unwrap() {
                'n' => '\n',
                'r' => '\r',
                c => c,
            }),
            '=' => {
                let (value, next) = match text.rsplit_once(' ') {
                    Some((value, next)) if key.is_some() => (value.to_owned(), next.to_owned()),
                    _ => (String::new(), text.clone()),
                };
                if let Some(key) = key.replace(next) {
                    fields.push((key, value));
                }
                text.clear();
            }
            c => text.push(c),
        }
    }
    fields.extend(key.map(|key| (key, text)));
    let count = fields.len();
    let fields: BTreeMap<_, _> = fields.into_iter().collect();
    assert_eq!(fields.len(), count, "each key once: {line}");
    assert!(
        fields
            .keys()
            .all(|key| key.bytes().all(|it| it.is_ascii_alphanumeric())),
        "{line}"
    );
    (header, fields)
}

#[test]
fn the_reader_of_cef_reads_what_the_format_says() {
    let line = r"CEF:0|a\|b|c\\d|1|x|y|3|k=v w cs1=a\=b \\ msg=line\nbreak last=";
    let (header, fields) = read_cef(line);
    assert_eq!(header, ["CEF:0", "a|b", r"c\d", "1", "x", "y", "3"]);
    let pairs = [
        ("k", "v w"),
        ("cs1", r"a=b \"),
        ("msg", "line\nbreak"),
        ("last", ""),
    ];
    let expected = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(fields, BTreeMap::from(expected));
}

/// A text as CEF shows it: what cannot stand there is a question mark.
fn shown(text: &str) -> String {
    text.chars()
        .map(|c| {
            if is_harmful(c) && !matches!(c, '\n' | '\r') {
                '?'
            } else {
                c
            }
        })
        .collect()
}

fn check_cef(line: &str, index: u64, record: &RequestRecord<'_>) {
    let (header, fields) = read_cef(line);
    assert_eq!(
        header[..3],
        ["CEF:0", "Bartizan", "bartizan-audit"],
        "{line}"
    );
    assert_eq!(header[4], "request", "{line}");
    let field = |key: &str| fields.get(key).cloned();
    assert_eq!(
        field("externalId"),
        Some(format!("{ORIGIN}/{index}")),
        "{line}"
    );
    assert_eq!(field("requestMethod"), Some(shown(record.method)), "{line}");
    let request = record.path.or(record.template);
    assert_eq!(field("request"), request.map(shown), "{line}");
    assert_eq!(field("suser"), record.subject.map(shown), "{line}");
    assert_eq!(
        field("act"),
        Some(record.ending.as_str().to_owned()),
        "{line}"
    );
    assert_eq!(
        field("out"),
        Some(record.response_bytes.to_string()),
        "{line}"
    );
}

/// The pairs of a list that the plain form has for names that may repeat.
fn listed<'v>(value: &'v Value, name: &str) -> Vec<(&'v str, &'v str)> {
    let list = value[name]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    list.iter()
        .map(|pair| {
            (
                pair["name"].as_str().unwrap(),
                pair["value"].as_str().unwrap(),
            )
        })
        .collect()
}

fn check_json(value: &Value, record: &RequestRecord<'_>) {
    assert_eq!(value["method"], record.method);
    assert_eq!(value["path"].as_str(), record.path);
    assert_eq!(value["subject"].as_str(), record.subject);
    assert_eq!(listed(value, "query"), record.query);
    assert_eq!(listed(value, "request_headers"), record.request_headers);
    assert_eq!(listed(value, "request_fields"), record.request_fields);
    assert_eq!(listed(value, "response_fields"), record.response_fields);
}

/// Renders every entry in every form, and reads it back.
fn check_all(entries: &[StoredEntry]) {
    let mut events = Vec::new();
    for format in [Format::Cef, Format::Ecs, Format::Json, Format::Ocsf] {
        let renderer = Renderer::new(format, ORIGIN).with_service("orders");
        for entry in entries {
            let line = renderer.render(entry).unwrap();
            let harmful = line.chars().find(|c| is_harmful(*c));
            assert_eq!(harmful, None, "{format}: {line:?}");
            let record = entry.record().unwrap();
            let request = match &record {
                Record::Request(request) => Some(&**request),
                _ => None,
            };
            if format == Format::Cef {
                match request {
                    Some(request) => check_cef(&line, entry.index, request),
                    None => drop(read_cef(&line)),
                }
                continue;
            }
            let value: Value = serde_json::from_str(&line).unwrap();
            match (format, request) {
                (Format::Json, Some(request)) => check_json(&value, request),
                (Format::Ecs, Some(request)) => check_json(&value["bartizan"], request),
                (Format::Ocsf, _) => events.push(value),
                _ => {}
            }
        }
    }
    validate(&events);
}

fn requests(entries: &[StoredEntry]) -> usize {
    let records = entries.iter().map(|entry| entry.record().unwrap());
    records
        .filter(|record| matches!(record, Record::Request(_)))
        .count()
}

/// The bytes of a request as a client sends them.
fn raw(case: &Value) -> Vec<u8> {
    if let Some(raw) = case["raw_b64"].as_str() {
        let raw: String = raw.split_ascii_whitespace().collect();
        return STANDARD.decode(raw).unwrap();
    }
    let text = |name: &str| case[name].as_str().unwrap_or_default();
    let data = text("data");
    let mut out = format!("{} {} {}\r\n", text("method"), text("uri"), text("version"));
    let headers = case["headers"].as_object().into_iter().flatten();
    for (name, value) in headers {
        out.push_str(&format!(
            "{name}: {}\r\n",
            value.as_str().unwrap_or_default()
        ));
    }
    let has_length = case["headers"].as_object().is_some_and(|headers| {
        let framing = ["content-length", "transfer-encoding"];
        headers
            .keys()
            .any(|name| framing.contains(&&*name.to_lowercase()))
    });
    if !data.is_empty() && !has_length {
        out.push_str(&format!("Content-Length: {}\r\n", data.len()));
    }
    out.push_str("\r\n");
    out.push_str(data);
    out.into_bytes()
}

#[tokio::test]
async fn no_request_of_an_attacker_breaks_a_record() {
    let Some(text) = corpus("crs-requests.jsonl") else {
        return;
    };
    let cases: Vec<Value> = text
        .lines()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect();
    let folder = Folder::new();
    let ledger = folder.builder().with_segment_bytes(8 << 20).open().unwrap();
    // Everything that a rule can allow, of what they send.
    let headers = cases
        .iter()
        .flat_map(|case| case["headers"].as_object().into_iter().flatten());
    let headers: BTreeSet<String> = headers.map(|(name, _)| name.to_lowercase()).collect();
    let queries = cases
        .iter()
        .filter_map(|case| case["uri"].as_str()?.split_once('?'));
    let queries = queries.flat_map(|(_, query)| query.split('&'));
    let queries = queries.map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
    let queries: BTreeSet<String> = queries.map(str::to_owned).collect();
    let rule = Rule::request_response().allow_path();
    let rule = allowing(&ledger, rule, headers, Rule::add_request_header);
    let rule = allowing(&ledger, rule, queries, Rule::add_query);
    let service = layers(&ledger, rule).layer(service_fn(echo::<hyper::body::Incoming>));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    let (mut answered, mut refused) = (0, 0);
    for case in &cases {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        // The server may hang up in the middle of what it refuses.
        let _ = stream.write_all(&raw(case)).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let status = answer.get(9..12).unwrap_or_default();
        assert_ne!(status.first(), Some(&b'5'), "{case}");
        match status {
            b"200" => answered += 1,
            _ => refused += 1,
        }
    }
    end(&ledger, &folder).await;
    server.abort();
    let entries = folder.entries();
    // What is no HTTP never gets here, and ambiguous paths are refused and counted.
    assert!(answered > 1000, "{answered} answered, {refused} refused");
    assert!(requests(&entries) >= answered, "{answered}");
    check_all(&entries);
}

#[tokio::test]
async fn no_string_breaks_a_record() {
    let Some(text) = corpus("blns.base64.json") else {
        return;
    };
    let strings: Vec<String> = serde_json::from_str(&text).unwrap();
    let folder = Folder::new();
    let ledger = folder.builder().with_segment_bytes(8 << 20).open().unwrap();
    let rule = Rule::request_response()
        .allow_path()
        .add_query("q")
        .add_request_header("user-agent")
        .add_request_field("/note")
        .add_response_field("/note");
    let service = layers(&ledger, rule).layer(service_fn(
        async |request: Request<TapBody<Full<Bytes>>>| {
            let context = SecurityContext::of(request.extensions()).unwrap();
            let said = request.extensions().get::<Said>().unwrap().0.clone();
            let principal = Principal::builder(Scheme::Jwt, "https://issuer.example", &said)
                .with_client(&said)
                .with_token_id(&said);
            context.set_principal(principal.assert_verified()).unwrap();
            let decision = Decision::new("authz", Outcome::Allowed).with_detail(said.into());
            context.record(decision.with_code(Code::new("authz.rule")));
            echo(request).await
        },
    ));
    for (number, encoded) in strings.iter().enumerate() {
        let bytes = STANDARD.decode(encoded).unwrap();
        let string = String::from_utf8_lossy(&bytes).into_owned();
        let escaped: String = bytes.iter().map(|byte| format!("%{byte:02X}")).collect();
        let short = &escaped[..escaped.len().min(600)];
        let mut request = get(&format!("/orders/{number}?q={short}"));
        // As it is, where that is possible at all.
        let as_it_is = format!("/orders/{number}?q={string}").parse();
        if let (Ok(uri), true) = (as_it_is, number % 2 == 0) {
            *request.uri_mut() = uri;
        }
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            request.headers_mut().insert("user-agent", value);
        }
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert("content-type", json);
        let body = serde_json::json!({"note": string}).to_string();
        *request.body_mut() = Full::new(Bytes::from(body));
        request.extensions_mut().insert(Said(string));
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200, "{encoded}");
        response.into_body().collect().await.unwrap();
    }
    end(&ledger, &folder).await;
    let entries = folder.entries();
    assert_eq!(requests(&entries), strings.len());
    check_all(&entries);
}

/// What a request says of itself.
#[derive(Clone)]
struct Said(String);

#[tokio::test]
async fn no_document_breaks_a_record() {
    let Some(text) = corpus("json-test-suite.json") else {
        return;
    };
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    let folder = Folder::new();
    let ledger = folder.builder().with_segment_bytes(8 << 20).open().unwrap();
    let mut rule = Rule::request_response();
    for pointer in [
        "/", "/0", "/1", "/a", "/asd", "/b", "/id", "/\u{0}", "/0/0", "/x",
    ] {
        rule = rule.add_request_field(pointer).add_response_field(pointer);
    }
    let service = layers(&ledger, rule).layer(service_fn(echo::<Full<Bytes>>));
    let mut bodies: Vec<(&str, Vec<u8>)> = cases
        .iter()
        .map(|case| {
            let bytes = STANDARD.decode(case["b64"].as_str().unwrap()).unwrap();
            (case["expect"].as_str().unwrap(), bytes)
        })
        .collect();
    // The two that are too large to be handed around.
    bodies.push(("reject", vec![b'['; 50_000]));
    bodies.push(("reject", b"[{\"\":".repeat(10_000)));
    for (_, body) in &bodies {
        let mut request = get("/orders/1");
        *request.method_mut() = http::Method::POST;
        let connection = Connection::from_remote("192.0.2.7:4000".parse().unwrap());
        request.extensions_mut().insert(connection);
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert("content-type", json);
        *request.body_mut() = Full::new(Bytes::from(body.clone()));
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.unwrap();
    }
    end(&ledger, &folder).await;
    let entries = folder.entries();
    assert_eq!(requests(&entries), bodies.len());
    let mut some = 0;
    let records = entries.iter().map(|entry| entry.record().unwrap());
    let records = records.filter_map(|record| match record {
        Record::Request(request) => Some((*request).clone()),
        _ => None,
    });
    let of_bodies: Vec<_> = records.collect();
    for (request, (expect, body)) in of_bodies.iter().zip(&bodies) {
        assert_eq!(request.request_fields, request.response_fields);
        some += usize::from(!request.request_fields.is_empty());
        for (_, value) in &request.request_fields {
            assert!(serde_json::from_str::<Value>(value).is_ok(), "{value}");
        }
        let nothing = request.request_fields.is_empty();
        assert!(
            *expect != "reject" || nothing,
            "{}",
            String::from_utf8_lossy(body)
        );
    }
    assert!(some > 50, "{some}");
    check_all(&entries);
}
