//! Which key of which Vault.

use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Clock, SystemClock};
use bartizan_source::Roots;
use tokio::sync::OnceCell;

use crate::error::ProviderConfigError;
use crate::remote::Reach;
use crate::vault::auth::VaultAuth;
use crate::vault::session::Sessions;
use crate::vault::{Server, Transit, VaultTransit};

/// Describes a [`VaultTransit`]; made by [`VaultTransit::builder`].
///
/// | setting | default | reason |
/// |---|---|---|
/// | mount | `transit` | Vault's own default |
/// | namespace | none | |
/// | auth | none: refused | who we are has no default |
/// | binding | `associated_data` | works with keys as they are made by default |
/// | roots | public web | |
/// | deadline | 5 s per request | |
/// | plaintext | refused | data keys travel in the body |
///
/// The name that stands beside what the key wrapped is `vault:`, namespace, mount and key; not
/// the server, which may move. Keys of two servers must differ in one of the others.
#[derive(Clone, Debug)]
#[must_use = "call build to get the key"]
pub struct VaultTransitBuilder {
    url: String,
    mount: String,
    key: String,
    namespace: Option<String>,
    auth: Option<VaultAuth>,
    derived: bool,
    reach: Reach,
    clock: Arc<dyn Clock>,
}

impl VaultTransitBuilder {
    pub(super) fn new(url: &str, key: &str) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
            mount: "transit".to_owned(),
            key: key.to_owned(),
            namespace: None,
            auth: None,
            derived: false,
            reach: Reach::new(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Replaces the mount of the transit engine.
    pub fn with_mount(mut self, mount: &str) -> Self {
        mount.clone_into(&mut self.mount);
        self
    }

    /// Sets the namespace, of Vault Enterprise and OpenBao.
    pub fn with_namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.trim_matches('/').to_owned());
        self
    }

    /// Sets who we are.
    pub fn with_auth(mut self, auth: VaultAuth) -> Self {
        self.auth = Some(auth);
        self
    }

    /// Binds by key derivation, for a key made with `derived=true`: Vault then makes the data keys
    /// itself, and wraps them anew without giving them out.
    pub fn with_derived_context(mut self) -> Self {
        self.derived = true;
        self
    }

    /// Replaces the certificate authorities that are believed of the server.
    pub fn with_roots(mut self, roots: Roots) -> Self {
        self.reach = self.reach.with_roots(roots);
        self
    }

    /// Replaces how long one request may take. The [`Keyring`](crate::Keyring) has its own
    /// deadline over all attempts.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.reach = self.reach.with_deadline(deadline);
        self
    }

    /// Permits `http://` to loopback, for development.
    pub fn allow_plaintext_loopback(mut self) -> Self {
        self.reach = self.reach.allow_plaintext_loopback();
        self
    }

    /// Replaces the clock.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Checks the settings. Nobody is asked yet.
    ///
    /// # Errors
    ///
    /// [`ProviderConfigError`], naming the first setting that cannot work.
    pub fn build(self) -> Result<VaultTransit, ProviderConfigError> {
        let fetcher = self.reach.build()?;
        let url = |error: bartizan_source::FetchError| ProviderConfigError::Url(error.to_string());
        fetcher.check_url(&self.url).map_err(url)?;
        check("key", &self.key, false)?;
        check("mount", &self.mount, true)?;
        if let Some(namespace) = &self.namespace {
            check("namespace", namespace, true)?;
        }
        let auth = self.auth.ok_or(ProviderConfigError::Missing("auth"))?;
        // A colon is in none of the names.
        let namespace = self.namespace.as_ref().map(|name| format!("{name}:"));
        let namespace = namespace.unwrap_or_default();
        Ok(VaultTransit(Arc::new(Transit {
            id: format!("vault:{namespace}{}/{}", self.mount, self.key),
            base: format!("{}/v1/{}", self.url, self.mount),
            key: self.key,
            derived: self.derived,
            bound: OnceCell::new(),
            sessions: Sessions::new(
                Server {
                    fetcher,
                    url: self.url,
                    namespace: self.namespace,
                    clock: self.clock,
                },
                auth,
            ),
        })))
    }
}

/// Names become parts of a path, where anything but these would mean something else.
fn check(setting: &'static str, name: &str, segments: bool) -> Result<(), ProviderConfigError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let sound = |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(plain);
    let fits = match segments {
        true => name.split('/').all(sound),
        false => sound(name),
    };
    if fits {
        return Ok(());
    }
    Err(ProviderConfigError::Name {
        setting,
        name: name.to_owned(),
    })
}
