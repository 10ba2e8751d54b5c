//! Which proxies are believed about the client behind them, and what they may say.

use std::collections::HashSet;

use bartizan_core::{Forwarded, ForwardedBy, Peer, PeerIdentity, SpiffeId};
use ring::digest;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::allowed::AllowedPeers;
use crate::client_cert::{ClientCertError, parse_client_cert, parse_client_cert_chain};
use crate::rules;
use crate::xfcc::{Xfcc, XfccElement, XfccError};

/// The right of certain proxies to say who the client behind them is.
///
/// Given to [`MtlsLayerBuilder::trust_proxy`](crate::MtlsLayerBuilder::trust_proxy). Each grant is
/// for one header: a proxy that replaces one of them may hand on what a client sent in the other,
/// so a proxy is believed in the one that it is known to write, and the other is removed.
///
/// What such a proxy says is recorded as [`Forwarded`], beside the proven peer, which stays the
/// proxy. Configure the proxy to replace the header or to append to it (Envoy: `SANITIZE_SET` or
/// `APPEND_FORWARD`), never to hand on alone.
///
/// ```
/// use bartizan_mtls::{AllowedPeers, MtlsLayer, ProxyGrant};
///
/// let edge = AllowedPeers::id("spiffe://example.org/ns/edge/sa/envoy".parse()?);
/// let layer = MtlsLayer::builder()
///     .allow(&edge)
///     .trust_proxy(ProxyGrant::xfcc(edge).allow_certificate_binding())
///     .build()?;
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a grant has an effect once it is given to a layer"]
pub struct ProxyGrant {
    proxies: AllowedPeers,
    header: ForwardedBy,
    by: HashSet<SpiffeId>,
    certificate_binding: bool,
    header_inward: bool,
}

impl ProxyGrant {
    /// Believes these proxies in `X-Forwarded-Client-Cert`.
    ///
    /// Of several elements the last counts: the proxy's own. Its `By`, if present, must be a name
    /// of the proxy's: what it says of a connection to somebody else is not its to say.
    pub fn xfcc(proxies: AllowedPeers) -> Self {
        Self::of(proxies, ForwardedBy::Xfcc)
    }

    /// Believes these proxies in `Client-Cert` ([RFC 9440](https://www.rfc-editor.org/rfc/rfc9440)).
    pub fn client_cert(proxies: AllowedPeers) -> Self {
        Self::of(proxies, ForwardedBy::ClientCert)
    }

    /// Also accepts this name in `By`, for a proxy that answers its clients with another
    /// certificate than the one that it calls us with. Its SPIFFE ID towards us is always accepted.
    pub fn add_by(mut self, id: SpiffeId) -> Self {
        self.by.insert(id);
        self
    }

    /// Lets a client behind the proxy use tokens that are bound to its certificate
    /// ([RFC 8705 §3](https://www.rfc-editor.org/rfc/rfc8705#section-3)), on the proxy's word.
    pub fn allow_certificate_binding(mut self) -> Self {
        self.certificate_binding = true;
        self
    }

    /// Leaves the header in place for services further in. It is removed after reading unless
    /// said: what it says is in the context, and earlier elements are nobody's word.
    pub fn allow_header_inward(mut self) -> Self {
        self.header_inward = true;
        self
    }

    fn of(proxies: AllowedPeers, header: ForwardedBy) -> Self {
        Self {
            proxies,
            header,
            by: HashSet::new(),
            certificate_binding: false,
            header_inward: false,
        }
    }

    pub(crate) fn admits(&self, identity: &PeerIdentity) -> bool {
        self.proxies.admits(identity)
    }

    pub(crate) fn header(&self) -> ForwardedBy {
        self.header
    }

    pub(crate) fn keeps_header(&self) -> bool {
        self.header_inward
    }

    /// What `proxy` says in the last line of `X-Forwarded-Client-Cert`.
    pub(crate) fn read_xfcc(&self, proxy: &Peer, line: &[u8]) -> Result<Forwarded, ForwardedError> {
        let line = std::str::from_utf8(line).map_err(|_| ForwardedError::Text)?;
        let parsed = Xfcc::parse(line)?;
        let element = parsed.last().ok_or(XfccError::Pair)?;
        self.check_by(proxy, element)?;
        let certificate = certificate_of(element)?;
        let mut hash = element.hash().copied();
        let mut id = spiffe_id_of(element.uris())?;
        if let Some(certificate) = certificate {
            let (digest, named) = describe(&certificate);
            if hash.is_some_and(|hash| Some(hash) != digest) || (id.is_some() && id != named) {
                return Err(ForwardedError::Contradiction);
            }
            (hash, id) = (digest, named);
        }
        Ok(self.forwarded(id, hash))
    }

    /// What a proxy says in `Client-Cert`.
    pub(crate) fn read_client_cert(
        &self,
        certificate: &[u8],
        chain: Option<&[u8]>,
    ) -> Result<Forwarded, ForwardedError> {
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| ForwardedError::Text);
        let certificate = parse_client_cert(text(certificate)?)?;
        // Nobody asks for the chain; a proxy that writes a broken one is broken all the same.
        if let Some(chain) = chain {
            parse_client_cert_chain(text(chain)?)?;
        }
        if rules::read(&certificate).is_err() {
            return Err(ForwardedError::NotACertificate);
        }
        let (digest, id) = describe(&certificate);
        Ok(self.forwarded(id, digest))
    }

    fn check_by(&self, proxy: &Peer, element: &XfccElement) -> Result<(), ForwardedError> {
        let is_ours = |by: &String| {
            let of_proxy = proxy.spiffe_id().is_some_and(|id| id.as_str() == by);
            of_proxy || SpiffeId::parse(by).is_ok_and(|by| self.by.contains(&by))
        };
        if element.by().is_empty() || element.by().iter().any(is_ours) {
            Ok(())
        } else {
            Err(ForwardedError::ByOther)
        }
    }

    fn forwarded(&self, id: Option<SpiffeId>, sha256: Option<[u8; 32]>) -> Forwarded {
        let forwarded = Forwarded::new(self.header, id, sha256);
        if self.certificate_binding && sha256.is_some() {
            forwarded.allow_certificate_binding()
        } else {
            forwarded
        }
    }
}

/// Why what a trusted proxy says of its client cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardedError {
    /// `By` names somebody else than the proxy.
    #[error("by names somebody else than the proxy")]
    ByOther,
    /// `Client-Cert` is not well-formed.
    #[error("client-cert is malformed")]
    ClientCert(#[from] ClientCertError),
    /// Names or digest are not those of the certificate beside them.
    #[error("certificate contradicts the hash or the name beside it")]
    Contradiction,
    /// A header that is sent once was sent twice, or a chain without a certificate.
    #[error("header is repeated, or is a chain without a certificate")]
    Count,
    /// Several URI names, one of them a SPIFFE ID; or one that is nearly a SPIFFE ID.
    #[error("names are not those of one svid")]
    Names,
    /// What should be a certificate is none.
    #[error("certificate cannot be read")]
    NotACertificate,
    /// The header is not UTF-8.
    #[error("header is no text")]
    Text,
    /// `X-Forwarded-Client-Cert` is not well-formed.
    #[error("x-forwarded-client-cert is malformed")]
    Xfcc(#[from] XfccError),
}

/// The client's certificate as DER, if the element has it.
fn certificate_of(
    element: &XfccElement,
) -> Result<Option<CertificateDer<'static>>, ForwardedError> {
    let Some(pem) = element.certificate().or(element.chain()) else {
        return Ok(None);
    };
    let first = CertificateDer::pem_slice_iter(pem.as_bytes()).next();
    match first {
        Some(Ok(der)) if rules::read(&der).is_ok() => Ok(Some(der)),
        _ => Err(ForwardedError::NotACertificate),
    }
}

/// The SPIFFE ID among URI names. Names of another kind name nobody that we know.
fn spiffe_id_of(uris: &[String]) -> Result<Option<SpiffeId>, ForwardedError> {
    let is_spiffe = |uri: &String| {
        uri.split_once(':')
            .is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("spiffe"))
    };
    match uris {
        //= X509-SVID §2: SVIDs containing more than one URI SAN MUST be rejected.
        [uri] if is_spiffe(uri) => match SpiffeId::parse(uri) {
            Ok(id) if !id.path().is_empty() => Ok(Some(id)),
            _ => Err(ForwardedError::Names),
        },
        uris if uris.iter().any(is_spiffe) => Err(ForwardedError::Names),
        _ => Ok(None),
    }
}

/// The digest of a certificate, and its SPIFFE ID if it is an X509-SVID.
fn describe(der: &[u8]) -> (Option<[u8; 32]>, Option<SpiffeId>) {
    let digest = digest::digest(&digest::SHA256, der);
    let id = rules::read(der).and_then(|certificate| rules::spiffe_id(&certificate));
    (digest.as_ref().try_into().ok(), id.ok())
}
