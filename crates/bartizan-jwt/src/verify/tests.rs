use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::testing::{self, NOW, claims, header, keys, now, rules, sign, sign_text, with};

fn kind(result: Result<VerifiedToken, JwtError>) -> Result<String, JwtErrorKind> {
    result
        .map(|token| token.claims().principal().subject().to_owned())
        .map_err(|error| error.kind())
}

#[track_caller]
fn check(token: &str, expected: Result<&str, JwtErrorKind>) {
    let got = kind(verify(token, &keys(), &rules().build().unwrap(), now()));
    assert_eq!(got, expected.map(str::to_owned), "{token}");
}

fn good() -> String {
    sign(&header(), &claims())
}

#[test]
fn a_good_token_passes_and_names_its_principal() {
    let rules = rules().build().unwrap();
    let token = verify(&good(), &keys(), &rules, now()).unwrap();
    let principal = token.claims().principal();
    assert_eq!(principal.issuer(), testing::ISSUER);
    let at = WallTime::from_unix_seconds;
    let claims = token.claims();
    assert_eq!(claims.issued_at(), Some(at(NOW - 10)));
    assert_eq!(
        (claims.not_before(), claims.expires()),
        (None, at(NOW + 300))
    );
    assert_eq!(claims.payload(), testing::claims().to_string());
    assert_eq!(principal.client(), Some("shop"));
    assert_eq!(principal.token_id(), Some("t-1"));
    assert_eq!(
        principal.scopes().collect::<Vec<_>>(),
        ["orders:read", "orders:write"]
    );
    assert_eq!(
        principal.expires(),
        Some(WallTime::from_unix_seconds(NOW + 300))
    );
    assert!(!principal.has_scope("orders"));
    assert!(keys().trusts(token.key()));
    assert!(!KeySet::default().trusts(token.key()));
}

#[test]
fn claims_are_equal_where_the_issuer_wrote_the_same() {
    let rules = rules().build().unwrap();
    let later = with(claims(), json!({ "nbf": NOW - 5 }));
    let read = |claims: &serde_json::Value| {
        let token = verify(&sign(&header(), claims), &keys(), &rules, now()).unwrap();
        std::sync::Arc::clone(token.shared_claims())
    };
    assert_eq!(read(&claims()), read(&claims()));
    assert_ne!(read(&claims()), read(&later));
    let since = WallTime::from_unix_seconds(NOW - 5);
    assert_eq!(read(&later).not_before(), Some(since));
}

#[test]
fn both_names_of_the_edwards_algorithm_pass() {
    check(
        &sign(&with(header(), json!({ "alg": "Ed25519" })), &claims()),
        Ok("alice"),
    );
}

#[test]
fn rejects_token_with_alg_none() {
    for name in ["none", "None", "NONE", "nOnE"] {
        let unsigned = sign(&with(header(), json!({ "alg": name })), &claims());
        let (signed, _) = unsigned.rsplit_once('.').unwrap();
        check(
            &format!("{signed}."),
            Err(JwtErrorKind::AlgorithmNotAllowed),
        );
        check(&unsigned, Err(JwtErrorKind::AlgorithmNotAllowed));
    }
}

#[test]
fn rejects_another_number_of_parts() {
    let token = good();
    let (header, rest) = token.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    for shape in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "....".to_owned(),
        header.to_owned(),
        format!("{header}.{payload}"),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.x"),
        format!("{header}..{payload}.{signature}"),
        format!("{header}.{payload}.{signature}.x.y"),
        format!(".{payload}.{signature}"),
        format!("{header}..{signature}"),
    ] {
        check(&shape, Err(JwtErrorKind::Malformed));
    }
    check(
        &format!("{header}.{payload}."),
        Err(JwtErrorKind::BadSignature),
    );
}

#[test]
fn rejects_spellings_of_base64url_that_are_not_canonical() {
    let token = good();
    for spelled in [
        format!("{token}="),
        format!("{token}=="),
        format!("{token}\n"),
        format!(" {token}"),
        token.replacen('.', "=.", 1),
        token.replacen('.', " .", 1),
    ] {
        check(&spelled, Err(JwtErrorKind::Malformed));
    }
    // 64 bytes end in a digit with four spare bits.
    let last = token.chars().last().unwrap();
    let bumped = match last {
        'A' => 'B',
        'Q' => 'R',
        'g' => 'h',
        _ => 'x',
    };
    let spare = format!("{}{bumped}", &token[..token.len() - 1]);
    check(&spare, Err(JwtErrorKind::Malformed));
}

#[test]
fn sizes_are_limited_before_anything_is_decoded() {
    let rules = rules().with_max_token_bytes(256).build().unwrap();
    let got = kind(verify(&"a".repeat(257), &keys(), &rules, now()));
    assert_eq!(got, Err(JwtErrorKind::TooLarge));
    let got = kind(verify(&"a".repeat(256), &keys(), &rules, now()));
    assert_eq!(got, Err(JwtErrorKind::Malformed));

    let padded = |length| with(header(), json!({ "x": "x".repeat(length) }));
    let room = MAX_HEADER - padded(0).to_string().len();
    check(&sign(&padded(room), &claims()), Ok("alice"));
    check(
        &sign(&padded(room + 1), &claims()),
        Err(JwtErrorKind::Malformed),
    );
    check(
        &format!("{}{}", good(), "A".repeat(1400)),
        Err(JwtErrorKind::Malformed),
    );
}

#[test]
fn the_key_decides_the_algorithm() {
    for name in ["ES256", "RS256", "PS512"] {
        let confused = sign(&with(header(), json!({ "alg": name })), &claims());
        check(&confused, Err(JwtErrorKind::AlgorithmNotAllowed));
    }
    let rules = rules().with_algorithms([Algorithm::Es256]).build().unwrap();
    let got = kind(verify(&good(), &keys(), &rules, now()));
    assert_eq!(got, Err(JwtErrorKind::AlgorithmNotAllowed));
}

#[test]
fn rejects_a_key_that_is_not_in_the_set() {
    let unknown = sign(&with(header(), json!({ "kid": "key-2" })), &claims());
    check(&unknown, Err(JwtErrorKind::UnknownKey));
    let rules = rules().build().unwrap();
    let got = kind(verify(&good(), &KeySet::default(), &rules, now()));
    assert_eq!(got, Err(JwtErrorKind::UnknownKey));
}

#[test]
fn without_a_key_identifier_the_fitting_keys_are_tried_up_to_four() {
    let nameless = sign(&with(header(), json!({ "kid": null })), &claims());
    let other = |seed: u8| {
        use ring::signature::{Ed25519KeyPair, KeyPair};
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url::encode(pair.public_key().as_ref()) })
    };
    let rules = rules().build().unwrap();
    let verdict = |others: u8| {
        let mut list: Vec<_> = (10..10 + others).map(other).collect();
        list.push(testing::public_jwk());
        kind(verify(&nameless, &testing::key_set(&list), &rules, now()))
    };
    assert_eq!(verdict(0), Ok("alice".to_owned()));
    assert_eq!(verdict(3), Ok("alice".to_owned()));
    assert_eq!(verdict(4), Err(JwtErrorKind::UnknownKey));
}

#[test]
fn of_two_keys_with_one_name_either_may_have_signed() {
    let mut first = testing::public_jwk();
    // The public key of RFC 8032 §7.1, test 1.
    first["x"] = json!("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    let rules = rules().build().unwrap();
    for order in [
        [first.clone(), testing::public_jwk()],
        [testing::public_jwk(), first.clone()],
    ] {
        let got = kind(verify(&good(), &testing::key_set(&order), &rules, now()));
        assert_eq!(got, Ok("alice".to_owned()));
    }
}

#[test]
fn a_key_that_the_header_brings_is_not_used() {
    for name in ["jwk", "jku", "x5u", "x5c"] {
        let offered = with(
            header(),
            json!({ name: testing::public_jwk(), "kid": "mine" }),
        );
        check(&sign(&offered, &claims()), Err(JwtErrorKind::UnknownKey));
    }
}

#[test]
fn rejects_payloads_that_are_not_one_strict_json_object() {
    let text = claims().to_string();
    for payload in [
        "".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        format!("\u{feff}{text}"),
        format!("{text}{text}"),
        text.replacen('{', r#"{"sub":"bob","#, 1),
        text.replacen('{', r#"{"tenant":"a","tenant":"b","#, 1),
        text.replacen(
            '{',
            &format!(r#"{{"deep":{}{},"#, "[".repeat(16), "]".repeat(16)),
            1,
        ),
    ] {
        check(
            &sign_text(&header().to_string(), payload.as_bytes()),
            Err(JwtErrorKind::Malformed),
        );
    }
    let mut bytes = text.into_bytes();
    bytes.insert(1, 0xff);
    check(
        &sign_text(&header().to_string(), &bytes),
        Err(JwtErrorKind::Malformed),
    );
}

#[test]
fn a_forged_signature_is_told_only_when_all_else_holds() {
    let token = good();
    let (signed, _) = token.rsplit_once('.').unwrap();
    check(
        &format!("{signed}.{}", base64url::encode(&[0; 64])),
        Err(JwtErrorKind::BadSignature),
    );
    let stale = sign(&header(), &with(claims(), json!({ "exp": NOW - 31 })));
    let (signed, _) = stale.rsplit_once('.').unwrap();
    check(
        &format!("{signed}.{}", base64url::encode(&[0; 64])),
        Err(JwtErrorKind::Expired),
    );
}

#[test]
fn the_signature_alone_can_be_verified_over_anything() {
    let jws = sign_text(r#"{"alg":"EdDSA"}"#, b"no claims");
    let payload = verify_signature(&jws, &keys(), AlgorithmSet::ALL, 8192).unwrap();
    assert_eq!(payload, b"no claims");
    let (signed, _) = jws.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", base64url::encode(&[0; 64]));
    assert!(verify_signature(&forged, &keys(), AlgorithmSet::ALL, 8192).is_err());
    assert!(verify_signature(&jws, &keys(), AlgorithmSet::from([Algorithm::Rs256]), 8192).is_err());
}

/// A signature of the largest key is looked at, and nothing much longer is decoded.
#[test]
fn header_and_signature_have_the_same_limits_whatever_is_signed() {
    let padded = |length| with(header(), json!({ "x": "x".repeat(length) }));
    let room = MAX_HEADER - padded(0).to_string().len();
    let of = |length: usize, signature: &[u8]| {
        let token = sign(&padded(length), &claims());
        let (signed, _) = token.rsplit_once('.').unwrap();
        format!("{signed}.{}", base64url::encode(signature))
    };
    for (token, expected) in [
        (of(room, &[0; 64]), JwtErrorKind::BadSignature),
        (of(room + 1, &[0; 64]), JwtErrorKind::Malformed),
        (of(0, &[0; MAX_SIGNATURE]), JwtErrorKind::BadSignature),
        (of(0, &[0; MAX_SIGNATURE + 64]), JwtErrorKind::Malformed),
    ] {
        check(&token, Err(expected));
        let verified = verify_signature(&token, &keys(), AlgorithmSet::ALL, 8192);
        assert_eq!(verified.unwrap_err().kind(), expected, "{token}");
    }
}

#[test]
fn neither_error_nor_debug_output_holds_any_part_of_the_token() {
    let token = good();
    let verified = verify(&token, &keys(), &rules().build().unwrap(), now()).unwrap();
    let mut output = format!("{verified:?}");
    for now in [NOW - 1000, NOW + 1000] {
        let now = WallTime::from_unix_seconds(now);
        let error = verify(&token, &keys(), &rules().build().unwrap(), now).unwrap_err();
        output += &format!("{error} {error:?}");
    }
    for part in token.split('.') {
        assert!(!output.contains(part), "{output}");
    }
    assert!(
        output.contains("exp 1800000300, now 1800001000"),
        "{output}"
    );
}

proptest! {
    #[test]
    fn any_single_byte_change_of_a_valid_token_is_refused(index: prop::sample::Index, byte: u8) {
        let mut token = good().into_bytes();
        let index = index.index(token.len());
        prop_assume!(token[index] != byte);
        token[index] = byte;
        if let Ok(changed) = String::from_utf8(token) {
            let rules = rules().build().unwrap();
            prop_assert!(verify(&changed, &keys(), &rules, now()).is_err());
        }
    }

    #[test]
    fn any_shortened_token_is_refused(length: prop::sample::Index) {
        let token = good();
        let shortened = &token[..length.index(token.len())];
        let rules = rules().build().unwrap();
        prop_assert!(verify(shortened, &keys(), &rules, now()).is_err());
    }

    #[test]
    fn never_panics(token in "[A-Za-z0-9_.=-]{0,300}") {
        let rules = rules().build().unwrap();
        prop_assert!(verify(&token, &keys(), &rules, now()).is_err());
    }

    #[test]
    fn any_header_and_payload_only_pass_if_they_are_right(
        header in proptest::collection::vec(any::<u8>(), 0..60),
        payload in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let token = sign_text(&String::from_utf8_lossy(&header), &payload);
        let rules = rules().build().unwrap();
        prop_assert!(verify(&token, &keys(), &rules, now()).is_err());
    }
}
