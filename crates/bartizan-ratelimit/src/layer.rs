//! The layer.

mod bans;
mod deadline;
mod intake;
mod load;
mod upload;

use bartizan_core::{Entrance, GuardLayer, Guarded};
use tower_layer::Layer;

pub use self::bans::{BanLayer, Banned};
pub use self::deadline::{DeadlineLayer, Deadlined};
pub use self::intake::{Intake, IntakeLayer};
pub use self::load::{Load, LoadLayer};
pub use self::upload::{Upload, UploadLayer};
use crate::config::RateLimitConfig;
use crate::guard::RateLimitGuard;
use crate::limiter::Limiter;

/// Admits each caller as often as its policies allow.
///
/// Works unchanged in front of axum, tonic and plain hyper services. With axum, call `.layer`
/// after the last `.route`: routes that are added later are not guarded. Clones share what they
/// count.
///
/// See the [crate documentation](crate) for how it decides.
#[derive(Clone, Debug)]
#[must_use = "a layer guards nothing until it is put in front of a service"]
pub struct RateLimitLayer(GuardLayer<RateLimitGuard>);

/// A service behind a [`RateLimitLayer`].
pub type RateLimit<S> = Guarded<S, RateLimitGuard>;

impl RateLimitLayer {
    /// Makes the layer.
    pub fn new(config: RateLimitConfig) -> Self {
        Self(GuardLayer::new(RateLimitGuard::new(config)))
    }

    /// Sets what is known of the outside: used where this layer is the outermost of the family.
    pub fn with_entrance(self, entrance: Entrance) -> Self {
        Self(self.0.with_entrance(entrance))
    }

    /// The guard, to be chained with others.
    pub fn guard(&self) -> &RateLimitGuard {
        self.0.guard()
    }

    /// The limiter, to be asked how full its memory is, and to change rates.
    pub fn limiter(&self) -> &Limiter {
        self.guard().limiter()
    }

    /// The limiter that is shared with a fleet, if there is a store: to be asked how things stand
    /// with it, and told to give back what it has in hand.
    #[cfg(any(feature = "envoy", feature = "redis"))]
    pub fn shared(&self) -> Option<&crate::SharedLimiter> {
        self.guard().shared()
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> RateLimit<S> {
        self.0.layer(inner)
    }
}
