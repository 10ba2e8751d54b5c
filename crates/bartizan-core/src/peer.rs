//! The workload at the other end of the connection.

use std::fmt;
use std::sync::Arc;

use crate::clock::WallTime;
use crate::spiffe_id::SpiffeId;

/// The workload at the other end of the connection, proven by its certificate.
///
/// A `Peer` states what a completed TLS handshake proved and nothing else: what a proxy claims
/// about somebody else is `Forwarded`, never this. It is computed once per connection and cloned
/// by reference count.
#[derive(Clone, Eq, PartialEq)]
pub struct Peer(Arc<Proven>);

#[derive(Eq, PartialEq)]
struct Proven {
    identity: PeerIdentity,
    certificate_sha256: [u8; 32],
    serial: Box<[u8]>,
    not_after: WallTime,
}

/// The name that a certificate proves.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PeerIdentity {
    /// The DNS names of the certificate, lower-case, in the order they stand in.
    ///
    /// Only a listener that was told to accept DNS identity gives this.
    Dns(Arc<[Box<str>]>),
    /// The one SPIFFE ID of an X509-SVID.
    Spiffe(SpiffeId),
}

impl Peer {
    /// States that a handshake proved possession of the key of this certificate, and that its
    /// chain was verified.
    ///
    /// For listeners. Calling it for anything else forges an identity: every layer believes a
    /// `Peer` without asking again.
    pub fn assert_verified(certificate: VerifiedCertificate) -> Self {
        let VerifiedCertificate {
            identity,
            certificate_sha256,
            serial,
            not_after,
        } = certificate;
        Self(Arc::new(Proven {
            identity,
            certificate_sha256,
            serial,
            not_after,
        }))
    }

    /// The name the certificate proves.
    pub fn identity(&self) -> &PeerIdentity {
        &self.0.identity
    }

    /// The SPIFFE ID, if the identity is one.
    pub fn spiffe_id(&self) -> Option<&SpiffeId> {
        match &self.0.identity {
            PeerIdentity::Spiffe(id) => Some(id),
            PeerIdentity::Dns(_) => None,
        }
    }

    /// SHA-256 of the certificate's DER form: what [RFC 8705 §3.1] binds a token to.
    ///
    /// [RFC 8705 §3.1]: https://www.rfc-editor.org/rfc/rfc8705#section-3.1
    pub fn certificate_sha256(&self) -> &[u8; 32] {
        &self.0.certificate_sha256
    }

    /// The certificate's serial number, big-endian, without leading zeros.
    pub fn serial(&self) -> &[u8] {
        &self.0.serial
    }

    /// The last moment at which the certificate is valid.
    pub fn not_after(&self) -> WallTime {
        self.0.not_after
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("identity", &self.0.identity)
            .field("not_after", &self.0.not_after)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Peer {
    /// The SPIFFE ID, or the first DNS name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.identity {
            PeerIdentity::Spiffe(id) => f.write_str(id.as_str()),
            PeerIdentity::Dns(names) => f.write_str(names.first().map_or("", |name| name)),
        }
    }
}

/// What a listener knows of a certificate after it verified it: the input of
/// [`Peer::assert_verified`].
#[derive(Clone, Debug)]
pub struct VerifiedCertificate {
    /// The name the certificate proves.
    pub identity: PeerIdentity,
    /// SHA-256 of the certificate's DER form.
    pub certificate_sha256: [u8; 32],
    /// The serial number, big-endian, without leading zeros.
    pub serial: Box<[u8]>,
    /// The last moment at which the certificate is valid.
    pub not_after: WallTime,
}
