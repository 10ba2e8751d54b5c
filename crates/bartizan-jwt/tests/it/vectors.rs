//! Outside test vectors, where they are present: folder `BARTIZAN_VECTORS`.

use std::path::PathBuf;
use std::time::Duration;

use bartizan_core::WallTime;
use bartizan_jwt::{AlgorithmSet, JwtErrorKind, KeySet, Rules, verify, verify_signature};
use serde_json::{Value, json};

/// A document of the folder, or `None` (with a word) where there is none.
#[expect(
    clippy::print_stdout,
    reason = "whoever runs it should know that it did nothing"
)]
fn document(path: &str) -> Option<Value> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors");
    let folder = std::env::var_os("BARTIZAN_VECTORS").map_or(PathBuf::from(beside), PathBuf::from);
    let file = folder.join(path);
    match std::fs::read_to_string(&file) {
        Ok(text) => Some(serde_json::from_str(&text).unwrap()),
        Err(_) => {
            println!("skipped: no vectors at {}", file.display());
            None
        }
    }
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[test]
fn tokens_are_judged_as_the_cases_say() {
    let Some(document_) = document("jwt-cases/cases.json") else {
        return;
    };
    let keys = document("jwt-cases/jwks.json").expect("beside the cases");
    let keys = KeySet::from_json(&keys.to_string()).unwrap();
    let policy = &document_["policy"];
    let rules = Rules::builder(text(policy, "issuer"), text(policy, "audience"))
        .allow_type("JWT")
        .allow_missing_type()
        .allow_missing_client()
        .allow_missing_token_id()
        .allow_missing_issued_at()
        .with_leeway(Duration::from_secs(30))
        .build()
        .unwrap();
    let now = WallTime::from_unix_seconds(document_["now"].as_u64().unwrap());
    let (mut accepted_rejects, mut rejected_accepts, mut count) = (Vec::new(), Vec::new(), 0);
    for case in list(&document_["cases"]) {
        count += 1;
        let verdict = verify(text(case, "token"), &keys, &rules, now);
        match (text(case, "expect"), verdict) {
            ("reject", Ok(_)) => accepted_rejects.push(text(case, "id").to_owned()),
            ("accept", Err(error)) => {
                rejected_accepts.push(format!("{}: {error}", text(case, "id")));
            }
            _ => {}
        }
    }
    assert!(count > 200, "{count} cases");
    assert_eq!(
        accepted_rejects, [""; 0],
        "tokens that must be refused and were not"
    );
    assert_eq!(
        rejected_accepts, [""; 0],
        "tokens that must pass and did not"
    );
}

#[test]
fn key_sets_are_loaded_as_the_cases_say() {
    let Some(cases) = document("jwt-cases/jwks-documents.json") else {
        return;
    };
    for case in list(&cases) {
        let usable = KeySet::from_json(text(case, "jwks")).map(|keys| {
            let mut names: Vec<_> = keys
                .keys()
                .iter()
                .filter_map(|key| key.key_id().map(str::to_owned))
                .collect();
            names.sort();
            names
        });
        match &case["usable_kids"] {
            Value::Array(kids) => {
                let mut kids: Vec<_> = kids.iter().map(|kid| kid.as_str().unwrap()).collect();
                kids.sort();
                assert_eq!(usable.unwrap(), kids, "{}", case["id"]);
            }
            Value::Null => assert!(usable.is_err(), "{}", case["id"]),
            _ => {}
        }
    }
}

#[test]
fn what_envoy_refuses_to_parse_is_refused() {
    let Some(cases) = document("envoy-jwt-verify/jwt_parse.json") else {
        return;
    };
    let rules = Rules::builder("https://example.com", "aud1")
        .build()
        .unwrap();
    let now = WallTime::from_unix_seconds(1_501_281_000);
    for case in list(&cases) {
        let token = case
            .get("jwt")
            .or(case.get("token"))
            .and_then(Value::as_str);
        let verdict = verify(token.unwrap_or_default(), &KeySet::default(), &rules, now);
        let kind = verdict.expect_err("there are no keys").kind();
        if text(case, "result") == "parse-ok" {
            assert_ne!(kind, JwtErrorKind::Malformed, "{}", case["name"]);
        }
    }
}

#[test]
fn key_sets_that_envoy_refuses_give_no_key() {
    let Some(cases) = document("envoy-jwt-verify/jwks_parse.json") else {
        return;
    };
    for case in list(&cases)
        .iter()
        .filter(|case| text(case, "result") == "invalid")
    {
        let keys = case
            .get("jwks")
            .or(case.get("input"))
            .and_then(Value::as_str);
        let loaded = KeySet::from_json(keys.unwrap_or_default());
        assert!(
            !loaded.is_ok_and(|keys| !keys.is_empty()),
            "{}",
            case["name"]
        );
    }
}

#[test]
fn the_cookbook_verifies_where_it_is_a_compact_signature() {
    let verdict = |file: &str| {
        let example = document(&format!("jose-cookbook/{file}"))?;
        let keys = json!({ "keys": [example["input"]["key"]] }).to_string();
        let keys = KeySet::from_json(&keys).unwrap();
        let compact = text(&example["output"], "compact");
        let payload = verify_signature(compact, &keys, AlgorithmSet::ALL, 8192);
        let expected = text(&example["input"], "payload").as_bytes().to_vec();
        Some(
            payload
                .map(|payload| payload == expected)
                .map_err(|error| error.kind()),
        )
    };
    let check = |file: &str, expected| {
        if let Some(got) = verdict(file) {
            assert_eq!(got, expected, "{file}");
        }
    };
    check("jws/4_1.rsa_v15_signature.json", Ok(true));
    check("jws/4_2.rsa-pss_signature.json", Ok(true));
    check("curve25519/jws.json", Ok(true));
    // P-521 and what is not one compact signature are not supported; a secret is never in a set.
    check(
        "jws/4_3.ecdsa_signature.json",
        Err(JwtErrorKind::AlgorithmNotAllowed),
    );
    check(
        "jws/4_4.hmac-sha2_integrity_protection.json",
        Err(JwtErrorKind::UnknownKey),
    );
    for file in [
        "jws/4_5.signature_with_detached_content.json",
        "jws/4_6.protecting_specific_header_fields.json",
        "jws/4_7.protecting_content_only.json",
        "jws/4_8.multiple_signatures.json",
    ] {
        if let Some(got) = verdict(file) {
            assert!(got.is_err(), "{file}");
        }
    }
}
