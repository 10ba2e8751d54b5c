//! placeholder docs
#![cfg_attr(docsrs, feature(doc_cfg))]

mod ca;
mod certificate;
mod clock;
mod der;
mod error;
mod extension;
mod fault;
pub mod forge;
mod issuer;
mod mint;
mod private_key;
mod rsa;
mod signing_key;
pub mod tls;
mod token;

pub use ca::CaBuilder;
pub use ca::DevelopmentCa;
pub use certificate::ExtendedKeyUsage;
pub use certificate::IssuedCertificate;
pub use certificate::LeafBuilder;
pub use clock::ManualClock;
pub use error::TestkitError;
pub use extension::KeyUsage;
pub use fault::Fault;
pub use issuer::Endpoint;
pub use issuer::IssuerBuilder;
pub use issuer::TokenIssuer;
pub use mint::OldKey;
pub use mint::TokenMint;
pub use private_key::KeyKind;
pub use private_key::PrivateKey;
pub use rsa::RsaKey;
pub use signing_key::SigningAlgorithm;
pub use signing_key::SigningKey;
pub use token::TokenBuilder;
