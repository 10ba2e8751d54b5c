//! Random primes.

use num_bigint::BigUint;
use ring::rand::{SecureRandom, SystemRandom};

use crate::error::TestkitError;

/// Enough rounds for random candidates of 512 bits and more: the chance that a composite passes is
/// below 2^-100 from far fewer (FIPS 186-5 table B.1).
const MILLER_RABIN_ROUNDS: usize = 8;
/// Trial division stops here; what has no smaller factor goes to Miller-Rabin.
const SIEVE_LIMIT: u32 = 8_192;

/// A random prime of exactly `bits` bits, whose two top bits are set (so that the product of two
/// has all its bits) and whose predecessor shares no factor with `e`.
pub(super) fn prime(
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
pub(super) fn small_primes() -> Vec<u32> {
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
    use super::*;

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
}
