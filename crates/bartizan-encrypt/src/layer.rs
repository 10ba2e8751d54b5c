//! The layer.

use std::sync::Arc;

use bartizan_core::Entrance;
use tower_layer::Layer;

use crate::config::EncryptConfig;
use crate::service::Encrypt;

/// Seals fields of JSON bodies on the way in, and shows them on the way out to whom they may be
/// shown: handlers and databases see ciphertext.
///
/// It stands inside whatever authenticates, and outside of the handler alone: compression belongs
/// outside of it. With axum, call `.layer` after the last `.route`.
///
/// See the [crate documentation](crate#how-the-layer-decides) for how it decides.
#[derive(Clone, Debug)]
#[must_use = "a layer seals nothing until it is put in front of a service"]
pub struct EncryptLayer {
    config: EncryptConfig,
    entrance: Option<Arc<Entrance>>,
}

impl EncryptLayer {
    /// A layer of this configuration.
    pub fn new(config: EncryptConfig) -> Self {
        Self {
            config,
            entrance: None,
        }
    }

    /// Sets what is known of the outside: used where this layer is the outermost of the family.
    pub fn with_entrance(mut self, entrance: Entrance) -> Self {
        self.entrance = Some(Arc::new(entrance));
        self
    }
}

impl<S> Layer<S> for EncryptLayer {
    type Service = Encrypt<S>;

    fn layer(&self, inner: S) -> Encrypt<S> {
        Encrypt::new(inner, self.config.clone(), self.entrance.clone())
    }
}
