//! The certificates of everybody, and their rotation.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use bartizan_testkit::{DevelopmentCa, IssuedCertificate};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};

use crate::serve::DOMAIN;

/// Who a client is, for TLS.
#[derive(Clone, Debug)]
pub(crate) enum Identity {
    /// What everybody has at present.
    Current,
    /// Nobody: no certificate.
    Nobody,
    /// Somebody whom another authority vouches for.
    Stranger,
}

/// The authority that everybody trusts.
#[derive(Debug)]
pub(crate) struct Authority {
    folder: PathBuf,
    stranger: IssuedCertificate,
    state: Mutex<State>,
}

#[derive(Clone, Debug)]
struct State {
    trusted: Vec<DevelopmentCa>,
    client: IssuedCertificate,
    service: IssuedCertificate,
    generation: u64,
}

impl Authority {
    pub(super) fn new(folder: &Path) -> anyhow::Result<Self> {
        let ca = DevelopmentCa::new(DOMAIN)?;
        let state = State {
            client: ca.workload("/client")?,
            service: ca.workload("/service")?,
            trusted: vec![ca],
            generation: 0,
        };
        let authority = Self {
            folder: folder.to_owned(),
            stranger: DevelopmentCa::new(DOMAIN)?.workload("/client")?,
            state: Mutex::new(state),
        };
        authority.write()?;
        Ok(authority)
    }

    /// Trusts one authority more, beside the present one. Nobody has a certificate of it yet.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub(crate) fn add(&self) -> anyhow::Result<()> {
        let ca = DevelopmentCa::new(DOMAIN)?;
        self.change(|state| state.trusted.push(ca))
    }

    /// Gives everybody a certificate of the newest authority.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub(crate) fn reissue(&self) -> anyhow::Result<()> {
        let newest = self.state().trusted.last().cloned();
        let newest = newest.context("there is an authority")?;
        let (client, service) = (newest.workload("/client")?, newest.workload("/service")?);
        self.change(|state| (state.client, state.service) = (client, service))
    }

    /// Trusts the newest authority alone.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub(crate) fn drop_old(&self) -> anyhow::Result<()> {
        self.change(|state| {
            let old = state.trusted.len().saturating_sub(1);
            state.trusted.drain(..old);
        })
    }

    /// How often anything has changed.
    pub(crate) fn generation(&self) -> u64 {
        self.state().generation
    }

    /// The certificate that the service is to have.
    pub(crate) fn service(&self) -> Vec<u8> {
        self.state().service.certificate_der().to_vec()
    }

    /// A client with a certificate of the newest authority, whatever the others have.
    ///
    /// # Errors
    ///
    /// If no certificate could be made.
    pub(crate) fn probe(&self) -> anyhow::Result<Arc<ClientConfig>> {
        let state = self.state();
        let newest = state.trusted.last().context("there is an authority")?;
        configuration(&state.trusted, Some(&newest.workload("/client")?))
    }

    /// The configuration of a client who speaks this protocol.
    ///
    /// # Errors
    ///
    /// If rustls does not take a certificate.
    pub(crate) fn client(&self, identity: &Identity) -> anyhow::Result<Arc<ClientConfig>> {
        let state = self.state();
        let own = match identity {
            Identity::Current => Some(&state.client),
            Identity::Nobody => None,
            Identity::Stranger => Some(&self.stranger),
        };
        configuration(&state.trusted, own)
    }

    fn state(&self) -> State {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clone()
    }

    fn change(&self, change: impl FnOnce(&mut State)) -> anyhow::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        state.generation += 1;
        drop(state);
        self.write()
    }

    fn write(&self) -> anyhow::Result<()> {
        let state = self.state();
        let roots: String = state
            .trusted
            .iter()
            .map(|it| it.certificate_pem())
            .collect();
        let service = state.service.chain_pem() + &state.service.key_pem();
        for (name, text) in [("roots.pem", roots), ("service.pem", service)] {
            let (new, path) = (self.folder.join("new"), self.folder.join(name));
            std::fs::write(&new, text)?;
            std::fs::rename(new, path)?;
        }
        Ok(())
    }
}

fn configuration(
    trusted: &[DevelopmentCa],
    own: Option<&IssuedCertificate>,
) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for ca in trusted {
        roots.add(ca.root_der().clone())?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots);
    let config = match own {
        Some(own) => config.with_client_auth_cert(own.chain_der(), own.key().to_rustls())?,
        None => config.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}
