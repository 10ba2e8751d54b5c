//! The layer that ends what takes too long.

use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Enforcement, Entrance, GuardLayer, Guarded, Inspection, Observe};
use tower_layer::Layer;

use crate::error::ConfigError;
use crate::guard::DeadlineGuard;

/// Ends requests that are not done in time (504, `DEADLINE_EXCEEDED`;
/// `ratelimit.deadline_exceeded`).
///
/// 1. The time runs from when the request's head arrives to the last byte of its response: give
///    streams a limit of their own, or `Duration::MAX` for none.
/// 2. A gRPC client may ask for less (`grpc-timeout`), never for more. What is no such timeout is
///    refused (400, `INVALID_ARGUMENT`; `ratelimit.bad_timeout`), and what has passed already too.
/// 3. Handlers find the [`Deadline`](crate::Deadline) in the request's extensions.
///
/// A handler that waits is dropped, as if the client had gone. One that computes without a pause
/// cannot be stopped; it is answered for as soon as it waits.
///
/// ```
/// use std::time::Duration;
/// use bartizan_ratelimit::DeadlineLayer;
///
/// let layer = DeadlineLayer::try_new(Duration::from_secs(10))?.with_limit_for(|inspection| {
///     match inspection.context.path() {
///         Ok("/reports") => Some(Duration::from_secs(60)),
///         Ok("/events") => Some(Duration::MAX),
///         _ => None,
///     }
/// });
/// # let _ = layer;
/// assert!(DeadlineLayer::try_new(Duration::ZERO).is_err());
/// # Ok::<(), bartizan_ratelimit::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a layer guards nothing until it is put in front of a service"]
pub struct DeadlineLayer {
    guard: DeadlineGuard,
    entrance: Option<Entrance>,
}

/// A service behind a [`DeadlineLayer`].
pub type Deadlined<S> = Guarded<S, DeadlineGuard>;

impl DeadlineLayer {
    /// Makes the layer, with a limit for all requests.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Deadline`] if there is no time at all.
    pub fn try_new(limit: Duration) -> Result<Self, ConfigError> {
        if limit.is_zero() {
            return Err(ConfigError::Deadline("nothing is done within no time"));
        }
        Ok(Self {
            guard: DeadlineGuard::new(limit),
            entrance: None,
        })
    }

    /// Sets a limit of its own for some requests: those for which the closure gives one.
    pub fn with_limit_for<F>(mut self, limit: F) -> Self
    where
        F: Fn(&Inspection<'_>) -> Option<Duration> + Send + Sync + 'static,
    {
        self.guard = self.guard.with_limit_for(limit);
        self
    }

    /// Sets whether a refusal reaches the client. In shadow mode it is recorded that the time was
    /// over, and the request goes on.
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
    pub fn guard(&self) -> &DeadlineGuard {
        &self.guard
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadlined<S>;

    fn layer(&self, inner: S) -> Deadlined<S> {
        let layer = GuardLayer::new(self.guard.clone());
        match &self.entrance {
            Some(entrance) => layer.with_entrance(entrance.clone()).layer(inner),
            None => layer.layer(inner),
        }
    }
}
