//! The layers of a configuration as one.

use bartizan_audit::{Audit, AuditLayer, AuditTap, AuditTapLayer, TapBody};
use bartizan_core::{GuardLayer, Guarded};
use bartizan_encrypt::{Encrypt, EncryptBody, EncryptLayer};
use bartizan_ratelimit::{Measured, Upload, UploadBody, UploadLayer};
use tower_layer::Layer;

use crate::config::guard::ConfiguredGuard;
use crate::config::meter::Meter;
use crate::config::optional::{OptionalService, Plain, optional};
use crate::config::own::{Answered, Own};
use crate::config::spans::Spanning;

/// The layers of a [`Configured`](crate::config::Configured) stack, in their order, as one layer.
///
/// It works unchanged on `axum::Router::layer`, after the last route, on tonic's `Server::layer`,
/// and around a plain hyper service, which gets its requests with a [`ConfiguredBody`].
#[derive(Clone, Debug)]
#[must_use = "a layer guards nothing until it is put in front of a service"]
pub struct ConfiguredLayer {
    #[cfg_attr(not(feature = "otel"), expect(dead_code, reason = "there are none"))]
    pub(crate) spans: Option<Spanning>,
    pub(crate) audit: Option<AuditLayer>,
    pub(crate) meter: GuardLayer<Option<Meter>>,
    pub(crate) own: Own,
    pub(crate) guards: GuardLayer<ConfiguredGuard>,
    pub(crate) upload: Option<UploadLayer>,
    pub(crate) encryption: Option<EncryptLayer>,
}

/// The body that requests have behind a [`ConfiguredLayer`], whatever the file says.
pub type ConfiguredBody<B> = TapBody<EncryptBody<UploadBody<B>>>;

/// A service of whose bodies fields may be sealed, and the audit log may see some.
pub type Sealed<S> = OptionalService<Encrypt<AuditTap<S>>, Plain<AuditTap<S>>>;

/// A service whose uploads may be measured.
pub type Bounded<S> = OptionalService<Upload<Sealed<S>>, Measured<Sealed<S>>>;

/// A service behind the guards of a configuration.
pub type Kept<S> = Guarded<Answered<Bounded<S>>, ConfiguredGuard>;

/// A service whose requests may be measured.
pub type Metered<S> = Guarded<Kept<S>, Option<Meter>>;

/// A service whose requests may be recorded.
pub type Audited<S> = OptionalService<Audit<Metered<S>>, Metered<S>>;

/// A service around whose requests there may be spans; there are none without the feature `otel`.
#[cfg(feature = "otel")]
pub type Traced<S> =
    OptionalService<bartizan_telemetry::Spanned<S, opentelemetry::global::BoxedTracer>, S>;

/// A service around whose requests there may be spans; there are none without the feature `otel`.
#[cfg(not(feature = "otel"))]
pub type Traced<S> = S;

/// A service behind a [`ConfiguredLayer`].
pub type ConfiguredService<S> = Traced<Audited<S>>;

impl<S> Layer<S> for ConfiguredLayer {
    type Service = ConfiguredService<S>;

    fn layer(&self, inner: S) -> ConfiguredService<S> {
        // It does nothing for requests that no audit log asks about.
        let tapped = AuditTapLayer::new().layer(inner);
        let sealed = match &self.encryption {
            Some(encryption) => OptionalService::With(encryption.layer(tapped)),
            None => OptionalService::Without(Plain::new(tapped)),
        };
        let bounded = match &self.upload {
            Some(upload) => OptionalService::With(upload.layer(sealed)),
            None => OptionalService::Without(Measured::new(sealed)),
        };
        let answered = Answered::new(bounded, self.own.clone());
        let metered = self.meter.layer(self.guards.layer(answered));
        let audited = optional(self.audit.as_ref(), metered);
        #[cfg(feature = "otel")]
        let audited = optional(self.spans.as_ref(), audited);
        audited
    }
}
