//! What can go wrong at configuration.

use std::time::Duration;

use crate::algorithm::Algorithm;

/// A configuration that cannot work; names the offending value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No algorithm is allowed, so that no token could pass.
    #[error("the set of allowed algorithms is empty")]
    NoAlgorithm,
    /// The user is to have authenticated in one of no ways, so that no token could pass.
    #[error("none of the ways to authenticate that are asked for is named")]
    NoAuthenticationContext,
    /// An audience is empty.
    #[error("an audience is empty")]
    EmptyAudience,
    /// A token type is empty, or holds white space or control characters.
    #[error("token type {0:?} is not a media type")]
    InvalidTokenType(String),
    /// The issuer is not an identifier that RFC 8414 §2 allows.
    #[error("issuer {issuer:?}: {problem}")]
    InvalidIssuer {
        /// What was given.
        issuer: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A location of keys is not an HTTPS URL.
    #[error("key location {location:?}: {problem}")]
    InvalidLocation {
        /// What was given.
        location: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A span of time is outside of what makes sense for it.
    #[error("{setting} is {value:?}, which is not within {least:?} and {most:?}")]
    OutOfRange {
        /// Which setting.
        setting: &'static str,
        /// What was given.
        value: Duration,
        /// The least that is accepted.
        least: Duration,
        /// The most that is accepted.
        most: Duration,
    },
    /// A size limit is outside of what makes sense for it.
    #[error("{setting} is {value} bytes, which is not within {least} and {most}")]
    SizeOutOfRange {
        /// Which setting.
        setting: &'static str,
        /// What was given.
        value: usize,
        /// The least that is accepted.
        least: usize,
        /// The most that is accepted.
        most: usize,
    },
    /// A number is larger than what makes sense for it.
    #[error("{setting} is {value}, which is more than {most}")]
    CountOutOfRange {
        /// Which setting.
        setting: &'static str,
        /// What was given.
        value: usize,
        /// The most that is accepted.
        most: usize,
    },
    /// The name of a cookie or of a subprotocol cannot be one.
    #[error("{0:?} is no name of a cookie or of a protocol")]
    InvalidName(String),
    /// JWT-SVIDs are to be checked, and the trust domain's keys are neither given nor located.
    #[error("no bundle of {0}: give its keys, or where they are")]
    NoBundle(String),
    /// Every token is to be introspected, and an issuer's are to be verified: introspect the opaque
    /// ones alone.
    #[error("every token is to be introspected, and tokens of an issuer are to be verified")]
    IntrospectsAll,
    /// Two configurations speak of one issuer.
    #[error("the issuer {0} is configured twice")]
    IssuerTwice(String),
    /// An origin of the service is not scheme, host and port.
    #[error("origin {origin:?}: {problem}")]
    InvalidOrigin {
        /// What was given.
        origin: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Symmetric algorithms are allowed beside others. Allow either: an issuer signs with a key of
    /// its own, or with a secret that it shares.
    #[error("symmetric algorithms are allowed beside those of public keys")]
    MixedAlgorithms,
    /// Symmetric algorithms are allowed, and the secret is not given. It is never fetched.
    #[error("symmetric algorithms are allowed, and no secret is given")]
    NoSecret,
    /// A secret is to serve an algorithm of public keys.
    #[error("{0} is no symmetric algorithm")]
    NotSymmetric(Algorithm),
    /// Proofs of possession are to be made with a shared secret.
    #[error("a proof of possession cannot be made with a symmetric algorithm")]
    SymmetricProof,
    /// A secret is shorter than RFC 7518 §3.2 asks for.
    #[error("the secret has {length} bytes, and {algorithm} needs {least}")]
    SecretTooShort {
        /// What it is for.
        algorithm: Algorithm,
        /// How long it is, in bytes.
        length: usize,
        /// How long it has to be, in bytes.
        least: usize,
    },
    /// An endpoint of an authorization server is not an HTTPS URL.
    #[error("endpoint {location:?}: {problem}")]
    InvalidEndpoint {
        /// What was given.
        location: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// This service cannot authenticate to the authorization server in that way.
    #[error("client authentication: {0}")]
    InvalidClient(&'static str),
    /// A private key cannot sign assertions.
    #[error("client key: {0}")]
    InvalidClientKey(&'static str),
    /// A place that calls may go to with a token is no origin that keeps it secret.
    #[error("destination {origin:?}: {problem}")]
    InvalidDestination {
        /// What was given.
        origin: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Calls with a token may go nowhere.
    #[error("there is no destination that may be sent a token")]
    NoDestination,
    /// A scope holds a character that none may have.
    #[error("{0:?} is no scope")]
    InvalidScope(String),
    /// A resource is not an absolute URI without fragment.
    #[error("{0:?} is no resource")]
    InvalidResource(String),
    /// The system has no random bytes.
    #[error("the system has no random bytes")]
    NoRandomness,
    /// A document of keys cannot be read.
    #[error("the key set cannot be read")]
    UnreadableKeySet(#[from] crate::KeySetError),
    /// A static key set holds no key that may verify a token under the rules. A secret may only
    /// where the rules name its algorithm.
    #[error("the key set holds no usable key ({ignored} ignored)")]
    NoUsableKey {
        /// How many keys were ignored.
        ignored: usize,
    },
    /// The issuer's keys could not be loaded.
    #[error("the keys of the issuer could not be loaded")]
    KeysNotLoaded(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What is needed to reach the keys over HTTPS could not be set up.
    #[error("cannot set up the fetching of keys")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
}
