use proptest::prelude::*;

use super::*;
use crate::error::JwtErrorKind;

#[track_caller]
fn refuses(payload: &str, expected: JwtErrorKind) {
    let kind = ClaimSet::parse(payload)
        .map(|_| ())
        .map_err(|error| error.kind());
    assert_eq!(kind, Err(expected), "{payload}");
}

#[track_caller]
fn check_date(value: &str, expected: Option<u64>) {
    for name in ["exp", "nbf", "iat"] {
        let payload = format!(r#"{{"{name}":{value}}}"#);
        let got = ClaimSet::parse(&payload)
            .ok()
            .and_then(|claims| claims.expires.or(claims.not_before).or(claims.issued_at));
        assert_eq!(got, expected, "{payload}");
    }
}

#[test]
fn dates_are_numbers_of_this_age_and_fractions_are_cut_off() {
    check_date("0", Some(0));
    check_date("1800000000", Some(1_800_000_000));
    check_date("1800000000.999", Some(1_800_000_000));
    check_date("1.8e9", Some(1_800_000_000));
    check_date("253402300799", Some(LAST_SECOND));
    for value in [
        "253402300800",
        "-1",
        "-0.5",
        "1e20",
        "1e400",
        "18446744073709551616",
        "\"1\"",
        "null",
        "true",
        "{}",
        "[1]",
        "NaN",
    ] {
        check_date(value, None);
    }
}

#[test]
fn strings_and_lists_of_strings_read_alike() {
    let one = ClaimSet::parse(r#"{"aud":"a","scope":"x y"}"#).unwrap();
    assert_eq!(one.audience.unwrap().iter().collect::<Vec<_>>(), ["a"]);
    let many = ClaimSet::parse(r#"{"aud":["a","b\u0063"]}"#).unwrap();
    assert_eq!(
        many.audience.unwrap().iter().collect::<Vec<_>>(),
        ["a", "bc"]
    );
}

#[test]
fn an_understood_claim_of_the_wrong_type_is_refused() {
    for claim in [
        r#""iss":123"#,
        r#""iss":["https://evil","https://good"]"#,
        r#""iss":null"#,
        r#""sub":5"#,
        r#""aud":5"#,
        r#""aud":null"#,
        r#""aud":["a",5]"#,
        r#""aud":{"0":"a"}"#,
        r#""aud":[["a"]]"#,
        r#""jti":1"#,
        r#""client_id":[]"#,
        r#""scope":7"#,
        r#""scp":{}"#,
    ] {
        refuses(&format!("{{{claim}}}"), JwtErrorKind::InvalidClaim);
    }
}

#[test]
fn roles_of_another_shape_grant_nothing() {
    let claims = ClaimSet::parse(r#"{"roles":[{"value":"admin"}]}"#).unwrap();
    assert!(claims.roles.is_none());
}

#[test]
fn a_claim_nests_no_deeper_than_any_other_member() {
    for around in [
        [r#"{"tenant":"#, "}"],
        [r#"{"roles":"#, "}"],
        [r#"{"sid":"#, "}"],
        [r#"{"cnf":"#, "}"],
        [r#"{"cnf":{"jkt":"#, "}}"],
        [r#"{"cnf":{"x-new":"#, "}}"],
        [r#"{"realm_access":{"x":"#, "}}"],
        [r#"{"realm_access":{"roles":"#, "}}"],
    ] {
        let outside = around[0].matches('{').count();
        let nested = |all: usize| {
            let lists = all - outside;
            let (open, close) = ("[".repeat(lists), "]".repeat(lists));
            format!("{}{open}{close}{}", around[0], around[1])
        };
        assert!(ClaimSet::parse(&nested(16)).is_ok(), "{}", nested(16));
        assert!(ClaimSet::parse(&nested(17)).is_err(), "{}", nested(17));
    }
}

#[test]
fn a_claim_that_appears_twice_is_refused() {
    refuses(r#"{"sub":"a","sub":"b"}"#, JwtErrorKind::Malformed);
    refuses(r#"{"sub":"a","\u0073ub":"b"}"#, JwtErrorKind::Malformed);
    refuses(r#"{"tenant":"a","tenant":"b"}"#, JwtErrorKind::Malformed);
    refuses(r#"{"roles":["a"],"roles":["b"]}"#, JwtErrorKind::Malformed);
}

#[test]
fn only_one_object_is_a_payload() {
    for payload in ["", "[]", "\"x\"", "1", "null", "{}{}", "{} x", "\u{feff}{}"] {
        refuses(payload, JwtErrorKind::Malformed);
    }
}

#[test]
fn any_confirmation_claim_marks_the_token_as_bound() {
    for value in [r#"{"jkt":"x"}"#, "null", "1"] {
        let payload = format!(r#"{{"cnf":{value}}}"#);
        let claims = ClaimSet::parse(&payload).unwrap();
        assert_eq!(claims.confirmation, Some(None), "{value}");
    }
    let claims = ClaimSet::parse(r#"{"conf":1}"#).unwrap();
    assert_eq!(claims.confirmation, None);
}

#[test]
fn roles_of_the_realm_are_read_where_keycloak_writes_them() {
    let check = |payload: &str, expected: Option<&[&str]>| {
        let claims = ClaimSet::parse(payload).unwrap();
        let roles = claims.realm_roles.as_ref();
        let got = roles.map(|roles| roles.iter().collect::<Vec<_>>());
        assert_eq!(got.as_deref(), expected, "{payload}");
    };
    check(r#"{"realm_access":{"roles":["a","b"]}}"#, Some(&["a", "b"]));
    check(r#"{"realm_access":{"x":{"roles":["a"]}}}"#, None);
    check(r#"{"realm_access":{"roles":[{"name":"a"}]}}"#, None);
    for value in [r#"{"roles":[],"roles":["a"]}"#, "1", "[]"] {
        refuses(
            &format!(r#"{{"realm_access":{value}}}"#),
            JwtErrorKind::InvalidClaim,
        );
    }
}

proptest! {
    #[test]
    fn never_panics(payload in ".{0,200}") {
        let _ = ClaimSet::parse(&payload);
    }

    #[test]
    fn never_panics_on_values_of_understood_claims(
        name in "iss|sub|aud|exp|nbf|scope|scp|roles|cnf",
        value in r#"[\[\]{}",:a1e.-]{0,12}"#,
    ) {
        let _ = ClaimSet::parse(&format!(r#"{{"{name}":{value}}}"#));
    }
}
