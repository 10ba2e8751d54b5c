//! A small collector of logs. None that others made can be had everywhere; this one reads what the
//! specification writes, and refuses what it does not know.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bartizan_audit::{OtlpSink, OtlpSinkBuilder};
use bartizan_testkit::DevelopmentCa;
use bartizan_testkit::tls::server_config;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::process::free_port;
use crate::trouble::Server;

/// What it says to requests, one after the other; that all is well to those that come later.
#[derive(Clone, Debug)]
pub(crate) enum Plan {
    /// This status, and a moment to come back.
    Status(u16, Option<&'static str>),
    /// Success, and this body.
    Say(&'static str),
    /// 413 to what is longer.
    TooLargeAbove(usize),
}

#[derive(Clone, Default)]
struct Shared {
    plans: Arc<Mutex<VecDeque<Plan>>>,
    records: Arc<Mutex<Vec<Record>>>,
    headers: Arc<Mutex<Vec<HeaderMap>>>,
}

pub(crate) struct Collector {
    pub(crate) port: u16,
    shared: Shared,
    ca: Option<DevelopmentCa>,
    runtime: Option<Runtime>,
}

impl Collector {
    pub(crate) async fn start(plans: &[Plan]) -> Self {
        Self::with(plans, None).await
    }

    /// One with TLS, and a certificate of this authority.
    pub(crate) async fn start_tls(ca: DevelopmentCa) -> Self {
        Self::with(&[], Some(ca)).await
    }

    async fn with(plans: &[Plan], ca: Option<DevelopmentCa>) -> Self {
        let shared = Shared::default();
        shared.plans.lock().unwrap().extend(plans.to_vec());
        let mut collector = Self {
            port: free_port(),
            shared,
            ca,
            runtime: None,
        };
        collector.run().await;
        collector
    }

    pub(crate) fn builder(&self) -> OtlpSinkBuilder {
        let url = format!("http://127.0.0.1:{}/v1/logs", self.port);
        OtlpSink::builder(&url).allow_plaintext_loopback()
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        self.shared.records.lock().unwrap().clone()
    }

    pub(crate) fn headers(&self) -> Vec<HeaderMap> {
        self.shared.headers.lock().unwrap().clone()
    }
}

impl Server for Collector {
    type Sink = OtlpSink;

    /// Collectors remove no duplicates.
    const IS_EXACT: bool = false;

    fn port(&self) -> u16 {
        self.port
    }

    async fn run(&mut self) {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let router = Router::new()
            .route("/v1/logs", post(take))
            .layer(DefaultBodyLimit::disable())
            .with_state(self.shared.clone());
        let (port, ca) = (self.port, self.ca.as_ref());
        let tls = ca.map(|ca| server_config(&ca.loopback_server().unwrap()).unwrap());
        let tls = tls.map(|mut config| {
            config.alpn_protocols.clear();
            TlsAcceptor::from(Arc::new(config))
        });
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        runtime.spawn(async move {
            let listener = loop {
                if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await {
                    break listener;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            ready.send(()).unwrap();
            match tls {
                None => axum::serve(listener, router).await.unwrap(),
                Some(tls) => axum::serve(Tls(listener, tls), router).await.unwrap(),
            }
        });
        is_ready.await.unwrap();
        self.runtime = Some(runtime);
    }

    fn crash(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    fn sink(&self, port: u16) -> OtlpSink {
        let url = format!("http://127.0.0.1:{port}/v1/logs");
        let builder = OtlpSink::builder(&url).allow_plaintext_loopback();
        builder.build().unwrap()
    }

    async fn indexes(&mut self) -> Vec<u64> {
        let records = self.records();
        let index = |record: &Record| record.number("bartizan.audit.index");
        records.iter().map(index).collect()
    }

    async fn clear(&mut self) {
        self.shared.records.lock().unwrap().clear();
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.crash();
    }
}

/// A listener that speaks TLS.
struct Tls(TcpListener, TlsAcceptor);

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            if let Ok((stream, address)) = self.0.accept().await
                && let Ok(stream) = self.1.accept(stream).await
            {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

async fn take(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    assert_eq!(headers["content-type"], "application/json");
    shared.headers.lock().unwrap().push(headers);
    let plan = shared.plans.lock().unwrap().pop_front();
    match plan {
        Some(Plan::Status(status, retry_after)) => {
            let status = StatusCode::from_u16(status).unwrap();
            let pause = retry_after.map(|pause| [("retry-after", pause)]);
            return (status, pause.unwrap_or([("x-none", "")])).into_response();
        }
        Some(Plan::TooLargeAbove(most)) if body.len() > most => {
            return StatusCode::PAYLOAD_TOO_LARGE.into_response();
        }
        _ => {}
    }
    let request: Request = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    let mut records = shared.records.lock().unwrap();
    for resource in request.resource_logs {
        assert_eq!(resource.resource.attributes[0].key, "service.name");
        for scope in resource.scope_logs {
            assert_eq!(scope.scope.name, "bartizan-audit");
            assert!(!scope.scope.version.is_empty());
            records.extend(scope.log_records);
        }
    }
    match plan {
        Some(Plan::Say(body)) => body.into_response(),
        _ => r#"{"partialSuccess":{}}"#.into_response(),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Request {
    resource_logs: Vec<ResourceLogs>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ResourceLogs {
    resource: Resource,
    scope_logs: Vec<ScopeLogs>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resource {
    attributes: Vec<KeyValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ScopeLogs {
    scope: Scope,
    log_records: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scope {
    name: String,
    version: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) time_unix_nano: String,
    pub(crate) observed_time_unix_nano: String,
    pub(crate) severity_number: u8,
    pub(crate) severity_text: String,
    pub(crate) event_name: String,
    pub(crate) body: AnyValue,
    pub(crate) attributes: Vec<KeyValue>,
    pub(crate) trace_id: Option<String>,
    pub(crate) span_id: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyValue {
    key: String,
    value: AnyValue,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) enum AnyValue {
    #[serde(rename = "arrayValue")]
    Array { values: Vec<Self> },
    #[serde(rename = "boolValue")]
    Bool(bool),
    #[serde(rename = "doubleValue")]
    Double(f64),
    #[serde(rename = "intValue")]
    Int(String),
    #[serde(rename = "kvlistValue")]
    Kvlist { values: Vec<KeyValue> },
    #[serde(rename = "stringValue")]
    String(String),
}

impl Record {
    pub(crate) fn text(&self, name: &str) -> &str {
        match self.attributes.iter().find(|it| it.key == name) {
            Some(found) => match &found.value {
                AnyValue::Int(text) | AnyValue::String(text) => text,
                other => panic!("{name} is {other:?}"),
            },
            None => "",
        }
    }

    pub(crate) fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap()
    }
}

impl AnyValue {
    /// What it was before it became one.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Array { values } => values.iter().map(Self::to_json).collect(),
            Self::Bool(truth) => (*truth).into(),
            Self::Double(number) => (*number).into(),
            Self::Int(text) => text.parse::<i64>().unwrap().into(),
            Self::Kvlist { values } => values
                .iter()
                .map(|it| (it.key.clone(), it.value.to_json()))
                .collect(),
            Self::String(text) => text.as_str().into(),
        }
    }
}
