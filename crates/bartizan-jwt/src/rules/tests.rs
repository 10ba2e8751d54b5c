use serde_json::{Value, json};

use super::*;
use crate::error::JwtErrorKind;
use crate::testing::{AUDIENCE, ISSUER, NOW, claims, header, keys, now, rules, sign, with};
use crate::verify::verify;

fn verdict(rules: RulesBuilder, header: &Value, claims: &Value) -> Result<(), JwtErrorKind> {
    let rules = rules.build().unwrap();
    verify(&sign(header, claims), &keys(), &rules, now())
        .map(drop)
        .map_err(|error| error.kind())
}

#[track_caller]
fn check(changes: Value, expected: Result<(), JwtErrorKind>) {
    let got = verdict(rules(), &header(), &with(claims(), changes.clone()));
    assert_eq!(got, expected, "{changes}");
}

#[track_caller]
fn check_type(rules: RulesBuilder, token_type: Value, expected: Result<(), JwtErrorKind>) {
    let header = with(header(), json!({ "typ": token_type }));
    assert_eq!(verdict(rules, &header, &claims()), expected, "{header}");
}

#[test]
fn the_issuer_is_compared_code_point_by_code_point() {
    check(json!({ "iss": null }), Err(JwtErrorKind::InvalidClaim));
    for other in [
        "https://issuer.example/",
        "https://ISSUER.example",
        "https://issuer.example.evil.example",
        " https://issuer.example",
        "https://issuer.exampl",
        "",
    ] {
        check(json!({ "iss": other }), Err(JwtErrorKind::WrongIssuer));
    }
    for other in [
        json!(123),
        json!({}),
        json!([ISSUER]),
        json!(["https://evil.example", ISSUER]),
    ] {
        check(json!({ "iss": other }), Err(JwtErrorKind::InvalidClaim));
    }
}

#[test]
fn the_audience_must_name_this_service() {
    check(json!({ "aud": [AUDIENCE] }), Ok(()));
    check(
        json!({ "aud": ["https://other.example", AUDIENCE] }),
        Ok(()),
    );
    check(json!({ "aud": null }), Err(JwtErrorKind::InvalidClaim));
    for other in [
        json!("https://other.example"),
        json!([]),
        json!(["https://other.example"]),
        json!(""),
        json!("https://orders.example/"),
        json!("https://orders.example.evil.example"),
        json!("https://ORDERS.example"),
        json!("https://orders.example https://other.example"),
    ] {
        check(json!({ "aud": other }), Err(JwtErrorKind::WrongAudience));
    }
    for other in [
        json!(5),
        json!({ "0": AUDIENCE }),
        json!([AUDIENCE, 5]),
        json!([[AUDIENCE]]),
    ] {
        check(json!({ "aud": other }), Err(JwtErrorKind::InvalidClaim));
    }
}

#[test]
fn a_service_may_have_a_second_name() {
    let other = with(claims(), json!({ "aud": "https://old.example" }));
    assert_eq!(
        verdict(rules(), &header(), &other),
        Err(JwtErrorKind::WrongAudience)
    );
    assert_eq!(
        verdict(
            rules().add_audience("https://old.example"),
            &header(),
            &other
        ),
        Ok(())
    );
}

#[test]
fn a_token_expires_at_exp_plus_leeway() {
    check(json!({ "exp": NOW - 29 }), Ok(()));
    check(json!({ "exp": NOW - 30 }), Err(JwtErrorKind::Expired));
    check(json!({ "exp": NOW - 31 }), Err(JwtErrorKind::Expired));
    check(json!({ "exp": 0 }), Err(JwtErrorKind::Expired));
    // The fraction is cut off before the comparison.
    check(
        json!({ "exp": (NOW - 30) as f64 + 0.9 }),
        Err(JwtErrorKind::Expired),
    );
    for other in [
        json!(null),
        json!("1900000000"),
        json!(-1),
        json!(true),
        json!(1e20),
    ] {
        check(json!({ "exp": other }), Err(JwtErrorKind::InvalidClaim));
    }
    let strict = || rules().with_leeway(Duration::ZERO);
    let expiring = |exp| with(claims(), json!({ "exp": exp }));
    assert_eq!(verdict(strict(), &header(), &expiring(NOW + 1)), Ok(()));
    assert_eq!(
        verdict(strict(), &header(), &expiring(NOW)),
        Err(JwtErrorKind::Expired)
    );
}

#[test]
fn a_token_begins_at_nbf_minus_leeway() {
    check(json!({ "nbf": NOW }), Ok(()));
    check(json!({ "nbf": NOW + 30 }), Ok(()));
    check(json!({ "nbf": NOW + 31 }), Err(JwtErrorKind::NotYetValid));
    check(json!({ "nbf": "soon" }), Err(JwtErrorKind::InvalidClaim));
}

#[test]
fn a_token_is_not_issued_in_the_future() {
    check(json!({ "iat": NOW + 30 }), Ok(()));
    check(
        json!({ "iat": NOW + 31 }),
        Err(JwtErrorKind::IssuedInFuture),
    );
    check(json!({ "iat": null }), Err(JwtErrorKind::InvalidClaim));
    check(json!({ "iat": "now" }), Err(JwtErrorKind::InvalidClaim));
    let undated = with(claims(), json!({ "iat": null }));
    assert_eq!(
        verdict(rules().allow_missing_issued_at(), &header(), &undated),
        Ok(())
    );
}

#[test]
fn a_longest_lifetime_is_counted_from_iat_or_else_from_now() {
    let limited = || {
        rules()
            .require_max_lifetime(Duration::from_secs(310))
            .allow_missing_issued_at()
    };
    let expiring = |exp, iat: Value| with(claims(), json!({ "exp": exp, "iat": iat }));
    let check = |claims: Value, expected| {
        assert_eq!(verdict(limited(), &header(), &claims), expected, "{claims}");
    };
    check(expiring(NOW + 300, json!(NOW - 10)), Ok(()));
    check(
        expiring(NOW + 301, json!(NOW - 10)),
        Err(JwtErrorKind::LifetimeTooLong),
    );
    check(expiring(NOW + 310, json!(null)), Ok(()));
    check(
        expiring(NOW + 311, json!(null)),
        Err(JwtErrorKind::LifetimeTooLong),
    );
}

#[test]
fn the_subject_is_a_string_of_one_to_255_bytes() {
    check(json!({ "sub": "x".repeat(255) }), Ok(()));
    for other in [
        json!(null),
        json!(""),
        json!(7),
        json!(["alice"]),
        json!("x".repeat(256)),
    ] {
        check(json!({ "sub": other }), Err(JwtErrorKind::InvalidClaim));
    }
}

#[test]
fn what_rfc_9068_requires_can_only_be_waived_by_name() {
    check(json!({ "jti": null }), Err(JwtErrorKind::InvalidClaim));
    check(
        json!({ "client_id": null }),
        Err(JwtErrorKind::InvalidClaim),
    );
    let bare = with(claims(), json!({ "jti": null, "client_id": null }));
    let waived = rules().allow_missing_token_id().allow_missing_client();
    assert_eq!(verdict(waived, &header(), &bare), Ok(()));
}

#[test]
fn only_access_tokens_are_accepted_by_default() {
    for accepted in [
        "at+jwt",
        "AT+JWT",
        "application/at+jwt",
        "APPLICATION/at+JWT",
    ] {
        check_type(rules(), json!(accepted), Ok(()));
    }
    for other in [
        json!(null),
        json!("JWT"),
        json!(""),
        json!("dpop+jwt"),
        json!("logout+jwt"),
        json!("token-introspection+jwt"),
        json!("secevent+jwt"),
        json!("at+jwt "),
        json!("text/at+jwt"),
        // As long as the prefix that may be left out.
        json!("multipart///at+jwt"),
        json!("application/application/at+jwt"),
    ] {
        check_type(rules(), other, Err(JwtErrorKind::WrongType));
    }
}

#[test]
fn other_types_are_accepted_by_name_alone() {
    check_type(rules().allow_type("JWT"), json!("jwt"), Ok(()));
    check_type(rules().allow_type("application/JWT"), json!("JWT"), Ok(()));
    check_type(
        rules().allow_type("JWT"),
        json!(null),
        Err(JwtErrorKind::WrongType),
    );
    check_type(rules().allow_missing_type(), json!(null), Ok(()));
    check_type(
        rules().allow_missing_type(),
        json!("JWT"),
        Err(JwtErrorKind::WrongType),
    );
}

#[test]
fn a_bound_token_never_passes_as_bearer() {
    for confirmation in [
        json!({ "jkt": "x" }),
        json!({ "x5t#S256": "x" }),
        json!({}),
        json!(1),
    ] {
        check(
            json!({ "cnf": confirmation }),
            Err(JwtErrorKind::BoundToken),
        );
    }
}

#[test]
fn scopes_and_roles_map_as_documented() {
    let principal = |changes: Value| {
        let token = sign(&header(), &with(claims(), changes));
        let rules = rules().allow_missing_client().build().unwrap();
        verify(&token, &keys(), &rules, now())
            .unwrap()
            .claims()
            .principal()
            .clone()
    };
    let scopes = |changes| {
        let principal = principal(changes);
        principal.scopes().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(scopes(json!({ "scope": "a  b " })), ["a", "b"]);
    assert_eq!(scopes(json!({ "scope": ["a", "b c"] })), ["a", "b c"]);
    assert_eq!(scopes(json!({ "scope": null, "scp": "a b" })), ["a", "b"]);
    assert_eq!(scopes(json!({ "scope": null, "scp": ["a"] })), ["a"]);
    assert_eq!(scopes(json!({ "scope": "a", "scp": "b" })), ["a"]);
    assert!(scopes(json!({ "scope": null })).is_empty());

    let with_roles = principal(json!({ "roles": ["admin", "ops"] }));
    assert_eq!(with_roles.roles().collect::<Vec<_>>(), ["admin", "ops"]);
    assert_eq!(
        principal(json!({ "roles": [{ "value": "admin" }] }))
            .roles()
            .count(),
        0
    );
    let client = principal(json!({ "client_id": null, "azp": "spa" }));
    assert_eq!(client.client(), Some("spa"));
    assert_eq!(principal(json!({ "azp": "spa" })).client(), Some("shop"));
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let refused = |rules: RulesBuilder| rules.build().unwrap_err().to_string();
    assert!(refused(Rules::builder("issuer", "a")).contains("\"issuer\""));
    assert!(refused(Rules::builder(ISSUER, "")).contains("audience"));
    assert!(refused(rules().add_audience("")).contains("audience"));
    assert!(refused(rules().with_algorithms([])).contains("algorithms"));
    let mixed = [Algorithm::Hs256, Algorithm::Es256];
    assert!(refused(rules().with_algorithms(mixed)).contains("symmetric"));
    assert!(rules().with_algorithms([Algorithm::Hs256]).build().is_ok());
    assert!(refused(rules().allow_type("")).contains("\"\""));
    assert!(refused(rules().allow_type("a b")).contains("\"a b\""));
    assert!(refused(rules().with_leeway(Duration::from_secs(301))).contains("301s"));
    assert!(refused(rules().require_max_lifetime(Duration::ZERO)).contains("max_lifetime"));
    assert!(refused(rules().with_max_token_bytes(255)).contains("255"));
    assert!(refused(rules().with_max_token_bytes(65_537)).contains("65537"));
}
