//! Why a handshake failed, in few words: stable codes for observers.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use bartizan_core::Code;
use rustls::{AlertDescription, CertificateError, Error};

use crate::proxied;
use crate::svid_error::SvidError;
use crate::tls::PeerNotAllowed;

/// The far end refused us, or what we offered.
pub const ALERT_RECEIVED: Code = Code::new("mtls.alert_received");
/// The far end has no certificate, and the listener takes such clients: a connection without a
/// peer.
pub const ANONYMOUS: Code = Code::new("mtls.anonymous");
/// The certificate of the far end, or one that it rests on, is expired or not valid yet.
pub const EXPIRED: Code = Code::new("mtls.expired");
/// The handshake led to a connection with a peer.
pub const HANDSHAKE_COMPLETED: Code = Code::new("mtls.handshake_completed");
/// The handshake failed for another reason: no TLS, no common version, a broken connection.
pub const HANDSHAKE_FAILED: Code = Code::new("mtls.handshake_failed");
/// The handshake took a session up again, whose certificate was then verified anew.
pub const HANDSHAKE_RESUMED: Code = Code::new("mtls.handshake_resumed");
/// The far end had to make room for others: it was idle, or its address had more than its share.
pub const HANDSHAKE_SHED: Code = Code::new("mtls.handshake_shed");
/// The far end did not complete the handshake in its time.
pub const HANDSHAKE_TIMEOUT: Code = Code::new("mtls.handshake_timeout");
/// A load balancer's header of the PROXY protocol is missing or malformed.
pub const PROXY_PROTOCOL: Code = Code::new("mtls.proxy_protocol");
/// The far end presented no certificate.
pub const NO_CERTIFICATE: Code = Code::new("mtls.no_certificate");
/// We have no identity of our own yet, because its source has published none.
pub const NO_IDENTITY: Code = Code::new("mtls.no_identity");
/// The connection, or the request, is in plaintext, which a [`Migration`](crate::Migration) allows.
pub const PLAINTEXT: Code = Code::new("mtls.plaintext");
/// The connection, or the request, is in plaintext, and the migration that allowed it is over.
pub const PLAINTEXT_ENDED: Code = Code::new("mtls.plaintext_ended");
/// The certificate of the far end breaks a rule of X509-SVIDs (or of DNS identities).
pub const NOT_AN_SVID: Code = Code::new("mtls.not_an_svid");
/// The revocation lists do not tell whether the far end's certificate is revoked.
pub const REVOCATION_UNKNOWN: Code = Code::new("mtls.revocation_unknown");
/// The certificate of the far end, or one that it rests on, is revoked.
pub const REVOKED: Code = Code::new("mtls.revoked");
/// No root of the claimed trust domain vouches for the far end.
pub const UNKNOWN_AUTHORITY: Code = Code::new("mtls.unknown_authority");

/// A handshake that did not lead to a connection.
#[derive(Debug)]
pub(crate) enum Failure {
    NoIdentity,
    PlaintextEnded,
    Shed,
    Timeout,
    Tls(Error),
    Transport(io::Error),
}

impl Failure {
    /// Takes apart what tokio-rustls reports, which wraps the error of rustls.
    pub(crate) fn of(error: io::Error) -> Self {
        match tls_error(&error) {
            Some(tls) => Self::Tls(tls.clone()),
            None => Self::Transport(error),
        }
    }

    /// The bounded reason.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::NoIdentity => NO_IDENTITY,
            Self::PlaintextEnded => PLAINTEXT_ENDED,
            Self::Shed => HANDSHAKE_SHED,
            Self::Timeout => HANDSHAKE_TIMEOUT,
            Self::Tls(Error::AlertReceived(_)) => ALERT_RECEIVED,
            Self::Tls(Error::NoCertificatesPresented) => NO_CERTIFICATE,
            Self::Tls(Error::InvalidCertificate(error)) => certificate_code(error),
            Self::Transport(error) if proxied::fault(error).is_some() => PROXY_PROTOCOL,
            Self::Tls(_) | Self::Transport(_) => HANDSHAKE_FAILED,
        }
    }

    /// Whether the far end is one that reads an alert, so that it is worth waiting for it to.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Tls(Error::InvalidCertificate(_) | Error::NoCertificatesPresented)
        )
    }
}

fn certificate_code(error: &CertificateError) -> Code {
    match error {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => EXPIRED,
        CertificateError::Revoked => REVOKED,
        CertificateError::UnknownRevocationStatus => REVOCATION_UNKNOWN,
        CertificateError::UnknownIssuer => UNKNOWN_AUTHORITY,
        CertificateError::Other(other) => match other.0.downcast_ref::<SvidError>() {
            Some(SvidError::Path(_)) => UNKNOWN_AUTHORITY,
            _ => NOT_AN_SVID,
        },
        CertificateError::BadEncoding | CertificateError::InvalidPurpose => NOT_AN_SVID,
        _ => HANDSHAKE_FAILED,
    }
}

/// What a person reads in a log. It may quote the far end's certificate, never a key.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIdentity => f.write_str("no identity published yet"),
            Self::PlaintextEnded => f.write_str("plaintext is not taken any more"),
            Self::Shed => f.write_str("had to make room for others"),
            Self::Timeout => f.write_str("handshake not completed in time"),
            Self::Tls(Error::InvalidCertificate(CertificateError::Other(other))) => {
                fmt::Display::fmt(&other.0, f)
            }
            Self::Tls(error) => fmt::Display::fmt(error, f),
            Self::Transport(error) => fmt::Display::fmt(error, f),
        }
    }
}

/// The TLS error in a chain of causes, if there is one.
pub(crate) fn tls_error<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<Error>() {
            return Some(tls);
        }
        // An `io::Error` hides what it wraps: its source is the source of that.
        if let Some(wrapped) = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            && let Some(tls) = tls_error(wrapped)
        {
            return Some(tls);
        }
        next = error.source();
    }
    None
}

/// The far end does not accept our certificate, and says so on a connection that seemed made.
///
/// HTTP/2 clients turn errors of a connection into text for each request on it. The text is
/// therefore the same in every place, and [`CertificateRefused::find`] knows it again.
#[derive(Debug, thiserror::Error)]
#[error("{REFUSED}{0}")]
pub(crate) struct CertificateRefused(String);

const REFUSED: &str = "far end refused our certificate: ";

impl CertificateRefused {
    /// Gives an error of a connection this type if that is what it means.
    pub(crate) fn explain(error: io::Error) -> io::Error {
        match tls_error(&error) {
            Some(Error::AlertReceived(alert)) if refuses_certificate(*alert) => {
                io::Error::new(error.kind(), Self(format!("alert {alert:?}")))
            }
            _ => error,
        }
    }

    /// Finds the refusal as rustls has it, for clients that have our configuration and not our
    /// streams: the error itself or, over HTTP/2, its text.
    pub(crate) fn of_rustls(error: &(dyn StdError + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                let text = error.to_string();
                let is_text_of =
                    |alert: &&AlertDescription| text == Error::AlertReceived(**alert).to_string();
                if let Some(alert) = REFUSALS.iter().find(is_text_of) {
                    return Some(Self(format!("alert {alert:?}")));
                }
            }
            next = error.source();
        }
        None
    }

    /// Finds it in the causes of another error.
    pub(crate) fn find(error: &(dyn StdError + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            // Of an `io::Error` alone: no such text comes from the far end.
            if let Some(error) = error.downcast_ref::<io::Error>()
                && let Some(alert) = error.to_string().strip_prefix(REFUSED)
            {
                return Some(Self(alert.to_owned()));
            }
            next = error.source();
        }
        None
    }
}

/// The alerts that say that the far end does not accept our certificate.
const REFUSALS: [AlertDescription; 8] = [
    AlertDescription::AccessDenied,
    AlertDescription::BadCertificate,
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateRequired,
    AlertDescription::CertificateRevoked,
    AlertDescription::CertificateUnknown,
    AlertDescription::UnknownCA,
    AlertDescription::UnsupportedCertificate,
];

/// Whether an alert says that the far end does not accept our certificate.
pub(crate) fn refuses_certificate(alert: AlertDescription) -> bool {
    REFUSALS.contains(&alert)
}

/// Whether a certificate error means that the far end is somebody else than was asked for.
pub(crate) fn not_allowed(error: &Error) -> Option<&PeerNotAllowed> {
    match error {
        Error::InvalidCertificate(CertificateError::Other(other)) => other.0.downcast_ref(),
        _ => None,
    }
}
