//! The one `Layer` for all guards.

use std::sync::Arc;

use tower_layer::Layer;

use crate::entrance::Entrance;
use crate::guard::Guard;
use crate::service::Guarded;

/// Puts a guard in front of a service.
///
/// One value works unchanged on `axum::Router::layer`, `route_layer` and nested routers, on
/// tonic's `Server::layer` and per service, in front of a plain hyper service, and in front of a
/// client.
///
/// With axum, call `.layer` after the last `.route`: routes that are added later are not guarded.
#[derive(Clone, Debug)]
pub struct GuardLayer<G> {
    guard: G,
    entrance: Option<Arc<Entrance>>,
    outbound: bool,
}

impl<G: Guard> GuardLayer<G> {
    /// A layer of this guard for requests that arrive.
    pub const fn new(guard: G) -> Self {
        Self {
            guard,
            entrance: None,
            outbound: false,
        }
    }

    /// Sets what is known of the outside: used where this layer is the outermost of the family.
    #[must_use]
    pub fn with_entrance(mut self, entrance: Entrance) -> Self {
        self.entrance = Some(Arc::new(entrance));
        self
    }

    /// Makes it a layer for requests that leave. The guard then sees a context of its own, which
    /// does not travel with the request: whoever forwards a request does not have the context of
    /// the one that arrived written by the client's layers.
    #[must_use]
    pub fn outbound(mut self) -> Self {
        self.outbound = true;
        self
    }

    /// The guard.
    pub fn guard(&self) -> &G {
        &self.guard
    }
}

impl<S, G: Guard> Layer<S> for GuardLayer<G> {
    type Service = Guarded<S, G>;

    fn layer(&self, inner: S) -> Guarded<S, G> {
        Guarded::new(
            inner,
            self.guard.clone(),
            self.entrance.clone(),
            self.outbound,
        )
    }
}
