//! Decides about one request.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bartizan_core::{Check, Clock, Duty, Guard, Inquiry, Inspection, Rejection};
use bartizan_source::Status;
use http::header::AUTHORIZATION;

use crate::bearer;
use crate::error::{JwtError, JwtErrorKind};
use crate::key_set::KeySet;
use crate::key_source::{KeySource, Renewal};
use crate::rules::Rules;
use crate::token::{VerifiedClaims, VerifiedToken};
use crate::verify::verify;

/// When a client may come back after the keys were not available: about when the next attempt to
/// fetch them has been made.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The guard of a [`JwtLayer`](crate::JwtLayer), to be chained with others.
#[derive(Clone)]
pub struct JwtGuard(Arc<State>);

pub(crate) struct State {
    pub(crate) rules: Rules,
    pub(crate) keys: KeySource,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) duty: Duty,
    pub(crate) realm: Box<str>,
    pub(crate) patience: Duration,
}

/// A check that waits for keys.
///
/// It does not copy the token, which stays in the request meanwhile.
pub struct JwtInquiry {
    guard: JwtGuard,
    wait: Pin<Box<dyn Future<Output = Renewal> + Send>>,
}

impl JwtGuard {
    pub(crate) fn new(state: State) -> Self {
        Self(Arc::new(state))
    }

    /// What a token must fulfil.
    pub fn rules(&self) -> &Rules {
        &self.0.rules
    }

    /// How the source of the keys fares, for health pages and metrics; `None` if the keys were
    /// given once and for all.
    pub fn key_status(&self) -> Option<Status> {
        self.0.keys.status()
    }

    /// Whether there are keys that may be relied on, so that tokens can be checked.
    pub fn is_ready(&self) -> bool {
        self.0.keys.read(|keys| keys.is_some())
    }
}

impl State {
    fn verify(&self, inspection: &Inspection<'_>) -> Result<VerifiedToken, JwtError> {
        let fields = inspection.parts.headers.get_all(AUTHORIZATION);
        let token = bearer::token(fields.iter().map(|field| field.as_bytes()))?;
        let now = self.clock.wall();
        self.keys.read(|keys| match keys {
            Some(keys) => verify(token, keys, &self.rules, now),
            // What is wrong by itself is wrong without keys too; the rest cannot be judged.
            None => verify(token, &KeySet::default(), &self.rules, now).map_err(cannot_check),
        })
    }

    /// Writes down for whom the request acts.
    fn admit(inspection: &Inspection<'_>, token: VerifiedToken) -> Result<(), Rejection> {
        let claims = token.into_claims();
        inspection
            .context
            .set_principal(claims.principal().clone())?;
        // A second layer that verified the same token says the same.
        if inspection
            .context
            .claims::<VerifiedClaims>()
            .is_none_or(|held| held != claims)
        {
            inspection.context.set_claims(claims)?;
        }
        Ok(())
    }

    fn refuse(&self, error: JwtError) -> Rejection {
        error.into_rejection(&self.realm, RETRY_AFTER)
    }

    /// The verdict once keys were waited for.
    fn conclude(&self, inspection: &Inspection<'_>, renewal: Renewal) -> Result<(), Rejection> {
        match self.verify(inspection) {
            Ok(token) => Self::admit(inspection, token),
            // The key may be one that the issuer has published and that we could not fetch.
            Err(error) if renewal == Renewal::Failed => Err(self.refuse(cannot_check(error))),
            Err(error) => Err(self.refuse(error)),
        }
    }
}

/// Without the issuer's present keys, an unknown key is no fault of the token.
fn cannot_check(error: JwtError) -> JwtError {
    match error.kind() {
        JwtErrorKind::UnknownKey => JwtError::new(JwtErrorKind::KeysUnavailable),
        _ => error,
    }
}

impl Guard for JwtGuard {
    type Pass = ();
    type Inquiry = JwtInquiry;

    fn duty(&self) -> Option<&Duty> {
        Some(&self.0.duty)
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Check<(), JwtInquiry> {
        let state = &*self.0;
        let error = match state.verify(inspection) {
            Ok(token) => return Check::Now(State::admit(inspection, token)),
            Err(error) => error,
        };
        let wait = match error.kind() {
            JwtErrorKind::UnknownKey | JwtErrorKind::KeysUnavailable => {
                state.keys.renew(state.patience)
            }
            _ => None,
        };
        match wait {
            Some(wait) => Check::Later(JwtInquiry {
                guard: self.clone(),
                wait: Box::pin(wait),
            }),
            None => Check::Now(Err(state.refuse(error))),
        }
    }
}

impl Inquiry<()> for JwtInquiry {
    fn poll_verdict(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        inspection: &mut Inspection<'_>,
    ) -> Poll<Result<(), Rejection>> {
        let renewal = ready!(self.wait.as_mut().poll(cx));
        Poll::Ready(self.guard.0.conclude(inspection, renewal))
    }
}

impl fmt::Debug for JwtGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtGuard")
            .field("rules", &self.0.rules)
            .field("keys", &self.0.keys)
            .field("duty", &self.0.duty)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for JwtInquiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JwtInquiry")
    }
}
