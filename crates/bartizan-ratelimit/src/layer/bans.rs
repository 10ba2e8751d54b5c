//! The layer that shuts out who is banned.

use std::sync::Arc;

use bartizan_core::{Enforcement, Entrance, GuardLayer, Guarded, Observe};
use tower_layer::Layer;

use crate::bans::Bans;
use crate::guard::BanGuard;

/// Refuses requests of those who are banned (403, `ratelimit.banned`), and tells them no more.
///
/// It stands outside of everything that costs something. It asks for the client's address, the
/// peer and the principal, whichever is known where it stands: to shut out principals, put a
/// second one, with the same [`Bans`], behind the layer that verifies them.
///
/// It begins in shadow mode, which records and lets everybody pass: look at what would have been
/// refused before you [enforce](Self::with_enforcement) it.
///
/// ```
/// use bartizan_core::Enforcement;
/// use bartizan_ratelimit::{BanLayer, Bans};
///
/// let bans = Bans::builder().build()?;
/// let layer = BanLayer::new(bans.clone()).with_enforcement(Enforcement::Enforce);
/// # let _ = layer;
/// # Ok::<(), bartizan_ratelimit::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a layer guards nothing until it is put in front of a service"]
pub struct BanLayer {
    guard: BanGuard,
    entrance: Option<Entrance>,
}

/// A service behind a [`BanLayer`].
pub type Banned<S> = Guarded<S, BanGuard>;

impl BanLayer {
    /// Makes the layer, in shadow mode.
    pub fn new(bans: Bans) -> Self {
        Self {
            guard: BanGuard::new(bans),
            entrance: None,
        }
    }

    /// Sets whether a refusal reaches the client.
    pub fn with_enforcement(mut self, enforcement: Enforcement) -> Self {
        self.guard = self.guard.with_enforcement(enforcement);
        self
    }

    /// Sets who is told of each decision.
    pub fn with_observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.guard = self.guard.with_observer(observer);
        self
    }

    /// Sets what is known of the outside: used where this layer is the outermost of the family.
    pub fn with_entrance(mut self, entrance: Entrance) -> Self {
        self.entrance = Some(entrance);
        self
    }

    /// The guard, to be chained with others.
    pub fn guard(&self) -> &BanGuard {
        &self.guard
    }
}

impl<S> Layer<S> for BanLayer {
    type Service = Banned<S>;

    fn layer(&self, inner: S) -> Banned<S> {
        let layer = GuardLayer::new(self.guard.clone());
        match &self.entrance {
            Some(entrance) => layer.with_entrance(entrance.clone()).layer(inner),
            None => layer.layer(inner),
        }
    }
}
