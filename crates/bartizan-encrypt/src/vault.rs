//! Vault's transit engine as key-encryption key.

mod auth;
mod config;
mod session;
mod wire;

use std::fmt;
use std::sync::Arc;

use bartizan_core::Clock;
use bartizan_source::HttpsFetcher;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::OnceCell;

use crate::kek::{Kek, KekAnswer, KekError, digest};
use crate::key::KeyBytes;
use crate::remote::{Answer, encoded};
use crate::vault::session::Sessions;
use crate::vault::wire::{Ciphertext, Data, DataKey, Input, Plaintext};

pub use self::auth::VaultAuth;
pub use self::config::VaultTransitBuilder;
#[cfg(feature = "fuzzing")]
pub(crate) use self::session::read_lease;
#[cfg(feature = "fuzzing")]
pub(crate) use self::wire::read_answer;

/// A key of HashiCorp Vault's transit engine, or OpenBao's, that wraps data keys.
///
/// 1. Data keys travel to Vault and back over TLS; the key that wraps them never leaves it.
/// 2. What a data key is for goes along as `associated_data`, or, with
///    [`with_derived_context`](VaultTransitBuilder::with_derived_context), as the `context` that
///    the wrapping key is derived from. It is a SHA-256 digest: Vault and its logs learn of no
///    tenant and no person.
/// 3. Before the first key is wrapped, a probe is wrapped, unwrapped, and tried to be unwrapped
///    under another context. A key that allows that binds nothing (transit ignores `context` for
///    keys without derivation, and servers before 1.9 ignore `associated_data`), and is refused.
/// 4. The token is renewed after half of its life, in the background as well; where a role is
///    known, an expired or revoked one is replaced by logging in again.
/// 5. A rotated key: [`Keyring::rewrap`](crate::Keyring::rewrap) wraps under the newest version.
///    With a derived context this happens inside Vault; otherwise data keys come out and go back,
///    because transit's `rewrap` takes no `associated_data`.
/// 6. The policy allows `update` on `transit/encrypt/KEY` and `transit/decrypt/KEY`; with a derived
///    context on `transit/datakey/plaintext/KEY` and `transit/rewrap/KEY` too. Who only opens
///    needs `decrypt` alone.
///
/// Spoken as the documented HTTP API says; tested against a small server that follows it, not
/// against a Vault.
///
/// ```
/// use bartizan_encrypt::{VaultAuth, VaultTransit};
///
/// let kek = VaultTransit::builder("https://vault.example:8200", "patients")
///     .with_auth(VaultAuth::kubernetes("clinic"))
///     .with_namespace("health")
///     .build()?;
/// assert_eq!(format!("{kek:?}"), "VaultTransit(vault:health:transit/patients)");
/// assert!(VaultTransit::builder("http://vault.example:8200", "patients").build().is_err());
/// # Ok::<(), bartizan_encrypt::ProviderConfigError>(())
/// ```
///
/// Cheap to clone.
#[derive(Clone)]
pub struct VaultTransit(pub(super) Arc<Transit>);

pub(super) struct Transit {
    id: String,
    /// `https://host/v1/mount`
    base: String,
    key: String,
    derived: bool,
    sessions: Arc<Sessions>,
    bound: OnceCell<()>,
}

/// Everything about reaching a server but who we are.
pub(super) struct Server {
    fetcher: HttpsFetcher,
    /// `https://host`
    url: String,
    namespace: Option<String>,
    clock: Arc<dyn Clock>,
}

impl VaultTransit {
    /// Begins the description of a key of the server at `url`; see [`VaultTransitBuilder`].
    pub fn builder(url: &str, key: &str) -> VaultTransitBuilder {
        VaultTransitBuilder::new(url, key)
    }

    async fn call(&self, operation: &str, input: &Input<'_>) -> Result<Answer, KekError> {
        let url = format!("{}/{operation}/{}", self.0.base, self.0.key);
        self.0.sessions.call(&url, input).await
    }

    async fn encrypt(&self, key: &KeyBytes, context: &str) -> Result<Vec<u8>, KekError> {
        let plaintext = encoded(key);
        let input = self.input(context).with_plaintext(&plaintext);
        let answer = self.call("encrypt", &input).await?;
        let Data {
            data: Ciphertext { ciphertext },
        } = wire::read(&answer)?;
        Ok(ciphertext.into_bytes())
    }

    async fn decrypt(&self, wrapped: &[u8], context: &str) -> Result<KeyBytes, KekError> {
        let input = self.input(context).with_ciphertext(text(wrapped)?);
        let answer = self.call("decrypt", &input).await?;
        let Data {
            data: Plaintext { plaintext },
        } = wire::read(&answer)?;
        plaintext.key()
    }

    fn input<'i>(&self, context: &'i str) -> Input<'i> {
        Input::bound(context, self.0.derived)
    }

    /// Proves once that the key binds what it wraps to the context.
    async fn require_binding(&self) -> Result<(), KekError> {
        let prove = || async {
            let none = |_| KekError::Unavailable("no random bytes".to_owned());
            let probe = KeyBytes::generate().map_err(none)?;
            let own = spelled(b"bartizan probe");
            let wrapped = self.encrypt(&probe, &own).await?;
            // Who may unwrap nothing is refused this too, whatever the key binds to.
            self.decrypt(&wrapped, &own).await?;
            let other = spelled(b"bartizan probe of another");
            match self.decrypt(&wrapped, &other).await {
                Err(KekError::Refused(_)) => Ok(()),
                Err(error) => Err(error),
                Ok(_) => Err(KekError::Refused(
                    "the transit key does not bind to a context".to_owned(),
                )),
            }
        };
        self.0.bound.get_or_try_init(prove).await.copied()
    }

    async fn data_key(&self, context: &str) -> Result<(KeyBytes, Vec<u8>), KekError> {
        let input = self.input(context).with_bits(256);
        let answer = self.call("datakey/plaintext", &input).await?;
        let Data {
            data: DataKey {
                plaintext,
                ciphertext,
            },
        } = wire::read(&answer)?;
        Ok((plaintext.key()?, ciphertext.into_bytes()))
    }

    async fn newest(&self, wrapped: &[u8], context: &str) -> Result<Option<Vec<u8>>, KekError> {
        let renewed = if self.0.derived {
            let input = self.input(context).with_ciphertext(text(wrapped)?);
            let answer = self.call("rewrap", &input).await?;
            let Data {
                data: Ciphertext { ciphertext },
            } = wire::read(&answer)?;
            ciphertext.into_bytes()
        } else {
            let key = self.decrypt(wrapped, context).await?;
            self.encrypt(&key, context).await?
        };
        Ok((version(&renewed) != version(wrapped)).then_some(renewed))
    }
}

impl Kek for VaultTransit {
    fn id(&self) -> &str {
        &self.0.id
    }

    fn wrap<'k>(&'k self, key: &'k KeyBytes, context: &'k [u8]) -> KekAnswer<'k, Vec<u8>> {
        Box::pin(async move {
            self.require_binding().await?;
            self.encrypt(key, &spelled(context)).await
        })
    }

    fn unwrap<'k>(&'k self, wrapped: &'k [u8], context: &'k [u8]) -> KekAnswer<'k, KeyBytes> {
        Box::pin(async move { self.decrypt(wrapped, &spelled(context)).await })
    }

    /// With a derived context the data key is Vault's own: `datakey` takes no `associated_data`.
    fn generate<'k>(&'k self, context: &'k [u8]) -> KekAnswer<'k, (KeyBytes, Vec<u8>)> {
        Box::pin(async move {
            self.require_binding().await?;
            let context = spelled(context);
            if self.0.derived {
                return self.data_key(&context).await;
            }
            let none = |_| KekError::Unavailable("no random bytes".to_owned());
            let key = KeyBytes::generate().map_err(none)?;
            let wrapped = self.encrypt(&key, &context).await?;
            Ok((key, wrapped))
        })
    }

    fn rewrap<'k>(
        &'k self,
        from: &'k str,
        wrapped: &'k [u8],
        context: &'k [u8],
    ) -> KekAnswer<'k, Option<Vec<u8>>> {
        Box::pin(async move {
            if from != self.0.id {
                return Ok(None);
            }
            self.require_binding().await?;
            self.newest(wrapped, &spelled(context)).await
        })
    }
}

impl fmt::Debug for VaultTransit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VaultTransit({})", self.0.id)
    }
}

fn spelled(context: &[u8]) -> String {
    STANDARD.encode(digest(context))
}

fn text(wrapped: &[u8]) -> Result<&str, KekError> {
    let text = std::str::from_utf8(wrapped).ok();
    // Transit's own spelling; whatever else stands in a record was not written by it.
    let text = text.filter(|text| version(text.as_bytes()).is_some());
    text.ok_or_else(|| KekError::Refused("not wrapped by transit".to_owned()))
}

/// The version of `vault:v7:...`.
fn version(wrapped: &[u8]) -> Option<&[u8]> {
    let rest = wrapped.strip_prefix(b"vault:v")?;
    let end = rest.iter().position(|byte| *byte == b':')?;
    let version = rest.get(..end)?;
    let digits = !version.is_empty() && version.iter().all(u8::is_ascii_digit);
    digits.then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_ciphertext_is_read_strictly() {
        fn check(wrapped: &str, expected: Option<&str>) {
            assert_eq!(version(wrapped.as_bytes()), expected.map(str::as_bytes));
            assert_eq!(text(wrapped.as_bytes()).is_ok(), expected.is_some());
        }
        check("vault:v1:AAAA", Some("1"));
        check("vault:v23:AAAA", Some("23"));
        check("vault:v:AAAA", None);
        check("vault:vx:AAAA", None);
        check("vault:v1", None);
        check("bault:v1:AAAA", None);
        check("", None);
        assert!(text(b"vault:v1:\xff").is_err());
    }
}
