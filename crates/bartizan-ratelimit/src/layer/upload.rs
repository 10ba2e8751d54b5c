//! The layer that measures bodies while they come in.

use std::sync::Arc;

use bartizan_core::{Enforcement, Entrance, GuardLayer, Guarded, Inspection, Observe};
use tower_layer::Layer;

use crate::guard::UploadGuard;
use crate::service::Measured;
use crate::upload::UploadRules;

/// Measures request bodies while they are read, and answers as soon as one breaks a rule: 413
/// (`ratelimit.body_too_large`, `ratelimit.json_too_large`), 400 (`ratelimit.json_too_deep`), 408
/// (`ratelimit.upload_too_slow`), and 415 (`ratelimit.unsupported_coding`) for JSON that is
/// compressed where it cannot be looked into.
///
/// Nothing is buffered: each frame is looked at and handed on, and what is remembered of a body is
/// a few words. A handler that is in the middle of reading is dropped, as if the client had gone;
/// a response that has begun is broken off.
///
/// 1. It stands inside of what decompresses bodies, if anything does: it measures what handlers
///    read.
/// 2. A body that is declared to be too large is refused by its head.
/// 3. gRPC calls are not measured unless [`with_rules_for`](Self::with_rules_for) says how: a call
///    may stream for hours, and tonic limits the size of each message. What is one is what the
///    client says it is, by its content type: where nothing speaks gRPC, say that the rules are
///    for everything, `with_rules_for(move |_| Some(rules))`.
///
/// ```
/// use bartizan_ratelimit::{UploadLayer, UploadRules};
///
/// let images = UploadRules::builder().with_max_body(20 * 1024 * 1024).build()?;
/// let layer = UploadLayer::new(UploadRules::builder().build()?).with_rules_for(move |inspection| {
///     let path = inspection.context.path().ok()?;
///     path.starts_with("/images/").then_some(images)
/// });
/// # let _ = layer;
/// # Ok::<(), bartizan_ratelimit::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a layer guards nothing until it is put in front of a service"]
pub struct UploadLayer {
    guard: UploadGuard,
    entrance: Option<Entrance>,
}

/// A service behind an [`UploadLayer`].
pub type Upload<S> = Guarded<Measured<S>, UploadGuard>;

impl UploadLayer {
    /// Makes the layer.
    pub fn new(rules: UploadRules) -> Self {
        Self {
            guard: UploadGuard::new(rules),
            entrance: None,
        }
    }

    /// Sets rules of their own for some requests: those for which the closure gives any.
    pub fn with_rules_for<F>(mut self, rules: F) -> Self
    where
        F: Fn(&Inspection<'_>) -> Option<UploadRules> + Send + Sync + 'static,
    {
        self.guard = self.guard.with_rules_for(rules);
        self
    }

    /// Sets whether a refusal reaches the client. In shadow mode the first rule that a body breaks
    /// is recorded, and the body is read on.
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
}

impl<S> Layer<S> for UploadLayer {
    type Service = Upload<S>;

    fn layer(&self, inner: S) -> Upload<S> {
        let layer = GuardLayer::new(self.guard.clone());
        let inner = Measured::new(inner);
        match &self.entrance {
            Some(entrance) => layer.with_entrance(entrance.clone()).layer(inner),
            None => layer.layer(inner),
        }
    }
}
