//! RSA keys without an RSA crate.
//!
//! ring signs and verifies with RSA keys but makes none, and the `rsa` crate is not allowed in
//! the family's tree (RUSTSEC-2023-0071). Generation is not constant-time, and big integers are
//! not wiped: these are keys for tests.

use std::fmt;
use std::sync::Arc;

use num_bigint::BigUint;
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};

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
/// Enough rounds for random candidates of 512 bits and more: the chance that a composite passes is
/// below 2^-100 from far fewer (FIPS 186-5 table B.1).
const MILLER_RABIN_ROUNDS: usize = 8;
/// Trial division stops here; what has no smaller factor goes to Miller-Rabin.
const SIEVE_LIMIT: u32 = 8_192;

/// An RSA key pair for tests: any even size from 512 bits, public exponent 65537.
///
/// Cloning shares the key. 2048 bits take a tenth of a second where `num-bigint` is built with
/// optimisation, and seconds where it is not; add this to the root `Cargo.toml` of the workspace:
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

/// A random prime of exactly `bits` bits, whose two top bits are set (so that the product of two
/// has all its bits) and whose predecessor shares no factor with `e`.
fn prime(
    bits: usize,
    e: &BigUint,
    sieve: &[u32],
    random: &SystemRandom,
) -> Result<BigUint, TestkitError> {
    let top = u64::try_from(bits).unwrap_or(u64::MAX);
    loop {
        let mut start = random_bits(bits, random)?;
        start.set_bit(top - 1, true);
        start.set_bit(top - 2, true);
        start.set_bit(0, true);
        // The walk goes up from the start in steps of two, keeping the remainder by each small
        // prime, so that only what survives the sieve costs big arithmetic.
        let remainders: Vec<u32> = sieve
            .iter()
            .map(|prime| small_remainder(&start, *prime))
            .collect();
        for step in (0..SIEVE_LIMIT * 2).step_by(2) {
            if sieve
                .iter()
                .zip(&remainders)
                .any(|(prime, rest)| (rest + step) % prime == 0)
            {
                continue;
            }
            let candidate = &start + step;
            if candidate.bits() == top
                && (&candidate % e) != BigUint::from(1_u8)
                && is_probably_prime(&candidate, random)?
            {
                return Ok(candidate);
            }
        }
    }
}

fn random_bits(bits: usize, random: &SystemRandom) -> Result<BigUint, TestkitError> {
    let mut bytes = vec![0; bits.div_ceil(8)];
    random.fill(&mut bytes)?;
    let excess = bytes.len() * 8 - bits;
    Ok(BigUint::from_bytes_be(&bytes) >> excess)
}

fn small_remainder(number: &BigUint, divisor: u32) -> u32 {
    (number % divisor).iter_u32_digits().next().unwrap_or(0)
}

/// Miller-Rabin with random bases (Handbook of Applied Cryptography, algorithm 4.24).
fn is_probably_prime(candidate: &BigUint, random: &SystemRandom) -> Result<bool, TestkitError> {
    let one = BigUint::from(1_u8);
    let minus_one = candidate - 1_u8;
    let Some(twos) = minus_one.trailing_zeros() else {
        return Ok(false);
    };
    let odd = &minus_one >> twos;
    let base_bits = usize::try_from(candidate.bits())
        .unwrap_or(usize::MAX)
        .saturating_sub(1);
    for _ in 0..MILLER_RABIN_ROUNDS {
        let base = random_bits(base_bits, random)? | BigUint::from(2_u8);
        let mut power = base.modpow(&odd, candidate);
        if power == one || power == minus_one {
            continue;
        }
        let mut reached = false;
        for _ in 1..twos {
            power = &power * &power % candidate;
            if power == minus_one {
                reached = true;
                break;
            }
        }
        if !reached {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The odd primes below [`SIEVE_LIMIT`].
fn small_primes() -> Vec<u32> {
    let mut primes: Vec<u32> = Vec::new();
    for candidate in (3..SIEVE_LIMIT).step_by(2) {
        let divisible = primes
            .iter()
            .take_while(|prime| *prime * *prime <= candidate)
            .any(|prime| candidate.is_multiple_of(*prime));
        if !divisible {
            primes.push(candidate);
        }
    }
    primes
}

#[cfg(test)]
mod tests {
    use ring::rsa;
    use ring::signature;

    use super::*;

    #[test]
    fn a_generated_key_signs_and_ring_verifies() {
        let key = RsaKey::generate(2_048).unwrap();
        let pair = rsa::KeyPair::from_pkcs8(&key.private_key_pkcs8_der()).unwrap();
        assert!(rsa::KeyPair::from_der(&key.private_key_pkcs1_der()).is_ok());
        let mut sealed = vec![0; pair.public().modulus_len()];
        pair.sign(
            &signature::RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            b"message",
            &mut sealed,
        )
        .unwrap();
        let public = signature::RsaPublicKeyComponents {
            n: key.modulus(),
            e: key.exponent(),
        };
        public
            .verify(&signature::RSA_PKCS1_2048_8192_SHA256, b"message", &sealed)
            .unwrap();
        assert!(
            public
                .verify(&signature::RSA_PKCS1_2048_8192_SHA256, b"other", &sealed)
                .is_err()
        );
        // Both roads sign alike: PKCS#1 v1.5 is deterministic.
        assert_eq!(key.sign_pkcs1_sha256(b"message"), sealed);
    }

    #[test]
    fn the_modulus_has_exactly_the_size_asked_for() {
        for bits in [512, 1_024, 1_026] {
            let key = RsaKey::generate(bits).unwrap();
            assert_eq!(key.0.n.bits(), u64::try_from(bits).unwrap());
            assert!(key.0.p > key.0.q);
        }
    }

    #[test]
    fn a_key_of_1024_bits_is_sound_but_small() {
        let key = RsaKey::generate(1_024).unwrap();
        let sealed = key.sign_pkcs1_sha256(b"message");
        let public = signature::RsaPublicKeyComponents {
            n: key.modulus(),
            e: key.exponent(),
        };
        let small_allowed = &signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY;
        public.verify(small_allowed, b"message", &sealed).unwrap();
        assert!(
            public
                .verify(&signature::RSA_PKCS1_2048_8192_SHA256, b"message", &sealed)
                .is_err()
        );
    }

    #[test]
    fn sizes_that_make_no_sense_are_refused() {
        for bits in [0, 511, 1_023, 8_194] {
            assert!(
                matches!(RsaKey::generate(bits), Err(TestkitError::Key { .. })),
                "{bits}"
            );
        }
    }

    #[test]
    fn miller_rabin_tells_primes_from_liars() {
        let random = SystemRandom::new();
        let check = |number: u64, expected: bool| {
            let seen = is_probably_prime(&BigUint::from(number), &random).unwrap();
            assert_eq!(seen, expected, "{number}");
        };
        // 2^61 - 1, the largest prime below 2^64, and a prime of the sieve's size.
        check(2_305_843_009_213_693_951, true);
        check(18_446_744_073_709_551_557, true);
        check(8_191, true);
        // Carmichael numbers, a strong pseudoprime to the bases 2 to 37, and a square.
        check(561, false);
        check(1_122_004_669_633, false);
        check(318_665_857_834_031_151, false);
        check(8_191 * 8_191, false);
    }

    #[test]
    fn debug_shows_no_number_of_the_key() {
        let key = RsaKey::generate(512).unwrap();
        assert_eq!(format!("{key:?}"), "RsaKey { bits: 512, .. }");
    }
}
