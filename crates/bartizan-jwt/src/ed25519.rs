//! What ring does not check of an Ed25519 public key.

mod field;

use crate::key::{KeyProblem, PointCheck};

/// The field's prime, 2^255 - 19, little endian.
const PRIME: [u8; 32] = {
    let mut bytes = [0xff; 32];
    bytes[0] = 0xed;
    bytes[31] = 0x7f;
    bytes
};

/// The y coordinates of the points whose order divides 8, little endian: 0, 1, p - 1 and the two
/// of order 8. Each stands for the points of both signs.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    {
        let mut minus_one = PRIME;
        minus_one[0] = 0xec;
        minus_one
    },
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

/// Refuses keys under which a signature proves nothing.
///
/// Under a key of small order, one signature holds for many messages, and anybody can make it;
/// ring verifies it all the same. A y coordinate of p or more is a second spelling of a smaller
/// one, among them of those of small order. Half of all numbers are y coordinates of no point:
/// nothing would verify under such a key, and its issuer should be told when it is loaded.
pub(crate) fn check_public_key(key: &[u8], check: PointCheck) -> Result<(), KeyProblem> {
    let mut y: [u8; 32] = key.try_into().map_err(|_| KeyProblem::PointInvalid)?;
    if let Some(last) = y.last_mut() {
        // The top bit is the sign of x.
        *last &= 0x7f;
    }
    if y.iter().rev().ge(PRIME.iter().rev()) {
        return Err(KeyProblem::PointInvalid);
    }
    if SMALL_ORDER.contains(&y) {
        return Err(KeyProblem::SmallOrder);
    }
    if check == PointCheck::Now && !field::is_on_curve(&y) {
        return Err(KeyProblem::PointInvalid);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ring::signature::{self, Ed25519KeyPair, KeyPair};

    use super::*;

    fn check(key: &[u8]) -> Result<(), KeyProblem> {
        check_public_key(key, PointCheck::Now)
    }

    fn sum(mut y: [u8; 32], addend: u8) -> [u8; 32] {
        let mut carry = u16::from(addend);
        for byte in &mut y {
            let total = u16::from(*byte) + carry;
            *byte = total as u8;
            carry = total >> 8;
        }
        y
    }

    #[test]
    fn every_spelling_of_a_small_order_key_is_refused() {
        for y in SMALL_ORDER {
            for sign in [0, 0x80] {
                let mut key = y;
                key[31] |= sign;
                assert_eq!(check(&key), Err(KeyProblem::SmallOrder));
            }
        }
        for addend in 0..19 {
            for sign in [0, 0x80] {
                let mut key = sum(PRIME, addend);
                key[31] |= sign;
                assert_eq!(check(&key), Err(KeyProblem::PointInvalid), "p + {addend}");
            }
        }
    }

    #[test]
    fn ring_itself_accepts_a_forged_signature_under_the_identity() {
        // R is the identity and S is zero, so that the equation holds for any message. If this
        // fails one day, ring has begun to check, and this file may go.
        let identity = SMALL_ORDER[1];
        let mut forged = [0; 64];
        forged[0] = 1;
        let key = signature::UnparsedPublicKey::new(&signature::ED25519, identity);
        assert!(key.verify(b"anything", &forged).is_ok());
    }

    #[test]
    fn a_key_has_thirty_two_bytes() {
        for length in [0, 31, 33, 64] {
            let key = vec![9; length];
            assert_eq!(check(&key), Err(KeyProblem::PointInvalid));
        }
    }

    #[test]
    fn a_number_that_is_no_point_is_refused_where_it_is_not_about_to_be_used() {
        let mut two = [0; 32];
        two[0] = 2;
        assert_eq!(check(&two), Err(KeyProblem::PointInvalid));
        assert_eq!(check_public_key(&two, PointCheck::WhenUsed), Ok(()));
        let key = signature::UnparsedPublicKey::new(&signature::ED25519, two);
        assert!(key.verify(b"anything", &[0; 64]).is_err());
    }

    proptest! {
        #[test]
        fn real_keys_pass(seed: [u8; 32]) {
            let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
            let key = pair.public_key().as_ref();
            prop_assert_eq!(check(key), Ok(()));
            // The point with the other x.
            let mut other = key.to_vec();
            other[31] ^= 0x80;
            prop_assert_eq!(check(&other), Ok(()));
        }
    }
}
