//! The layer that reads fields of bodies.

use tower_layer::Layer;

use crate::service::AuditTap;

/// Lets an [`AuditLayer`](crate::AuditLayer) further out read the fields of JSON bodies that its
/// rules name.
///
/// It stands inside of encryption, in front of the handler: what encryption seals on the way in is
/// sealed when it gets here, and what it reveals on the way out is not revealed yet, so that the
/// log never holds what encryption protects. It changes nothing, and does nothing for requests
/// that no audit layer has seen.
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "a layer taps nothing until it is put in front of a service"]
pub struct AuditTapLayer(());

impl AuditTapLayer {
    /// The layer.
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for AuditTapLayer {
    type Service = AuditTap<S>;

    fn layer(&self, inner: S) -> AuditTap<S> {
        AuditTap::new(inner)
    }
}
