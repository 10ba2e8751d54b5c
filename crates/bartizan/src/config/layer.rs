//! The layers of a configuration as one.

use bartizan_audit::{Audit, AuditLayer, AuditTap, AuditTapLayer, TapBody};
use bartizan_core::{GuardLayer, Guarded};
use bartizan_ratelimit::{Measured, Upload, UploadBody, UploadLayer};
use tower_layer::Layer;

use crate::config::guard::ConfiguredGuard;
use crate::config::optional::{OptionalService, optional};

/// The layers of a [`Configured`](crate::config::Configured) stack, in their order, as one layer.
///
/// It works unchanged on `axum::Router::layer`, after the last route, on tonic's `Server::layer`,
/// and around a plain hyper service, which gets its requests with a [`ConfiguredBody`].
#[derive(Clone, Debug)]
#[must_use = "a layer guards nothing until it is put in front of a service"]
pub struct ConfiguredLayer {
    pub(crate) audit: Option<AuditLayer>,
    pub(crate) guards: GuardLayer<ConfiguredGuard>,
    pub(crate) upload: Option<UploadLayer>,
}

/// The body that requests have behind a [`ConfiguredLayer`], whatever the file says.
pub type ConfiguredBody<B> = TapBody<UploadBody<B>>;

/// A service whose uploads may be measured, and whose bodies the audit log may look into.
pub type Bounded<S> = OptionalService<Upload<AuditTap<S>>, Measured<AuditTap<S>>>;

/// A service behind the guards of a configuration.
pub type Kept<S> = Guarded<Bounded<S>, ConfiguredGuard>;

/// A service behind a [`ConfiguredLayer`].
pub type ConfiguredService<S> = OptionalService<Audit<Kept<S>>, Kept<S>>;

impl<S> Layer<S> for ConfiguredLayer {
    type Service = ConfiguredService<S>;

    fn layer(&self, inner: S) -> ConfiguredService<S> {
        // It does nothing for requests that no audit log asks about.
        let tapped = AuditTapLayer::new().layer(inner);
        let bounded = match &self.upload {
            Some(upload) => OptionalService::With(upload.layer(tapped)),
            None => OptionalService::Without(Measured::new(tapped)),
        };
        optional(self.audit.as_ref(), self.guards.layer(bounded))
    }
}
