//! Asks about tokens, and remembers the answers for a while.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{
    Clock, Event, LifecycleEvent, LifecycleKind, MonotonicTime, Observe, WallTime,
};
use bartizan_source::{NoFlight, SingleFlights, random, spread};
use tokio::runtime::Handle;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::answer::Answer;
use super::config::Introspection;
use super::form::looks_signed;
use crate::authorization_server::Unanswered;
use crate::error::{Detail, JwtError, JwtErrorKind};
use crate::recent::{CredentialBytes, Recent};
use crate::rules::Rules;
use crate::token::VerifiedClaims;

/// How many tokens that do not hold are remembered, apart from those that do: whoever makes up
/// tokens pushes out nothing but what was made up.
const REFUSALS: usize = 4096;

/// Asks the issuer about opaque tokens.
pub(crate) struct Introspector(Arc<State>);

struct State {
    settings: Introspection,
    /// Whether also tokens are asked about that say by themselves what they stand for.
    asks_about_all: bool,
    clock: Arc<dyn Clock>,
    observer: Option<Arc<dyn Observe>>,
    active: Recent<Vouched>,
    refused: Recent<Refusal>,
    first: Flights,
    /// Tokens that held a moment ago are asked about again from places of their own, so that a
    /// flood of others does not keep them from it.
    again: Flights,
}

type Flights = SingleFlights<CredentialBytes, Introspected>;

/// What came of asking.
pub(crate) type Introspected = Result<Vouched, JwtError>;

/// Why a token does not hold.
#[derive(Clone, Copy)]
struct Refusal {
    error: JwtError,
    /// When the issuer was asked.
    asked: MonotonicTime,
}

/// A token that its issuer vouched for.
#[derive(Clone)]
pub(crate) struct Vouched(Arc<Facts>);

struct Facts {
    claims: Arc<VerifiedClaims>,
    token: CredentialBytes,
    /// When the issuer had answered. The checks of time that passed then pass at every later
    /// moment, up to the token's end.
    since: WallTime,
    renew_after: MonotonicTime,
}

impl Introspector {
    pub(crate) fn new(
        settings: Introspection,
        asks_about_all: bool,
        clock: Arc<dyn Clock>,
        observer: Option<Arc<dyn Observe>>,
    ) -> Self {
        Self(Arc::new(State {
            asks_about_all,
            clock,
            observer,
            active: Recent::new(settings.cached_tokens),
            refused: Recent::new(REFUSALS),
            first: SingleFlights::new(settings.concurrent_requests),
            again: SingleFlights::new(settings.concurrent_requests),
            settings,
        }))
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.0.settings.rules
    }

    /// How many tokens that hold are remembered.
    pub(crate) fn cached(&self) -> usize {
        self.0.active.len()
    }

    /// Whether this token is one to be asked about, and not one to be verified.
    pub(crate) fn is_responsible(&self, token: &str) -> bool {
        self.0.asks_about_all || !looks_signed(token)
    }

    /// What is known of a token without asking. One that holds and is about to be forgotten is
    /// asked about in the background.
    pub(crate) fn recall(&self, token: &[u8], now: WallTime) -> Option<Introspected> {
        let limit = self.rules().max_token_bytes();
        if token.len() > limit {
            let size = token.len();
            let detail = Detail::Size { size, limit };
            return Some(Err(JwtError::with_detail(JwtErrorKind::TooLarge, detail)));
        }
        let moment = self.0.clock.monotonic();
        if let Some(vouched) = self.0.active.get(token, moment) {
            if let Some(error) = self.0.ended(&vouched, now) {
                return Some(Err(error));
            }
            if now >= vouched.0.since {
                if moment >= vouched.0.renew_after {
                    // Joined or started by the call itself; nobody needs to wait for it.
                    drop(self.0.start(&self.0.again, token));
                }
                return Some(Ok(vouched));
            }
        }
        let refused = self.0.refused.get(token, moment);
        refused.map(|refusal| Err(refusal.error))
    }

    /// Asks about a token, waiting for at most `patience`. Who ask about the same token at the
    /// same time share one question.
    pub(crate) fn ask(
        &self,
        token: &[u8],
        patience: Duration,
    ) -> Pin<Box<dyn Future<Output = Introspected> + Send>> {
        let asking = self.0.start(&self.0.first, token);
        let has_timer = Handle::try_current().is_ok();
        Box::pin(async move {
            if !has_timer {
                return asking.await;
            }
            // The question goes on if the wait is given up, so that the next request finds the
            // answer.
            let waited = timeout(patience, asking).await;
            waited.unwrap_or(Err(JwtError::new(JwtErrorKind::IntrospectionUnavailable)))
        })
    }

    /// Whether a token that was found to hold has ended meanwhile, and why.
    pub(crate) fn ended(&self, vouched: &Vouched, now: WallTime) -> Option<JwtError> {
        let own = self.0.ended(vouched, now);
        own.or_else(|| match self.recall(vouched.0.token.as_slice(), now) {
            Some(Err(error)) => Some(error),
            Some(Ok(_)) => None,
            // An issuer that does not answer is no reason to end what was begun: nobody said that
            // it is wrong.
            None => {
                drop(self.0.start(&self.0.again, vouched.0.token.as_slice()));
                None
            }
        })
    }
}

impl State {
    fn ended(&self, vouched: &Vouched, now: WallTime) -> Option<JwtError> {
        let claims = &vouched.0.claims;
        let end = self.settings.rules.end_of(claims);
        (now >= end).then(|| JwtError::expired(claims.expires(), now))
    }

    fn start(
        self: &Arc<Self>,
        flights: &Flights,
        token: &[u8],
    ) -> impl Future<Output = Introspected> + Send + use<> {
        let state = Arc::clone(self);
        let run = flights.run(token, |token| state.introspect(token));
        async move {
            run.await.unwrap_or_else(|error| {
                Err(JwtError::new(match error {
                    NoFlight::Full => JwtErrorKind::IntrospectionOverloaded,
                    _ => JwtErrorKind::IntrospectionUnavailable,
                }))
            })
        }
    }

    /// One question. Runs once at a time for each token.
    async fn introspect(self: Arc<Self>, token: CredentialBytes) -> Introspected {
        // What the issuer says is as old as the question, and is kept no longer for an answer that
        // took its time.
        let asked = self.clock.monotonic();
        let answer = self.request(token.as_slice()).await;
        let (now, moment) = (self.clock.wall(), self.clock.monotonic());
        let told = match &answer {
            Ok(body) => Answer::parse(body).map_err(Unanswered::BadAnswer),
            Err(unanswered) => Err(unanswered.clone()),
        };
        let told = match told {
            Ok(told) => told,
            Err(unanswered) => {
                self.report(&unanswered);
                return Err(JwtError::new(JwtErrorKind::IntrospectionUnavailable));
            }
        };
        let settings = &self.settings;
        match told.claims(&settings.rules, settings.waived, now) {
            Ok(claims) => {
                let left = settings.rules.end_of(&claims).saturating_since(now);
                let lifetime = settings.cache_lifetime.min(left);
                let renew = asked.checked_add(spread(lifetime - lifetime / 5, random()));
                let vouched = Vouched(Arc::new(Facts {
                    claims: Arc::new(claims),
                    token: token.clone(),
                    since: now,
                    renew_after: renew.unwrap_or(asked),
                }));
                if let Some(until) = asked.checked_add(lifetime) {
                    let active = vouched.clone();
                    self.active.insert(token.clone(), active, moment, until);
                }
                // Two questions about one token can be under way, of which the later one may be
                // answered first. A refusal is noted before it is looked whether the token is
                // remembered, and here it is the other way round: one of both sees the other.
                match self.refused.get(token.as_slice(), moment) {
                    Some(refusal) if refusal.asked > asked => {
                        self.active.remove(token.as_slice());
                        Err(refusal.error)
                    }
                    Some(_) => {
                        self.refused.remove(token.as_slice());
                        Ok(vouched)
                    }
                    None => Ok(vouched),
                }
            }
            Err(error) => {
                if let Some(until) = asked.checked_add(settings.refusal_lifetime)
                    && until > moment
                {
                    let refusal = Refusal { error, asked };
                    self.refused.insert(token.clone(), refusal, moment, until);
                }
                self.active.remove(token.as_slice());
                Err(error)
            }
        }
    }

    async fn request(&self, token: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unanswered> {
        let token = std::str::from_utf8(token);
        let token = token.map_err(|_| Unanswered::BadAnswer("the token is no text"))?;
        let fields = [("token", token), ("token_type_hint", "access_token")];
        self.settings.endpoint.ask(&fields, &*self.clock).await
    }

    fn report(&self, unanswered: &Unanswered) {
        if let Some(observer) = &self.observer {
            let code = JwtErrorKind::IntrospectionUnavailable.code();
            let event = LifecycleEvent::new("jwt", LifecycleKind::SourceFailed, code)
                .with_subject(self.settings.endpoint.url())
                .with_detail(unanswered);
            observer.observe(&Event::Lifecycle(event));
        }
    }
}

impl Vouched {
    pub(crate) fn claims(&self) -> &Arc<VerifiedClaims> {
        &self.0.claims
    }
}

impl fmt::Debug for Introspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspector")
            .field("settings", &self.0.settings)
            .field("asks_about_all", &self.0.asks_about_all)
            .field("active", &self.0.active)
            .field("refused", &self.0.refused)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Vouched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vouched")
            .field("claims", &self.0.claims)
            .finish_non_exhaustive()
    }
}
