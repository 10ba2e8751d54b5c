//! The layer: a service of which callers may use what the policy allows.

use bartizan_core::{Entrance, GuardLayer, Guarded};
use tower_layer::Layer;

use crate::config::AuthzConfigBuilder;
use crate::guard::AuthzGuard;

/// Lets requests pass that the policy allows, and no others.
///
/// It stands inside of what proves peers and principals, and decides on the original URI's
/// canonical path, whatever nested routers leave of it.
///
/// # How it decides
///
/// 1. A path with more than one meaning (`%2f`, dot segments, `//`) is refused: 400 /
///    `INVALID_ARGUMENT`, `authz.ambiguous_path`; so is one that is allowed in its canonical spelling
///    and not in the one in which it was sent. One with two hosts, too: `authz.ambiguous_host`.
/// 2. What a rule denies, or no rule allows, is refused: 403 / `PERMISSION_DENIED`,
///    `authz.denied`. The decision names the rule; the client is not told it.
/// 3. If nobody is authenticated and some principal would be allowed, the answer is 401 /
///    `UNAUTHENTICATED`, `authz.unauthenticated`, where there is a
///    [challenge](crate::AuthzConfigBuilder::with_challenge) for it.
/// 4. A policy that was never read is 503 / `UNAVAILABLE`, `authz.no_policy`; an engine that
///    fails denies: `authz.engine_failed`.
///
/// Nothing is allocated for a request that passes.
#[derive(Clone, Debug)]
pub struct AuthzLayer(GuardLayer<AuthzGuard>);

/// A service behind an [`AuthzLayer`].
pub type Authz<S> = Guarded<S, AuthzGuard>;

impl AuthzLayer {
    /// Begins a layer without a policy, which cannot be built yet.
    pub fn builder() -> AuthzConfigBuilder {
        AuthzConfigBuilder::new()
    }

    pub(crate) fn new(guard: AuthzGuard) -> Self {
        Self(GuardLayer::new(guard))
    }

    /// Sets what is known of the outside: used where this layer is the outermost of the family.
    #[must_use]
    pub fn with_entrance(self, entrance: Entrance) -> Self {
        Self(self.0.with_entrance(entrance))
    }

    /// The guard, for chaining with others.
    pub fn guard(&self) -> &AuthzGuard {
        self.0.guard()
    }
}

impl<S> Layer<S> for AuthzLayer {
    type Service = Authz<S>;

    fn layer(&self, inner: S) -> Authz<S> {
        self.0.layer(inner)
    }
}
