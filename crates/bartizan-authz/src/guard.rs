//! The guard: gathers the facts, asks the policy, and says what became of it.

use std::fmt;
use std::sync::Arc;

use bartizan_core::{
    Challenge, Check, Decision, Duty, Guard, Inspection, Never, Outcome, Rejection,
};
use http::header::HOST;
use http::request::Parts;

use crate::engine::{PolicyEngine, Ruling};
use crate::error::{AuthzError, Reason};
use crate::facts::{Facts, ReadClaims};

/// The guard of [`AuthzLayer`](crate::AuthzLayer), for chaining with others.
#[derive(Clone)]
pub struct AuthzGuard(Arc<Rules>);

pub(crate) struct Rules {
    pub(crate) duty: Duty,
    pub(crate) engine: Arc<dyn PolicyEngine>,
    pub(crate) claims: Option<Box<dyn ReadClaims>>,
    pub(crate) challenge: Option<Challenge>,
}

impl AuthzGuard {
    pub(crate) fn new(rules: Rules) -> Self {
        Self(Arc::new(rules))
    }

    fn decide(&self, inspection: &mut Inspection<'_>) -> Result<(), AuthzError> {
        let context = inspection.context;
        let path = context
            .path()
            .map_err(|error| AuthzError(Reason::AmbiguousPath(error)))?;
        let authority = authority(inspection.parts)?;
        let mut facts = Facts::new(inspection.parts.method.as_str(), path);
        facts.host = authority.map(|(host, _)| host);
        facts.port = authority.and_then(|(_, port)| port);
        facts.address = context.address();
        facts.peer = context.peer();
        facts.principal = context.principal();
        facts.claims = self.0.claims.as_deref();
        facts.context = Some(context);

        if facts.claims.is_none() && self.0.engine.asks_claims() {
            let cause = "a rule asks for a claim, and the layer was not told how to read them";
            return Err(AuthzError(Reason::EngineFailed(cause.into())));
        }
        let mut shadow = |rule: &Arc<str>| {
            let decision = Decision::new(self.0.duty.layer(), Outcome::WouldHaveDenied)
                .with_code(crate::error::DENIED)
                .with_detail(Arc::clone(rule));
            self.0.duty.record(inspection, decision);
        };
        let ruling = self.0.engine.decide(&facts, &mut shadow);
        let reason = match ruling {
            Ok(Ruling::Allowed(rule)) => {
                inspection.note(rule);
                return Ok(());
            }
            Ok(Ruling::Denied(rule)) => {
                if let Some(rule) = &rule {
                    inspection.note(Arc::clone(rule));
                }
                Reason::Denied(rule)
            }
            // Without a challenge, 401 would tell the client to try again in no known way.
            Ok(Ruling::Unauthenticated) if self.0.challenge.is_none() => Reason::Denied(None),
            Ok(Ruling::Unauthenticated) => Reason::Unauthenticated,
            Ok(Ruling::NoPolicy) => Reason::NoPolicy,
            Err(error) => Reason::EngineFailed(error.0),
        };
        Err(AuthzError(reason))
    }
}

/// Host and port that the request is for: those of its URI, or else of its `Host`. Two that
/// differ are refused ([RFC 9112 §3.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2)):
/// the service might believe the other one.
fn authority(parts: &Parts) -> Result<Option<(&str, Option<u16>)>, AuthzError> {
    let mut named = parts.uri.authority().map(|authority| authority.as_str());
    for host in parts.headers.get_all(HOST) {
        let host = host
            .to_str()
            .map_err(|_| AuthzError(Reason::AmbiguousHost))?;
        match named {
            Some(named) if !named.eq_ignore_ascii_case(host) => {
                return Err(AuthzError(Reason::AmbiguousHost));
            }
            _ => named = Some(host),
        }
    }
    let split = named.map(|named| split_authority(named).ok_or(AuthzError(Reason::AmbiguousHost)));
    split.transpose()
}

/// Host and port; nothing for what is neither, such as a text with user information.
fn split_authority(text: &str) -> Option<(&str, Option<u16>)> {
    if text.contains(['@', '/', '?', '#']) {
        return None;
    }
    // The colons of an IPv6 address stand in brackets.
    let end = text.rfind(']').map_or(0, |bracket| bracket + 1);
    match text.get(end..)?.rfind(':') {
        None => Some((text, None)),
        Some(colon) => {
            let (host, port) = text.split_at_checked(end + colon)?;
            match port.strip_prefix(':')? {
                "" => Some((host, None)),
                port => Some((host, Some(port.parse().ok()?))),
            }
        }
    }
}

impl Guard for AuthzGuard {
    type Pass = ();
    type Inquiry = Never;

    fn duty(&self) -> Option<&Duty> {
        Some(&self.0.duty)
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Check<(), Never> {
        let decided = self.decide(inspection);
        let refused = |error: AuthzError| -> Rejection {
            let challenge = match error.0 {
                Reason::Unauthenticated => self.0.challenge.as_ref(),
                _ => None,
            };
            error.into_rejection(challenge)
        };
        Check::Now(decided.map_err(refused))
    }
}

impl fmt::Debug for AuthzGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthzGuard")
            .field("duty", &self.0.duty)
            .field("engine", &self.0.engine)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_host_and_perhaps_a_port() {
        for (text, expected) in [
            ("shop.example", Some(("shop.example", None))),
            ("shop.example:8443", Some(("shop.example", Some(8443)))),
            ("shop.example:", Some(("shop.example", None))),
            ("[::1]", Some(("[::1]", None))),
            ("[::1]:80", Some(("[::1]", Some(80)))),
            ("shop.example:99999", None),
            ("shop.example:x", None),
            ("user@shop.example", None),
        ] {
            assert_eq!(split_authority(text), expected, "{text}");
        }
    }
}
