//! Certificates, keys and tokens.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bartizan::core::{Clock as _, SystemClock};
use bartizan_testkit::{DevelopmentCa, IssuedCertificate, SigningAlgorithm, TokenMint};
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring as provider;

use crate::options::Protocol;
use crate::policy;

/// Who subjects are where tokens are distinct.
const SUBJECTS: usize = 1_000;

/// How long good tokens and certificates last.
const DAY: Duration = Duration::from_secs(86_400);

/// What clients and servers prove themselves by.
pub(crate) struct Material {
    ca: DevelopmentCa,
    caller: IssuedCertificate,
    pub(crate) mint: TokenMint,
}

/// What a client presents.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Certificate {
    /// That of the workload that may call.
    Good,
    /// None.
    None,
    /// One of another authority, with the same SPIFFE ID.
    Foreign,
    /// One that was good yesterday.
    Expired,
    /// That of another workload.
    Other,
    /// That of a workload whose name begins like the one that may call.
    Longer,
}

impl Material {
    /// Makes everything, and writes into the folder what servers read.
    pub(crate) fn new(folder: &Path) -> anyhow::Result<Self> {
        let ca = DevelopmentCa::new(policy::TRUST_DOMAIN)?;
        ca.write_pem(folder, "ca")?;
        let server = ca.workload("/orders")?;
        server.write_pem(folder, "orders")?;
        // HAProxy wants both in one file.
        let both = format!("{}{}", server.chain_pem(), server.key_pem());
        std::fs::write(folder.join("orders-both.pem"), both)?;
        let caller = ca.workload("/web")?;
        caller.write_pem(folder, "web")?;

        let mint = TokenMint::new(policy::ISSUER, SigningAlgorithm::Rs256, SystemClock)?;
        std::fs::write(folder.join("jwks.json"), mint.jwks().to_string())?;
        let key = mint.signing_key().public_key_pem();
        std::fs::write(folder.join("issuer.pem"), key)?;
        Ok(Self { ca, caller, mint })
    }

    /// A token that all accept.
    pub(crate) fn token(&self, subject: &str) -> bartizan_testkit::TokenBuilder {
        let token = self.mint.token().subject(subject);
        let token = token.audience(policy::AUDIENCE).expires_in(DAY);
        token.scope("openid orders:read")
    }

    /// So many tokens of so many subjects.
    pub(crate) fn hot(&self, count: usize) -> anyhow::Result<Vec<String>> {
        let sign = |number| Ok(self.token(&format!("user-{number}")).sign()?);
        (0..count).map(sign).collect()
    }

    /// Tokens no two of which are alike, signed on all cores.
    pub(crate) fn distinct(&self, count: usize) -> anyhow::Result<Vec<String>> {
        let threads = std::thread::available_parallelism()?.get();
        let sign = |first: usize| {
            let numbers = (first..count).step_by(threads);
            let sign = |number| Ok(self.token(&format!("user-{}", number % SUBJECTS)).sign()?);
            numbers.map(sign).collect::<anyhow::Result<Vec<_>>>()
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|first| scope.spawn(move || sign(first)))
                .collect();
            let mut tokens = Vec::with_capacity(count);
            for worker in workers {
                let signed = worker.join().ok().context("a signing thread panicked")?;
                tokens.extend(signed?);
            }
            Ok(tokens)
        })
    }

    /// A client with this certificate: TLS 1.3 with one cipher suite and one key exchange, so that
    /// all servers do the same.
    pub(crate) fn client(
        &self,
        certificate: Certificate,
        protocol: Protocol,
    ) -> anyhow::Result<Arc<ClientConfig>> {
        let provider = CryptoProvider {
            cipher_suites: vec![provider::cipher_suite::TLS13_AES_128_GCM_SHA256],
            kx_groups: vec![provider::kx_group::X25519],
            ..provider::default_provider()
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(self.ca.root_store()?);
        let mut config = match self.certificate(certificate)? {
            Some(it) => builder.with_client_auth_cert(it.chain_der(), it.key().to_rustls())?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = match protocol {
            Protocol::Http1 => vec![b"http/1.1".to_vec()],
            Protocol::Http2 | Protocol::Grpc => vec![b"h2".to_vec()],
        };
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(config))
    }

    fn certificate(&self, which: Certificate) -> anyhow::Result<Option<IssuedCertificate>> {
        Ok(Some(match which {
            Certificate::Good => self.caller.clone(),
            Certificate::None => return Ok(None),
            Certificate::Foreign => DevelopmentCa::new(policy::TRUST_DOMAIN)?.workload("/web")?,
            Certificate::Expired => {
                let now = SystemClock.wall();
                let leaf = self.ca.leaf().add_uri(policy::CALLER).add_loopback();
                let ended = now.saturating_sub(Duration::from_secs(3_600));
                leaf.with_validity(now.saturating_sub(DAY), ended).issue()?
            }
            Certificate::Other => self.ca.workload("/batch")?,
            Certificate::Longer => self.ca.workload("/web2")?,
        }))
    }
}
