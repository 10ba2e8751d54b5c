//! SPIFFE bundle documents: what a trust domain publishes for others to federate with.

#[cfg(test)]
mod tests;

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls_pki_types::CertificateDer;
use serde::Deserialize;

use crate::roots::{Roots, RootsError};
use crate::rules::MAX_CERTIFICATE_BYTES;

/// The largest document that is looked at: two hundred certificates of 4 KiB.
const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;

/// The most elements of `keys`, of any use.
const MAX_KEYS: usize = 1024;

/// Five minutes, which the standard gives where the document does not say.
const DEFAULT_REFRESH_HINT: Duration = Duration::from_secs(300);

/// A bundle of a trust domain as a JWK Set ([SPIFFE Trust Domain and Bundle §4]).
///
/// Of its keys those for X509-SVIDs count here. Elements of an unknown `use` or key type are
/// passed over, as the standard asks; one that is for X509-SVIDs and holds no certificate authority
/// makes the whole document unfit.
///
/// A document does not say whose it is. Give its roots the name that *you* know the trust domain
/// by: [`TrustBundles::with_bundle`](crate::TrustBundles::with_bundle).
///
/// ```
/// use bartizan_mtls::SpiffeBundle;
///
/// let bundle = SpiffeBundle::from_json(br#"{ "spiffe_sequence": 7, "keys": [] }"#)?;
/// assert_eq!(bundle.sequence(), Some(7));
/// assert!(bundle.roots().is_empty(), "all keys are withdrawn");
/// assert!(SpiffeBundle::from_json(b"[]").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [SPIFFE Trust Domain and Bundle §4]: https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE_Trust_Domain_and_Bundle.md#4-spiffe-bundle-format
#[derive(Clone, Debug)]
pub struct SpiffeBundle {
    roots: Roots,
    sequence: Option<u64>,
    refresh_hint: Duration,
}

/// Why bytes are no SPIFFE bundle document.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpiffeBundleError {
    /// The `x5c` of an X509-SVID key is not base64 of a certificate.
    #[error("key {position} has no certificate in base64 form")]
    Certificate {
        /// Which element of `keys`, counted from zero.
        position: usize,
    },
    /// The bytes are not JSON of this shape.
    #[error("document is not a json web key set: line {line}, column {column}")]
    Json {
        /// Where it was noticed, counted from one.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// A key for JWT-SVIDs has no `kid`.
    #[error("key {position} is for jwt-svids and has no kid")]
    NoKeyId {
        /// Which element of `keys`, counted from zero.
        position: usize,
    },
    /// The certificates make no set of roots.
    #[error("certificates make no set of roots")]
    Roots(#[source] RootsError),
    /// The document has more than 1 MiB, or more than 1024 keys.
    #[error("document is too large: at most {MAX_DOCUMENT_BYTES} bytes and {MAX_KEYS} keys")]
    TooLarge,
}

#[derive(Deserialize)]
struct Document {
    // Absent and null are what the reference implementation writes for no keys.
    #[serde(default)]
    keys: Option<Vec<Key>>,
    spiffe_sequence: Option<u64>,
    spiffe_refresh_hint: Option<u64>,
}

#[derive(Deserialize)]
struct Key {
    kty: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    kid: Option<String>,
    #[serde(default)]
    x5c: Vec<String>,
}

impl SpiffeBundle {
    /// Parses a document.
    ///
    /// # Errors
    ///
    /// [`SpiffeBundleError`] names the first rule that it breaks.
    pub fn from_json(json: &[u8]) -> Result<Self, SpiffeBundleError> {
        if json.len() > MAX_DOCUMENT_BYTES {
            return Err(SpiffeBundleError::TooLarge);
        }
        let document: Document = serde_json::from_slice(json).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            SpiffeBundleError::Json { line, column }
        })?;
        let keys = document.keys.unwrap_or_default();
        if keys.len() > MAX_KEYS {
            return Err(SpiffeBundleError::TooLarge);
        }
        let mut certificates = Vec::new();
        for (position, key) in keys.iter().enumerate() {
            certificates.extend(key.certificate(position)?);
        }
        Ok(Self {
            roots: Roots::from_der(&certificates).map_err(SpiffeBundleError::Roots)?,
            sequence: document.spiffe_sequence,
            refresh_hint: document
                .spiffe_refresh_hint
                .map_or(DEFAULT_REFRESH_HINT, Duration::from_secs),
        })
    }

    /// The roots that vouch for X509-SVIDs of the trust domain.
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// `spiffe_sequence`: a number that grows with each version of the bundle.
    pub fn sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// `spiffe_refresh_hint`: how often the trust domain wants to be asked. Five minutes unless
    /// the document says.
    pub fn refresh_hint(&self) -> Duration {
        self.refresh_hint
    }
}

impl Key {
    /// The certificate authority, if the key is for X509-SVIDs.
    fn certificate(
        &self,
        position: usize,
    ) -> Result<Option<CertificateDer<'static>>, SpiffeBundleError> {
        //= SPIFFE Trust Domain and Bundle §4.2: elements with an unknown kty or use MUST be
        //= ignored, and so must those without.
        if !matches!(self.kty.as_deref(), Some("EC" | "RSA" | "OKP")) {
            return Ok(None);
        }
        match self.usage.as_deref() {
            Some("x509-svid") => {}
            //= JWT-SVID §6.1: the kid parameter of each JWK entry MUST be set.
            Some("jwt-svid") if self.kid.as_deref().is_none_or(str::is_empty) => {
                return Err(SpiffeBundleError::NoKeyId { position });
            }
            _ => return Ok(None),
        }
        //= X509-SVID §6.2: x5c holds exactly one certificate; an element without is ignored,
        //= and of several values the first alone is looked at.
        let Some(text) = self.x5c.first() else {
            return Ok(None);
        };
        let fits = text.len() <= MAX_CERTIFICATE_BYTES.div_ceil(3) * 4;
        match BASE64_STANDARD.decode(text) {
            Ok(der) if fits => Ok(Some(der.into())),
            _ => Err(SpiffeBundleError::Certificate { position }),
        }
    }
}
