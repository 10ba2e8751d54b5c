//! Uncached verification beside raw ring: the primitive is the limit.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that fails may panic"
)]

mod support;

use bartizan_benches::Comparison;
use bartizan_core::{Clock as _, SystemClock};
use bartizan_jwt::verify;
use bartizan_testkit::SigningAlgorithm;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};

use support::{keys, mint, rules, token};

fn main() {
    let now = SystemClock.wall();
    for (title, algorithm) in [
        ("RS256, 2048 bits", SigningAlgorithm::Rs256),
        ("ES256", SigningAlgorithm::Es256),
        ("EdDSA (Ed25519)", SigningAlgorithm::EdDsa),
    ] {
        let mint = mint(algorithm);
        let token = token(&mint);
        let (keys, rules) = (keys(&mint), rules());
        assert!(verify(&token, &keys, &rules, now).is_ok());

        let jwk = mint.signing_key().public_jwk();
        let member = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let raw: Box<dyn Fn() -> bool> = match algorithm {
            SigningAlgorithm::Rs256 => {
                let key = RsaPublicKeyComponents {
                    n: member("n"),
                    e: member("e"),
                };
                Box::new(move || {
                    let algorithm = &RSA_PKCS1_2048_8192_SHA256;
                    key.verify(algorithm, signed.as_bytes(), &signature).is_ok()
                })
            }
            SigningAlgorithm::Es256 => {
                let point = [&[4][..], &member("x"), &member("y")].concat();
                let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
                Box::new(move || key.verify(signed.as_bytes(), &signature).is_ok())
            }
            _ => {
                let key = UnparsedPublicKey::new(&ED25519, member("x"));
                Box::new(move || key.verify(signed.as_bytes(), &signature).is_ok())
            }
        };
        assert!(raw());

        let mut comparison = Comparison::new(title);
        comparison.case("raw ring: the signature alone", raw);
        let name = format!("bartizan_jwt::verify, {} bytes", token.len());
        comparison.case(name, || verify(&token, &keys, &rules, now).is_ok());
        comparison.run();
    }
}
