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
fn debug_shows_no_number_of_the_key() {
    let key = RsaKey::generate(512).unwrap();
    assert_eq!(format!("{key:?}"), "RsaKey { bits: 512, .. }");
}
