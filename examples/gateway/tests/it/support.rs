//! A town: an authority, an issuer, services behind a gateway, and clients.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bartizan_testkit::tls::dangerous_client_config;
use bartizan_testkit::{
    DevelopmentCa, IssuedCertificate, SigningAlgorithm, TokenBuilder, TokenIssuer,
};
use bytes::Bytes;
use gateway::{Config, Listening};
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use reqwest::Client;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Nothing that is waited for takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What the policies of all tests say.
pub(crate) const POLICY: &str = r#"
    version = 1

    [[rule]]
    name = "open to everybody"
    effect = "allow"
    to = [{ paths = ["/open/{*rest}", "/nowhere"] }]

    [[rule]]
    name = "users"
    effect = "allow"
    from = [{ scopes = ["shop:read"] }]
    to = [{ paths = ["/api/{*rest}", "/ws"] }]

    [[rule]]
    name = "web"
    effect = "allow"
    from = [{ peers = ["spiffe://example.org/web"] }]
    to = [
        { paths = ["/internal/{*rest}"] },
        { grpc = [{ service = "grpc.health.v1.Health" }] },
    ]

    [[rule]]
    name = "nobody administers from outside"
    effect = "deny"
    to = [{ paths = ["/api/admin/{*rest}"] }]
"#;

pub(crate) struct Town {
    pub(crate) ca: DevelopmentCa,
    pub(crate) issuer: TokenIssuer,
    pub(crate) folder: PathBuf,
}

impl Town {
    pub(crate) async fn new() -> Self {
        static TOWNS: AtomicUsize = AtomicUsize::new(0);
        let town = TOWNS.fetch_add(1, Ordering::Relaxed);
        let name = format!("gateway-{}-{town}", std::process::id());
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let ca = DevelopmentCa::new("example.org").unwrap();
        ca.write_pem(&folder, "ca").unwrap();
        let gateway = ca.workload("/gateway").unwrap();
        gateway.write_pem(&folder, "gateway").unwrap();
        std::fs::write(folder.join("policy.toml"), POLICY).unwrap();
        let issuer = TokenIssuer::start(&ca, SigningAlgorithm::Es256).await;
        let issuer = issuer.unwrap();
        Self { ca, issuer, folder }
    }

    /// A good token of alice.
    pub(crate) fn token(&self) -> TokenBuilder {
        let token = self.issuer.token().subject("alice").audience("gateway");
        token.scope("shop:read")
    }

    /// A gateway in the clear, before one service over HTTP/1.1.
    pub(crate) fn plain(&self, upstream: SocketAddr) -> String {
        let issuer = self.issuer.issuer();
        format!(
            r#"
            name = "gate"
            listen = "127.0.0.1:0"
            health = "127.0.0.1:0"
            policy = "policy.toml"
            reload_seconds = 0.1
            tokens = {{ issuer = "{issuer}", audience = "gateway", roots = "ca.pem" }}

            [limits]
            per_second = 10000
            burst = 10000
            body = 1000000
            drain_seconds = 10
            recheck_seconds = 0.2

            [upstream.shop]
            address = "{upstream}"
            response_seconds = 10
            idle_seconds = 10

            [[route]]
            paths = ["/open/{{*rest}}", "/api/{{*rest}}", "/internal/{{*rest}}"]
            upstream = "shop"

            [[route]]
            paths = ["/ws"]
            upstream = "shop"
            websocket = true

            [[route]]
            paths = ["/grpc.health.v1.Health/{{method}}"]
            upstream = "shop"
            "#
        )
    }

    /// The same under mutual TLS.
    pub(crate) fn tls(&self, upstream: SocketAddr) -> String {
        let tls = r#"[tls]
            certificate = "gateway.pem"
            key = "gateway-key.pem"
            trust_domain = "example.org"
            bundle = "ca.pem"
            peers = ["spiffe://example.org/**"]

            [limits]"#;
        self.plain(upstream).replace("[limits]", tls)
    }

    /// Starts a gateway of this file.
    pub(crate) async fn start(&self, text: &str) -> Gate {
        static FILES: AtomicUsize = AtomicUsize::new(0);
        let name = format!("gateway-{}.toml", FILES.fetch_add(1, Ordering::Relaxed));
        let file = self.folder.join(name);
        std::fs::write(&file, text).unwrap();
        let config = Config::read(&file).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (listening, listens) = oneshot::channel();
        let task = tokio::spawn(gateway::run(
            config,
            |at| {
                let _ = listening.send(at);
            },
            async {
                let _ = stopped.await;
            },
        ));
        let at = timeout(PATIENCE, listens).await.unwrap().unwrap();
        Gate {
            at,
            stop: Some(stop),
            task,
        }
    }

    /// A client with this certificate, or none.
    pub(crate) fn client(&self, certificate: Option<&IssuedCertificate>) -> Client {
        let tls = dangerous_client_config(&self.ca, certificate).unwrap();
        let client = Client::builder().tls_backend_preconfigured(tls);
        client.no_proxy().build().unwrap()
    }
}

/// The same before a service that speaks HTTP/2, over which there are no WebSockets.
pub(crate) fn h2(text: &str) -> String {
    text.replace("response_seconds", "protocol = \"h2\"\nresponse_seconds")
        .replace("websocket = true", "websocket = false")
}

impl Drop for Town {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A running gateway.
pub(crate) struct Gate {
    pub(crate) at: Listening,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Gate {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at.requests)
    }

    pub(crate) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    pub(crate) async fn has_ended(self) {
        let ended = timeout(PATIENCE, self.task).await.expect("an end");
        ended.expect("no panic").expect("no error");
    }
}

/// A service behind, over HTTP/1.1 and HTTP/2.
pub(crate) async fn upstream<F, R, B>(answer: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let answer = answer(request);
                    async { Ok::<_, Infallible>(answer.await) }
                });
                let builder = Builder::new(TokioExecutor::new());
                let _ = builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}

/// A service behind that does with each connection what it likes.
pub(crate) async fn bare_upstream<F, R>(handle: F) -> SocketAddr
where
    F: Fn(TcpStream) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(handle(stream));
        }
    });
    address
}

/// Reads up to the end of a head.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

/// Sends bytes, and gives what comes back until the gateway closes or says nothing more.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8], quiet: Duration) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(Ok(read)) = timeout(quiet, stream.read(&mut buffer)).await {
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// A service that answers with the request's line and headers as JSON.
pub(crate) async fn echo() -> SocketAddr {
    upstream(async |request: Request<Incoming>| {
        let mut seen = serde_json::Map::new();
        let line = format!("{} {}", request.method(), request.uri());
        seen.insert(":line".to_owned(), line.into());
        for (name, value) in request.headers() {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            seen.insert(name.as_str().to_owned(), value.into());
        }
        let seen = serde_json::Value::Object(seen).to_string();
        Response::new(http_body_util::Full::new(Bytes::from(seen)))
    })
    .await
}

/// How often the gateway counted this, by what it says at its health port.
pub(crate) async fn counted(town: &Town, gate: &Gate, labels: &[&str]) -> u64 {
    let health = gate.at.health.unwrap();
    let answer = town.client(None).get(format!("http://{health}/metrics"));
    let text = answer.send().await.unwrap().text().await.unwrap();
    let mut lines = text.lines();
    let line = lines.find(|line| {
        line.starts_with("bartizan_decisions_total{") && labels.iter().all(|it| line.contains(it))
    });
    let number = line.and_then(|line| line.rsplit_once(' '));
    number.map_or(0, |(_, number)| number.parse().unwrap())
}
