//! One token, verified by raw ring, by `bartizan_jwt::verify`, by `jsonwebtoken` and by
//! `jwt-authorizer`, in one run. All of them verify on ring: `jsonwebtoken` by a provider that is
//! here, `jwt-authorizer` because the release of `jsonwebtoken` that it rests on does.
//!
//! Ours checks more than the others: see the crate's documentation and `docs/BENCHMARKS.md`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that fails may panic"
)]

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bartizan_benches::Comparison;
use bartizan_core::{Clock as _, SystemClock};
use bartizan_jwt::{Algorithm, KeySet, Rules, SharedSecret, verify};
use bartizan_testkit::{SigningAlgorithm, TokenMint};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result as TheirResult};
use jsonwebtoken::{DecodingKey, DecodingKeyKind, Validation};
use jwt_authorizer::JwtAuthorizer;
use ring::hmac;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use serde::Deserialize;
use serde_json::Value;

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "orders";
const SECRET: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

/// What an application asks for.
#[derive(Clone, Debug, Deserialize)]
#[allow(dead_code, reason = "read by nobody here")]
struct Claims {
    iss: String,
    sub: String,
    aud: Value,
    exp: u64,
    iat: u64,
    jti: String,
    client_id: String,
    scope: Option<String>,
}

/// `jsonwebtoken` on ring, as a user would write it who wants one crypto library.
static ON_RING: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::InvalidKeyFormat.into()),
    verifier_factory,
    key_utils: KeyUtils::new_unimplemented(),
};

struct OnRing {
    algorithm: jsonwebtoken::Algorithm,
    key: DecodingKey,
}

fn verifier_factory(
    algorithm: &jsonwebtoken::Algorithm,
    key: &DecodingKey,
) -> TheirResult<Box<dyn JwtVerifier>> {
    Ok(Box::new(OnRing {
        algorithm: *algorithm,
        key: key.clone(),
    }))
}

impl signature::Verifier<Vec<u8>> for OnRing {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let whole = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(algorithm, key).verify(message, signature)
        };
        let verified = match (self.algorithm, self.key.kind()) {
            (jsonwebtoken::Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                let key = RsaPublicKeyComponents { n, e };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            (jsonwebtoken::Algorithm::HS256, DecodingKeyKind::SecretOrDer(secret)) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::verify(&key, message, signature)
            }
            (jsonwebtoken::Algorithm::ES256, DecodingKeyKind::SecretOrDer(point)) => {
                whole(&ECDSA_P256_SHA256_FIXED, point)
            }
            (_, DecodingKeyKind::SecretOrDer(key)) => whole(&ED25519, key),
            _ => return Err(signature::Error::new()),
        };
        verified.map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for OnRing {
    fn algorithm(&self) -> jsonwebtoken::Algorithm {
        self.algorithm
    }
}

/// A token, what verifies it in each crate, and the primitive alone.
struct Contest {
    token: String,
    keys: KeySet,
    rules: Rules,
    theirs: (DecodingKey, Validation),
    authorizer: jwt_authorizer::Authorizer<Claims>,
    raw: Box<dyn Fn() -> bool>,
}

fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing is fetched"),
    }
}

fn validation(algorithm: jsonwebtoken::Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.validate_nbf = true;
    validation
}

fn mint(algorithm: SigningAlgorithm) -> TokenMint {
    TokenMint::new(ISSUER, algorithm, SystemClock).unwrap()
}

fn builder(mint: &TokenMint) -> bartizan_testkit::TokenBuilder {
    mint.token()
        .audience(AUDIENCE)
        .scope("orders:read orders:write")
        .expires_in(Duration::from_secs(86_400))
}

fn contest(algorithm: SigningAlgorithm, theirs: jsonwebtoken::Algorithm) -> Contest {
    let mint = mint(algorithm);
    let token = builder(&mint).sign().unwrap();
    let jwk = mint.signing_key().public_jwk();
    let text = |name: &str| jwk[name].as_str().unwrap_or_default().to_owned();
    let member = |name: &str| URL_SAFE_NO_PAD.decode(text(name)).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (signed, signature) = (
        signed.to_owned(),
        URL_SAFE_NO_PAD.decode(signature).unwrap(),
    );
    let (key, raw): (DecodingKey, Box<dyn Fn() -> bool>) = match algorithm {
        SigningAlgorithm::Rs256 => {
            let components = RsaPublicKeyComponents {
                n: member("n"),
                e: member("e"),
            };
            let raw = move || {
                let algorithm = &RSA_PKCS1_2048_8192_SHA256;
                components
                    .verify(algorithm, signed.as_bytes(), &signature)
                    .is_ok()
            };
            let key = DecodingKey::from_rsa_components(&text("n"), &text("e")).unwrap();
            (key, Box::new(raw))
        }
        SigningAlgorithm::Es256 => {
            let point = [&[4][..], &member("x"), &member("y")].concat();
            let point = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
            let raw = move || point.verify(signed.as_bytes(), &signature).is_ok();
            let key = DecodingKey::from_ec_components(&text("x"), &text("y")).unwrap();
            (key, Box::new(raw))
        }
        _ => {
            let public = UnparsedPublicKey::new(&ED25519, member("x"));
            let raw = move || public.verify(signed.as_bytes(), &signature).is_ok();
            (
                DecodingKey::from_ed_components(&text("x")).unwrap(),
                Box::new(raw),
            )
        }
    };
    let checks = jwt_authorizer::Validation::new()
        .iss(&[ISSUER])
        .aud(&[AUDIENCE])
        .nbf(true);
    let set = mint.jwks().to_string();
    let authorizer = JwtAuthorizer::<Claims>::from_jwks_text(&set).validation(checks);
    Contest {
        keys: KeySet::from_json(&set).unwrap(),
        rules: Rules::builder(ISSUER, AUDIENCE).build().unwrap(),
        theirs: (key, validation(theirs)),
        authorizer: at_once(authorizer.build()).unwrap(),
        token,
        raw,
    }
}

fn secret_contest() -> Contest {
    let token = builder(&mint(SigningAlgorithm::Es256)).sign_hs256(SECRET);
    let (signed, tag) = token.rsplit_once('.').unwrap();
    let (signed, tag) = (signed.to_owned(), URL_SAFE_NO_PAD.decode(tag).unwrap());
    let raw = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    let secret = SharedSecret::new(Algorithm::Hs256, SECRET).unwrap();
    let rules = Rules::builder(ISSUER, AUDIENCE).with_algorithms([Algorithm::Hs256]);
    let checks = jwt_authorizer::Validation::new()
        .iss(&[ISSUER])
        .aud(&[AUDIENCE])
        .nbf(true);
    let authorizer = JwtAuthorizer::<Claims>::from_secret(str::from_utf8(SECRET).unwrap());
    Contest {
        keys: KeySet::from_secrets([secret.with_key_id("key-1")]),
        rules: rules.build().unwrap(),
        theirs: (
            DecodingKey::from_secret(SECRET),
            validation(jsonwebtoken::Algorithm::HS256),
        ),
        authorizer: at_once(authorizer.validation(checks).build()).unwrap(),
        token,
        raw: Box::new(move || hmac::verify(&raw, signed.as_bytes(), &tag).is_ok()),
    }
}

fn main() {
    ON_RING.install_default().unwrap();
    let now = SystemClock.wall();
    for (title, contest) in [
        (
            "RS256, 2048 bits",
            contest(SigningAlgorithm::Rs256, jsonwebtoken::Algorithm::RS256),
        ),
        (
            "ES256",
            contest(SigningAlgorithm::Es256, jsonwebtoken::Algorithm::ES256),
        ),
        (
            "EdDSA (Ed25519)",
            contest(SigningAlgorithm::EdDsa, jsonwebtoken::Algorithm::EdDSA),
        ),
        ("HS256", secret_contest()),
    ] {
        let Contest {
            token,
            keys,
            rules,
            theirs: (key, validation),
            authorizer,
            raw,
        } = &contest;
        let ours = || verify(token, keys, rules, now).is_ok();
        let theirs = || jsonwebtoken::decode::<Claims>(token, key, validation).is_ok();
        let other = || at_once(authorizer.check_auth(token)).is_ok();
        assert!(raw() && ours() && theirs() && other(), "{title}");

        let mut comparison = Comparison::new(title);
        comparison.case("raw ring: the signature alone", raw);
        comparison.case(format!("bartizan_jwt::verify, {} bytes", token.len()), ours);
        comparison.case("jsonwebtoken 11 on ring", theirs);
        comparison.case("jwt-authorizer 0.15 (jsonwebtoken 9, ring)", other);
        comparison.run();
    }
}
