//! Who we are to Vault.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use zeroize::Zeroizing;

use crate::kek::KekError;

/// How to get a token of Vault's.
#[derive(Clone)]
pub struct VaultAuth(pub(super) Method);

#[derive(Clone)]
pub(super) enum Method {
    Token(Secret),
    TokenFile(PathBuf),
    Role {
        mount: String,
        role: String,
        credential: Credential,
    },
}

/// What a role is claimed with.
#[derive(Clone)]
pub(super) enum Credential {
    /// AppRole's secret.
    SecretId(Secret),
    /// The same, read at every login.
    SecretIdFile(PathBuf),
    /// The token of a pod's service account, read at every login.
    ServiceAccount(PathBuf),
}

pub(super) type Secret = Arc<Zeroizing<String>>;

const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

impl VaultAuth {
    /// A token. It is renewed as long as it can be; when it ends, keys cannot be had any more.
    pub fn token(token: impl Into<String>) -> Self {
        Self(Method::Token(secret(token)))
    }

    /// A token in a file that somebody else replaces in time, such as Vault's agent.
    pub fn token_file(path: impl Into<PathBuf>) -> Self {
        Self(Method::TokenFile(path.into()))
    }

    /// AppRole, at the mount `approle`.
    pub fn app_role(role_id: &str, secret_id: impl Into<String>) -> Self {
        Self::role(role_id, "approle", Credential::SecretId(secret(secret_id)))
    }

    /// AppRole with the secret in a file, which is read at every login.
    pub fn app_role_file(role_id: &str, secret_id: impl Into<PathBuf>) -> Self {
        let credential = Credential::SecretIdFile(secret_id.into());
        Self::role(role_id, "approle", credential)
    }

    /// Kubernetes, at the mount `kubernetes`, with the token that pods find at its usual path.
    pub fn kubernetes(role: &str) -> Self {
        Self::kubernetes_file(role, SERVICE_ACCOUNT)
    }

    /// Kubernetes with the service account's token in another file, such as a projected one with
    /// Vault as audience.
    pub fn kubernetes_file(role: &str, path: impl Into<PathBuf>) -> Self {
        let credential = Credential::ServiceAccount(path.into());
        Self::role(role, "kubernetes", credential)
    }

    /// Replaces the mount of AppRole or Kubernetes; tokens have none.
    #[must_use]
    pub fn with_mount(mut self, name: &str) -> Self {
        if let Method::Role { mount, .. } = &mut self.0 {
            name.clone_into(mount);
        }
        self
    }

    fn role(role: &str, mount: &str, credential: Credential) -> Self {
        Self(Method::Role {
            mount: mount.to_owned(),
            role: role.to_owned(),
            credential,
        })
    }
}

impl fmt::Debug for VaultAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Method::Token(_) => f.write_str("VaultAuth(token)"),
            Method::TokenFile(path) => write!(f, "VaultAuth(token file {})", path.display()),
            Method::Role { mount, .. } => write!(f, "VaultAuth(role at {mount})"),
        }
    }
}

/// The body of a login.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Claim<'c> {
    AppRole {
        role_id: &'c str,
        secret_id: &'c str,
    },
    Kubernetes {
        role: &'c str,
        jwt: &'c str,
    },
}

impl Credential {
    /// The secret, now.
    pub(super) async fn secret(&self) -> Result<Secret, KekError> {
        match self {
            Self::SecretId(secret) => Ok(Arc::clone(secret)),
            Self::SecretIdFile(path) | Self::ServiceAccount(path) => read(path.clone()).await,
        }
    }

    pub(super) fn claim<'c>(&self, role: &'c str, secret: &'c str) -> Claim<'c> {
        match self {
            Self::ServiceAccount(_) => Claim::Kubernetes { role, jwt: secret },
            Self::SecretId(_) | Self::SecretIdFile(_) => Claim::AppRole {
                role_id: role,
                secret_id: secret,
            },
        }
    }
}

/// Reads a secret from a file; a line end behind it is left out.
pub(super) async fn read(path: PathBuf) -> Result<Secret, KekError> {
    let shown = path.display().to_string();
    let text = tokio::task::spawn_blocking(move || std::fs::read_to_string(path)).await;
    let unreadable =
        |error: &dyn fmt::Display| KekError::Unavailable(format!("cannot read {shown}: {error}"));
    let text = text.map_err(|error| unreadable(&error))?;
    let text = Zeroizing::new(text.map_err(|error| unreadable(&error))?);
    Ok(secret(text.trim_end()))
}

fn secret(text: impl Into<String>) -> Secret {
    Arc::new(Zeroizing::new(text.into()))
}
