//! The layer that looks at the heads of requests.

use std::sync::Arc;

use bartizan_core::{Enforcement, Entrance, GuardLayer, Guarded, Observe};
use tower_layer::Layer;

use crate::guard::IntakeGuard;
use crate::intake::IntakeRules;

/// Refuses requests that are too large, or of a kind that the service does not read, by their
/// heads: 414 (`ratelimit.uri_too_long`), 431 (`ratelimit.headers_too_large`), 413
/// (`ratelimit.body_too_large`) and 415 (`ratelimit.unsupported_media`).
///
/// A body is judged by the size that it is declared to have. One that declares none, as chunked
/// ones and most over HTTP/2, is measured by the [`UploadLayer`](crate::UploadLayer): put it
/// further in as well.
///
/// ```
/// use bartizan_ratelimit::{IntakeLayer, IntakeRules};
///
/// let rules = IntakeRules::builder().allow_content_type("application/json").build()?;
/// let layer = IntakeLayer::new(rules);
/// # let _ = layer;
/// # Ok::<(), bartizan_ratelimit::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a layer guards nothing until it is put in front of a service"]
pub struct IntakeLayer {
    guard: IntakeGuard,
    entrance: Option<Entrance>,
}

/// A service behind an [`IntakeLayer`].
pub type Intake<S> = Guarded<S, IntakeGuard>;

impl IntakeLayer {
    /// Makes the layer.
    pub fn new(rules: IntakeRules) -> Self {
        Self {
            guard: IntakeGuard::new(rules),
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
    pub fn guard(&self) -> &IntakeGuard {
        &self.guard
    }
}

impl<S> Layer<S> for IntakeLayer {
    type Service = Intake<S>;

    fn layer(&self, inner: S) -> Intake<S> {
        let layer = GuardLayer::new(self.guard.clone());
        match &self.entrance {
            Some(entrance) => layer.with_entrance(entrance.clone()).layer(inner),
            None => layer.layer(inner),
        }
    }
}
