//! What all requests of a layer share, and what is checked with it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Clock, Duty, Inspection, Rejection, WallTime};
use http::header::{AUTHORIZATION, COOKIE, HeaderName, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderValue};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::certificate::has_certificate;
use super::inquiry::{Recording, Wait};
use super::{Failure, Held, Verdict};
use crate::confirmation::Confirmation;
use crate::credential::{self, Credential, Presentation};
use crate::dpop::{Checked, Dpop, ProvenRequest, Replay, ReplayAnswer};
use crate::error::{Detail, JwtError, JwtErrorKind, Refusals};
use crate::introspection::Introspector;
use crate::key_source::Renewal;
use crate::revocation::Revocations;
use crate::verifier::{Failed, Holding, Verifiers, cannot_check};

type LaterReplay = Pin<Box<dyn Future<Output = Replay> + Send>>;

/// The field that carries a proof of possession.
const DPOP: HeaderName = HeaderName::from_static("dpop");

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

impl State {
    /// A token that its issuer signed, with the keys that are there.
    pub(super) fn verified(
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
    pub(super) fn examine(
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
                answer: in_time(answer, self.behaviour.patience),
            })),
        }
    }

    /// The one token of a request, if it carries any.
    pub(super) fn credential<'r>(
        &self,
        headers: &'r HeaderMap,
    ) -> Result<Option<Credential<'r>>, JwtError> {
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

    pub(super) fn revoked(&self, held: &Held) -> Result<(), JwtError> {
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
    pub(super) fn renewal(&self, failure: Failure) -> Option<Wait> {
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
    pub(super) fn concluded(&self, failure: Failure, renewal: Renewal) -> JwtError {
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

    pub(super) fn refuse(&self, error: JwtError, presentation: Presentation) -> Rejection {
        let nonce = match (error.kind(), &self.behaviour.dpop) {
            (JwtErrorKind::NonceRequired, Some(dpop)) => dpop.nonce(self.clock.wall()),
            _ => None,
        };
        let refusals = &self.behaviour.refusals;
        refusals.refuse(error, presentation, nonce.as_deref())
    }
}

/// A store that does not answer in time has told nothing.
fn in_time(answer: LaterReplay, patience: Duration) -> LaterReplay {
    if Handle::try_current().is_err() {
        return answer;
    }
    Box::pin(async move { timeout(patience, answer).await.unwrap_or(Replay::Unknown) })
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

pub(super) fn fresh(replay: Replay) -> Result<(), JwtError> {
    match replay {
        Replay::Fresh => Ok(()),
        Replay::Replayed => Err(JwtError::new(JwtErrorKind::ProofReplayed)),
        Replay::Unknown => Err(JwtError::new(JwtErrorKind::ProofUnchecked)),
    }
}
