//! One RSA key under each of the algorithms that it serves.

use bartizan_jwt::{Algorithm, KeySet};
use bartizan_testkit::{SigningAlgorithm, SigningKey};
use serde_json::json;

const ALGORITHMS: [(SigningAlgorithm, Algorithm); 6] = [
    (SigningAlgorithm::Rs256, Algorithm::Rs256),
    (SigningAlgorithm::Rs384, Algorithm::Rs384),
    (SigningAlgorithm::Rs512, Algorithm::Rs512),
    (SigningAlgorithm::Ps256, Algorithm::Ps256),
    (SigningAlgorithm::Ps384, Algorithm::Ps384),
    (SigningAlgorithm::Ps512, Algorithm::Ps512),
];

const MESSAGE: &[u8] = b"header.payload";

#[test]
fn a_key_without_an_algorithm_serves_each_and_takes_none_for_another() {
    let pair = SigningKey::generate(SigningAlgorithm::Rs256, "a").unwrap();
    let other = SigningKey::generate(SigningAlgorithm::Rs256, "b").unwrap();
    let set = json!({ "keys": [pair.bare_public_jwk()] }).to_string();
    let set = KeySet::from_json(&set).unwrap();
    let [key] = set.keys() else {
        panic!("one key");
    };
    let check = |signed, signature: &[u8]| {
        for (_, algorithm) in ALGORITHMS {
            let is_it = algorithm == signed;
            assert_eq!(key.verifies(algorithm, MESSAGE, signature), is_it);
            assert_eq!(key.clone().verifies(algorithm, MESSAGE, signature), is_it);
            assert!(!key.verifies(algorithm, b"header.another", signature));
        }
    };
    // Twice: what a library prepared for the first is what it uses for the second.
    for _ in 0..2 {
        for (signing, algorithm) in ALGORITHMS {
            check(algorithm, &pair.sign_as(signing, MESSAGE).unwrap());
            let theirs = other.sign_as(signing, MESSAGE).unwrap();
            assert!(!key.verifies(algorithm, MESSAGE, &theirs));
        }
    }
}
