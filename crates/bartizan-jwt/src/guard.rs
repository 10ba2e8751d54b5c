//! Decides about one request.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bartizan_core::{
    Check, Clock, Duty, Enforcement, Guard, Inquiry, Inspection, Rejection, SecurityContext,
};
use bartizan_source::Status;
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL};

use crate::confirmation::Confirmation;
use crate::credential::{self, Credential, Presentation};
use crate::error::{JwtError, JwtErrorKind};
use crate::key_source::Renewal;
use crate::pass::JwtPass;
use crate::rules::Rules;
use crate::token::VerifiedClaims;
use crate::verifier::{Holding, Verifier, Verifiers, cannot_check};

/// When a client may come back after the keys were not available: about when the next attempt to
/// fetch them has been made.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The guard of a [`JwtLayer`](crate::JwtLayer), to be chained with others.
#[derive(Clone)]
pub struct JwtGuard(Arc<State>);

pub(crate) struct State {
    pub(crate) verifiers: Verifiers,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) duty: Duty,
    pub(crate) behaviour: Behaviour,
}

/// What the configuration says beside rules and keys.
#[derive(Clone, Debug)]
pub(crate) struct Behaviour {
    pub(crate) realm: Box<str>,
    pub(crate) patience: Duration,
    pub(crate) cookie: Option<Box<str>>,
    pub(crate) protocol: Option<Box<str>>,
    pub(crate) allows_anonymous: bool,
    pub(crate) ends_streams: bool,
}

/// A check that waits for keys.
///
/// It does not copy the token, which stays in the request meanwhile.
pub struct JwtInquiry {
    guard: JwtGuard,
    verifier: usize,
    wait: Pin<Box<dyn Future<Output = Renewal> + Send>>,
}

/// A request that is not let pass yet.
struct Failure {
    error: JwtError,
    /// Who would know more with newer keys.
    verifier: Option<usize>,
}

impl JwtGuard {
    pub(crate) fn new(state: State) -> Self {
        Self(Arc::new(state))
    }

    /// What a token must fulfil, for each issuer that is trusted.
    pub fn rules(&self) -> impl Iterator<Item = &Rules> {
        self.0.verifiers.iter().map(|verifier| &verifier.rules)
    }

    /// How the source of an issuer's keys fares, for health pages and metrics; `None` if its keys
    /// were given once and for all, and if nobody trusts it.
    pub fn key_status(&self, issuer: &str) -> Option<Status> {
        let mut verifiers = self.0.verifiers.iter();
        let verifier = verifiers.find(|verifier| verifier.rules.issuer().as_str() == issuer)?;
        verifier.keys.status()
    }

    /// Whether there are keys of every issuer that may be relied on, so that tokens can be
    /// checked.
    pub fn is_ready(&self) -> bool {
        let has_keys = |verifier: &Verifier| verifier.keys.read(|keys| keys.is_some());
        self.0.verifiers.iter().all(has_keys)
    }

    /// How many verified tokens are remembered.
    pub fn cached_tokens(&self) -> usize {
        self.0.verifiers.cached()
    }

    /// How much longer a response may go on.
    pub(crate) fn time_left(&self, holding: &Holding) -> Result<Duration, Rejection> {
        let state = &*self.0;
        let now = state.clock.wall();
        let ended = state.verifiers.ended(holding.verifier, &holding.token, now);
        match ended {
            Some(error) => Err(state.refuse(error)),
            None => {
                let rules = state.verifiers.of(holding.verifier).map(|v| &v.rules);
                let end = rules.map(|rules| rules.end_of(holding.claims()));
                Ok(end.map_or(Duration::ZERO, |end| end.saturating_since(now)))
            }
        }
    }

    /// Writes down for whom the request acts, and watches over the response.
    fn admit(&self, context: &SecurityContext, holding: Holding) -> Result<JwtPass, Rejection> {
        let claims = holding.claims();
        context.set_principal(claims.principal().clone())?;
        // A second layer that verified the same token says the same.
        if context
            .claims::<VerifiedClaims>()
            .is_none_or(|held| held != *claims)
        {
            context.set_claims(Arc::clone(claims))?;
        }
        // In shadow mode nothing is enforced, and so nothing cut off.
        let enforces = self.0.duty.enforcement() == Enforcement::Enforce;
        Ok(if self.0.behaviour.ends_streams && enforces {
            JwtPass::watching(self.clone(), holding)
        } else {
            JwtPass::free()
        })
    }

    /// The verdict about a request, with the keys that are there.
    fn judge(&self, inspection: &Inspection<'_>) -> Result<JwtPass, Verdict> {
        let state = &*self.0;
        let credential = match state.credential(&inspection.parts.headers) {
            Ok(Some(credential)) => credential,
            Ok(None) if state.behaviour.allows_anonymous => return Ok(JwtPass::free()),
            Ok(None) => return Err(state.refuse(JwtError::new(JwtErrorKind::Missing)).into()),
            Err(error) => return Err(state.refuse(error).into()),
        };
        let holding = state.holding(credential).map_err(Verdict::Open)?;
        match possession(inspection.context, credential.presentation, &holding) {
            Ok(()) => Ok(self.admit(inspection.context, holding)?),
            Err(error) => Err(state.refuse(error).into()),
        }
    }
}

/// Why a request does not pass at once.
enum Verdict {
    /// Newer keys may change it.
    Open(Failure),
    Refused(Rejection),
}

impl From<Rejection> for Verdict {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection)
    }
}

impl State {
    /// The one token of a request, if it carries any.
    fn credential<'r>(&self, headers: &'r HeaderMap) -> Result<Option<Credential<'r>>, JwtError> {
        let fields = |name| {
            headers
                .get_all(name)
                .iter()
                .map(http::HeaderValue::as_bytes)
        };
        let mut found = credential::in_authorization(fields(AUTHORIZATION))?
            .filter(|credential| credential.presentation == Presentation::Bearer);
        if let Some(name) = &self.behaviour.cookie {
            found = one_of(found, credential::in_cookies(fields(COOKIE), name)?)?;
        }
        if let Some(marker) = &self.behaviour.protocol {
            let offered = fields(SEC_WEBSOCKET_PROTOCOL);
            found = one_of(found, credential::in_protocols(offered, marker)?)?;
        }
        Ok(found)
    }

    /// Verifies a token, or remembers that it was.
    fn holding(&self, credential: Credential<'_>) -> Result<Holding, Failure> {
        let now = self.clock.wall();
        if let Some(holding) = self.verifiers.recall(credential.bytes(), now) {
            return Ok(holding);
        }
        let fail = |verifier| move |error| Failure { error, verifier };
        let token = credential.text().map_err(fail(None))?;
        let responsible = self.verifiers.responsible(token).map_err(fail(None))?;
        let verified = self.verifiers.verify(responsible, token, now);
        verified.map_err(fail(Some(responsible)))
    }

    fn refuse(&self, error: JwtError) -> Rejection {
        error.into_rejection(&self.behaviour.realm, RETRY_AFTER)
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

/// Checks that the request possesses what its token is bound to.
fn possession(
    context: &SecurityContext,
    _: Presentation,
    holding: &Holding,
) -> Result<(), JwtError> {
    match holding.claims().confirmation() {
        None => Ok(()),
        Some(Confirmation::Certificate(wanted)) => {
            //= RFC 8705 §3: the protected resource MUST [...] verify that the certificate matches
            //= the certificate associated with the access token.
            let proven = context.peer().map(|peer| peer.certificate_sha256());
            let told = context
                .forwarded()
                .filter(|forwarded| forwarded.satisfies_certificate_binding())
                .and_then(|forwarded| forwarded.certificate_sha256());
            if proven == Some(&wanted) || told == Some(&wanted) {
                Ok(())
            } else {
                Err(JwtError::new(JwtErrorKind::CertificateMismatch))
            }
        }
        Some(Confirmation::Key(_)) => Err(JwtError::new(JwtErrorKind::BoundToken)),
    }
}

impl Guard for JwtGuard {
    type Pass = JwtPass;
    type Inquiry = JwtInquiry;

    fn duty(&self) -> Option<&Duty> {
        Some(&self.0.duty)
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Check<JwtPass, JwtInquiry> {
        let state = &*self.0;
        let failure = match self.judge(inspection) {
            Ok(pass) => return Check::Now(Ok(pass)),
            Err(Verdict::Refused(rejection)) => return Check::Now(Err(rejection)),
            Err(Verdict::Open(failure)) => failure,
        };
        if let JwtErrorKind::UnknownKey | JwtErrorKind::KeysUnavailable = failure.error.kind()
            && let Some(index) = failure.verifier
            && let Some(verifier) = state.verifiers.of(index)
            && let Some(wait) = verifier.keys.renew(state.behaviour.patience)
        {
            return Check::Later(JwtInquiry {
                guard: self.clone(),
                verifier: index,
                wait: Box::pin(wait),
            });
        }
        Check::Now(Err(state.refuse(failure.error)))
    }
}

impl Inquiry<JwtPass> for JwtInquiry {
    fn poll_verdict(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        inspection: &mut Inspection<'_>,
    ) -> Poll<Result<JwtPass, Rejection>> {
        let renewal = ready!(self.wait.as_mut().poll(cx));
        let state = &*self.guard.0;
        Poll::Ready(match self.guard.judge(inspection) {
            Ok(pass) => Ok(pass),
            Err(Verdict::Refused(rejection)) => Err(rejection),
            // The key may be one that the issuer has published and that we could not fetch.
            Err(Verdict::Open(Failure { error, verifier }))
                if renewal == Renewal::Failed && verifier == Some(self.verifier) =>
            {
                Err(state.refuse(cannot_check(error)))
            }
            Err(Verdict::Open(failure)) => Err(state.refuse(failure.error)),
        })
    }
}

impl fmt::Debug for JwtGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtGuard")
            .field("verifiers", &self.0.verifiers)
            .field("duty", &self.0.duty)
            .field("behaviour", &self.0.behaviour)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for JwtInquiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JwtInquiry")
    }
}
