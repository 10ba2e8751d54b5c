//! A server that says exactly what a test tells it to, over TLS or in plaintext.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_source::Roots;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What the server does, in order, once it has read a request. Then it closes properly.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Send(Vec<u8>),
    /// Sends the same again and again.
    Repeat(Vec<u8>),
    /// Sends byte after byte, each after a wait.
    Drip(Vec<u8>, Duration),
    /// Says nothing more, and leaves the connection open.
    Hang,
    /// Drops the connection as a cut cable would: no TLS `close_notify`.
    Abort,
}

pub(crate) fn send(text: impl Into<String>) -> Step {
    Step::Send(text.into().into_bytes())
}

/// A development authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

/// A certificate with its key.
pub(crate) struct Identity(CertificateDer<'static>, PrivateKeyDer<'static>);

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "test authority");
        let certificate = params.self_signed(&key).expect("signable");
        Self {
            pem: certificate.pem(),
            certificate: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    pub(crate) fn issue(&self, name: &str) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("signable");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("PKCS#8");
        Identity(certificate.der().clone(), key)
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::from_der([self.certificate.to_vec()]).expect("a root")
    }

    fn store(&self) -> Arc<RootCertStore> {
        let mut store = RootCertStore::empty();
        store.add(self.certificate.clone()).expect("a root");
        Arc::new(store)
    }

    /// A client's configuration that presents `identity`.
    pub(crate) fn client_config(&self, identity: &Identity) -> ClientConfig {
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider's own versions")
            .with_root_certificates(self.store())
            .with_client_auth_cert(vec![identity.0.clone()], identity.1.clone_key())
            .expect("a matching pair")
    }

    pub(crate) fn server_config(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        requires_client: bool,
    ) -> ServerConfig {
        let Identity(certificate, key) = self.issue("127.0.0.1");
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .expect("the provider's own versions");
        let builder = if requires_client {
            let verifier = WebPkiClientVerifier::builder_with_provider(self.store(), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a root"))
        } else {
            builder.with_no_client_auth()
        };
        builder
            .with_single_cert(vec![certificate], key)
            .expect("a matching pair")
    }
}

/// A server at work until it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    scheme: &'static str,
    requests: Arc<Mutex<Vec<String>>>,
    closed: Arc<tokio::sync::Notify>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn plain(steps: Vec<Step>) -> Self {
        Self::start(None, steps).await
    }

    pub(crate) async fn tls(authority: &Authority, steps: Vec<Step>) -> Self {
        Self::with_config(
            authority.server_config(rustls::DEFAULT_VERSIONS, false),
            steps,
        )
        .await
    }

    pub(crate) async fn with_config(config: ServerConfig, steps: Vec<Step>) -> Self {
        Self::start(Some(TlsAcceptor::from(Arc::new(config))), steps).await
    }

    async fn start(tls: Option<TlsAcceptor>, steps: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let closed = Arc::new(tokio::sync::Notify::new());
        let mut tasks = JoinSet::new();
        let (log, gone) = (Arc::clone(&requests), Arc::clone(&closed));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                let (tls, steps) = (tls.clone(), steps.clone());
                let (log, gone) = (Arc::clone(&log), Arc::clone(&gone));
                connections.spawn(async move {
                    match tls {
                        None => serve(tcp, steps, &log, &gone).await,
                        // A client that refuses our certificate ends here.
                        Some(tls) => match tls.accept(tcp).await {
                            Ok(stream) => serve(stream, steps, &log, &gone).await,
                            Err(_refused) => {}
                        },
                    }
                });
            }
        });
        Self {
            address,
            scheme,
            requests,
            closed,
            _tasks: tasks,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The requests so far, as they came over the wire.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("unpoisoned").clone()
    }

    /// Waits until a client has gone while the server was hanging.
    pub(crate) async fn client_gone(&self) {
        self.closed.notified().await;
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    steps: Vec<Step>,
    log: &Mutex<Vec<String>>,
    gone: &tokio::sync::Notify,
) {
    let Some(request) = read_request(&mut stream).await else {
        return;
    };
    log.lock().expect("unpoisoned").push(request);
    for step in steps {
        // Errors mean that the client has had enough, as many of these tests want it to.
        match step {
            Step::Send(bytes) => {
                if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
            }
            Step::Repeat(bytes) => while stream.write_all(&bytes).await.is_ok() {},
            Step::Drip(bytes, wait) => {
                for byte in bytes {
                    tokio::time::sleep(wait).await;
                    if stream.write_all(&[byte]).await.is_err() || stream.flush().await.is_err() {
                        return;
                    }
                }
            }
            Step::Hang => {
                let _ = stream.read(&mut [0]).await;
                gone.notify_one();
                return;
            }
            Step::Abort => return,
        }
    }
    let _ = stream.shutdown().await;
    // Whoever closes first must not reset what the other has yet to read.
    let _ = stream.read(&mut [0]).await;
}

/// Head and body.
async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().expect("a length"));
            if body.len() >= length {
                return Some(text);
            }
        }
        if stream.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    }
}
