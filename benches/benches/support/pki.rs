//! An authority, a server and a client of it, and a server over bare tokio-rustls.

use std::convert::Infallible;
use std::sync::Arc;

use bartizan_mtls::{Identity, Material, Roots, Trust, TrustBundles};
use bartizan_source::Published;
use bartizan_testkit::tls::dangerous_client_config;
use bartizan_testkit::{DevelopmentCa, IssuedCertificate};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use tokio::net::TcpListener;
use tokio_rustls::{TlsAcceptor, TlsConnector};

pub(crate) struct Pki {
    pub(crate) ca: DevelopmentCa,
    server: IssuedCertificate,
    pub(crate) client: IssuedCertificate,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let ca = DevelopmentCa::new("example.org").unwrap();
        let (server, client) = (
            ca.workload("/web").unwrap(),
            ca.workload("/client").unwrap(),
        );
        Self { ca, server, client }
    }

    pub(crate) fn material(&self) -> Published<Material> {
        let server = &self.server;
        let identity = Identity::from_der(server.chain_der(), server.key().to_rustls()).unwrap();
        let roots = Roots::from_der([self.ca.root_der()]).unwrap();
        let bundles = TrustBundles::new().with_bundle("example.org".parse().unwrap(), roots);
        Published::fixed(Material::new(identity, Trust::spiffe(bundles)))
    }

    /// What one writes without us, with as little as we allow: TLS 1.3, no tickets.
    pub(crate) fn bare(&self) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = Arc::new(self.ca.root_store().unwrap());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
        let server = &self.server;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier.unwrap())
            .with_single_cert(server.chain_der(), server.key().to_rustls())
            .unwrap();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    pub(crate) fn connector(&self, http2: bool) -> TlsConnector {
        let mut config = dangerous_client_config(&self.ca, Some(&self.client)).unwrap();
        config.resumption = rustls::client::Resumption::disabled();
        let protocol: &[u8] = if http2 { b"h2" } else { b"http/1.1" };
        config.alpn_protocols = vec![protocol.to_vec()];
        TlsConnector::from(Arc::new(config))
    }
}

pub(crate) async fn port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

pub(crate) async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from(vec![b'x'; 1024])))
}

pub(crate) async fn serve_bare(listener: TcpListener, acceptor: TlsAcceptor) {
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let tls = acceptor.accept(tcp).await.unwrap();
            let service = hyper::service::service_fn(hello);
            if tls.get_ref().1.alpn_protocol() == Some(b"h2") {
                let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                builder.timer(TokioTimer::new());
                let _ = builder.serve_connection(TokioIo::new(tls), service).await;
            } else {
                let mut builder = hyper::server::conn::http1::Builder::new();
                builder.timer(TokioTimer::new());
                let _ = builder.serve_connection(TokioIo::new(tls), service).await;
            }
        });
    }
}
