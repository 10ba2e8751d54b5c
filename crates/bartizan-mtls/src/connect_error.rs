//! Why there is no connection to a server.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use rustls::Error as TlsError;

use crate::handshake::{self, CertificateRefused, Failure};

type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a connection to a server failed.
#[derive(Debug)]
pub struct MtlsConnectError {
    kind: MtlsConnectErrorKind,
    message: String,
    cause: Option<BoxError>,
}

/// What kind of thing kept a connection from being made.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum MtlsConnectErrorKind {
    /// No TCP connection: no such host, refused, unreachable.
    Connect,
    /// Host and port did not answer in time.
    ConnectTimeout,
    /// TLS failed for another reason than the other kinds, such as a server without TLS 1.3.
    Handshake,
    /// The server did not complete the handshake in time.
    HandshakeTimeout,
    /// The URI names no host that could be connected to.
    InvalidUri,
    /// We have no identity yet: the source of the material has published none.
    NoIdentity,
    /// The server refused *our* certificate.
    RefusedByServer,
    /// The server proved an identity, and it is not one of those that were asked for.
    ServerNotAllowed,
    /// The server's certificate proves no identity that we believe.
    ServerNotVerified,
    /// The connector knows the hosts that it connects to, and this is none of them.
    UnknownHost,
}

impl MtlsConnectError {
    /// What kind of error this is.
    pub fn kind(&self) -> MtlsConnectErrorKind {
        self.kind
    }

    /// Finds, in the error of a request, that the server refused our certificate after the
    /// connection seemed to be made. That is how a TLS 1.3 refusal arrives.
    ///
    /// Takes the error of a hyper or tonic request, or anything else whose causes lead to it.
    /// `None` means that the error speaks of something else, or that the network lost the reason.
    pub fn late_rejection(error: &(dyn StdError + 'static)) -> Option<Self> {
        let refused =
            CertificateRefused::find(error).or_else(|| CertificateRefused::of_rustls(error))?;
        let message = "server refused our certificate";
        Some(Self::new(MtlsConnectErrorKind::RefusedByServer, message).caused_by(refused))
    }

    pub(crate) fn invalid_uri(reason: &str) -> Self {
        Self::new(
            MtlsConnectErrorKind::InvalidUri,
            format!("cannot connect to this uri: {reason}"),
        )
    }

    pub(crate) fn unknown_host() -> Self {
        Self::new(
            MtlsConnectErrorKind::UnknownHost,
            "no server is expected at this host",
        )
    }

    pub(crate) fn connect(cause: io::Error) -> Self {
        Self::new(MtlsConnectErrorKind::Connect, "no connection to the server").caused_by(cause)
    }

    pub(crate) fn connect_timeout(limit: Duration) -> Self {
        let message = format!("no connection to the server within {limit:?}");
        Self::new(MtlsConnectErrorKind::ConnectTimeout, message)
    }

    pub(crate) fn unverified(cause: impl Into<BoxError>) -> Self {
        Self::new(
            MtlsConnectErrorKind::ServerNotVerified,
            "server proved no identity",
        )
        .caused_by(cause)
    }

    pub(crate) fn handshake(failure: Failure) -> Self {
        use MtlsConnectErrorKind as Kind;

        match failure {
            Failure::NoIdentity => Self::new(Kind::NoIdentity, failure.to_string()),
            // A listener's: nobody sheds the connections that we open.
            Failure::PlaintextEnded | Failure::Shed => {
                Self::new(Kind::Handshake, failure.to_string())
            }
            Failure::Timeout => Self::new(Kind::HandshakeTimeout, failure.to_string()),
            Failure::Transport(cause) => {
                Self::new(Kind::Handshake, "handshake failed").caused_by(cause)
            }
            Failure::Tls(cause) => {
                let (kind, message) = match &cause {
                    TlsError::AlertReceived(alert) if handshake::refuses_certificate(*alert) => (
                        Kind::RefusedByServer,
                        "server refused our certificate".to_owned(),
                    ),
                    TlsError::InvalidCertificate(_) => match handshake::not_allowed(&cause) {
                        Some(not_allowed) => (
                            Kind::ServerNotAllowed,
                            format!("wrong server: {not_allowed}"),
                        ),
                        None => (
                            Kind::ServerNotVerified,
                            "server proved no identity".to_owned(),
                        ),
                    },
                    _ => (Kind::Handshake, "handshake failed".to_owned()),
                };
                Self::new(kind, message).caused_by(cause)
            }
        }
    }

    fn new(kind: MtlsConnectErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            cause: None,
        }
    }

    fn caused_by(mut self, cause: impl Into<BoxError>) -> Self {
        self.cause = Some(cause.into());
        self
    }
}

impl fmt::Display for MtlsConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for MtlsConnectError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

#[cfg(test)]
mod tests {
    use rustls::{AlertDescription, CertificateError};

    use super::*;

    fn check(error: MtlsConnectError, kind: MtlsConnectErrorKind, message: &str) {
        assert_eq!((error.kind(), &*error.to_string()), (kind, message));
    }

    #[test]
    fn what_failed_is_told_apart_by_whose_fault_it_is() {
        use MtlsConnectErrorKind as Kind;

        let tls = |error| MtlsConnectError::handshake(Failure::Tls(error));
        let refused = "server refused our certificate";
        for alert in [
            AlertDescription::BadCertificate,
            AlertDescription::CertificateExpired,
            AlertDescription::CertificateRequired,
            AlertDescription::UnknownCA,
        ] {
            let error = tls(TlsError::AlertReceived(alert));
            check(error, Kind::RefusedByServer, refused);
        }
        let other = tls(TlsError::AlertReceived(AlertDescription::ProtocolVersion));
        check(other, Kind::Handshake, "handshake failed");
        let unproven = tls(TlsError::InvalidCertificate(CertificateError::Expired));
        check(
            unproven,
            Kind::ServerNotVerified,
            "server proved no identity",
        );
        let no_svid = MtlsConnectError::unverified("session was resumed");
        let cause = no_svid.source().map(ToString::to_string);
        assert_eq!(cause.as_deref(), Some("session was resumed"));
        check(
            no_svid,
            Kind::ServerNotVerified,
            "server proved no identity",
        );

        let broken = Failure::Transport(io::ErrorKind::ConnectionReset.into());
        let broken = MtlsConnectError::handshake(broken);
        assert!(broken.source().is_some_and(|cause| cause.is::<io::Error>()));
        check(broken, Kind::Handshake, "handshake failed");
        check(
            MtlsConnectError::handshake(Failure::Timeout),
            Kind::HandshakeTimeout,
            "handshake not completed in time",
        );
        check(
            MtlsConnectError::handshake(Failure::Shed),
            Kind::Handshake,
            "had to make room for others",
        );
        check(
            MtlsConnectError::connect_timeout(Duration::from_secs(5)),
            Kind::ConnectTimeout,
            "no connection to the server within 5s",
        );
    }
}
