//! Decides about one request.

mod certificate;
mod held;
mod inquiry;
mod pass;
mod post;
mod presented;
mod state;

use std::fmt;
use std::sync::Arc;

use bartizan_core::{Check, Duty, Enforcement, Guard, Inspection, Rejection};
use bartizan_source::Status;

use crate::credential::Presentation;
use crate::error::{JwtError, JwtErrorKind};
use crate::introspection::{Introspected, Introspector};
use crate::rules::Rules;
use crate::token::VerifiedClaims;
use crate::verifier::{Hinge, Verifier};

pub(crate) use self::held::Held;
pub use self::inquiry::JwtInquiry;
use self::inquiry::{Asking, Recording, Wait};
pub use self::pass::JwtPass;
pub(crate) use self::post::Post;
use self::post::Posts;
use self::state::fresh;
pub(crate) use self::state::{Behaviour, State};

/// The guard of a [`JwtLayer`](crate::JwtLayer), to be chained with others.
#[derive(Clone)]
pub struct JwtGuard(Arc<Posts>);

/// Why a request does not pass at once.
enum Verdict {
    Asking(Asking),
    Failed(Failure),
    Recording(Recording),
    Refused(Rejection),
}

/// What is wrong with a request's token.
#[derive(Clone, Copy)]
struct Failure {
    error: JwtError,
    presentation: Presentation,
    /// The keys that this hinges on, if it does.
    hinge: Option<Hinge>,
}

impl From<Rejection> for Verdict {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection)
    }
}

impl JwtGuard {
    pub(crate) fn new(state: State) -> Self {
        Self(Arc::new(Posts::new(state)))
    }

    fn state(&self) -> &State {
        self.0.state()
    }

    /// What a token must fulfil, for each issuer that is trusted, and whoever is asked about
    /// opaque tokens.
    pub fn rules(&self) -> impl Iterator<Item = &Rules> {
        let verified = self
            .state()
            .verifiers
            .iter()
            .map(|verifier| &verifier.rules);
        verified.chain(self.state().introspector.as_ref().map(Introspector::rules))
    }

    /// How the source of an issuer's keys fares, for health pages and metrics; `None` if its keys
    /// were given once and for all, and if nobody trusts it.
    pub fn key_status(&self, issuer: &str) -> Option<Status> {
        let mut verifiers = self.state().verifiers.iter();
        let verifier = verifiers.find(|verifier| verifier.rules.issuer().as_str() == issuer)?;
        verifier.keys.status()
    }

    /// Whether there are keys of every issuer that may be relied on, so that tokens can be
    /// checked.
    pub fn is_ready(&self) -> bool {
        let has_keys = |verifier: &Verifier| verifier.keys.read(|keys| keys.is_some());
        self.state().verifiers.iter().all(has_keys)
    }

    /// How many verified tokens are remembered.
    pub fn cached_tokens(&self) -> usize {
        self.state().verifiers.cached()
    }

    /// How many opaque tokens are remembered that their issuer vouched for.
    pub fn introspected_tokens(&self) -> usize {
        self.state()
            .introspector
            .as_ref()
            .map_or(0, Introspector::cached)
    }

    /// Writes down for whom the request acts, and watches over the response.
    fn admit(
        &self,
        inspection: &mut Inspection<'_>,
        held: Held,
        next_nonce: Option<String>,
    ) -> Result<JwtPass, Rejection> {
        let (context, claims) = (inspection.context, held.claims());
        if let Err(conflict) = context.set_verified(Arc::clone(claims)) {
            // A second layer that verified the same token says the same.
            let other = context.claims::<VerifiedClaims>();
            if other.is_none_or(|other| other != *claims) {
                return Err(conflict.into());
            }
        }
        if self.state().behaviour.allows_forwarding
            && let Some(caller) = self.state().caller_token(&inspection.parts.headers, &held)
        {
            inspection.parts.extensions.insert(caller);
        }
        // In shadow mode nothing is enforced, and so nothing cut off.
        let enforces = self.state().duty.enforcement() == Enforcement::Enforce;
        let pass = match self.0.of(held.claims()) {
            Some(post) if self.state().behaviour.ends_streams && enforces => {
                JwtPass::watching(Arc::clone(post), held)
            }
            _ => JwtPass::free(),
        };
        Ok(match next_nonce {
            Some(nonce) => pass.with_nonce(&nonce),
            None => pass,
        })
    }

    /// The verdict about a request, with the keys that are there.
    fn judge(&self, inspection: &mut Inspection<'_>) -> Result<JwtPass, Verdict> {
        let state = self.state();
        let fail = |presentation| move |error| Verdict::failed(error, presentation);
        let found = state.credential(&inspection.parts.headers);
        let credential = match found.map_err(fail(Presentation::Bearer))? {
            Some(credential) => credential,
            None if state.behaviour.allows_anonymous => return Ok(JwtPass::free()),
            None => {
                let missing = JwtError::new(JwtErrorKind::Missing);
                return Err(fail(Presentation::Bearer)(missing));
            }
        };
        let now = state.clock.wall();
        let presentation = credential.presentation;
        let held = match state.verifiers.recall(credential.bytes(), now) {
            Some(holding) => Held::Signed(holding),
            None => {
                let token = credential.text().map_err(fail(presentation))?;
                let introspector = state.introspector.as_ref();
                match introspector.filter(|introspector| introspector.is_responsible(token)) {
                    Some(introspector) => match introspector.recall(token.as_bytes(), now) {
                        Some(known) => Held::Vouched(known.map_err(fail(presentation))?),
                        None => {
                            let answer =
                                introspector.ask(token.as_bytes(), state.behaviour.patience);
                            return Err(Verdict::Asking(Asking {
                                presentation,
                                answer,
                            }));
                        }
                    },
                    None => Held::Signed(state.verified(token, presentation, now)?),
                }
            }
        };
        let next_nonce = state.examine(inspection, credential, &held, now)?;
        Ok(self.admit(inspection, held, next_nonce)?)
    }

    /// The verdict about a request whose token was asked about.
    fn judge_introspected(
        &self,
        inspection: &mut Inspection<'_>,
        answer: Introspected,
        presentation: Presentation,
    ) -> Result<JwtPass, Verdict> {
        let state = self.state();
        let fail = |error| Verdict::failed(error, presentation);
        let held = Held::Vouched(answer.map_err(fail)?);
        let missing = JwtError::new(JwtErrorKind::Missing);
        let credential = state.credential(&inspection.parts.headers).map_err(fail)?;
        let credential = credential.ok_or(missing).map_err(fail)?;
        let next_nonce = state.examine(inspection, credential, &held, state.clock.wall())?;
        Ok(self.admit(inspection, held, next_nonce)?)
    }
}

impl Verdict {
    fn failed(error: JwtError, presentation: Presentation) -> Self {
        Self::Failed(Failure {
            error,
            presentation,
            hinge: None,
        })
    }
}

impl Guard for JwtGuard {
    type Pass = JwtPass;
    type Inquiry = JwtInquiry;

    fn duty(&self) -> Option<&Duty> {
        Some(&self.state().duty)
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Check<JwtPass, JwtInquiry> {
        let state = self.state();
        let wait = match self.judge(inspection) {
            Ok(pass) => return Check::Now(Ok(pass)),
            Err(Verdict::Refused(rejection)) => return Check::Now(Err(rejection)),
            Err(Verdict::Recording(recording)) => Wait::Replay(recording),
            Err(Verdict::Asking(asking)) => Wait::Answer(asking),
            Err(Verdict::Failed(failure)) => match state.renewal(failure) {
                Some(wait) => wait,
                None => {
                    let refused = state.refuse(failure.error, failure.presentation);
                    return Check::Now(Err(refused));
                }
            },
        };
        Check::Later(JwtInquiry {
            guard: self.clone(),
            wait: Box::new(wait),
        })
    }
}

impl fmt::Debug for JwtGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtGuard")
            .field("verifiers", &self.state().verifiers)
            .field("introspector", &self.state().introspector)
            .field("duty", &self.state().duty)
            .field("behaviour", &self.state().behaviour)
            .finish_non_exhaustive()
    }
}
