use proptest::prelude::*;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use super::*;
use crate::key::VerificationKey;
use crate::testing::{NOW, now, sign_text, with};

const TOKEN: &[u8] = b"a.b.c";

fn jwk() -> Value {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    json!({ "kty": "OKP", "crv": "Ed25519", "x": crate::base64url::encode(pair.public_key().as_ref()) })
}

fn header() -> Value {
    json!({ "typ": "dpop+jwt", "alg": "EdDSA", "jwk": jwk() })
}

fn claims() -> Value {
    json!({
        "jti": "p-1", "htm": "GET", "htu": "https://orders.example/orders/7", "iat": NOW,
        "ath": proof::hash_of(TOKEN),
    })
}

fn thumbprint() -> [u8; 32] {
    let Value::Object(members) = jwk() else {
        unreachable!("an object was written");
    };
    *VerificationKey::load_unproven(members)
        .unwrap()
        .thumbprint()
        .as_bytes()
}

fn request() -> ProvenRequest<'static> {
    ProvenRequest {
        method: "GET",
        path: "/orders/7",
        token: TOKEN,
        key: thumbprint(),
    }
}

fn dpop() -> DpopBuilder {
    Dpop::builder("https://orders.example")
}

fn check_with(
    dpop: &Dpop,
    header: &Value,
    claims: &Value,
    request: &ProvenRequest<'_>,
) -> Result<(), String> {
    let proof = sign_text(&header.to_string(), claims.to_string().as_bytes());
    dpop.check(proof.as_bytes(), request, now())
        .map(drop)
        .map_err(|error| error.to_string())
}

#[track_caller]
fn check(header_changes: Value, claim_changes: Value, expected: Option<&str>) {
    let header = with(header(), header_changes);
    let claims = with(claims(), claim_changes);
    let got = check_with(&dpop().build().unwrap(), &header, &claims, &request());
    match (expected, got) {
        (None, got) => assert_eq!(got, Ok(()), "{header} {claims}"),
        (Some(part), Err(text)) => assert!(text.contains(part), "{text}: {header} {claims}"),
        (Some(part), Ok(())) => assert!(part.is_empty(), "accepted, not {part}: {header} {claims}"),
    }
}

#[test]
fn a_proof_for_this_request_holds() {
    check(json!({}), json!({}), None);
    check(json!({ "typ": "DPoP+JWT" }), json!({}), None);
    check(
        json!({}),
        json!({ "htu": "https://orders.example/orders/7?x=1#y" }),
        None,
    );
    check(
        json!({}),
        json!({ "htu": "https://ORDERS.example:443/orders/%37" }),
        None,
    );
    check(json!({}), json!({ "iat": NOW - 60 }), None);
    check(json!({}), json!({ "iat": NOW + 5 }), None);
    check(json!({}), json!({ "extra": [1] }), None);
}

#[test]
fn a_proof_for_another_request_does_not() {
    check(json!({}), json!({ "htm": "POST" }), Some("htm"));
    check(json!({}), json!({ "htm": "get" }), Some("htm"));
    for target in [
        "https://orders.example/orders/8",
        "https://orders.example/orders/7/",
        "https://orders.example/x/../orders/7",
        "https://evil.example/orders/7",
        "http://orders.example/orders/7",
        "https://orders.example:8443/orders/7",
        "/orders/7",
        "",
    ] {
        check(json!({}), json!({ "htu": target }), Some("htu"));
    }
    check(
        json!({}),
        json!({ "ath": proof::hash_of(b"another") }),
        Some("ath"),
    );
    let padded = format!("{}=", proof::hash_of(TOKEN));
    check(json!({}), json!({ "ath": padded }), Some("ath"));
    check(json!({}), json!({ "iat": NOW - 61 }), Some("iat"));
    check(json!({}), json!({ "iat": NOW + 6 }), Some("iat"));
}

#[test]
fn a_proof_without_one_of_its_parts_does_not() {
    for name in ["jti", "htm", "htu", "iat", "ath"] {
        check(json!({}), json!({ name: null }), Some(name));
        check(json!({}), json!({ name: [1] }), Some(name));
    }
    check(json!({}), json!({ "jti": "" }), Some("jti"));
    check(json!({}), json!({ "jti": "x".repeat(255) }), None);
    check(json!({}), json!({ "jti": "x".repeat(256) }), Some("jti"));
    check(json!({}), json!({ "iat": "1800000000" }), Some("iat"));
    check(json!({}), json!({ "iat": -1 }), Some("iat"));
    check(json!({}), json!({ "iat": 1e300 }), Some("iat"));
    check(json!({}), json!({ "nonce": 1 }), Some("nonce"));
    for name in ["typ", "alg", "jwk"] {
        check(json!({ name: null }), json!({}), Some(name));
    }
}

#[test]
fn a_header_that_asks_for_something_else_is_refused() {
    for kind in ["JWT", "at+jwt", "dpop", ""] {
        check(json!({ "typ": kind }), json!({}), Some("typ"));
    }
    for algorithm in ["none", "HS256", "ES256", "RS256", ""] {
        check(json!({ "alg": algorithm }), json!({}), Some("alg"));
    }
    for (name, value) in [
        ("crit", json!(["x"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
    ] {
        check(json!({ name: value }), json!({}), Some("unsupported"));
    }
    let private = with(jwk(), json!({ "d": "AAAA" }));
    check(json!({ "jwk": private }), json!({}), Some("public"));
    let secret = json!({ "kty": "oct", "k": "c2VjcmV0" });
    check(json!({ "jwk": secret }), json!({}), Some("public"));
    let bare = json!({ "kty": "oct" });
    check(json!({ "jwk": bare }), json!({}), Some("unfit"));
}

#[test]
fn a_key_that_is_not_the_tokens_is_refused() {
    let other = ProvenRequest {
        key: [1; 32],
        ..request()
    };
    let got = check_with(&dpop().build().unwrap(), &header(), &claims(), &other);
    assert!(got.unwrap_err().contains("not the token's"));
}

#[test]
fn a_changed_proof_does_not_verify() {
    let proof = sign_text(&header().to_string(), claims().to_string().as_bytes());
    let dpop = dpop().build().unwrap();
    assert!(dpop.check(proof.as_bytes(), &request(), now()).is_ok());
    for index in 0..proof.len() {
        let mut changed = proof.clone().into_bytes();
        changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
        assert!(
            dpop.check(&changed, &request(), now()).is_err(),
            "byte {index}"
        );
    }
}

#[test]
fn what_is_no_proof_is_refused() {
    let dpop = dpop().build().unwrap();
    let huge = "a".repeat(7000);
    for text in [
        "", ".", "..", "...", "a.b", "a.b.c.d", "=.=.=", "\u{e9}", &huge,
    ] {
        assert!(
            dpop.check(text.as_bytes(), &request(), now()).is_err(),
            "{text}"
        );
    }
    assert!(dpop.check(&[0xff, b'.', b'.'], &request(), now()).is_err());
}

#[test]
fn a_nonce_is_asked_for_and_renewed_where_it_is_required() {
    let dpop = dpop().require_nonce_with_key([3; 32]).build().unwrap();
    let refused = check_with(&dpop, &header(), &claims(), &request());
    assert!(refused.unwrap_err().contains("nonce"));
    let nonce = dpop.nonce(now()).unwrap();
    let claims = with(claims(), json!({ "nonce": nonce }));
    let proof = sign_text(&header().to_string(), claims.to_string().as_bytes());
    let young = dpop.check(proof.as_bytes(), &request(), now()).unwrap();
    assert_eq!(young.next_nonce, None);

    let made = now().saturating_sub(Duration::from_secs(200));
    let claims = with(claims, json!({ "nonce": dpop.nonce(made).unwrap() }));
    let proof = sign_text(&header().to_string(), claims.to_string().as_bytes());
    let old = dpop.check(proof.as_bytes(), &request(), now()).unwrap();
    assert_eq!(old.next_nonce, dpop.nonce(now()));
}

#[test]
fn an_origin_is_scheme_host_and_port() {
    for (origin, accepted) in [
        ("https://orders.example", true),
        ("https://orders.example/", true),
        ("https://orders.example:8443", true),
        ("http://localhost:8080", true),
        ("http://orders.example", false),
        ("https://orders.example/orders", false),
        ("orders.example", false),
        ("", false),
    ] {
        assert_eq!(Dpop::builder(origin).build().is_ok(), accepted, "{origin}");
    }
    assert!(
        dpop()
            .with_max_age(Duration::from_secs(301))
            .build()
            .is_err()
    );
    assert!(dpop().with_algorithms([]).build().is_err());
}

#[test]
fn a_proof_is_kept_for_as_long_as_it_would_be_accepted() {
    let dpop = dpop().build().unwrap();
    let claims = with(claims(), json!({ "iat": NOW + 5 }));
    let proof = sign_text(&header().to_string(), claims.to_string().as_bytes());
    let checked = dpop.check(proof.as_bytes(), &request(), now()).unwrap();
    let last = now() + Duration::from_secs(65);
    assert!(dpop.check(proof.as_bytes(), &request(), last).is_ok());
    assert!(
        dpop.check(proof.as_bytes(), &request(), last + Duration::from_secs(1))
            .is_err()
    );
    assert!(checked.id.keep_until() > last);
}

proptest! {
    #[test]
    fn never_panics(proof in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(dpop().build().unwrap().check(&proof, &request(), now()).is_err());
    }

    #[test]
    fn any_header_and_claims_only_hold_if_they_are_right(
        header in ".{0,80}",
        claims in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let proof = sign_text(&header, &claims);
        let checked = dpop().build().unwrap().check(proof.as_bytes(), &request(), now());
        prop_assert!(checked.is_err());
    }

    #[test]
    fn a_proof_for_another_path_or_method_never_holds(
        path in "[a-z0-9/%.]{0,12}",
        method in "[A-Z]{1,6}",
    ) {
        let path = format!("/{path}");
        let other = ProvenRequest { path: &path, method: &method, ..request() };
        let got = check_with(&dpop().build().unwrap(), &header(), &claims(), &other);
        let is_the_same = method == "GET" && target::normal_path(&path) == "/orders/7";
        prop_assert_eq!(got.is_ok(), is_the_same);
    }
}
