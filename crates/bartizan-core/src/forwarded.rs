//! What a proxy asserts about the client behind it.

use std::fmt;
use std::sync::Arc;

use crate::spiffe_id::SpiffeId;

/// What a trusted proxy asserts about the client behind it: a claim, not a proof.
///
/// It never stands in for a [`Peer`](crate::Peer). A layer that accepts it says so, and only from
/// proxies that were granted the right.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Forwarded(Arc<Assertion>);

#[derive(Debug, Eq, PartialEq)]
struct Assertion {
    header: ForwardedBy,
    spiffe_id: Option<SpiffeId>,
    certificate_sha256: Option<[u8; 32]>,
    binding: bool,
}

/// The header that carried the assertion.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ForwardedBy {
    /// `Client-Cert` of [RFC 9440](https://www.rfc-editor.org/rfc/rfc9440).
    ClientCert,
    /// `X-Forwarded-Client-Cert`, as Envoy writes it.
    Xfcc,
}

impl ForwardedBy {
    /// A short stable name, fit for a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientCert => "client_cert",
            Self::Xfcc => "xfcc",
        }
    }
}

impl Forwarded {
    /// What a proxy said in this header, after its right to say so was checked.
    pub fn new(
        header: ForwardedBy,
        spiffe_id: Option<SpiffeId>,
        certificate_sha256: Option<[u8; 32]>,
    ) -> Self {
        Self(Arc::new(Assertion {
            header,
            spiffe_id,
            certificate_sha256,
            binding: false,
        }))
    }

    /// States that the proxy was granted the right to satisfy a token's certificate binding
    /// ([RFC 8705 §3](https://www.rfc-editor.org/rfc/rfc8705#section-3)) for its client.
    #[must_use]
    pub fn allow_certificate_binding(self) -> Self {
        let Assertion {
            header,
            ref spiffe_id,
            certificate_sha256,
            ..
        } = *self.0;
        let spiffe_id = spiffe_id.clone();
        Self(Arc::new(Assertion {
            header,
            spiffe_id,
            certificate_sha256,
            binding: true,
        }))
    }

    /// The header that carried the assertion.
    pub fn header(&self) -> ForwardedBy {
        self.0.header
    }

    /// The client's SPIFFE ID, if the proxy named one.
    pub fn spiffe_id(&self) -> Option<&SpiffeId> {
        self.0.spiffe_id.as_ref()
    }

    /// SHA-256 of the client's certificate, if the proxy sent the certificate or its digest.
    pub fn certificate_sha256(&self) -> Option<&[u8; 32]> {
        self.0.certificate_sha256.as_ref()
    }

    /// Whether a token bound to that certificate may be used through this proxy.
    pub fn satisfies_certificate_binding(&self) -> bool {
        self.0.binding
    }
}

impl fmt::Display for Forwarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.spiffe_id {
            Some(id) => write!(f, "{id} (said by {})", self.0.header.as_str()),
            None => write!(f, "no name (said by {})", self.0.header.as_str()),
        }
    }
}
