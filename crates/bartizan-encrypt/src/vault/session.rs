//! Tokens: got, renewed, replaced.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bartizan_core::MonotonicTime;
use bartizan_source::{FetchRequest, SecretBytes};
use http::{HeaderName, HeaderValue};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use zeroize::Zeroizing;

use crate::kek::KekError;
use crate::remote::{Answer, exchange, reason, secret_header, written};
use crate::vault::Server;
use crate::vault::auth::{self, Method, VaultAuth};
use crate::vault::wire::{self, Auth, Data, Login, Lookup};

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
/// Vault's protection against requests that somebody was tricked into.
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A token never lives shorter in our books, so that nobody renews in a loop.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);

/// Nor longer than ten years: Vault gives 32 days where nobody says otherwise, and shares of what
/// lasts for all time cannot be computed.
const LONGEST_LEASE: Duration = Duration::from_secs(3650 * 86_400);

/// The token in use, and how to get another.
pub(super) struct Sessions {
    server: Server,
    auth: VaultAuth,
    current: Mutex<Option<Arc<Session>>>,
    /// Renews while nobody asks for keys: a token that ends cannot be brought back.
    keeper: std::sync::Mutex<Option<AbortHandle>>,
}

pub(super) struct Session {
    token: Zeroizing<String>,
    /// `None` for a token that does not expire.
    lease: Option<Duration>,
    renewable: bool,
    since: MonotonicTime,
}

impl Session {
    /// When it should be renewed, and when it ends.
    fn due(&self, now: MonotonicTime) -> (bool, bool) {
        let age = now.saturating_since(self.since);
        let after = |share: Duration| self.lease.is_some() && age >= share;
        let lease = self.lease.unwrap_or_default();
        (after(lease / 2), after(lease))
    }
}

impl Sessions {
    pub(super) fn new(server: Server, auth: VaultAuth) -> Arc<Self> {
        Arc::new(Self {
            server,
            auth,
            current: Mutex::new(None),
            keeper: std::sync::Mutex::new(None),
        })
    }

    /// Posts with a token; with a fresh one if the first is not believed any more.
    pub(super) async fn call(
        self: &Arc<Self>,
        url: &str,
        body: &impl Serialize,
    ) -> Result<Answer, KekError> {
        let session = self.session().await?;
        let answer = self.post(url, body, Some(&session)).await?;
        if answer.status.as_u16() != 403 {
            return Ok(answer);
        }
        if let Method::Token(token) = &self.auth.0 {
            // There is no other: is it the token that is not believed, or is it not allowed this?
            let now = self.server.clock.monotonic();
            return self.look_up(token, now).await.map(|_| answer);
        }
        self.forget(&session).await;
        let session = self.session().await?;
        self.post(url, body, Some(&session)).await
    }

    /// The token to use now. Whoever comes meanwhile waits, and gets the same.
    async fn session(self: &Arc<Self>) -> Result<Arc<Session>, KekError> {
        let mut current = self.current.lock().await;
        if let Some(session) = &*current {
            let (due, over) = session.due(self.server.clock.monotonic());
            if !due {
                return Ok(Arc::clone(session));
            }
            let renewed = match session.renewable && !over {
                true => self.renew(session).await,
                false => self.log_in().await,
            };
            match renewed {
                Ok(renewed) => return Ok(Arc::clone(current.insert(Arc::new(renewed)))),
                // It serves to its end; then it takes a login.
                Err(_) if !over => return Ok(Arc::clone(session)),
                Err(_) => *current = None,
            }
        }
        let session = Arc::new(self.log_in().await?);
        *current = Some(Arc::clone(&session));
        self.keep(session.lease);
        Ok(session)
    }

    async fn forget(&self, session: &Arc<Session>) {
        let mut current = self.current.lock().await;
        if current
            .as_ref()
            .is_some_and(|held| Arc::ptr_eq(held, session))
        {
            *current = None;
        }
    }

    async fn log_in(&self) -> Result<Session, KekError> {
        let now = self.server.clock.monotonic();
        match &self.auth.0 {
            Method::Token(token) => self.look_up(token, now).await,
            Method::TokenFile(path) => self.look_up(&auth::read(path.clone()).await?, now).await,
            Method::Role {
                mount,
                role,
                credential,
            } => {
                let secret = credential.secret().await?;
                let url = format!("{}/v1/auth/{mount}/login", self.server.url);
                let claim = credential.claim(role, &secret);
                let answer = self.post(&url, &claim, None).await?;
                let Login { auth } = wire::read(&answer).map_err(unbelieved)?;
                Ok(session(auth, now))
            }
        }
    }

    async fn look_up(&self, token: &str, since: MonotonicTime) -> Result<Session, KekError> {
        let url = format!("{}/v1/auth/token/lookup-self", self.server.url);
        let request = self.headed(FetchRequest::get(&url), Some(token))?;
        let answer = exchange(&self.server.fetcher, request).await?;
        let Data {
            data: Lookup { ttl, renewable },
        } = wire::read(&answer).map_err(unbelieved)?;
        Ok(Session {
            token: Zeroizing::new(token.to_owned()),
            lease: lease(ttl),
            renewable,
            since,
        })
    }

    async fn renew(&self, old: &Session) -> Result<Session, KekError> {
        let since = self.server.clock.monotonic();
        let url = format!("{}/v1/auth/token/renew-self", self.server.url);
        let request = FetchRequest::post(&url, JSON, SecretBytes::new(b"{}".to_vec()));
        let request = self.headed(request, Some(&old.token))?;
        let answer = exchange(&self.server.fetcher, request).await?;
        let Login { auth } = wire::read(&answer)?;
        Ok(session(auth, since))
    }

    async fn post(
        &self,
        url: &str,
        body: &impl Serialize,
        session: Option<&Session>,
    ) -> Result<Answer, KekError> {
        let request = FetchRequest::post(url, JSON, written(body)?);
        let request = self.headed(request, session.map(|session| session.token.as_str()))?;
        exchange(&self.server.fetcher, request).await
    }

    fn headed<'u>(
        &self,
        request: FetchRequest<'u>,
        token: Option<&str>,
    ) -> Result<FetchRequest<'u>, KekError> {
        let mut request = request.with_header(REQUEST, HeaderValue::from_static("true"));
        if let Some(namespace) = &self.server.namespace {
            let unfit = |_| KekError::Refused(reason("the namespace is no header value"));
            let value = HeaderValue::from_str(namespace).map_err(unfit)?;
            request = request.with_header(NAMESPACE, value);
        }
        if let Some(token) = token {
            request = request.with_header(TOKEN, secret_header(token)?);
        }
        Ok(request)
    }

    /// Looks after the token from now on, in a task that ends with the last user of the key.
    fn keep(self: &Arc<Self>, lease: Option<Duration>) {
        let Some(lease) = lease else { return };
        let sessions = Arc::downgrade(self);
        let keeper = tokio::spawn(keep(sessions, lease)).abort_handle();
        let mut held = self
            .keeper
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(before) = held.replace(keeper) {
            before.abort();
        }
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        let keeper = self.keeper.get_mut();
        if let Some(keeper) = keeper.unwrap_or_else(std::sync::PoisonError::into_inner) {
            keeper.abort();
        }
    }
}

async fn keep(sessions: Weak<Sessions>, lease: Duration) {
    let mut wait = renewal(lease);
    let mut last: Option<Arc<Session>> = None;
    loop {
        tokio::time::sleep(wait).await;
        let Some(sessions) = sessions.upgrade() else {
            return;
        };
        // If there is none, the next who asks for keys logs in, and starts another keeper.
        let Ok(session) = sessions.session().await else {
            return;
        };
        let Some(lease) = session.lease else { return };
        let unchanged = last.is_some_and(|last| Arc::ptr_eq(&last, &session));
        wait = match unchanged {
            // The renewal failed; there is time for a few more before the token ends.
            true => (lease / 20).max(SHORTEST_LEASE / 4),
            false => renewal(lease),
        };
        last = Some(session);
    }
}

/// When a token is renewed that nobody uses: behind the half at which a renewal is due.
fn renewal(lease: Duration) -> Duration {
    lease * 3 / 5
}

/// Who is not believed to be who they are learns nothing of the key: that is no refusal of it.
fn unbelieved(error: KekError) -> KekError {
    match error {
        KekError::Refused(text) => KekError::Unavailable(format!("no login: {text}")),
        error => error,
    }
}

fn session(auth: Auth, since: MonotonicTime) -> Session {
    Session {
        token: auth.client_token.into_inner(),
        lease: lease(auth.lease_duration),
        renewable: auth.renewable,
        since,
    }
}

fn lease(seconds: u64) -> Option<Duration> {
    let lease = Duration::from_secs(seconds);
    (seconds > 0).then(|| lease.clamp(SHORTEST_LEASE, LONGEST_LEASE))
}

/// For how long an answer to a login lets a token be used, and when it is renewed.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_lease(answer: &Answer) -> Result<Option<(Duration, Duration)>, KekError> {
    let Login { auth } = wire::read(answer).map_err(unbelieved)?;
    Ok(lease(auth.lease_duration).map(|lease| (lease, renewal(lease))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_for_all_time_is_renewed_like_a_long_one() {
        let check = |seconds, expected: Option<u64>| {
            let found = lease(seconds).map(|lease| renewal(lease).as_secs());
            assert_eq!(found, expected, "{seconds}");
        };
        check(0, None);
        check(1000, Some(600));
        check(u64::MAX, Some(3650 * 86_400 / 5 * 3));
    }
}
