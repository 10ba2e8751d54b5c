//! Who signs.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bartizan_core::WallTime;
use zeroize::Zeroizing;

use crate::kek::{KekAnswer, KekError};

/// An access key, perhaps for a while. Its secrets are wiped when dropped.
#[derive(Clone)]
pub struct AwsCredentials(Arc<Held>);

#[derive(Clone)]
struct Held {
    access_key_id: String,
    secret: Zeroizing<String>,
    session_token: Option<Zeroizing<String>>,
    expires: Option<WallTime>,
}

/// Where credentials come from.
///
/// [`AwsCredentials`] themselves are such a source, of ones that never change; so are
/// [`AwsEnvironment`](crate::AwsEnvironment) and [`AwsWebIdentity`](crate::AwsWebIdentity). For
/// others, such as a container's endpoint, implement it on what you have.
pub trait AwsCredentialSource: fmt::Debug + Send + Sync + 'static {
    /// Credentials that are valid now. Asked again when they are about to expire, and when KMS
    /// does not believe them.
    fn credentials(&self) -> KekAnswer<'_, AwsCredentials>;
}

impl AwsCredentials {
    /// A long-lived access key.
    pub fn new(access_key_id: impl Into<String>, secret_access_key: impl Into<String>) -> Self {
        Self(Arc::new(Held {
            access_key_id: access_key_id.into(),
            secret: Zeroizing::new(secret_access_key.into()),
            session_token: None,
            expires: None,
        }))
    }

    /// Makes them those of a session.
    #[must_use]
    pub fn with_session_token(self, token: impl Into<String>) -> Self {
        self.with(|held| held.session_token = Some(Zeroizing::new(token.into())))
    }

    /// Says when they expire.
    #[must_use]
    pub fn with_expiry(self, at: WallTime) -> Self {
        self.with(|held| held.expires = Some(at))
    }

    /// The public half.
    pub fn access_key_id(&self) -> &str {
        &self.0.access_key_id
    }

    pub(super) fn secret(&self) -> &str {
        &self.0.secret
    }

    pub(super) fn session_token(&self) -> Option<&str> {
        self.0.session_token.as_ref().map(|token| token.as_str())
    }

    fn with(self, change: impl FnOnce(&mut Held)) -> Self {
        let mut held = Arc::unwrap_or_clone(self.0);
        change(&mut held);
        Self(Arc::new(held))
    }
}

impl fmt::Debug for AwsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AwsCredentials({})", self.0.access_key_id)
    }
}

impl AwsCredentialSource for AwsCredentials {
    fn credentials(&self) -> KekAnswer<'_, AwsCredentials> {
        Box::pin(std::future::ready(Ok(self.clone())))
    }
}

/// The credentials in use.
pub(super) struct Keychain {
    source: Arc<dyn AwsCredentialSource>,
    held: Mutex<Option<AwsCredentials>>,
}

/// How long before their end credentials are replaced: clocks differ.
const MARGIN: Duration = Duration::from_secs(300);

impl Keychain {
    pub(super) fn new(source: Arc<dyn AwsCredentialSource>) -> Self {
        let held = Mutex::new(None);
        Self { source, held }
    }

    pub(super) async fn credentials(&self, now: WallTime) -> Result<AwsCredentials, KekError> {
        let held = self.lock().clone();
        let lasts = |credentials: &AwsCredentials, margin| {
            let expires = credentials.0.expires;
            expires.is_none_or(|expires| now + margin < expires)
        };
        if let Some(held) = &held
            && lasts(held, MARGIN)
        {
            return Ok(held.clone());
        }
        match (self.source.credentials().await, held) {
            (Ok(fresh), _) => {
                *self.lock() = Some(fresh.clone());
                Ok(fresh)
            }
            (Err(_), Some(held)) if lasts(&held, Duration::ZERO) => Ok(held),
            (Err(error), _) => Err(error),
        }
    }

    pub(super) fn forget(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<AwsCredentials>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Gives credentials for an hour, and a name that counts; fails from the third time on.
    #[derive(Debug, Default)]
    struct Source(AtomicU64);

    impl AwsCredentialSource for Source {
        fn credentials(&self) -> KekAnswer<'_, AwsCredentials> {
            let count = self.0.fetch_add(1, Ordering::SeqCst);
            let end = WallTime::from_unix_seconds((count + 1) * 3600);
            let answer = match count {
                0 | 1 => Ok(AwsCredentials::new(count.to_string(), "secret").with_expiry(end)),
                _ => Err(KekError::Unavailable("planned".to_owned())),
            };
            Box::pin(std::future::ready(answer))
        }
    }

    #[tokio::test]
    async fn credentials_are_replaced_before_they_expire_and_used_until_they_do() {
        let keychain = Keychain::new(Arc::new(Source::default()));
        let check = async |seconds: u64, expected: Option<&str>| {
            let found = keychain
                .credentials(WallTime::from_unix_seconds(seconds))
                .await;
            let found = found.ok().map(|found| found.access_key_id().to_owned());
            assert_eq!(found.as_deref(), expected, "{seconds}");
        };
        check(0, Some("0")).await;
        check(3299, Some("0")).await;
        check(3300, Some("1")).await;
        check(6900, Some("1")).await;
        check(7199, Some("1")).await;
        check(7200, None).await;
    }

    #[test]
    fn secrets_are_not_printed() {
        let credentials = AwsCredentials::new("id", "hunter2").with_session_token("hunter2");
        assert_eq!(format!("{credentials:?}"), "AwsCredentials(id)");
    }
}
