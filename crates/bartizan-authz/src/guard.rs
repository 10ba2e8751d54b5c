//! The guard: gathers the facts, asks the policy, and says what became of it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use bartizan_core::{
    Challenge, Check, Connection, Decision, Duty, Guard, Inspection, Never, Outcome, PathError,
    Rejection, SecurityContext, fold,
};
use http::HeaderMap;
use http::header::HOST;
use http::request::Parts;

use crate::engine::{PolicyEngine, Ruling};
use crate::error::{AuthzError, Reason};
use crate::facts::{CLAIMS_UNREAD, Facts, ReadClaims, ReadHeaders};

/// The guard of [`AuthzLayer`](crate::AuthzLayer), for chaining with others.
#[derive(Clone)]
pub struct AuthzGuard(Arc<Rules>);

pub(crate) struct Rules {
    pub(crate) duty: Duty,
    pub(crate) engine: Arc<dyn PolicyEngine>,
    pub(crate) claims: Option<Box<dyn ReadClaims>>,
    pub(crate) challenge: Option<Challenge>,
    pub(crate) destination: Option<SocketAddr>,
}

impl AuthzGuard {
    pub(crate) fn new(rules: Rules) -> Self {
        Self(Arc::new(rules))
    }

    /// Asks again about what is allowed, by its path as it was sent.
    ///
    /// A router compares that one, and rules were asked about its canonical spelling: `/%61dmin` is
    /// the rule's `/admin`, and to the router perhaps `/{tenant}`. Where a table of routes has told
    /// that both lead to one place, they are the same.
    fn allows_as_sent(
        &self,
        facts: &Facts<'_>,
        context: &SecurityContext,
    ) -> Result<(), AuthzError> {
        let sent = context.uri().path();
        if sent == facts.path || context.template().is_some() {
            return Ok(());
        }
        let facts = Facts {
            path: sent,
            ..*facts
        };
        match self.0.engine.decide(&facts, &mut |_| {}) {
            Ok(Ruling::Allowed(_)) => Ok(()),
            Ok(_) => Err(AuthzError(Reason::AmbiguousPath(PathError::Spelling))),
            Err(error) => Err(AuthzError(Reason::EngineFailed(error.0))),
        }
    }

    fn decide(&self, inspection: &mut Inspection<'_>) -> Result<(), AuthzError> {
        let context = inspection.context;
        let mut facts = facts_of(inspection)?;
        facts.destination = facts.destination.or(self.0.destination);
        facts.claims = self.0.claims.as_deref();
        facts.context = Some(context);

        // A policy that came later may ask for more than the one that the layer was built with.
        let nested = || facts.claims.is_some_and(|claims| claims.reads_within());
        if (facts.claims.is_none() && self.0.engine.asks_claims())
            || (self.0.engine.asks_nested_claims() && !nested())
        {
            return Err(AuthzError(Reason::EngineFailed(CLAIMS_UNREAD.into())));
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
                self.allows_as_sent(&facts, context)?;
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

/// What is known of a request, but for claims.
pub(crate) fn facts_of<'r>(inspection: &'r Inspection<'_>) -> Result<Facts<'r>, AuthzError> {
    let (context, parts) = (inspection.context, &*inspection.parts);
    let path = context
        .path()
        .map_err(|error| AuthzError(Reason::AmbiguousPath(error)))?;
    let authority = authority(parts)?;
    let connection = Connection::of(&parts.extensions);
    let mut facts = Facts::new(parts.method.as_str(), path);
    facts.authority = authority.map(|authority| authority.whole);
    facts.host = authority.map(|authority| authority.host);
    facts.port = authority.and_then(|authority| authority.port);
    facts.headers = Some(&parts.headers);
    facts.source = connection
        .and_then(Connection::remote)
        .map(|remote| fold(remote.ip()));
    facts.destination = connection.and_then(Connection::local);
    facts.server_name = connection.and_then(Connection::server_name);
    facts.address = context.address();
    facts.peer = context.peer();
    facts.principal = context.principal();
    Ok(facts)
}

/// What a request is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Authority<'r> {
    whole: &'r str,
    host: &'r str,
    port: Option<u16>,
}

/// What the request is for: those of its URI, or else of its `Host`. Two that
/// differ are refused ([RFC 9112 §3.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2)):
/// the service might believe the other one.
fn authority(parts: &Parts) -> Result<Option<Authority<'_>>, AuthzError> {
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
fn split_authority(text: &str) -> Option<Authority<'_>> {
    if text.contains(['@', '/', '?', '#']) {
        return None;
    }
    // The colons of an IPv6 address stand in brackets.
    let end = text.rfind(']').map_or(0, |bracket| bracket + 1);
    let (host, port) = match text.get(end..)?.rfind(':') {
        None => (text, None),
        Some(colon) => {
            let (host, port) = text.split_at_checked(end + colon)?;
            match port.strip_prefix(':')? {
                "" => (host, None),
                port => (host, Some(port.parse().ok()?)),
            }
        }
    };
    Some(Authority {
        whole: text,
        host,
        port,
    })
}

impl ReadHeaders for HeaderMap {
    fn read(&self, name: &str, tell: &mut dyn FnMut(&[u8])) {
        for value in self.get_all(name) {
            tell(value.as_bytes());
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
            let split = split_authority(text).map(|it| (it.host, it.port));
            assert_eq!(split, expected, "{text}");
        }
    }
}
