//! Tokens that were obtained, and obtaining them in time.

use std::fmt;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan_core::{Clock, Code, Event, LifecycleEvent, LifecycleKind, MonotonicTime, Observe};
use bartizan_source::{Backoff, NoFlight, SingleFlights, random, spread};
use http::HeaderValue;
use zeroize::Zeroizing;

use super::error::{TokenError, TokenErrorKind};
use super::response::TokenResponse;
use crate::authorization_server::Endpoint;
use crate::recent::{CredentialBytes, Recent};

/// After failures, the authorization server gave a token again.
const RECOVERED: Code = Code::new("outgoing.recovered");

/// How long a token is taken to hold if the server does not say.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(60);

/// How long before its end a token is not sent any more, so that it does not end on the way; a
/// tenth of its lifetime if that is less.
const MARGIN: Duration = Duration::from_secs(10);

/// How long the answer that a caller's token cannot be exchanged is kept.
const REFUSAL_LIFETIME: Duration = Duration::from_secs(10);

/// How many such answers are kept.
const REFUSALS: usize = 1024;

/// How long a token that took the place of a refused one is not itself replaced.
const COOL_DOWN: Duration = Duration::from_secs(30);

/// The first and the longest wait after the server gave no token.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// What is asked for, and where.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) endpoint: Endpoint,
    pub(super) kind: Kind,
    pub(super) fields: Vec<(&'static str, Box<str>)>,
    /// How this service comes by the token that it acts with.
    pub(super) actor: Option<Box<Self>>,
}

/// What a token is given for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    ClientCredentials,
    Exchange,
}

/// The time, and who is told.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Option<Arc<dyn Observe>>,
}

/// A token as it was issued.
pub(super) struct Issued {
    text: Zeroizing<String>,
    /// The value of `Authorization`.
    pub(super) header: HeaderValue,
    obtained: MonotonicTime,
    refresh_after: MonotonicTime,
    /// It was refused where it was sent.
    is_spent: AtomicBool,
    /// It took the place of one that was.
    replaces_spent: bool,
}

/// A token, now or later.
pub(super) enum Obtained {
    Now(Result<Arc<Issued>, TokenError>),
    Later(Obtaining),
}

pub(super) type Obtaining = Pin<Box<dyn Future<Output = Result<Arc<Issued>, TokenError>> + Send>>;

/// The tokens of one plan: one of this service's own, under no name, or one for each caller's
/// token, under the whole of that token.
pub(super) struct Supply {
    plan: Plan,
    actor: Option<Arc<Self>>,
    watch: Watch,
    tokens: Recent<Arc<Issued>>,
    refusals: Recent<TokenError>,
    flights: SingleFlights<CredentialBytes, Result<Arc<Issued>, TokenError>>,
    health: Mutex<Health>,
}

/// How the authorization server fares.
struct Health {
    backoff: Backoff,
    /// What it failed with, and until when it is not asked again.
    failed: Option<(TokenError, MonotonicTime)>,
}

impl Supply {
    pub(super) fn new(plan: Plan, watch: Watch, tokens: usize, requests: NonZeroUsize) -> Self {
        let actor = plan.actor.as_deref().map(|actor| {
            let watch = watch.clone();
            Arc::new(Self::new(actor.clone(), watch, 1, NonZeroUsize::MIN))
        });
        let capacity = match plan.kind {
            Kind::ClientCredentials => 1,
            Kind::Exchange => tokens,
        };
        Self {
            plan,
            actor,
            watch,
            tokens: Recent::new(capacity),
            refusals: Recent::new(REFUSALS),
            flights: SingleFlights::new(requests),
            health: Mutex::new(Health {
                backoff: Backoff::new(RETRY.0, RETRY.1),
                failed: None,
            }),
        }
    }

    /// How many tokens are kept.
    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The token for `subject`: the caller's token, or nothing for this service's own.
    ///
    /// One that is kept is given at once, and renewed in the background when it is about to end.
    pub(super) fn get(self: &Arc<Self>, subject: &[u8]) -> Obtained {
        let now = self.watch.clock.monotonic();
        let kept = self.kept(subject, now);
        if let Some(issued) = &kept
            && now < issued.refresh_after
        {
            return Obtained::Now(Ok(Arc::clone(issued)));
        }
        let refused = self
            .refusals
            .get(subject, now)
            .or_else(|| self.health().closed(now));
        match (kept, refused) {
            (Some(issued), Some(_)) => Obtained::Now(Ok(issued)),
            (Some(issued), None) => {
                // Joined or started by the call itself; nobody needs to wait for it.
                drop(self.start(subject));
                Obtained::Now(Ok(issued))
            }
            (None, Some(error)) => Obtained::Now(Err(error)),
            (None, None) => Obtained::Later(self.start(subject)),
        }
    }

    /// Notes that a service refused this token, so that the next call gets another.
    ///
    /// One that took the place of a refused token a moment ago stays: a service that refuses all
    /// of them must not have the authorization server asked with each call.
    pub(super) fn refuse(&self, issued: &Issued) {
        let age = self
            .watch
            .clock
            .monotonic()
            .saturating_since(issued.obtained);
        if !(issued.replaces_spent && age < COOL_DOWN) {
            issued.is_spent.store(true, Ordering::Relaxed);
        }
    }

    fn kept(&self, subject: &[u8], now: MonotonicTime) -> Option<Arc<Issued>> {
        let issued = self.tokens.get(subject, now)?;
        (!issued.is_spent.load(Ordering::Relaxed)).then_some(issued)
    }

    fn start(self: &Arc<Self>, subject: &[u8]) -> Obtaining {
        let supply = Arc::clone(self);
        let run = self.flights.run(subject, |subject| supply.obtain(subject));
        Box::pin(async move {
            run.await.unwrap_or_else(|error| {
                Err(TokenError::new(match error {
                    NoFlight::Full => TokenErrorKind::Overloaded,
                    _ => TokenErrorKind::Unavailable,
                }))
            })
        })
    }

    /// One request. Runs once at a time for each subject.
    async fn obtain(self: Arc<Self>, subject: CredentialBytes) -> Result<Arc<Issued>, TokenError> {
        let before = self.watch.clock.monotonic();
        // Somebody may have been given one between the look and the start.
        if let Some(issued) = self.kept(subject.as_slice(), before)
            && before < issued.refresh_after
        {
            return Ok(issued);
        }
        let result = self.request(subject.as_slice()).await;
        let now = self.watch.clock.monotonic();
        match result {
            Ok(response) => {
                let earlier = self.tokens.get(subject.as_slice(), now);
                let replaces_spent = earlier.is_some_and(|it| it.is_spent.load(Ordering::Relaxed));
                let lifetime = response.lifetime.unwrap_or(DEFAULT_LIFETIME);
                let issued = Arc::new(Issued::new(response, lifetime, now, replaces_spent)?);
                let until = now.checked_add(lifetime - MARGIN.min(lifetime / 10));
                self.refusals.remove(subject.as_slice());
                if let Some(until) = until {
                    self.tokens.insert(subject, Arc::clone(&issued), now, until);
                }
                if self.health().succeed() {
                    self.tell(
                        LifecycleKind::SourceRefreshed,
                        RECOVERED,
                        &"it gives tokens again",
                    );
                }
                Ok(issued)
            }
            Err(error) => {
                self.note(subject, &error, now);
                Err(error)
            }
        }
    }

    /// Remembers a failure: as the server's, so that nobody asks it for a while, or as this
    /// caller's alone. One caller whose exchange the server stumbles over must not keep the others
    /// from theirs.
    fn note(&self, subject: CredentialBytes, error: &TokenError, now: MonotonicTime) {
        let is_of_caller = self.plan.kind == Kind::Exchange && !error.is_about_the_server();
        if is_of_caller {
            let span = if error.is_about_the_caller() {
                REFUSAL_LIFETIME
            } else {
                RETRY.0
            };
            if let Some(until) = now.checked_add(span) {
                self.refusals.insert(subject, error.clone(), now, until);
            }
        } else {
            self.health().fail(error, now);
        }
        if !(is_of_caller && error.is_about_the_caller()) {
            self.tell(LifecycleKind::SourceFailed, error.code(), error);
        }
    }

    async fn request(&self, subject: &[u8]) -> Result<TokenResponse, TokenError> {
        let actor = match &self.actor {
            None => None,
            Some(actor) => Some(match actor.get(&[]) {
                Obtained::Now(obtained) => obtained?,
                Obtained::Later(obtaining) => obtaining.await?,
            }),
        };
        let mut fields = Vec::with_capacity(self.plan.fields.len() + 6);
        match self.plan.kind {
            Kind::ClientCredentials => fields.push(("grant_type", "client_credentials")),
            Kind::Exchange => {
                let token = std::str::from_utf8(subject);
                let token = token.map_err(|_| TokenError::new(TokenErrorKind::NoCaller))?;
                fields.extend([
                    (
                        "grant_type",
                        "urn:ietf:params:oauth:grant-type:token-exchange",
                    ),
                    ("subject_token", token),
                    ("subject_token_type", ACCESS_TOKEN),
                    ("requested_token_type", ACCESS_TOKEN),
                ]);
            }
        }
        fields.extend(
            self.plan
                .fields
                .iter()
                .map(|(name, value)| (*name, &**value)),
        );
        if let Some(actor) = &actor {
            fields.extend([
                ("actor_token", actor.text.as_str()),
                ("actor_token_type", ACCESS_TOKEN),
            ]);
        }
        let body = self.plan.endpoint.ask(&fields, &*self.watch.clock).await?;
        let is_exchange = self.plan.kind == Kind::Exchange;
        TokenResponse::parse(&body, is_exchange).map_err(TokenError::invalid_response)
    }

    fn tell(&self, kind: LifecycleKind, code: Code, detail: &(dyn fmt::Display + Sync)) {
        if let Some(observer) = &self.watch.observer {
            let event = LifecycleEvent::new("outgoing", kind, code)
                .with_subject(self.plan.endpoint.url())
                .with_detail(detail);
            observer.observe(&Event::Lifecycle(event));
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Issued {
    fn new(
        response: TokenResponse,
        lifetime: Duration,
        now: MonotonicTime,
        replaces_spent: bool,
    ) -> Result<Self, TokenError> {
        let unfit = |_| TokenError::invalid_response("the access_token is not fit for a header");
        let header = bearer(&response.token).map_err(unfit)?;
        // Always before the end less the margin: at most 88 of 100 parts of the lifetime.
        let refresh_after = now.checked_add(spread(lifetime - lifetime / 5, random()));
        Ok(Self {
            text: response.token,
            header,
            obtained: now,
            refresh_after: refresh_after.unwrap_or(now),
            is_spent: AtomicBool::new(false),
            replaces_spent,
        })
    }
}

/// The value of `Authorization` that presents a token. It stays out of `Debug` and of HPACK's
/// tables.
pub(super) fn bearer(token: &str) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    let mut text = Zeroizing::new(String::with_capacity(7 + token.len()));
    text.push_str("Bearer ");
    text.push_str(token);
    let mut value = HeaderValue::from_str(&text)?;
    value.set_sensitive(true);
    Ok(value)
}

impl Health {
    /// What the server failed with, if it is not to be asked again yet.
    fn closed(&self, now: MonotonicTime) -> Option<TokenError> {
        let (error, until) = self.failed.as_ref()?;
        (now < *until).then(|| error.clone())
    }

    fn fail(&mut self, error: &TokenError, now: MonotonicTime) {
        let wait = self.backoff.next(random());
        let wait = wait.max(error.retry_after().unwrap_or_default());
        let until = now.checked_add(wait).unwrap_or(now);
        self.failed = Some((error.clone(), until));
    }

    /// Whether it had failed before.
    fn succeed(&mut self) -> bool {
        self.backoff.reset();
        self.failed.take().is_some()
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("kind", &self.kind)
            .field("endpoint", &self.endpoint)
            .field("fields", &self.fields)
            .field("actor", &self.actor)
            .finish()
    }
}

impl fmt::Debug for Supply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supply")
            .field("plan", &self.plan)
            .field("tokens", &self.tokens)
            .field("flights", &self.flights)
            .finish_non_exhaustive()
    }
}
