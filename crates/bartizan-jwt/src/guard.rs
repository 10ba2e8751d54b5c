//! Decides about one request.

mod certificate;
mod held;
mod inquiry;
mod pass;
mod post;
mod presented;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Check, Clock, Duty, Enforcement, Guard, Inspection, Rejection, WallTime};
use bartizan_source::Status;
use http::header::{AUTHORIZATION, COOKIE, HeaderName, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderValue};

use crate::confirmation::Confirmation;
use crate::credential::{self, Credential, Presentation};
use crate::dpop::{Checked, Dpop, ProvenRequest, Replay, ReplayAnswer};
use crate::error::{Detail, JwtError, JwtErrorKind, Refusals};
use crate::introspection::{Introspected, Introspector};
use crate::key_source::Renewal;
use crate::revocation::Revocations;
use crate::rules::Rules;
use crate::token::VerifiedClaims;
use crate::verifier::{Failed, Hinge, Holding, Verifier, Verifiers, cannot_check};

use self::certificate::has_certificate;
pub(crate) use self::held::Held;
pub use self::inquiry::JwtInquiry;
use self::inquiry::{Asking, Recording, Wait};
pub use self::pass::JwtPass;
pub(crate) use self::post::Post;
use self::post::Posts;

/// The field that carries a proof of possession.
const DPOP: HeaderName = HeaderName::from_static("dpop");

/// The guard of a [`JwtLayer`](crate::JwtLayer), to be chained with others.
#[derive(Clone)]
pub struct JwtGuard(Arc<Posts>);

#[repr(align(128))]
pub(crate) struct State {
    pub(crate) verifiers: Verifiers,
    pub(crate) introspector: Option<Introspector>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) duty: Duty,
    pub(crate) behaviour: Behaviour,
}

/// What the configuration says beside rules and keys.
#[derive(Clone, Debug)]
pub(crate) struct Behaviour {
    pub(crate) refusals: Refusals,
    pub(crate) dpop: Option<Dpop>,
    pub(crate) requires_binding: bool,
    pub(crate) revocations: Option<Arc<dyn Revocations>>,
    pub(crate) patience: Duration,
    pub(crate) cookie: Option<Box<str>>,
    pub(crate) protocol: Option<Box<str>>,
    pub(crate) allows_anonymous: bool,
    pub(crate) allows_forwarding: bool,
    pub(crate) ends_streams: bool,
}

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

impl State {
    /// A token that its issuer signed, with the keys that are there.
    fn verified(
        &self,
        token: &str,
        presentation: Presentation,
        now: WallTime,
    ) -> Result<Holding, Verdict> {
        let responsible = self.verifiers.responsible(token);
        let responsible = responsible.map_err(|error| Verdict::failed(error, presentation))?;
        let verified = self.verifiers.verify(responsible, token, now);
        verified.map_err(|Failed { error, hinge }| {
            Verdict::Failed(Failure {
                error,
                presentation,
                hinge,
            })
        })
    }

    /// Checks what has to be checked of each request, however its token was found to hold. Gives
    /// the nonce that the client is to use from now on.
    fn examine(
        &self,
        inspection: &Inspection<'_>,
        credential: Credential<'_>,
        held: &Held,
        now: WallTime,
    ) -> Result<Option<String>, Verdict> {
        let fail = |error| Verdict::failed(error, credential.presentation);
        self.revoked(held).map_err(fail)?;
        let step_up = &self.behaviour.refusals.step_up;
        step_up.check(held.claims(), now).map_err(fail)?;
        let proven = self.possession(inspection, credential, held, now);
        let Some((dpop, Checked { id, next_nonce })) = proven.map_err(fail)? else {
            return Ok(None);
        };
        match dpop.record(&id, now) {
            ReplayAnswer::Now(replay) => {
                fresh(replay).map_err(fail)?;
                Ok(next_nonce)
            }
            ReplayAnswer::Later(answer) => Err(Verdict::Recording(Recording {
                held: held.clone(),
                next_nonce,
                answer,
            })),
        }
    }

    /// The one token of a request, if it carries any.
    fn credential<'r>(&self, headers: &'r HeaderMap) -> Result<Option<Credential<'r>>, JwtError> {
        let fields = |name| headers.get_all(name).iter().map(HeaderValue::as_bytes);
        let mut found = credential::in_authorization(fields(AUTHORIZATION))?.filter(|credential| {
            credential.presentation == Presentation::Bearer || self.behaviour.dpop.is_some()
        });
        if let Some(name) = &self.behaviour.cookie {
            found = one_of(found, credential::in_cookies(fields(COOKIE), name)?)?;
        }
        if let Some(marker) = &self.behaviour.protocol {
            let offered = fields(SEC_WEBSOCKET_PROTOCOL);
            found = one_of(found, credential::in_protocols(offered, marker)?)?;
        }
        Ok(found)
    }

    fn revoked(&self, held: &Held) -> Result<(), JwtError> {
        match &self.behaviour.revocations {
            Some(revocations) if revocations.is_revoked(held.claims()) => {
                Err(JwtError::new(JwtErrorKind::Revoked))
            }
            _ => Ok(()),
        }
    }

    /// Checks that the request possesses what its token is bound to. Gives a proof that holds, if
    /// it is the first time that it is seen.
    fn possession(
        &self,
        inspection: &Inspection<'_>,
        credential: Credential<'_>,
        held: &Held,
        now: WallTime,
    ) -> Result<Option<(&Dpop, Checked)>, JwtError> {
        let unbound = Err(JwtError::new(JwtErrorKind::UnboundToken));
        let presentation = credential.presentation;
        match (held.claims().confirmation(), &self.behaviour.dpop) {
            (None, _) if presentation == Presentation::Dpop || self.behaviour.requires_binding => {
                unbound
            }
            (None, _) => Ok(None),
            (Some(Confirmation::Certificate(_)), _) if presentation == Presentation::Dpop => {
                unbound
            }
            (Some(Confirmation::Certificate(wanted)), _) => {
                has_certificate(inspection.context, &wanted).map(|()| None)
            }
            (Some(Confirmation::Key(_)), None) => Err(JwtError::new(JwtErrorKind::BoundToken)),
            (Some(Confirmation::Key(_)), Some(_)) if presentation == Presentation::Bearer => {
                Err(JwtError::new(JwtErrorKind::ProofMissing))
            }
            (Some(Confirmation::Key(key)), Some(dpop)) => {
                let mut proofs = inspection.parts.headers.get_all(DPOP).iter();
                let proof = proofs.next();
                let proof = proof.ok_or(JwtError::new(JwtErrorKind::ProofMissing))?;
                if proofs.next().is_some() {
                    return Err(JwtError::proof("there is more than one"));
                }
                let request = ProvenRequest {
                    method: inspection.parts.method.as_str(),
                    path: inspection.context.uri().path(),
                    token: credential.bytes(),
                    key,
                };
                let checked = dpop.check(proof.as_bytes(), &request, now)?;
                Ok(Some((dpop, checked)))
            }
        }
    }

    /// What to wait for, if newer keys could change the verdict.
    ///
    /// An issuer may have given a name that is known to another key, so that a signature which
    /// does not verify asks for newer keys as an unknown name does: out of the same budget.
    fn renewal(&self, failure: Failure) -> Option<Wait> {
        let hinge = failure.hinge?;
        let keys = &self.verifiers.of(hinge.verifier)?.keys;
        let renewal = keys.renew(self.clock.monotonic(), self.behaviour.patience)?;
        Some(Wait::Keys {
            failure,
            renewal: Box::pin(renewal),
        })
    }

    /// What a failure comes to after newer keys were asked for.
    ///
    /// A key may be one that the issuer has published and that we could not fetch, or may not
    /// fetch again yet: that is no fault of the token. Where the name is known, the key of that
    /// name has spoken.
    fn concluded(&self, failure: Failure, renewal: Renewal) -> JwtError {
        let Failure { error, hinge, .. } = failure;
        let (JwtErrorKind::UnknownKey, Some(hinge)) = (error.kind(), hinge) else {
            return error;
        };
        match renewal {
            Renewal::Failed => cannot_check(error),
            Renewal::Earlier { age, wait }
                if self.verifiers.may_be_newer(&hinge, age, self.clock.wall()) =>
            {
                JwtError::with_detail(JwtErrorKind::KeysUnavailable, Detail::Wait(wait))
            }
            Renewal::Current | Renewal::Earlier { .. } => error,
        }
    }

    fn refuse(&self, error: JwtError, presentation: Presentation) -> Rejection {
        let nonce = match (error.kind(), &self.behaviour.dpop) {
            (JwtErrorKind::NonceRequired, Some(dpop)) => dpop.nonce(self.clock.wall()),
            _ => None,
        };
        let refusals = &self.behaviour.refusals;
        refusals.refuse(error, presentation, nonce.as_deref())
    }
}

/// A request with two tokens is refused: two readers could take different ones.
fn one_of<'r>(
    one: Option<Credential<'r>>,
    other: Option<Credential<'r>>,
) -> Result<Option<Credential<'r>>, JwtError> {
    match (one, other) {
        (Some(_), Some(_)) => Err(JwtError::new(JwtErrorKind::MultipleTokens)),
        (one, other) => Ok(one.or(other)),
    }
}

fn fresh(replay: Replay) -> Result<(), JwtError> {
    match replay {
        Replay::Fresh => Ok(()),
        Replay::Replayed => Err(JwtError::new(JwtErrorKind::ProofReplayed)),
        Replay::Unknown => Err(JwtError::new(JwtErrorKind::ProofUnchecked)),
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
