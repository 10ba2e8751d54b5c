//! Key-encryption keys: what wraps data keys. The seam, and the one that is at hand.

use std::fmt;
use std::future::Future;
use std::num::NonZeroU32;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::pbkdf2;
use zeroize::Zeroizing;

use crate::cobblestone::{InputKey, SALT};
use crate::key::{KeyBytes, random};
use crate::suite::Suite;
use crate::wiped::WipedBytes;

/// What a provider answers. Boxed: data keys are cached, so that this is no hot path.
pub type KekAnswer<'k, T> = Pin<Box<dyn Future<Output = Result<T, KekError>> + Send + 'k>>;

/// A key that wraps data keys: in a file, in a key management service, in a hardware module.
///
/// `context` says what the data key is, and must be the same for wrapping and unwrapping: pass it
/// on as additional data, or as encryption context where the provider has one.
pub trait Kek: fmt::Debug + Send + Sync + 'static {
    /// Names the key, and never another: written beside everything it wraps.
    fn id(&self) -> &str;

    /// Wraps a data key.
    fn wrap<'k>(&'k self, key: &'k KeyBytes, context: &'k [u8]) -> KekAnswer<'k, Vec<u8>>;

    /// Unwraps a data key.
    fn unwrap<'k>(&'k self, wrapped: &'k [u8], context: &'k [u8]) -> KekAnswer<'k, KeyBytes>;

    /// Makes a data key and wraps it: from the system's random bytes, unless a provider has better
    /// ones of its own.
    fn generate<'k>(&'k self, context: &'k [u8]) -> KekAnswer<'k, (KeyBytes, Vec<u8>)> {
        Box::pin(async move {
            let none = |_| KekError::Unavailable("no random bytes".to_owned());
            let key = KeyBytes::generate().map_err(none)?;
            let wrapped = self.wrap(&key, context).await?;
            Ok((key, wrapped))
        })
    }

    /// Wraps under the newest version of this key what the key named `from` wrapped, without the
    /// data key leaving the provider. `from` may be this key's own name: an older version of it.
    ///
    /// `None` if that cannot be done, or if there is nothing to do. Keys under another name are
    /// then unwrapped and wrapped by the [`Keyring`](crate::Keyring); the default is that.
    fn rewrap<'k>(
        &'k self,
        from: &'k str,
        wrapped: &'k [u8],
        context: &'k [u8],
    ) -> KekAnswer<'k, Option<Vec<u8>>> {
        let _ = (from, wrapped, context);
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// Any provider will do, chosen at run time.
impl<K: Kek + ?Sized> Kek for Arc<K> {
    fn id(&self) -> &str {
        (**self).id()
    }

    fn wrap<'k>(&'k self, key: &'k KeyBytes, context: &'k [u8]) -> KekAnswer<'k, Vec<u8>> {
        (**self).wrap(key, context)
    }

    fn unwrap<'k>(&'k self, wrapped: &'k [u8], context: &'k [u8]) -> KekAnswer<'k, KeyBytes> {
        (**self).unwrap(wrapped, context)
    }

    fn generate<'k>(&'k self, context: &'k [u8]) -> KekAnswer<'k, (KeyBytes, Vec<u8>)> {
        (**self).generate(context)
    }

    fn rewrap<'k>(
        &'k self,
        from: &'k str,
        wrapped: &'k [u8],
        context: &'k [u8],
    ) -> KekAnswer<'k, Option<Vec<u8>>> {
        (**self).rewrap(from, wrapped, context)
    }
}

/// Why a data key was not wrapped or unwrapped.
///
/// The difference matters: what a provider refused is out of use at once, wherever it was kept;
/// while one cannot be reached, keys that were got before serve until their hard limit.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KekError {
    /// The provider says no: another key, a changed one, a disabled one, no permission. That
    /// credentials of ours are not believed is no such answer: it says nothing of the key.
    #[error("the key-encryption key does not fit: {0}")]
    Refused(String),
    /// The provider cannot be reached, or cannot say. Worth another attempt.
    #[error("the key-encryption key is unavailable: {0}")]
    Unavailable(String),
}

/// Why a key-encryption key could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalKekError {
    /// The variable is not set.
    #[error("environment variable {0} is not set")]
    NoVariable(String),
    /// Neither 32 bytes, nor the base64url of 32 bytes.
    #[error("{0} is neither 32 bytes nor the base64url of 32 bytes")]
    NotAKey(String),
    /// Everybody on the machine may read the file.
    #[error("file {path} can be read by everybody (mode {mode:04o})")]
    Readable {
        /// The file.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The passphrase is shorter than 12 bytes.
    #[error("the passphrase is shorter than 12 bytes")]
    WeakPassphrase,
}

/// How a passphrase becomes a key: PBKDF2 with HMAC-SHA-512, 210,000 rounds unless said
/// otherwise, which is what OWASP asks for. `ring` has no memory-hard function: prefer a random
/// key in a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PassphraseParameters {
    pub(crate) salt: [u8; 16],
    pub(crate) rounds: NonZeroU32,
}

impl PassphraseParameters {
    const ROUNDS: NonZeroU32 = NonZeroU32::new(210_000).unwrap();

    /// A fresh salt and the default number of rounds.
    ///
    /// # Errors
    ///
    /// If the system gives no random bytes.
    pub fn generate() -> Result<Self, crate::error::EncryptError> {
        let mut salt = [0; 16];
        random(&mut salt)?;
        Ok(Self {
            salt,
            rounds: Self::ROUNDS,
        })
    }
}

/// A key-encryption key in our own memory: from a file, a variable or a passphrase.
///
/// It wraps with the format that fields are sealed with, so that a wrapped key is bound to what it
/// is for. Whoever reads this process's memory has it; a provider outside has not that weakness.
#[derive(Clone)]
pub struct LocalKek(Arc<Local>);

struct Local {
    id: String,
    wrapping: InputKey,
    file: InputKey,
    passphrase: Option<PassphraseParameters>,
}

impl LocalKek {
    /// The key of these bytes.
    pub fn new(key: &KeyBytes) -> Self {
        Self::derived(key, None)
    }

    /// Reads the key from a file: 32 bytes, or their base64url. A secret mounted by systemd or an
    /// orchestrator is such a file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, if everybody on the machine can, or if it holds no key.
    pub fn from_file(path: &Path) -> Result<Self, LocalKekError> {
        let shown = || path.display().to_string();
        let unreadable = |source| LocalKekError::Unreadable {
            path: shown(),
            source,
        };
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(path)
                .map_err(unreadable)?
                .permissions()
                .mode()
                & 0o777;
            if mode & 0o007 != 0 {
                return Err(LocalKekError::Readable {
                    path: shown(),
                    mode,
                });
            }
        }
        let bytes = Zeroizing::new(std::fs::read(path).map_err(unreadable)?);
        parse(&bytes).ok_or_else(|| LocalKekError::NotAKey(format!("file {}", shown())))
    }

    /// Reads the key from an environment variable: the base64url of 32 bytes. Other processes of
    /// the same user can read a process's variables: prefer a file.
    ///
    /// # Errors
    ///
    /// If the variable is not set, or holds no key.
    pub fn from_env(variable: &str) -> Result<Self, LocalKekError> {
        let text = std::env::var(variable)
            .map_err(|_| LocalKekError::NoVariable(variable.to_owned()))
            .map(Zeroizing::new)?;
        parse(text.as_bytes())
            .ok_or_else(|| LocalKekError::NotAKey(format!("environment variable {variable}")))
    }

    /// Derives the key from a passphrase. Takes tenths of a second.
    ///
    /// # Errors
    ///
    /// If the passphrase is shorter than 12 bytes.
    pub fn from_passphrase(
        passphrase: &str,
        parameters: PassphraseParameters,
    ) -> Result<Self, LocalKekError> {
        if passphrase.len() < 12 {
            return Err(LocalKekError::WeakPassphrase);
        }
        let mut key = Zeroizing::new([0; 32]);
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA512,
            parameters.rounds,
            &parameters.salt,
            passphrase.as_bytes(),
            key.as_mut_slice(),
        );
        let key = KeyBytes::from_slice(key.as_slice());
        let key = key.ok_or(LocalKekError::WeakPassphrase)?;
        Ok(Self::derived(&key, Some(parameters)))
    }

    pub(crate) fn passphrase(&self) -> Option<PassphraseParameters> {
        self.0.passphrase
    }

    /// Seals a whole file.
    pub(crate) fn seal_file(&self, content: &[u8]) -> Option<Vec<u8>> {
        seal(&self.0.file, content, FILE)
    }

    /// Opens a whole file.
    pub(crate) fn open_file(&self, sealed: &[u8]) -> Option<WipedBytes> {
        self.0.file.open(FILE, sealed).ok()
    }

    #[expect(
        clippy::expect_used,
        reason = "deriving a few bytes fails only for lengths that are constants here"
    )]
    fn derived(key: &KeyBytes, passphrase: Option<PassphraseParameters>) -> Self {
        let derive = |label| key.derive::<32>(label).expect("a short output");
        let input = |label| {
            let key = derive(label);
            InputKey::new(Suite::Cobblestone256, key.as_slice()).expect("a key of 32 bytes")
        };
        // The name is derived under a label of its own: it tells nothing of the other keys.
        let id = key.derive::<9>(b"bartizan kek id v1");
        let id = id.expect("a short output");
        Self(Arc::new(Local {
            id: format!("local:{}", URL_SAFE_NO_PAD.encode(id.as_slice())),
            wrapping: input(b"bartizan kek wrapping v1"),
            file: input(b"bartizan kek file v1"),
            passphrase,
        }))
    }
}

/// What a provider elsewhere is told of a context: enough to bind to it, and nothing that its logs
/// should not hold.
#[cfg(any(feature = "aws-kms", feature = "pkcs11", feature = "vault"))]
pub(crate) fn digest(context: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, context).as_ref());
    bytes
}

const FILE: &[u8] = b"bartizan keyset file v1";

impl Kek for LocalKek {
    fn id(&self) -> &str {
        &self.0.id
    }

    fn wrap<'k>(&'k self, key: &'k KeyBytes, context: &'k [u8]) -> KekAnswer<'k, Vec<u8>> {
        let wrapped = seal(&self.0.wrapping, key.expose(), context)
            .ok_or_else(|| KekError::Unavailable("no random bytes".to_owned()));
        Box::pin(std::future::ready(wrapped))
    }

    fn unwrap<'k>(&'k self, wrapped: &'k [u8], context: &'k [u8]) -> KekAnswer<'k, KeyBytes> {
        let opened = self.0.wrapping.open(context, wrapped).ok();
        let key = opened.and_then(|key| KeyBytes::from_slice(&key));
        let refused = || KekError::Refused("the wrapped key was changed or moved".to_owned());
        Box::pin(std::future::ready(key.ok_or_else(refused)))
    }
}

impl fmt::Debug for LocalKek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalKek({})", self.0.id)
    }
}

fn seal(key: &InputKey, content: &[u8], context: &[u8]) -> Option<Vec<u8>> {
    let mut salt = [0; SALT];
    random(&mut salt).ok()?;
    let mut sealed = Vec::new();
    key.seal(&salt, context, content, content.len(), &mut sealed)?;
    Some(sealed)
}

/// 32 bytes as they are, or their base64url with at most a line end behind it.
fn parse(bytes: &[u8]) -> Option<LocalKek> {
    if let Some(key) = KeyBytes::from_slice(bytes) {
        return Some(LocalKek::new(&key));
    }
    let decoded = Zeroizing::new(URL_SAFE_NO_PAD.decode(bytes.trim_ascii_end()).ok()?);
    Some(LocalKek::new(&KeyBytes::from_slice(&decoded)?))
}

#[cfg(test)]
mod tests;
