//! What a service writes most: `use bartizan::prelude::*;`.
//!
//! Layers and their configurations by their full names, and the words of handlers. Names that
//! mean something else elsewhere, such as `Rules` or `Error`, are left in their modules.

#[cfg(feature = "apikey")]
pub use bartizan_apikey::{ApiKeyConfig, ApiKeyLayer, VerifiedKey};
#[cfg(feature = "audit")]
pub use bartizan_audit::{AuditConfig, AuditLayer, Ledger};
#[cfg(feature = "authz")]
pub use bartizan_authz::{AuthzLayer, allow_peer, require_scope};
#[cfg(feature = "tonic")]
pub use bartizan_core::SecurityRequest;
#[cfg(feature = "axum")]
pub use bartizan_core::{AxumListener, Connection};
pub use bartizan_core::{
    Caller, Enforcement, Event, Observe, Outcome, Peer, Principal, Rejection, RejectionKind,
    SecurityContext, SpiffeId, observe_fn,
};
#[cfg(feature = "encrypt")]
pub use bartizan_encrypt::{
    EncryptConfig, EncryptLayer, Encrypted, FieldRule, Grant, Keyring, Mask, Place, Shown,
};
#[cfg(all(feature = "jwt", feature = "axum"))]
pub use bartizan_jwt::Claims;
#[cfg(all(feature = "jwt", feature = "tonic"))]
pub use bartizan_jwt::ClaimsRequest;
#[cfg(feature = "jwt")]
pub use bartizan_jwt::{JwtConfig, JwtLayer, VerifiedClaims};
#[cfg(feature = "mtls")]
pub use bartizan_mtls::{AllowedPeers, MtlsConnector, MtlsLayer, MtlsListener};
#[cfg(feature = "ratelimit")]
pub use bartizan_ratelimit::{RateLimitConfig, RateLimitLayer};
#[cfg(feature = "telemetry")]
pub use bartizan_telemetry::{FanOut, MeterLayer, MetricsObserver};

pub use crate::stack::Stack;
