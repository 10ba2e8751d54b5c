//! Tokens made with a secret that issuer and service share, and public keys taken for one.

use std::sync::Arc;

use bartizan_jwt::{
    Algorithm, ConfigError, Dpop, JwtConfig, JwtConfigBuilder, JwtLayer, KeySet, Rules,
    SharedSecret,
};
use bartizan_testkit::{SigningAlgorithm, SigningKey, TokenBuilder};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::json;

use crate::support::{AUDIENCE, ISSUER, Offline, outcome, passed, refused, send};

const SECRET: &[u8; 64] = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

const SYMMETRIC: [(Algorithm, hmac::Algorithm); 3] = [
    (Algorithm::Hs256, hmac::HMAC_SHA256),
    (Algorithm::Hs384, hmac::HMAC_SHA384),
    (Algorithm::Hs512, hmac::HMAC_SHA512),
];

/// A good token but for its algorithm and tag: a MAC with `secret`.
fn mac(
    token: &TokenBuilder,
    (algorithm, mac): (Algorithm, hmac::Algorithm),
    secret: &[u8],
) -> String {
    let mut header = token.headers().clone();
    header.insert("alg".to_owned(), algorithm.name().into());
    let header = json!(header);
    let claims = json!(token.claims());
    let parts = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let signed = parts.join(".");
    let tag = hmac::sign(&hmac::Key::new(mac, secret), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn with_secret(offline: &Offline, issuer: &str, algorithm: Algorithm) -> JwtConfigBuilder {
    let secret = SharedSecret::new(algorithm, SECRET).unwrap();
    let rules = Rules::builder(issuer, AUDIENCE).with_algorithms([algorithm]);
    JwtConfig::builder(rules.build().unwrap())
        .with_keys(KeySet::from_secrets([secret.with_key_id("key-1")]))
        .with_clock(Arc::new(offline.clock.clone()))
}

fn layer(config: JwtConfigBuilder) -> JwtLayer {
    JwtLayer::start(config.build().unwrap()).unwrap()
}

#[tokio::test]
async fn a_token_made_with_the_shared_secret_passes_and_is_remembered() {
    let offline = Offline::new(SigningAlgorithm::Es256);
    for pair in SYMMETRIC {
        let layer = layer(with_secret(&offline, ISSUER, pair.0));
        let token = mac(&offline.token(), pair, SECRET);
        for _ in 0..2 {
            let answer = send(&layer, &token).await;
            assert!(answer.is_success(), "{answer:?}");
            assert_eq!(answer.json()["context"]["principal"]["subject"], "alice");
        }
        assert_eq!(layer.guard().cached_tokens(), 1);
        let unnamed = mac(&offline.token().without_header("kid"), pair, SECRET);
        assert_eq!(outcome(&layer, &unnamed).await, passed());
    }
}

#[tokio::test]
async fn a_token_made_with_another_secret_algorithm_or_key_is_refused() {
    let offline = Offline::new(SigningAlgorithm::Es256);
    let [first, second, third] = SYMMETRIC;
    let layer = layer(with_secret(&offline, ISSUER, first.0));
    let wrong = "jwt.algorithm_not_allowed";
    for (token, code) in [
        (
            mac(&offline.token(), first, &SECRET[1..]),
            "jwt.bad_signature",
        ),
        (mac(&offline.token(), first, b""), "jwt.bad_signature"),
        (mac(&offline.token(), second, SECRET), wrong),
        (mac(&offline.token(), third, SECRET), wrong),
        (offline.token().sign().unwrap(), wrong),
        (offline.token().unsigned("none"), wrong),
        (
            mac(&offline.token().header("kid", "other"), first, SECRET),
            "jwt.unknown_key",
        ),
    ] {
        assert_eq!(outcome(&layer, &token).await, refused(401, code));
    }
    let good = mac(&offline.token(), first, SECRET);
    assert_eq!(outcome(&layer, &good).await, passed());
}

/// Every spelling of a public key that somebody might have taken for a secret.
fn spellings(key: &SigningKey) -> Vec<Vec<u8>> {
    let der = key.public_key_der();
    let pem = |end: &str| {
        let body = STANDARD.encode(&der);
        let lines: Vec<_> = body
            .as_bytes()
            .chunks(64)
            .map(|line| str::from_utf8(line).unwrap())
            .collect();
        let body = lines.join("\n");
        format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----{end}").into_bytes()
    };
    let jwk = key.public_jwk();
    let members = ["n", "e", "x", "y"]
        .into_iter()
        .filter_map(|name| jwk.get(name)?.as_str());
    let members: Vec<_> = members.collect();
    let raw = members
        .iter()
        .map(|text| URL_SAFE_NO_PAD.decode(text).unwrap());
    let text = members.iter().map(|text| text.as_bytes().to_vec());
    let whole = jwk.to_string().into_bytes();
    [pem(""), pem("\n"), der, whole, Vec::new()]
        .into_iter()
        .chain(raw)
        .chain(text)
        .collect()
}

#[tokio::test]
async fn h03_a_public_key_in_any_spelling_is_no_secret() {
    for algorithm in [
        SigningAlgorithm::Rs256,
        SigningAlgorithm::Es256,
        SigningAlgorithm::EdDsa,
    ] {
        let offline = Offline::new(algorithm);
        let public = offline.layer();
        // And where another issuer's tokens are made with a secret, at the same service.
        let other = with_secret(&offline, "https://legacy.example", Algorithm::Hs256);
        let both = layer(offline.config().add_issuer(other.build().unwrap()));
        for secret in spellings(&offline.mint.signing_key()) {
            for pair in SYMMETRIC {
                for token in [offline.token(), offline.token().without_header("kid")] {
                    let forged = mac(&token, pair, &secret);
                    let expected = refused(401, "jwt.algorithm_not_allowed");
                    assert_eq!(outcome(&public, &forged).await, expected);
                    assert_eq!(outcome(&both, &forged).await, expected);
                }
            }
        }
        let good = offline.token().sign().unwrap();
        assert_eq!(outcome(&public, &good).await, passed());
        assert_eq!(outcome(&both, &good).await, passed());
    }
}

#[tokio::test]
async fn a_secret_vouches_for_its_own_issuer_alone() {
    let offline = Offline::new(SigningAlgorithm::Es256);
    let legacy = "https://legacy.example";
    let other = with_secret(&offline, legacy, Algorithm::Hs256);
    let both = layer(offline.config().add_issuer(other.build().unwrap()));
    let [hs256, ..] = SYMMETRIC;
    // The secret is right, and so are the names; the issuer is the one with a public key.
    let forged = mac(&offline.token(), hs256, SECRET);
    assert_eq!(
        outcome(&both, &forged).await,
        refused(401, "jwt.algorithm_not_allowed")
    );
    // And the other way round.
    let forged = offline.token().issuer(legacy).sign().unwrap();
    assert_eq!(
        outcome(&both, &forged).await,
        refused(401, "jwt.algorithm_not_allowed")
    );
    let good = mac(&offline.token().issuer(legacy), hs256, SECRET);
    assert_eq!(outcome(&both, &good).await, passed());
}

#[test]
fn a_secret_is_used_only_where_it_is_given_and_named() {
    let offline = Offline::new(SigningAlgorithm::Es256);
    let rules = |algorithms: &[Algorithm]| {
        let rules = Rules::builder(ISSUER, AUDIENCE);
        rules.with_algorithms(
            algorithms
                .iter()
                .copied()
                .collect::<bartizan_jwt::AlgorithmSet>(),
        )
    };
    let secrets = || {
        let secret = SharedSecret::new(Algorithm::Hs256, SECRET).unwrap();
        KeySet::from_secrets([secret])
    };
    let hs256 = || rules(&[Algorithm::Hs256]).build().unwrap();
    let config = |rules| JwtConfig::builder(rules);

    assert!(config(hs256()).with_keys(secrets()).build().is_ok());
    // Not named.
    let unnamed = Rules::builder(ISSUER, AUDIENCE).build().unwrap();
    let unnamed = config(unnamed).with_keys(secrets()).build();
    assert!(matches!(unnamed, Err(ConfigError::NoUsableKey { .. })));
    // Not given: it would have to be fetched, or read from a file.
    for fetching in [
        config(hs256()),
        config(hs256()).with_key_location("https://issuer.example/keys"),
        config(hs256()).with_key_file("/nowhere"),
    ] {
        assert!(matches!(fetching.build(), Err(ConfigError::NoSecret)));
    }
    // A set that was read has none, whatever it says.
    let published =
        json!({ "keys": [{ "kty": "oct", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(SECRET) }] });
    for read in [KeySet::from_json, KeySet::from_spiffe_bundle] {
        let keys = read(&published.to_string()).unwrap();
        assert!(keys.is_empty());
        let refused = config(hs256()).with_keys(keys).build();
        assert!(matches!(refused, Err(ConfigError::NoUsableKey { .. })));
    }
    let public = KeySet::from_json(&offline.mint.jwks().to_string()).unwrap();
    let refused = config(hs256()).with_keys(public).build();
    assert!(matches!(refused, Err(ConfigError::NoUsableKey { .. })));
    // Beside those of public keys, or to prove possession.
    let mixed = rules(&[Algorithm::Hs256, Algorithm::Rs256]).build();
    assert!(matches!(mixed, Err(ConfigError::MixedAlgorithms)));
    let proofs = Dpop::builder(AUDIENCE).with_algorithms([Algorithm::Hs256]);
    assert!(matches!(proofs.build(), Err(ConfigError::SymmetricProof)));
}
