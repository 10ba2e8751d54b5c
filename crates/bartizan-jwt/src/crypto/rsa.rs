//! A public RSA key, of which is kept what the library can keep.

#[cfg(feature = "aws-lc-rs")]
use std::sync::OnceLock;

#[cfg(feature = "aws-lc-rs")]
use super::signature::ParsedPublicKey;
use super::signature::{RsaParameters, RsaPublicKeyComponents};
use crate::algorithm::Algorithm;

/// A public RSA key. ring prepares it anew for each signature, about a third of what that costs;
/// aws-lc-rs does it once for each algorithm that is asked for.
#[derive(Clone)]
pub(crate) struct RsaKey {
    numbers: RsaPublicKeyComponents<Box<[u8]>>,
    /// In the order of [`ALGORITHMS`]. Not before the first signature: the key of a proof is used
    /// once.
    #[cfg(feature = "aws-lc-rs")]
    prepared: Box<[OnceLock<Option<ParsedPublicKey>>; ALGORITHMS.len()]>,
}

#[cfg(feature = "aws-lc-rs")]
const ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];

impl RsaKey {
    /// A key of modulus `n` and exponent `e`, big-endian without leading zeros.
    pub(crate) fn new(n: Vec<u8>, e: Vec<u8>) -> Self {
        Self {
            numbers: RsaPublicKeyComponents {
                n: n.into(),
                e: e.into(),
            },
            #[cfg(feature = "aws-lc-rs")]
            prepared: Box::default(),
        }
    }

    /// Whether the signature is this key's under `algorithm`, whose parameters these are.
    #[cfg(not(feature = "aws-lc-rs"))]
    pub(crate) fn verifies(
        &self,
        _: Algorithm,
        parameters: &'static RsaParameters,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        self.numbers.verify(parameters, message, signature).is_ok()
    }

    /// Whether the signature is this key's under `algorithm`, whose parameters these are.
    #[cfg(feature = "aws-lc-rs")]
    pub(crate) fn verifies(
        &self,
        algorithm: Algorithm,
        parameters: &'static RsaParameters,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let index = ALGORITHMS.iter().position(|it| *it == algorithm);
        let Some(kept) = index.and_then(|index| self.prepared.get(index)) else {
            return false;
        };
        let prepare = || self.numbers.to_parsed_public_key(parameters).ok();
        kept.get_or_init(prepare)
            .as_ref()
            .is_some_and(|key| key.verify_sig(message, signature).is_ok())
    }
}
