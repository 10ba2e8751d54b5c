//! A small service over the listener, and clients that call it.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_core::{
    Clock, Code, Connection, Event, LifecycleEvent, LifecycleKind, Observe, SecurityContext,
};
use bartizan_mtls::{
    AllowedPeers, Identity, Material, MtlsConnector, MtlsLayer, MtlsListener, MtlsListenerBuilder,
    Presence, Roots, Trust, TrustBundles,
};
use bartizan_source::Published;
use bartizan_testkit::tls::dangerous_client_config;
use bartizan_testkit::{DevelopmentCa, IssuedCertificate};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tower::{Layer, ServiceExt, service_fn};

/// Long enough for any machine; a test that meets it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const ORDERS: &str = "spiffe://example.org/ns/shop/sa/orders";
pub const PAYMENTS: &str = "spiffe://example.org/ns/shop/sa/payments";

pub fn ca() -> DevelopmentCa {
    DevelopmentCa::new("example.org").expect("random bytes")
}

pub fn bundles<'a>(authorities: impl IntoIterator<Item = &'a DevelopmentCa>) -> TrustBundles {
    authorities
        .into_iter()
        .fold(TrustBundles::new(), |bundles, ca| {
            let roots = Roots::from_der([ca.root_der()]).expect("a root");
            bundles.with_bundle(ca.trust_domain().parse().expect("a name"), roots)
        })
}

pub fn identity(issued: &IssuedCertificate) -> Identity {
    Identity::from_der(issued.chain_der(), issued.key().to_rustls()).expect("a good svid")
}

pub fn material(issued: &IssuedCertificate, bundles: &TrustBundles) -> Material {
    Material::new(identity(issued), Trust::spiffe(bundles.clone()))
}

/// The material of the workload with this path, which believes its own authority.
pub fn workload(ca: &DevelopmentCa, path: &str) -> Material {
    material(&ca.workload(path).expect("a key"), &bundles([ca]))
}

pub fn orders(ca: &DevelopmentCa) -> Material {
    workload(ca, "/ns/shop/sa/orders")
}

pub fn payments(ca: &DevelopmentCa) -> Material {
    workload(ca, "/ns/shop/sa/payments")
}

pub fn only(id: &str) -> AllowedPeers {
    AllowedPeers::id(id.parse().expect("an id"))
}

/// Serves on loopback; answers each allowed peer with its own name.
pub async fn serve<P: Presence>(builder: MtlsListenerBuilder<P>, layer: MtlsLayer) -> SocketAddr {
    let mut listener = builder.bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr();
    tokio::spawn(async move {
        while let Ok(stream) = listener.accept().await {
            let connection = stream.connection().clone();
            let service = layer.layer(service_fn(name_the_peer));
            let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(connection.clone());
                service.clone().oneshot(request)
            });
            tokio::spawn(async move {
                let builder = auto::Builder::new(TokioExecutor::new());
                // A client that goes away in the middle is no failure of the test.
                let _ = builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}

/// A service with the identity of payments, which orders may call.
pub async fn serve_payments(ca: &DevelopmentCa) -> SocketAddr {
    serve(
        MtlsListener::builder(Published::fixed(payments(ca))),
        allow(ORDERS),
    )
    .await
}

pub fn allow(pattern: &str) -> MtlsLayer {
    MtlsLayer::builder()
        .allow_peer(pattern.parse().expect("a pattern"))
        .build()
        .expect("a list")
}

async fn name_the_peer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let context = SecurityContext::of(request.extensions()).expect("the layer makes one");
    let name = context.peer().map(ToString::to_string).unwrap_or_default();
    let seen: Vec<_> = request.headers().keys().map(|it| it.as_str()).collect();
    let response = Response::builder().header("seen", seen.join(" "));
    Ok(response.body(Full::from(name)).expect("header names"))
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: String,
    pub version: http::Version,
    pub server: Option<Connection>,
}

pub type HttpClient = Client<MtlsConnector, Empty<Bytes>>;

pub fn client(material: Material, server: AllowedPeers) -> HttpClient {
    client_of(MtlsConnector::new(Published::fixed(material), server))
}

pub fn client_of(connector: MtlsConnector) -> HttpClient {
    Client::builder(TokioExecutor::new()).build(connector)
}

pub async fn get(
    client: &HttpClient,
    address: SocketAddr,
) -> Result<Answer, hyper_util::client::legacy::Error> {
    let uri = format!("https://{address}/").parse().expect("a uri");
    let response = timeout(PATIENCE, client.get(uri))
        .await
        .expect("an answer in time")?;
    let server = response.extensions().get::<Connection>().cloned();
    Ok(answer(response, server).await)
}

async fn answer(response: Response<Incoming>, server: Option<Connection>) -> Answer {
    let (status, version) = (response.status(), response.version());
    let body = response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    Answer {
        status,
        body: String::from_utf8_lossy(&body).into_owned(),
        version,
        server,
    }
}

/// A client that shares no code with the crate under test.
pub async fn foreign_get(
    ca: &DevelopmentCa,
    certificate: Option<&IssuedCertificate>,
    address: SocketAddr,
) -> Result<Answer, Box<dyn Error + Send + Sync>> {
    let config = Arc::new(dangerous_client_config(ca, certificate)?);
    let tcp = TcpStream::connect(address).await?;
    let name = "localhost".try_into()?;
    let tls = timeout(PATIENCE, TlsConnector::from(config).connect(name, tcp)).await??;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await?;
    let driver = tokio::spawn(connection);
    let request = Request::get("/")
        .header("host", "localhost")
        .body(Empty::<Bytes>::new())?;
    let response = match timeout(PATIENCE, sender.send_request(request)).await? {
        Ok(response) => response,
        Err(error) => {
            // The reason is with whichever half met it first.
            drop(sender);
            return Err(match driver.await? {
                Err(cause) => cause.into(),
                Ok(()) => error.into(),
            });
        }
    };
    Ok(answer(response, None).await)
}

/// Remembers the events outside requests; who was let in apart from all else.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Memory>);

#[derive(Debug, Default)]
struct Memory {
    seen: Mutex<Vec<(Code, String)>>,
    let_in: Mutex<Vec<(Code, String)>>,
    changed: Notify,
}

impl Recorder {
    pub fn shared(&self) -> Arc<dyn Observe> {
        Arc::new(self.clone())
    }

    pub fn codes(&self) -> Vec<Code> {
        self.0
            .seen
            .lock()
            .unwrap()
            .iter()
            .map(|(code, _)| *code)
            .collect()
    }

    /// How clients were let in, and who they are.
    pub fn let_in(&self) -> Vec<(Code, String)> {
        self.0.let_in.lock().unwrap().clone()
    }

    /// Waits until this many events were seen, and gives their codes with details.
    pub async fn wait_for(&self, count: usize) -> Vec<(Code, String)> {
        let enough = async {
            loop {
                let changed = self.0.changed.notified();
                let seen = self.0.seen.lock().unwrap().clone();
                if seen.len() >= count {
                    return seen;
                }
                changed.await;
            }
        };
        timeout(PATIENCE, enough).await.expect("events in time")
    }
}

impl Observe for Recorder {
    fn observe(&self, event: &Event<'_>) {
        let code = match event {
            Event::Lifecycle(event) if event.kind() == LifecycleKind::HandshakeCompleted => {
                let client = (event.code(), detail(event));
                return self.0.let_in.lock().unwrap().push(client);
            }
            Event::Lifecycle(event) => (event.code(), detail(event)),
            Event::Decision(event) => match event.code() {
                Some(code) => (code, String::new()),
                None => return,
            },
            _ => return,
        };
        self.0.seen.lock().unwrap().push(code);
        self.0.changed.notify_waiters();
    }
}

fn detail(event: &LifecycleEvent<'_>) -> String {
    event.detail().map(ToString::to_string).unwrap_or_default()
}

pub fn clock(clock: &bartizan_testkit::ManualClock) -> Arc<dyn Clock> {
    Arc::new(clock.clone())
}
