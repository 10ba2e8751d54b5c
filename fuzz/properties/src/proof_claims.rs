//! Proofs of possession that the right key did sign: none passes that is not for this request, this
//! token and this moment, by other readings than ours; and none without a nonce that we gave.

use bartizan_core::WallTime;
use bartizan_jwt::Dpop;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use ring::{digest, hmac};
use serde_json::Value;
use url::Url;

use crate::input::{Input, text};

const NOW: u64 = 1_800_000_000;
const TOKEN: &str = "a.b.c";
const NONCES: [u8; 32] = [3; 32];
const ORIGIN: &str = "https://orders.example";

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (path, claims) = (text(input.line()), input.rest());
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 bytes");
    let public = URL_SAFE_NO_PAD.encode(pair.public_key());
    let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{public}"}}"#);
    let header = format!(r#"{{"typ":"dpop+jwt","alg":"EdDSA","jwk":{jwk}}}"#);
    let signed = [header.as_bytes(), claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    let signed = signed.join(".");
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()));
    let proof = format!("{signed}.{signature}");
    let sha256 = |bytes: &[u8]| digest::digest(&digest::SHA256, bytes);
    let key = sha256(jwk.as_bytes())
        .as_ref()
        .try_into()
        .expect("32 bytes");

    let now = WallTime::from_unix_seconds(NOW);
    let read = serde_json::from_slice::<Value>(claims).unwrap_or_default();
    let check = |dpop: Dpop, key| {
        dpop.check_proof(&proof, "GET", path, TOKEN, key, now)
            .is_ok()
    };
    let plain = check(Dpop::builder(ORIGIN).build().expect("dpop"), key);
    if plain {
        assert_eq!(read["htm"], "GET");
        assert_eq!(
            read["ath"],
            URL_SAFE_NO_PAD.encode(sha256(TOKEN.as_bytes()))
        );
        assert!(
            read["jti"]
                .as_str()
                .is_some_and(|id| (1..=255).contains(&id.len()))
        );
        let made = read["iat"].as_f64().expect("a number");
        assert!((NOW as f64 - 61.0..=NOW as f64 + 6.0).contains(&made));
        check_target(read["htu"].as_str().expect("a text"), path);
    }
    assert!(!check(
        Dpop::builder(ORIGIN).build().expect("dpop"),
        [0; 32]
    ));
    let nonced = Dpop::builder(ORIGIN).require_nonce_with_key(NONCES);
    if check(nonced.build().expect("dpop"), key) {
        assert!(plain);
        let nonce = read["nonce"].as_str().expect("it has one");
        let nonce = URL_SAFE_NO_PAD.decode(nonce).expect("it is one of ours");
        let (time, mark) = nonce.split_first_chunk::<8>().expect("it is one of ours");
        let genuine = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &NONCES), time);
        assert_eq!(mark, &genuine.as_ref()[..16]);
        assert!((NOW - 300..=NOW).contains(&u64::from_be_bytes(*time)));
    }
}

/// Whether `url` finds the same place.
fn check_target(stated: &str, path: &str) {
    let (Ok(stated), Ok(asked)) = (Url::parse(stated), Url::parse(&format!("{ORIGIN}{path}")))
    else {
        return;
    };
    assert_eq!(stated.origin(), asked.origin());
    assert_eq!(decoded(stated.path()), decoded(asked.path()));
}

fn decoded(path: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..2).and_then(|it| std::str::from_utf8(it).ok());
        let digits = digits.filter(|it| it.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let escaped = digits.and_then(|it| u8::from_str_radix(it, 16).ok());
        rest = match (first, escaped) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                &behind[2..]
            }
            _ => {
                bytes.push(*first);
                behind
            }
        };
    }
    bytes
}
