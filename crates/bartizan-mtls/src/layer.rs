//! The layer: a service that only known peers may call.

use bartizan_core::{Entrance, GuardLayer, Guarded};
use tower_layer::Layer;

use crate::config::MtlsLayerBuilder;
use crate::guard::MtlsGuard;

/// Lets in the peers that are listed, and nobody else.
///
/// # How it decides
///
/// 1. A request whose connection proved no peer is refused: 401 / `UNAUTHENTICATED`,
///    `mtls.no_peer`. A connection that did not come through [`MtlsListener`](crate::MtlsListener)
///    has none. Two things can be allowed:
///    [clients without a certificate](MtlsLayerBuilder::allow_no_certificate), under TLS, and
///    [plaintext](MtlsLayerBuilder::allow_plaintext) on certain routes until a certain day. Outside
///    of these, and with a token, plaintext is refused: 403 / `PERMISSION_DENIED`,
///    `mtls.plaintext_not_listed`, `mtls.plaintext_ended`, `mtls.token_in_plaintext`,
///    `mtls.credential_in_plaintext`.
/// 2. A peer whose certificate has expired since the handshake is refused: 401 /
///    `UNAUTHENTICATED`, `mtls.peer_expired`.
/// 3. A peer that is not on the list is refused: 403 / `PERMISSION_DENIED`,
///    `mtls.peer_not_allowed`.
/// 4. What a proxy says of the client behind it is recorded if the proxy has a
///    [`ProxyGrant`](crate::ProxyGrant). Malformed, it is refused: 400 / `INVALID_ARGUMENT`,
///    `mtls.forwarded_malformed`; another proxy's to say, 403 / `PERMISSION_DENIED`,
///    `mtls.forwarded_by_other`. `X-Forwarded-Client-Cert`, `Client-Cert` and `Client-Cert-Chain`
///    are removed from everybody else's requests.
///
/// A layer without a list cannot be built. Nothing is allocated for a request that passes, unless a
/// trusted proxy speaks of its client.
///
/// ```
/// use bartizan_mtls::MtlsLayer;
///
/// let layer = MtlsLayer::builder()
///     .allow_peer("spiffe://example.org/ns/shop/sa/orders".parse()?)
///     .build()?;
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct MtlsLayer(GuardLayer<MtlsGuard>);

/// A service behind an [`MtlsLayer`].
pub type Mtls<S> = Guarded<S, MtlsGuard>;

impl MtlsLayer {
    /// Begins a layer that allows nobody yet.
    pub fn builder() -> MtlsLayerBuilder {
        MtlsLayerBuilder::new()
    }

    pub(crate) fn new(guard: MtlsGuard) -> Self {
        Self(GuardLayer::new(guard))
    }

    /// Sets what is known of the outside: used where this layer is the outermost of the family.
    #[must_use]
    pub fn with_entrance(self, entrance: Entrance) -> Self {
        Self(self.0.with_entrance(entrance))
    }

    /// The guard, for chaining with others.
    pub fn guard(&self) -> &MtlsGuard {
        self.0.guard()
    }
}

impl<S> Layer<S> for MtlsLayer {
    type Service = Mtls<S>;

    fn layer(&self, inner: S) -> Mtls<S> {
        self.0.layer(inner)
    }
}
