//! The issuer of tokens, which can be slow or absent, and the tokens of everybody.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bartizan::core::SystemClock;
use bartizan_testkit::{
    DevelopmentCa, Endpoint, Fault, OldKey, SigningAlgorithm, SigningKey, TokenBuilder,
    TokenIssuer, TokenMint,
};

use crate::serve::AUDIENCE;

/// How long a token lives.
const LIFETIME: Duration = Duration::from_secs(600);

/// An issuer on a port of its own.
#[derive(Debug)]
pub(crate) struct Issuer {
    ca: DevelopmentCa,
    server: Option<TokenIssuer>,
    url: String,
    port: u16,
    key: SigningKey,
    old: Option<SigningKey>,
    keys: u64,
}

impl Issuer {
    pub(super) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let ca = DevelopmentCa::new("issuer.example")?;
        ca.write_pem(folder, "issuer")?;
        let key = SigningKey::generate(SigningAlgorithm::Es256, "soak-1")?;
        let server = TokenIssuer::builder(key.clone()).start(&ca).await?;
        Ok(Self {
            ca,
            url: server.issuer().to_owned(),
            port: server.address().port(),
            server: Some(server),
            key,
            old: None,
            keys: 1,
        })
    }

    pub(super) fn url(&self) -> String {
        self.url.clone()
    }

    /// A token signed by the newest key.
    pub(crate) fn token(&self) -> TokenBuilder {
        let mint = TokenMint::with_key(&*self.url, self.key.clone(), Arc::new(SystemClock));
        mint.token().audience(AUDIENCE).expires_in(LIFETIME)
    }

    /// Signs with a new key from now on; the old one stays published.
    ///
    /// # Errors
    ///
    /// If no key could be made.
    pub(crate) fn rotate(&mut self) -> anyhow::Result<()> {
        self.keys += 1;
        let key = SigningKey::generate(SigningAlgorithm::Es256, format!("soak-{}", self.keys))?;
        self.old = Some(std::mem::replace(&mut self.key, key.clone()));
        if let Some(server) = &self.server {
            server.rotate_to(key, OldKey::Keep);
        }
        Ok(())
    }

    /// Publishes the key that signs, and no other.
    pub(crate) fn withdraw_old(&mut self) {
        if let (Some(old), Some(server)) = (self.old.take(), &self.server) {
            server.withdraw(old.kid());
        }
    }

    /// Gives keys a byte at a time from now on, or as they should be.
    pub(crate) fn set_slow(&self, slow: bool) {
        let Some(server) = &self.server else {
            return;
        };
        match slow {
            true => server.set_fault(Endpoint::Jwks, Fault::Drip(Duration::from_millis(100))),
            false => server.clear_fault(Endpoint::Jwks),
        }
    }

    /// Closes the port, and every connection.
    pub(crate) fn leave(&mut self) {
        self.server = None;
    }

    /// Opens the port again, and publishes what is to be published by now.
    ///
    /// # Errors
    ///
    /// If the port is taken.
    pub(crate) async fn come_back(&mut self) -> anyhow::Result<()> {
        let builder = TokenIssuer::builder(self.key.clone()).with_port(self.port);
        let server = builder.start(&self.ca).await?;
        if let Some(old) = &self.old {
            server.publish(old.clone());
        }
        self.server = Some(server);
        Ok(())
    }
}
