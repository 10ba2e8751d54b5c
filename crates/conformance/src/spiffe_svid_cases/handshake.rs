//! Real TLS 1.3 handshakes, with a client that presents whatever it is told to.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, anyhow};
use bartizan_core::{Clock, Event, MonotonicTime, SystemClock, WallTime, observe_fn};
use bartizan_mtls::{HANDSHAKE_COMPLETED, Material, MtlsListener};
use bartizan_source::Published;
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::tally::Observed;

/// A handshake on loopback takes a millisecond; the listener gives up after ten seconds by itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// Makes handshakes at one moment.
pub(super) struct Handshakes {
    runtime: Runtime,
    now: WallTime,
}

/// Why there was no handshake to learn from.
pub(super) enum NoHandshake {
    /// Something of ours failed, which is no answer.
    Harness(anyhow::Error),
    /// The client has no key that it could sign with.
    UnusableKey,
}

impl Handshakes {
    pub(super) fn new(now: WallTime) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, now })
    }

    /// Shows this chain, with a proof by this key, to a listener with that material: the identity
    /// that it gives to the application, or the code that it gives to its observer.
    pub(super) fn run(
        &self,
        material: Material,
        chain: &[CertificateDer<'static>],
        key: &[u8],
    ) -> Result<Observed, NoHandshake> {
        let provider = Arc::new(ring::default_provider());
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| NoHandshake::UnusableKey)?;
        let key = provider.key_provider.load_private_key(key);
        let key = key.map_err(|_| NoHandshake::UnusableKey)?;
        let shown = Shown(Arc::new(CertifiedKey::new(chain.to_vec(), key)));
        let talk = self.talk(
            material,
            client(provider, shown).map_err(NoHandshake::Harness)?,
        );
        self.runtime.block_on(talk).map_err(NoHandshake::Harness)
    }

    async fn talk(&self, material: Material, client: ClientConfig) -> Result<Observed> {
        let (refused, mut refusals) = mpsc::unbounded_channel();
        let refused = Mutex::new(refused);
        let observer = observe_fn(move |event| {
            if let Event::Lifecycle(event) = event
                && event.code() != HANDSHAKE_COMPLETED
            {
                let sender = refused.lock().unwrap_or_else(PoisonError::into_inner);
                // The case may be over.
                let _ = sender.send(event.code().as_str());
            }
        });
        let mut listener = MtlsListener::builder(Published::fixed(material))
            .with_clock(Arc::new(Fixed(self.now)))
            .with_observer(Arc::new(observer))
            .bind((Ipv4Addr::LOCALHOST, 0))
            .await?;
        let tcp = TcpStream::connect(listener.local_addr()).await?;
        let connector = TlsConnector::from(Arc::new(client));
        let far_end = tokio::spawn(async move {
            let name = ServerName::from(std::net::IpAddr::from(Ipv4Addr::LOCALHOST));
            if let Ok(mut stream) = connector.connect(name, tcp).await {
                // In TLS 1.3 a refusal comes after the handshake; so wait for it.
                let _ = stream.read(&mut [0]).await;
            }
        });
        let verdict = timeout(PATIENCE, async {
            tokio::select! {
                stream = listener.accept() => {
                    let stream = stream?;
                    let id = stream.peer().spiffe_id().map(ToString::to_string);
                    Ok(Ok(id.unwrap_or_default()))
                }
                code = refusals.recv() => {
                    Ok(Err(code.ok_or_else(|| anyhow!("the listener is gone"))?.to_owned()))
                }
            }
        });
        let verdict = verdict.await;
        far_end.abort();
        verdict?
    }
}

fn client(provider: Arc<CryptoProvider>, shown: Shown) -> Result<ClientConfig> {
    let anybody = Arc::new(Anybody(Arc::clone(&provider)));
    Ok(ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(anybody)
        .with_client_cert_resolver(Arc::new(shown)))
}

/// A clock that stands still.
#[derive(Debug)]
struct Fixed(WallTime);

impl Clock for Fixed {
    fn wall(&self) -> WallTime {
        self.0
    }

    fn monotonic(&self) -> MonotonicTime {
        SystemClock.monotonic()
    }
}

/// Shows its chain whatever the server asks for.
#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Takes every server for the right one: it is the server that is tried here.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
