//! A registry, and workloads that ask it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bartizan_testkit::tls::dangerous_client_config;
use bartizan_testkit::{DevelopmentCa, IssuedCertificate};
use registry::Config;
use reqwest::Client;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Nothing that is waited for takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

const FILE: &str = r#"
    listen = "127.0.0.1:0"
    certificate = "registry.pem"
    key = "registry-key.pem"
    trust_domain = "example.org"
    bundle = "ca.pem"
    audit = "audit"
    lease_seconds = 30

    [limits]
    instances_of_one = 3
    watchers_of_one = 2

    [[service]]
    name = "payments"
    owner = "spiffe://example.org/payments"
    readers = ["spiffe://example.org/orders"]

    [[service]]
    name = "orders"
    owner = "spiffe://example.org/orders"
    readers = ["spiffe://example.org/web"]
"#;

pub(crate) struct Town {
    pub(crate) ca: DevelopmentCa,
    pub(crate) folder: PathBuf,
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Town {
    pub(crate) async fn new() -> Self {
        Self::with(|text| text).await
    }

    /// With another file.
    pub(crate) async fn with(change: impl FnOnce(String) -> String) -> Self {
        static TOWNS: AtomicUsize = AtomicUsize::new(0);
        let town = TOWNS.fetch_add(1, Ordering::Relaxed);
        let name = format!("registry-{}-{town}", std::process::id());
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let ca = DevelopmentCa::new("example.org").unwrap();
        ca.write_pem(&folder, "ca").unwrap();
        let own = ca.workload("/registry").unwrap();
        own.write_pem(&folder, "registry").unwrap();
        std::fs::write(folder.join("registry.toml"), change(FILE.to_owned())).unwrap();
        Self::start(ca, folder).await
    }

    async fn start(ca: DevelopmentCa, folder: PathBuf) -> Self {
        let config = Config::read(&folder.join("registry.toml")).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (listening, listens) = oneshot::channel();
        let task = tokio::spawn(registry::run(
            config,
            |at| {
                let _ = listening.send(at);
            },
            async {
                let _ = stopped.await;
            },
        ));
        let address = timeout(PATIENCE, listens).await.unwrap().unwrap();
        Self {
            ca,
            folder,
            address,
            stop: Some(stop),
            task,
        }
    }

    /// Ends it, and starts it again with the same files.
    pub(crate) async fn again(mut self) -> Self {
        self.end().await;
        Self::start(self.ca, self.folder).await
    }

    pub(crate) async fn end(&mut self) {
        let _ = self.stop.take().unwrap().send(());
        let ended = timeout(PATIENCE, &mut self.task).await.expect("an end");
        ended.expect("no panic").expect("no error");
    }

    pub(crate) fn workload(&self, path: &str) -> Workload {
        self.with_certificate(&self.ca.workload(path).unwrap(), Ipv4Addr::LOCALHOST)
    }

    /// A workload on another host, as far as the registry can tell.
    pub(crate) fn elsewhere(&self, path: &str, from: Ipv4Addr) -> Workload {
        self.with_certificate(&self.ca.workload(path).unwrap(), from)
    }

    pub(crate) fn with_certificate(
        &self,
        certificate: &IssuedCertificate,
        from: Ipv4Addr,
    ) -> Workload {
        let tls = dangerous_client_config(&self.ca, Some(certificate)).unwrap();
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .local_address(IpAddr::V4(from))
            .no_proxy();
        Workload {
            client: client.build().unwrap(),
            origin: format!("https://{}", self.address),
        }
    }
}

/// Somebody with a certificate.
#[derive(Clone)]
pub(crate) struct Workload {
    pub(crate) client: Client,
    pub(crate) origin: String,
}

impl Workload {
    /// Sends a request, and gives status and document.
    pub(crate) async fn ask(&self, method: &str, path: &str) -> (u16, Value) {
        let url = format!("{}{path}", self.origin);
        let request = self.client.request(method.parse().unwrap(), url);
        let answer = timeout(PATIENCE, request.send()).await.expect("in time");
        let answer = answer.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        let document = match text.is_empty() {
            true => Value::Null,
            false => serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}")),
        };
        (status, document)
    }

    pub(crate) async fn register(&self, name: &str, port: u16) -> (u16, Value) {
        let path = format!("/services/{name}/instances/{port}");
        self.ask("PUT", &path).await
    }

    pub(crate) async fn withdraw(&self, name: &str, port: u16) -> (u16, Value) {
        let path = format!("/services/{name}/instances/{port}");
        self.ask("DELETE", &path).await
    }

    pub(crate) async fn look_up(&self, name: &str) -> (u16, Value) {
        self.ask("GET", &format!("/services/{name}")).await
    }
}

/// The addresses in a document, and its version.
pub(crate) fn told(document: &Value) -> (Vec<String>, u64) {
    let addresses = document["instances"].as_array().unwrap().iter();
    let addresses = addresses.map(|address| address.as_str().unwrap().to_owned());
    (addresses.collect(), document["version"].as_u64().unwrap())
}
