//! Tokens and forgeries: each is what its name says, and nothing else is wrong with it.

use std::time::Duration;

use bartizan_core::{Clock as _, WallTime};
use bartizan_testkit::{
    ManualClock, OldKey, RsaKey, SigningAlgorithm, SigningKey, TokenMint, forge,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, JwkSet};
use ring::hmac;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde_json::{Value, json};

use crate::support::{part, raw_part, signing_input};

const ISSUER: &str = "https://issuer.example";

fn mint(algorithm: SigningAlgorithm) -> TokenMint {
    TokenMint::new(ISSUER, algorithm, ManualClock::at_unix_seconds(1_000)).unwrap()
}

/// Whether the signature of `token` is right for the public key in `jwk`.
fn verifies(token: &str, jwk: &Value) -> bool {
    let member = |name: &str| raw_part(jwk[name].as_str().unwrap(), 0);
    let (input, sealed) = (signing_input(token).as_bytes(), raw_part(token, 2));
    let point = || [vec![4], member("x"), member("y")].concat();
    let verified = match jwk["alg"].as_str().unwrap() {
        "ES256" => UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point())
            .verify(input, &sealed),
        "ES384" => UnparsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, point())
            .verify(input, &sealed),
        "EdDSA" => UnparsedPublicKey::new(&signature::ED25519, member("x")).verify(input, &sealed),
        "RS256" => RsaPublicKeyComponents {
            n: member("n"),
            e: member("e"),
        }
        .verify(&signature::RSA_PKCS1_2048_8192_SHA256, input, &sealed),
        other => panic!("no verification for {other}"),
    };
    verified.is_ok()
}

#[test]
fn a_token_is_an_access_token_of_rfc_9068() {
    let mint = mint(SigningAlgorithm::Es256);
    let token = mint
        .token()
        .audience("orders")
        .scope("orders:read")
        .sign()
        .unwrap();
    assert_eq!(
        part(&token, 0),
        json!({ "alg": "ES256", "kid": "key-1", "typ": "at+jwt" })
    );
    assert_eq!(
        part(&token, 1),
        json!({
            "iss": ISSUER, "sub": "alice", "aud": "orders", "scope": "orders:read",
            "client_id": "test-client", "iat": 1_000, "exp": 1_300, "jti": "token-1",
        })
    );
    let next = mint.token().sign().unwrap();
    assert_eq!(part(&next, 1)["jti"], "token-2");
}

#[test]
fn tokens_of_every_key_verify_against_the_key_set() {
    let algorithms = [
        SigningAlgorithm::EdDsa,
        SigningAlgorithm::Es256,
        SigningAlgorithm::Es384,
        SigningAlgorithm::Rs256,
    ];
    for algorithm in algorithms {
        let mint = mint(algorithm);
        let token = mint.token().sign().unwrap();
        assert!(verifies(&token, &mint.jwks()["keys"][0]), "{algorithm:?}");
        // The key set is one that another implementation reads.
        let set: JwkSet = serde_json::from_value(mint.jwks()).unwrap();
        let key = set.find("key-1").unwrap();
        let kind = match &key.algorithm {
            AlgorithmParameters::EllipticCurve(_) => "EC",
            AlgorithmParameters::OctetKeyPair(_) => "OKP",
            AlgorithmParameters::RSA(_) => "RSA",
            other => panic!("{other:?}"),
        };
        assert_eq!(mint.jwks()["keys"][0]["kty"], kind);
        let header: jsonwebtoken::Header = serde_json::from_value(part(&token, 0)).unwrap();
        assert_eq!(header.kid.as_deref(), Some("key-1"));
    }
}

#[test]
fn rotation_keeps_or_removes_the_old_key() {
    let mint = mint(SigningAlgorithm::Es256);
    let kids = || -> Vec<String> {
        mint.published_keys()
            .iter()
            .map(|key| key.kid().to_owned())
            .collect()
    };
    let first = mint.signing_key();
    mint.rotate(OldKey::Keep).unwrap();
    assert_eq!(kids(), ["key-1", "key-2"]);
    mint.rotate(OldKey::Remove).unwrap();
    assert_eq!(kids(), ["key-1", "key-3"]);
    mint.withdraw("key-1");
    assert_eq!(kids(), ["key-3"]);
    assert_eq!(part(&mint.token().sign().unwrap(), 0)["kid"], "key-3");
    mint.withdraw("key-3");
    assert!(kids().is_empty());
    assert_eq!(part(&mint.token().sign().unwrap(), 0)["kid"], "key-3");
    mint.rotate_to(first, OldKey::Keep);
    assert_eq!(kids(), ["key-1"]);
}

#[test]
fn the_key_set_takes_any_value() {
    let mint = mint(SigningAlgorithm::Es256);
    mint.publish_jwk(json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "shared" }));
    mint.rotate(OldKey::Remove).unwrap();
    let kids: Vec<Value> = mint.jwks()["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["kid"].clone())
        .collect();
    assert_eq!(kids, ["key-2", "shared"]);
}

#[test]
fn claims_and_header_take_any_value_or_none() {
    let base = mint(SigningAlgorithm::EdDsa).token();
    let token = base
        .clone()
        .audiences(["a", "b"])
        .claim("exp", json!("soon"))
        .claim("sub", Value::Null)
        .without_claim("jti")
        .header("crit", json!(["exp"]))
        .without_header("typ")
        .sign()
        .unwrap();
    assert_eq!(
        part(&token, 0),
        json!({ "alg": "EdDSA", "kid": "key-1", "crit": ["exp"] })
    );
    let claims = part(&token, 1);
    assert_eq!(claims["aud"], json!(["a", "b"]));
    assert_eq!(claims["exp"], "soon");
    assert!(claims["sub"].is_null() && claims.get("jti").is_none());

    let raw = base
        .clone()
        .raw_header(br#"{"alg":"EdDSA","alg":"none"}"#)
        .raw_payload(b"\xef\xbb\xbf{}")
        .sign()
        .unwrap();
    assert_eq!(raw_part(&raw, 0), br#"{"alg":"EdDSA","alg":"none"}"#);
    assert_eq!(raw_part(&raw, 1), b"\xef\xbb\xbf{}");
}

#[test]
fn times_come_from_the_clock() {
    let clock = ManualClock::at_unix_seconds(10_000);
    let mint = TokenMint::new(ISSUER, SigningAlgorithm::EdDsa, clock.clone()).unwrap();
    clock.advance(Duration::from_secs(5));
    let check = |builder: bartizan_testkit::TokenBuilder, name: &str, expected: u64| {
        assert_eq!(builder.claims()[name], expected, "{name}");
    };
    check(mint.token(), "iat", 10_005);
    check(
        mint.token().expires_in(Duration::from_secs(7)),
        "exp",
        10_012,
    );
    check(
        mint.token().expired_since(Duration::from_secs(1)),
        "exp",
        10_004,
    );
    check(
        mint.token().expired_since(Duration::from_secs(1)),
        "iat",
        9_704,
    );
    check(
        mint.token()
            .not_before(clock.wall() + Duration::from_secs(9)),
        "nbf",
        10_014,
    );
    check(
        mint.token().expires_at(WallTime::from_unix_seconds(3)),
        "exp",
        3,
    );
}

#[test]
fn a_token_of_a_foreign_key_names_the_issuers() {
    let mint = mint(SigningAlgorithm::Es256);
    let thief = SigningKey::generate(SigningAlgorithm::Es256, "key-1").unwrap();
    let token = mint.token().sign_with_foreign_key(&thief).unwrap();
    assert_eq!(part(&token, 0)["kid"], "key-1");
    assert!(!verifies(&token, &mint.jwks()["keys"][0]));
    assert!(verifies(&token, &thief.public_jwk()));
}

#[test]
fn an_embedded_key_verifies_its_own_token() {
    let mint = mint(SigningAlgorithm::Es256);
    let thief = SigningKey::generate(SigningAlgorithm::EdDsa, "thief").unwrap();
    let token = mint.token().sign_with_embedded_key(&thief).unwrap();
    let header = part(&token, 0);
    assert_eq!(header["alg"], "EdDSA");
    assert_eq!(header["jwk"], thief.bare_public_jwk());
    assert!(header["jwk"].get("d").is_none());
    assert!(verifies(&token, &thief.public_jwk()));
}

#[test]
fn the_confused_token_is_a_right_hmac_of_the_public_key() {
    let mint = mint(SigningAlgorithm::Rs256);
    let token = mint.token().sign_hs256_with_public_key();
    assert_eq!(part(&token, 0)["alg"], "HS256");
    let pem = mint.signing_key().public_key_pem();
    assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----"));
    let key = hmac::Key::new(hmac::HMAC_SHA256, pem.as_bytes());
    hmac::verify(&key, signing_input(&token).as_bytes(), &raw_part(&token, 2)).unwrap();
}

#[test]
fn an_unsigned_token_says_so() {
    let mint = mint(SigningAlgorithm::Es256);
    for algorithm in ["none", "None", "nOnE"] {
        let token = mint.token().unsigned(algorithm);
        assert!(token.ends_with('.'));
        assert_eq!(part(&token, 0)["alg"], algorithm);
    }
}

#[test]
fn a_small_rsa_key_signs_a_token_that_is_otherwise_right() {
    let rsa = RsaKey::generate(1_024).unwrap();
    let key = SigningKey::from_rsa(&rsa, SigningAlgorithm::Rs256, "small").unwrap();
    let clock = ManualClock::default();
    let mint = TokenMint::with_key(ISSUER, key, std::sync::Arc::new(clock));
    let token = mint.token().sign().unwrap();
    RsaPublicKeyComponents {
        n: rsa.modulus(),
        e: rsa.exponent(),
    }
    .verify(
        &signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        signing_input(&token).as_bytes(),
        &raw_part(&token, 2),
    )
    .unwrap();
}

#[test]
fn surgery_changes_one_thing_alone() {
    let mint = mint(SigningAlgorithm::Es256);
    let jwk = mint.jwks()["keys"][0].clone();
    let token = mint.token().sign().unwrap();
    let sealed = raw_part(&token, 2);

    let tampered = forge::tampered_claim(&token, "sub", "admin").unwrap();
    assert_eq!(part(&tampered, 1)["sub"], "admin");
    assert_eq!(raw_part(&tampered, 2), sealed);
    assert!(!verifies(&tampered, &jwk));

    let tampered = forge::tampered_header(&token, "typ", "JWT").unwrap();
    assert_eq!(part(&tampered, 0)["typ"], "JWT");
    assert_eq!(raw_part(&tampered, 2), sealed);
    assert!(!verifies(&tampered, &jwk));

    let check = |forged: String, expected: &[u8]| {
        assert_eq!(signing_input(&forged), signing_input(&token));
        assert_eq!(raw_part(&forged, 2), expected);
    };
    check(forge::truncated_signature(&token).unwrap(), &sealed[..63]);
    check(forge::zero_signature(&token).unwrap(), &[0; 64]);
    check(forge::without_signature(&token).unwrap(), &[]);
    let mut flipped = sealed.clone();
    flipped[0] ^= 1;
    check(forge::flipped_signature(&token).unwrap(), &flipped);
    check(forge::with_signature(&token, b"abc").unwrap(), b"abc");
}

#[test]
fn a_der_signature_is_right_in_the_wrong_form() {
    let mint = mint(SigningAlgorithm::Es256);
    let token = forge::der_signature(&mint.token().sign().unwrap()).unwrap();
    let jwk = &mint.jwks()["keys"][0];
    let member = |name: &str| raw_part(jwk[name].as_str().unwrap(), 0);
    let point = [vec![4], member("x"), member("y")].concat();
    UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_ASN1, point)
        .verify(signing_input(&token).as_bytes(), &raw_part(&token, 2))
        .unwrap();
}

#[test]
fn other_spellings_of_a_signature_decode_to_the_same_bytes() {
    use base64::alphabet::URL_SAFE;
    use base64::engine::{DecodePaddingMode, Engine as _, GeneralPurpose, GeneralPurposeConfig};

    let lax = GeneralPurpose::new(
        &URL_SAFE,
        GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let token = mint(SigningAlgorithm::Es256).token().sign().unwrap();
    for forged in [
        forge::padded_signature(&token).unwrap(),
        forge::non_canonical_signature(&token).unwrap(),
    ] {
        assert_ne!(forged, token);
        assert_eq!(signing_input(&forged), signing_input(&token));
        let text = forged.rsplit_once('.').unwrap().1;
        assert_eq!(lax.decode(text).unwrap(), raw_part(&token, 2));
    }
    let full = mint(SigningAlgorithm::Es384).token().sign().unwrap();
    assert!(forge::padded_signature(&full).is_err());
    assert!(forge::non_canonical_signature(&full).is_err());
}

#[test]
fn surgery_on_what_is_no_token_is_refused() {
    for text in ["", "a", "a.b", "a.b.c.d", "!.!.!"] {
        assert!(forge::tampered_claim(text, "sub", "x").is_err(), "{text:?}");
        assert!(forge::truncated_signature(text).is_err(), "{text:?}");
    }
}

#[test]
fn a_proof_names_its_request_its_token_and_its_key() {
    let key = SigningKey::generate(SigningAlgorithm::Es256, "client").unwrap();
    let now = WallTime::from_unix_seconds(1_700_000_000);
    let proof = key.proof("GET", "https://localhost/orders", now);
    let proof = proof.for_token("a.b.c").id("p-7").sign().unwrap();
    assert!(verifies(&proof, &key.public_jwk()));
    let (header, claims) = (part(&proof, 0), part(&proof, 1));
    assert_eq!(header["typ"], "dpop+jwt");
    assert_eq!(header["jwk"], key.bare_public_jwk());
    assert_eq!(claims["jti"], "p-7");
    assert_eq!(claims["htm"], "GET");
    assert_eq!(claims["htu"], "https://localhost/orders");
    assert_eq!(claims["iat"], 1_700_000_000);
    assert_eq!(claims["ath"], hash("a.b.c"));
}

#[test]
fn a_token_is_bound_to_a_key_by_the_hash_of_its_members_in_order() {
    let key = SigningKey::generate(SigningAlgorithm::Es256, "client").unwrap();
    let jwk = key.bare_public_jwk();
    // RFC 7638 §3.2: the required members in lexicographic order, without whitespace.
    let members = format!(
        r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#,
        jwk["x"], jwk["y"]
    );
    let token = mint(SigningAlgorithm::Es256).token().bound_to_key(&key);
    let token = token.sign().unwrap();
    assert_eq!(part(&token, 1)["cnf"], json!({ "jkt": hash(&members) }));
}

fn hash(text: &str) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    URL_SAFE_NO_PAD.encode(hash)
}
