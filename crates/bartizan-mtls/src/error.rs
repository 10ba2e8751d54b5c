//! What can be wrong with a configuration, and with a request.

use std::fmt;

use bartizan_core::{Code, Peer, Rejection, RejectionKind, WallTime};

use crate::allowed::NotADnsName;
use crate::handshake::PLAINTEXT_ENDED;
use crate::proxy::ForwardedError;

/// A plaintext request carries an API key or another credential beside `Authorization`, which
/// anybody on the way can read.
pub const CREDENTIAL_IN_PLAINTEXT: Code = Code::new("mtls.credential_in_plaintext");
/// A trusted proxy says of a client what another proxy would have to say.
pub const FORWARDED_BY_OTHER: Code = Code::new("mtls.forwarded_by_other");
/// What a trusted proxy says of its client cannot be read.
pub const FORWARDED_MALFORMED: Code = Code::new("mtls.forwarded_malformed");
/// Nothing is known of the connection of this request: a fault of the service's set-up.
pub const NO_CONNECTION: Code = Code::new("mtls.no_connection");
/// The connection of this request proved no peer.
pub const NO_PEER: Code = Code::new("mtls.no_peer");
/// A plaintext request to a route that is not listed for it.
pub const PLAINTEXT_NOT_LISTED: Code = Code::new("mtls.plaintext_not_listed");
/// The peer's certificate has expired since the handshake.
pub const PEER_EXPIRED: Code = Code::new("mtls.peer_expired");
/// A plaintext request carries a token, which anybody on the way can read.
pub const TOKEN_IN_PLAINTEXT: Code = Code::new("mtls.token_in_plaintext");
/// The peer is known and not on the list.
pub const PEER_NOT_ALLOWED: Code = Code::new("mtls.peer_not_allowed");

/// A configuration that cannot work.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A text in an allow-list is no literal DNS name.
    #[error("allow-list has something else than a name")]
    DnsName(#[source] NotADnsName),
    /// The layer has no allow-list, so that it would refuse every request.
    #[error("nobody is allowed: add at least one pattern, trust domain or dns name")]
    NobodyAllowed,
}

/// Why [`MtlsLayer`](crate::MtlsLayer) refused a request. It is the source of the
/// [`Rejection`], and what logs show; the client sees a fixed text.
#[derive(Clone, Debug)]
pub struct MtlsError(Reason);

/// The kind of an [`MtlsError`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum MtlsErrorKind {
    /// The request is in plaintext and carries a credential in a header that was named as one.
    CredentialInPlaintext,
    /// A trusted proxy forwarded what is another proxy's to say.
    ForwardedByOther,
    /// What a trusted proxy says of its client cannot be read.
    ForwardedMalformed,
    /// Nothing is known of the connection: the server does not pass on what its listener knows.
    NoConnection,
    /// The connection proved no peer.
    NoPeer,
    /// The peer's certificate has expired since the handshake.
    PeerExpired,
    /// The peer is not on the list.
    PeerNotAllowed,
    /// The request is in plaintext, and the migration that allowed it is over.
    PlaintextEnded,
    /// The request is in plaintext, and its route is not listed.
    PlaintextNotListed,
    /// The request is in plaintext and carries a token.
    TokenInPlaintext,
}

#[derive(Clone, Debug)]
enum Reason {
    CredentialInPlaintext,
    Forwarded { proxy: Peer, cause: ForwardedError },
    NoConnection,
    NoPeer,
    PeerExpired { peer: Peer, now: WallTime },
    PeerNotAllowed { peer: Peer },
    PlaintextEnded { end: WallTime, now: WallTime },
    PlaintextNotListed,
    TokenInPlaintext,
}

impl MtlsError {
    pub(crate) fn forwarded(proxy: &Peer, cause: ForwardedError) -> Self {
        Self(Reason::Forwarded {
            proxy: proxy.clone(),
            cause,
        })
    }

    pub(crate) fn no_connection() -> Self {
        Self(Reason::NoConnection)
    }

    pub(crate) fn no_peer() -> Self {
        Self(Reason::NoPeer)
    }

    pub(crate) fn plaintext_ended(end: WallTime, now: WallTime) -> Self {
        Self(Reason::PlaintextEnded { end, now })
    }

    pub(crate) fn plaintext_not_listed() -> Self {
        Self(Reason::PlaintextNotListed)
    }

    pub(crate) fn token_in_plaintext() -> Self {
        Self(Reason::TokenInPlaintext)
    }

    pub(crate) fn credential_in_plaintext() -> Self {
        Self(Reason::CredentialInPlaintext)
    }

    pub(crate) fn expired(peer: &Peer, now: WallTime) -> Self {
        Self(Reason::PeerExpired {
            peer: peer.clone(),
            now,
        })
    }

    pub(crate) fn not_allowed(peer: &Peer) -> Self {
        Self(Reason::PeerNotAllowed { peer: peer.clone() })
    }

    /// What kind of refusal it is.
    pub fn kind(&self) -> MtlsErrorKind {
        match self.0 {
            Reason::Forwarded {
                cause: ForwardedError::ByOther,
                ..
            } => MtlsErrorKind::ForwardedByOther,
            Reason::Forwarded { .. } => MtlsErrorKind::ForwardedMalformed,
            Reason::CredentialInPlaintext => MtlsErrorKind::CredentialInPlaintext,
            Reason::NoConnection => MtlsErrorKind::NoConnection,
            Reason::NoPeer => MtlsErrorKind::NoPeer,
            Reason::PeerExpired { .. } => MtlsErrorKind::PeerExpired,
            Reason::PeerNotAllowed { .. } => MtlsErrorKind::PeerNotAllowed,
            Reason::PlaintextEnded { .. } => MtlsErrorKind::PlaintextEnded,
            Reason::PlaintextNotListed => MtlsErrorKind::PlaintextNotListed,
            Reason::TokenInPlaintext => MtlsErrorKind::TokenInPlaintext,
        }
    }

    // The one place where a reason becomes what the client sees. The refusals carry no challenge:
    // no HTTP authentication scheme stands for a TLS client certificate.
    pub(crate) fn into_rejection(self) -> Rejection {
        let (kind, code, detail) = match self.kind() {
            MtlsErrorKind::ForwardedByOther => (
                RejectionKind::Forbidden,
                FORWARDED_BY_OTHER,
                "the forwarded client certificate is another proxy's",
            ),
            MtlsErrorKind::ForwardedMalformed => (
                RejectionKind::Malformed,
                FORWARDED_MALFORMED,
                "the forwarded client certificate is malformed",
            ),
            MtlsErrorKind::NoConnection => (
                RejectionKind::Internal,
                NO_CONNECTION,
                "the server does not know the connection",
            ),
            MtlsErrorKind::NoPeer => (
                RejectionKind::Unauthenticated,
                NO_PEER,
                "a client certificate is required",
            ),
            MtlsErrorKind::PeerExpired => (
                RejectionKind::Unauthenticated,
                PEER_EXPIRED,
                "the client certificate has expired",
            ),
            MtlsErrorKind::PeerNotAllowed => (
                RejectionKind::Forbidden,
                PEER_NOT_ALLOWED,
                "this peer may not call this service",
            ),
            MtlsErrorKind::PlaintextEnded => (
                RejectionKind::Forbidden,
                PLAINTEXT_ENDED,
                "this service is not called in plaintext any more",
            ),
            MtlsErrorKind::PlaintextNotListed => (
                RejectionKind::Forbidden,
                PLAINTEXT_NOT_LISTED,
                "this route is not called in plaintext",
            ),
            MtlsErrorKind::CredentialInPlaintext => (
                RejectionKind::Forbidden,
                CREDENTIAL_IN_PLAINTEXT,
                "keys are not sent in plaintext; consider this one known to others",
            ),
            MtlsErrorKind::TokenInPlaintext => (
                RejectionKind::Forbidden,
                TOKEN_IN_PLAINTEXT,
                "tokens are not sent in plaintext; consider this one known to others",
            ),
        };
        Rejection::new(kind, code)
            .with_detail(detail)
            .with_cause(self)
    }
}

impl fmt::Display for MtlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::Forwarded { proxy, .. } => {
                write!(f, "cannot use what {proxy} says of its client")
            }
            Reason::NoConnection => f.write_str(
                "request without a connection: with axum, serve \
                 `into_make_service_with_connect_info::<Connection>()` over an `AxumListener`",
            ),
            Reason::NoPeer => f.write_str("connection proved no peer"),
            Reason::PeerExpired { peer, now } => write!(
                f,
                "certificate of {peer} expired: not after {}, now {}",
                peer.not_after().unix_seconds(),
                now.unix_seconds()
            ),
            Reason::PeerNotAllowed { peer } => write!(f, "{peer} is not among those allowed"),
            Reason::PlaintextEnded { end, now } => write!(
                f,
                "plaintext ended: end {}, now {}",
                end.unix_seconds(),
                now.unix_seconds()
            ),
            Reason::PlaintextNotListed => f.write_str("route is not listed for plaintext"),
            Reason::CredentialInPlaintext => f.write_str("credential in plaintext"),
            Reason::TokenInPlaintext => f.write_str("token in plaintext"),
        }
    }
}

impl std::error::Error for MtlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            Reason::Forwarded { cause, .. } => Some(cause),
            _ => None,
        }
    }
}
