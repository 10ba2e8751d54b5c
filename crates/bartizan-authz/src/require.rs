//! What one route requires, beside what the policy says.

use std::sync::Arc;

use bartizan_core::{Check, Duty, Guard, GuardLayer, Guarded, Inspection, Never, SpiffePattern};
use tower_layer::Layer;

use crate::callers::Callers;
use crate::condition::Reading;
use crate::config::LAYER;
use crate::error::{AuthzError, Reason};
use crate::facts::Facts;

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
/// asked for here: nobody says how to read them.
pub fn require(name: &str, callers: Callers) -> RequireLayer {
    RequireLayer::new(callers, name.to_owned(), None)
}

impl RequireLayer {
    fn new(callers: Callers, name: String, scope: Option<Arc<str>>) -> Self {
        Self(GuardLayer::new(RequireGuard(Arc::new(Required {
            duty: Duty::new(LAYER),
            callers,
            name: name.into(),
            scope,
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
        let context = inspection.context;
        let mut facts = Facts::new(inspection.parts.method.as_str(), "/");
        facts.address = context.address();
        facts.headers = Some(&inspection.parts.headers);
        facts.peer = context.peer();
        facts.principal = context.principal();
        let reading = Reading {
            denies: false,
            exact: false,
        };
        let included = self.0.callers.include(&facts, reading);
        inspection.note(Arc::clone(&self.0.name));
        if included {
            return Check::Now(Ok(()));
        }
        let reason = match &self.0.scope {
            Some(scope) => Reason::InsufficientScope(Arc::clone(scope)),
            None => Reason::Denied(Some(Arc::clone(&self.0.name))),
        };
        Check::Now(Err(AuthzError(reason).into_rejection(None)))
    }
}
