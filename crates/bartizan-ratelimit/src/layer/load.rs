//! The layer that sheds what is too much.

use std::sync::Arc;

use bartizan_core::{Enforcement, Entrance, GuardLayer, Guarded, Inspection, Observe};
use tower_layer::Layer;

use crate::guard::LoadGuard;
use crate::load::{LoadLimit, Priority};

/// Serves so many requests at once, and sheds what is beyond (503 with `Retry-After`,
/// `UNAVAILABLE`; `ratelimit.overloaded`).
///
/// A request holds its place to the end of its response's body. In shadow mode, what is beyond
/// the limit is served and not counted.
///
/// ```
/// use bartizan_ratelimit::{LoadLayer, LoadLimit, Priority};
///
/// let limit = LoadLimit::builder(100).build()?;
/// let layer = LoadLayer::new(limit).with_priority(|inspection| {
///     match inspection.context.path() {
///         Ok("/payments") => Priority::Critical,
///         Ok("/reports") => Priority::Low,
///         _ => Priority::Normal,
///     }
/// });
/// # let _ = layer;
/// # Ok::<(), bartizan_ratelimit::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a layer guards nothing until it is put in front of a service"]
pub struct LoadLayer {
    guard: LoadGuard,
    entrance: Option<Entrance>,
}

/// A service behind a [`LoadLayer`].
pub type Load<S> = Guarded<S, LoadGuard>;

impl LoadLayer {
    /// Makes the layer. Every request may use the whole limit.
    pub fn new(limit: LoadLimit) -> Self {
        Self {
            guard: LoadGuard::new(limit),
            entrance: None,
        }
    }

    /// Sets how much each request matters, by what is known of it where this layer stands.
    pub fn with_priority<F>(mut self, priority: F) -> Self
    where
        F: Fn(&Inspection<'_>) -> Priority + Send + Sync + 'static,
    {
        self.guard = self.guard.with_priority(priority);
        self
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
    pub fn guard(&self) -> &LoadGuard {
        &self.guard
    }
}

impl<S> Layer<S> for LoadLayer {
    type Service = Load<S>;

    fn layer(&self, inner: S) -> Load<S> {
        let layer = GuardLayer::new(self.guard.clone());
        match &self.entrance {
            Some(entrance) => layer.with_entrance(entrance.clone()).layer(inner),
            None => layer.layer(inner),
        }
    }
}
