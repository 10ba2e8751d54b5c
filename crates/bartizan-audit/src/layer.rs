//! The layers.

mod tap;

use std::sync::Arc;

use bartizan_core::Entrance;
use tower_layer::Layer;

use crate::config::AuditConfig;
use crate::service::Audit;

pub use self::tap::AuditTapLayer;

/// Records every request: the outermost layer of the family.
///
/// Outside of everything that decides, so that it sees what every layer decided, and inside of
/// nothing that could answer without it. With axum, call `.layer` after the last `.route`. Give it
/// the [`Entrance`] that the service's outermost layer has.
///
/// See the [crate documentation](crate#how-a-request-is-recorded) for how it decides.
#[derive(Clone, Debug)]
#[must_use = "a layer records nothing until it is put in front of a service"]
pub struct AuditLayer {
    config: AuditConfig,
    entrance: Option<Arc<Entrance>>,
}

impl AuditLayer {
    /// A layer of this configuration.
    pub fn new(config: AuditConfig) -> Self {
        Self {
            config,
            entrance: None,
        }
    }

    /// Sets what is known of the outside: which proxies to believe, and which routes there are.
    pub fn with_entrance(mut self, entrance: Entrance) -> Self {
        self.entrance = Some(Arc::new(entrance));
        self
    }
}

impl<S> Layer<S> for AuditLayer {
    type Service = Audit<S>;

    fn layer(&self, inner: S) -> Audit<S> {
        Audit::new(inner, Arc::clone(&self.config.0), self.entrance.clone())
    }
}
