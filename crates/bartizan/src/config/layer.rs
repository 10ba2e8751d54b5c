//! The layers of a configuration as one.

use bartizan_audit::{Audit, AuditLayer, AuditTap, AuditTapLayer};
use bartizan_core::{GuardLayer, Guarded};
use bartizan_ratelimit::{Upload, UploadLayer};
use tower_layer::Layer;

use crate::config::guard::ConfiguredGuard;
use crate::config::optional::{OptionalService, optional};

/// The layers of a [`Configured`](crate::config::Configured) stack, in their order, as one layer.
///
/// It works unchanged on `axum::Router::layer`, after the last route, on tonic's `Server::layer`,
/// and around a plain hyper service.
#[derive(Clone, Debug)]
#[must_use = "a layer guards nothing until it is put in front of a service"]
pub struct ConfiguredLayer {
    pub(crate) audit: Option<AuditLayer>,
    pub(crate) guards: GuardLayer<ConfiguredGuard>,
    pub(crate) upload: Option<UploadLayer>,
    pub(crate) tap: Option<AuditTapLayer>,
}

/// A service whose bodies the audit log may look into.
pub type Tapped<S> = OptionalService<AuditTap<S>, S>;

/// A service whose uploads may be measured.
pub type Bounded<S> = OptionalService<Upload<Tapped<S>>, Tapped<S>>;

/// A service behind the guards of a configuration.
pub type Kept<S> = Guarded<Bounded<S>, ConfiguredGuard>;

/// A service behind a [`ConfiguredLayer`].
pub type ConfiguredService<S> = OptionalService<Audit<Kept<S>>, Kept<S>>;

impl<S> Layer<S> for ConfiguredLayer {
    type Service = ConfiguredService<S>;

    fn layer(&self, inner: S) -> ConfiguredService<S> {
        let tapped = optional(self.tap.as_ref(), inner);
        let bounded = optional(self.upload.as_ref(), tapped);
        optional(self.audit.as_ref(), self.guards.layer(bounded))
    }
}
