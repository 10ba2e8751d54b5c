//! Mutual TLS workload identity for axum, tonic and hyper.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod accept;
mod allowed;
mod certificate;
mod config;
mod connect_error;
mod connector;
mod der;
mod error;
mod files;
mod guard;
mod handshake;
mod hosts;
mod identity;
mod layer;
mod listener;
mod material;
mod roots;
mod rules;
mod stream;
mod svid_error;
mod tls;
mod trust;
mod verify;

pub use self::accept::ACCEPT_FAILED;
pub use self::allowed::{AllowedPeers, NotADnsName};
pub use self::config::MtlsLayerBuilder;
pub use self::connect_error::{MtlsConnectError, MtlsConnectErrorKind};
pub use self::connector::{Connecting, MtlsConnector, MtlsConnectorBuilder};
pub use self::error::{
    ConfigError, MtlsError, MtlsErrorKind, NO_PEER, PEER_EXPIRED, PEER_NOT_ALLOWED,
};
pub use self::files::{MaterialError, MaterialFiles};
pub use self::guard::MtlsGuard;
pub use self::handshake::{
    ALERT_RECEIVED, EXPIRED, HANDSHAKE_FAILED, HANDSHAKE_TIMEOUT, NO_CERTIFICATE, NO_IDENTITY,
    NOT_AN_SVID, UNKNOWN_AUTHORITY,
};
pub use self::identity::{Identity, IdentityError};
pub use self::layer::{Mtls, MtlsLayer};
pub use self::listener::{MtlsListener, MtlsListenerBuilder};
pub use self::material::Material;
pub use self::roots::{Roots, RootsError};
pub use self::rules::Role;
pub use self::stream::MtlsStream;
pub use self::svid_error::{KeyUsageFault, PathFault, SvidError};
pub use self::trust::{Trust, TrustBundles};
pub use self::verify::{verify_dns, verify_svid};
