//! `[encryption.vault]`: a key of Vault's transit engine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bartizan_encrypt::Kek;

use crate::config::problem::Problem;
use crate::config::secret::Secret;
use crate::config::section::section;
use crate::config::setting::Url;
use crate::config::surroundings::Surroundings;

section! {
    /// A key of Vault's transit engine that wraps data keys; build with the feature `vault`. This
    /// service is known to it by a token, by AppRole or by Kubernetes.
    VaultEntry {
        /// The server.
        url: Url,
        /// The name of the key.
        key: String,
        /// The mount of the transit engine.
        mount: String = "transit",
        /// The namespace, of Vault Enterprise and OpenBao.
        namespace: Option<String>,
        /// A token. It is renewed as long as it can be.
        token: Option<Secret>,
        /// A file with a token that somebody else replaces in time.
        token_file: Option<PathBuf>,
        /// The role id of an AppRole, with `secret_id` or `secret_id_file`.
        app_role: Option<String>,
        /// The AppRole's secret.
        secret_id: Option<Secret>,
        /// A file with it, read at every login.
        secret_id_file: Option<PathBuf>,
        /// A role of Kubernetes.
        kubernetes_role: Option<String>,
        /// The file with the service account's token, read at every login. Where pods find it by
        /// default.
        service_account_token: Option<PathBuf>,
        /// The mount of AppRole or Kubernetes. `approle` and `kubernetes` by default.
        auth_mount: Option<String>,
        /// Binds by key derivation, for a key made with `derived=true`.
        derived_context: bool = "false",
        /// The certificate authorities (PEM) of the server. Those of the public web by default.
        roots: Option<PathBuf>,
        /// How long one request may take; `key_deadline` is over all attempts.
        deadline: Duration = "5s",
        /// Lets the connection be in plaintext, to this machine alone.
        allow_plaintext_loopback: bool = "false",
    }
}

const PATH: &str = "encryption.vault";

#[cfg(not(feature = "vault"))]
impl VaultEntry {
    pub(crate) fn kek(&self, _: &Surroundings) -> Result<Arc<dyn Kek>, Problem> {
        Err(Problem::lacking(self.stands.0, PATH, "vault"))
    }
}

#[cfg(feature = "vault")]
mod built {
    use bartizan_encrypt::{VaultAuth, VaultTransit, VaultTransitBuilder};

    use super::{Arc, Kek, PATH, Problem, Surroundings, VaultEntry};
    use crate::config::issuer::read_roots;

    impl VaultEntry {
        pub(crate) fn kek(&self, with: &Surroundings) -> Result<Arc<dyn Kek>, Problem> {
            let kek = self.builder(with)?.build();
            let kek = kek.map_err(|error| self.refuse(PATH, &error))?;
            Ok(Arc::new(kek))
        }

        pub(crate) fn builder(&self, with: &Surroundings) -> Result<VaultTransitBuilder, Problem> {
            let mut vault = VaultTransit::builder(&self.url.0, &self.key)
                .with_mount(&self.mount)
                .with_auth(self.auth()?)
                .with_deadline(self.deadline)
                .with_clock(with.clock.clone());
            if let Some(namespace) = &self.namespace {
                vault = vault.with_namespace(namespace);
            }
            if self.derived_context {
                vault = vault.with_derived_context();
            }
            if let Some(path) = &self.roots {
                let roots = read_roots(path, with);
                vault = vault.with_roots(roots.map_err(|message| self.wrong(&message))?);
            }
            Ok(match self.allow_plaintext_loopback {
                true => vault.allow_plaintext_loopback(),
                false => vault,
            })
        }

        fn auth(&self) -> Result<VaultAuth, Problem> {
            let of_role = self.secret_id.is_some() || self.secret_id_file.is_some();
            if of_role && self.app_role.is_none() {
                return Err(self.wrong("`secret_id` and `secret_id_file` are for `app_role`"));
            }
            if self.service_account_token.is_some() && self.kubernetes_role.is_none() {
                return Err(self.wrong("`service_account_token` is for `kubernetes_role`"));
            }
            let auth = match (
                &self.token,
                &self.token_file,
                &self.app_role,
                &self.kubernetes_role,
            ) {
                (Some(token), None, None, None) => {
                    VaultAuth::token(token.text(self.stands.0, PATH)?)
                }
                (None, Some(file), None, None) => VaultAuth::token_file(file),
                (None, None, Some(role), None) => match (&self.secret_id, &self.secret_id_file) {
                    (Some(secret), None) => {
                        VaultAuth::app_role(role, secret.text(self.stands.0, PATH)?)
                    }
                    (None, Some(file)) => VaultAuth::app_role_file(role, file),
                    _ => return Err(self.wrong("takes one of `secret_id` and `secret_id_file`")),
                },
                (None, None, None, Some(role)) => match &self.service_account_token {
                    Some(file) => VaultAuth::kubernetes_file(role, file),
                    None => VaultAuth::kubernetes(role),
                },
                _ => {
                    let message = "takes one of `token`, `token_file`, `app_role` and \
                                   `kubernetes_role`";
                    return Err(self.wrong(message));
                }
            };
            Ok(match &self.auth_mount {
                Some(mount) => auth.with_mount(mount),
                None => auth,
            })
        }

        fn wrong(&self, message: &str) -> Problem {
            Problem::new(self.stands.0, PATH, message)
        }
    }
}
