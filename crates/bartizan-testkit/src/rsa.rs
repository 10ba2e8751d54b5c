//! RSA keys without an RSA crate.
//!
//! ring signs and verifies with RSA keys but makes none, and the `rsa` crate is not allowed in
//! the family's tree (RUSTSEC-2023-0071). Generation is not constant-time, and big integers are
//! not wiped: these are keys for tests.

mod prime;

use std::fmt;
use std::sync::Arc;

use num_bigint::BigUint;
use ring::digest;
use ring::rand::SystemRandom;

use self::prime::{prime, small_primes};
use crate::der;
use crate::error::TestkitError;

/// The AlgorithmIdentifier of rsaEncryption with its NULL parameters (RFC 3279 §2.3.1).
const RSA_ENCRYPTION: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];
/// The DigestInfo of SHA-256 up to the hash itself (RFC 8017 §9.2 note 1).
const SHA256_DIGEST_INFO: &[u8] = &[
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];
/// An RSA key pair for tests: any even size from 512 bits, public exponent 65537.
///
/// Cloning shares the key. 2048 bits take a tenth of a second where `num-bigint` is built with
/// optimisation, and about two seconds where it is not; add this to the root `Cargo.toml` of the workspace:
///
/// ```toml
/// [profile.dev.package.num-bigint]
/// opt-level = 3
/// ```
#[derive(Clone)]
pub struct RsaKey(Arc<Numbers>);

struct Numbers {
    bits: usize,
    n: BigUint,
    e: BigUint,
    d: BigUint,
    p: BigUint,
    q: BigUint,
}

impl RsaKey {
    /// Makes a key whose modulus has exactly `bits` bits.
    ///
    /// ring loads private keys of 2048, 3072 and 4096 bits; smaller ones exist for tests that a
    /// verifier refuses them.
    ///
    /// # Errors
    ///
    /// [`TestkitError::Key`] for an odd size, or one outside 512 to 8192 bits;
    /// [`TestkitError::Random`] if the system has no random bytes.
    pub fn generate(bits: usize) -> Result<Self, TestkitError> {
        if !(512..=8_192).contains(&bits) || !bits.is_multiple_of(2) {
            return Err(TestkitError::key(format!(
                "RSA modulus of {bits} bits: an even size from 512 to 8192 is possible"
            )));
        }
        let random = SystemRandom::new();
        let sieve = small_primes();
        let e = BigUint::from(65_537_u32);
        loop {
            let first = prime(bits / 2, &e, &sieve, &random)?;
            let second = prime(bits / 2, &e, &sieve, &random)?;
            if first == second {
                continue;
            }
            // ring wants the larger prime first, as RFC 8017 §3.2 needs for qInv.
            let (p, q) = if first > second {
                (first, second)
            } else {
                (second, first)
            };
            let totient = (&p - 1_u8) * (&q - 1_u8);
            // Never `None`: `prime` gives no prime whose predecessor is a multiple of e.
            let Some(d) = e.modinv(&totient) else {
                continue;
            };
            return Ok(Self(Arc::new(Numbers {
                bits,
                n: &p * &q,
                e,
                d,
                p,
                q,
            })));
        }
    }

    /// The size of the modulus in bits.
    pub fn bits(&self) -> usize {
        self.0.bits
    }

    /// The modulus as JWK member `n` holds it: big-endian, without leading zeros (RFC 7518 §6.3.1.1).
    pub fn modulus(&self) -> Vec<u8> {
        self.0.n.to_bytes_be()
    }

    /// The public exponent as JWK member `e` holds it (RFC 7518 §6.3.1.2).
    pub fn exponent(&self) -> Vec<u8> {
        self.0.e.to_bytes_be()
    }

    /// The public key as DER of a PKCS#1 RSAPublicKey (RFC 8017 §A.1.1), which is what ring's
    /// verification takes.
    pub fn public_key_pkcs1_der(&self) -> Vec<u8> {
        der::sequence(&[integer(&self.0.n), integer(&self.0.e)])
    }

    /// The public key as DER of a SubjectPublicKeyInfo.
    pub fn public_key_der(&self) -> Vec<u8> {
        der::public_key_info(RSA_ENCRYPTION, &self.public_key_pkcs1_der())
    }

    /// The public key as PEM (`BEGIN PUBLIC KEY`).
    pub fn public_key_pem(&self) -> String {
        der::pem("PUBLIC KEY", &self.public_key_der())
    }

    /// The private key as DER of a PKCS#1 RSAPrivateKey (RFC 8017 §A.1.2).
    pub fn private_key_pkcs1_der(&self) -> Vec<u8> {
        let Numbers { n, e, d, p, q, .. } = &*self.0;
        // Never `None`: p and q are different primes.
        let coefficient = q.modinv(p).unwrap_or_default();
        der::sequence(&[
            der::unsigned(&[0]),
            integer(n),
            integer(e),
            integer(d),
            integer(p),
            integer(q),
            integer(&(d % (p - 1_u8))),
            integer(&(d % (q - 1_u8))),
            integer(&coefficient),
        ])
    }

    /// The private key as DER of PKCS#8 (RFC 5208 §5).
    pub fn private_key_pkcs8_der(&self) -> Vec<u8> {
        der::sequence(&[
            der::unsigned(&[0]),
            RSA_ENCRYPTION.to_vec(),
            der::value(der::OCTET_STRING, &self.private_key_pkcs1_der()),
        ])
    }

    /// The private key as PEM of PKCS#8 (`BEGIN PRIVATE KEY`).
    pub fn private_key_pem(&self) -> String {
        der::pem("PRIVATE KEY", &self.private_key_pkcs8_der())
    }

    /// Signs with RSASSA-PKCS1-v1_5 and SHA-256 by plain arithmetic, for sizes that ring refuses.
    ///
    /// Such a signature is right in every respect but the size of its key, so that a test which
    /// sees it refused knows why.
    pub fn sign_pkcs1_sha256(&self, message: &[u8]) -> Vec<u8> {
        let hash = digest::digest(&digest::SHA256, message);
        let length = self.0.bits.div_ceil(8);
        let info_length = SHA256_DIGEST_INFO.len() + hash.as_ref().len();
        // RFC 8017 §9.2: 00 01 FF..FF 00 DigestInfo.
        let mut block = vec![0, 1];
        block.resize(length.saturating_sub(info_length + 1), 0xff);
        block.push(0);
        block.extend_from_slice(SHA256_DIGEST_INFO);
        block.extend_from_slice(hash.as_ref());
        let number = BigUint::from_bytes_be(&block)
            .modpow(&self.0.d, &self.0.n)
            .to_bytes_be();
        let mut signature = vec![0; length.saturating_sub(number.len())];
        signature.extend(number);
        signature
    }
}

impl fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RsaKey")
            .field("bits", &self.0.bits)
            .finish_non_exhaustive()
    }
}

fn integer(number: &BigUint) -> Vec<u8> {
    der::unsigned(&number.to_bytes_be())
}

#[cfg(test)]
mod tests;
