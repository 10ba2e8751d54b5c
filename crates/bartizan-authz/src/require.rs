//! What one route requires, beside what the policy says.

use std::sync::Arc;

use bartizan_core::{Check, Duty, Guard, GuardLayer, Guarded, Inspection, Never, SpiffePattern};
use tower_layer::Layer;

use crate::callers::Callers;
use crate::condition::{Fact, Reading};
use crate::config::LAYER;
use crate::error::{AuthzError, Reason};
use crate::facts::Facts;
use crate::guard::facts_of;

/// A layer for one route: only these callers.
///
/// It stands beside a policy or by itself, and never widens what others allow. Made by
/// [`require_scope`], [`allow_peer`] and [`require`].
///
/// ```
/// use bartizan_authz::require_scope;
///
/// // axum: .route("/orders", post(create)).route_layer(require_scope("orders:write"))
/// let layer = require_scope("orders:write");
/// # let _ = layer;
/// ```
#[derive(Clone, Debug)]
pub struct RequireLayer(GuardLayer<RequireGuard>);

/// The guard of a [`RequireLayer`], for chaining with others.
#[derive(Clone, Debug)]
pub struct RequireGuard(Arc<Required>);

#[derive(Debug)]
struct Required {
    duty: Duty,
    callers: Callers,
    /// What the decision is recorded under.
    name: Arc<str>,
    /// Told to a principal that lacks it.
    scope: Option<Arc<str>>,
    /// Whether more is asked than who calls.
    has_conditions: bool,
    /// What keeps the callers from being meant: then nobody is one of them.
    mistake: Option<Arc<str>>,
}

/// A service behind a [`RequireLayer`].
pub type Require<S> = Guarded<S, RequireGuard>;

/// Only principals with this scope; others get 403 / `PERMISSION_DENIED`,
/// `authz.insufficient_scope`, with the challenge of
/// [RFC 6750 §3.1](https://www.rfc-editor.org/rfc/rfc6750#section-3.1).
pub fn require_scope(scope: &str) -> RequireLayer {
    let callers = Callers::anybody().scope(scope);
    RequireLayer::new(callers, format!("scope {scope}"), Some(scope.into()))
}

/// Only the workloads whose SPIFFE ID this pattern matches; others get 403 /
/// `PERMISSION_DENIED`, `authz.denied`.
pub fn allow_peer(pattern: SpiffePattern) -> RequireLayer {
    let name = format!("peer {pattern}");
    RequireLayer::new(Callers::peer(pattern), name, None)
}

/// Only these callers; others get 403 / `PERMISSION_DENIED`, `authz.denied`. Claims cannot be
/// asked for here: nobody says how to read them. Callers that ask for one, and those that cannot
/// be meant, such as by a network that is none, let nobody in: `authz.engine_failed`.
pub fn require(name: &str, callers: Callers) -> RequireLayer {
    RequireLayer::new(callers, name.to_owned(), None)
}

impl RequireLayer {
    fn new(callers: Callers, name: String, scope: Option<Arc<str>>) -> Self {
        let (mut has_conditions, mut asks_claims) = (false, callers.ask_claims());
        callers.visit_conditions(&mut |condition| {
            has_conditions = true;
            asks_claims |= matches!(condition.fact, Fact::Claim(_));
        });
        // There is no policy whose building could fail.
        let mistake = match callers.check(&name) {
            Err(error) => Some(error.to_string().into()),
            Ok(()) if asks_claims => Some("it asks for a claim, which nobody reads here".into()),
            Ok(()) => None,
        };
        Self(GuardLayer::new(RequireGuard(Arc::new(Required {
            duty: Duty::new(LAYER),
            callers,
            name: name.into(),
            scope,
            has_conditions,
            mistake,
        }))))
    }

    /// The guard, for chaining with others.
    pub fn guard(&self) -> &RequireGuard {
        self.0.guard()
    }
}

impl<S> Layer<S> for RequireLayer {
    type Service = Require<S>;

    fn layer(&self, inner: S) -> Require<S> {
        self.0.layer(inner)
    }
}

impl Guard for RequireGuard {
    type Pass = ();
    type Inquiry = Never;

    fn duty(&self) -> Option<&Duty> {
        Some(&self.0.duty)
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Check<(), Never> {
        let decided = self.0.decide(inspection);
        inspection.note(Arc::clone(&self.0.name));
        Check::Now(decided.map_err(|error| error.into_rejection(None)))
    }
}

impl Required {
    fn decide(&self, inspection: &Inspection<'_>) -> Result<(), AuthzError> {
        if let Some(mistake) = &self.mistake {
            return Err(AuthzError(Reason::EngineFailed(Arc::clone(mistake))));
        }
        let context = inspection.context;
        let facts = if self.has_conditions {
            facts_of(inspection)?
        } else {
            let mut facts = Facts::new(inspection.parts.method.as_str(), "/");
            facts.address = context.address();
            facts.peer = context.peer();
            facts.principal = context.principal();
            facts
        };
        let reading = Reading {
            denies: false,
            exact: false,
        };
        if self.callers.include(&facts, reading) {
            return Ok(());
        }
        Err(AuthzError(match &self.scope {
            Some(scope) => Reason::InsufficientScope(Arc::clone(scope)),
            None => Reason::Denied(Some(Arc::clone(&self.name))),
        }))
    }
}
