//! Tokens for the calls that this service makes itself.

mod caller;
mod config;
mod destination;
mod error;
mod future;
mod layer;
mod refused;
mod response;
mod service;
mod supply;

pub use self::caller::CallerToken;
pub use self::config::{
    OutgoingConfig, OutgoingConfigBuilder, TokenEndpoint, TokenEndpointBuilder, TokenRequest,
};
#[cfg(feature = "fuzzing")]
pub(crate) use self::destination::leads_to;
pub use self::error::{OutgoingError, TokenError, TokenErrorKind};
pub use self::future::OutgoingFuture;
pub use self::layer::OutgoingLayer;
#[cfg(feature = "fuzzing")]
pub(crate) use self::refused::says_invalid_token;
#[cfg(feature = "fuzzing")]
pub(crate) use self::response::read_token;
pub use self::service::Outgoing;
