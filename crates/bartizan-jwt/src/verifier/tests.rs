use bartizan_core::SystemClock;
use bartizan_source::Publisher;
use serde_json::json;

use super::*;
use crate::testing::{AUDIENCE, NOW, claims, header, key_set, keys, now, rules, sign, with};

const OTHER: &str = "https://other.example";
const LEEWAY: Duration = Duration::from_secs(30);

/// Two issuers whose keys are published by hand, and one cache.
fn two() -> ([Publisher<KeySet>; 2], Verifiers) {
    let publishers = [(), ()].map(|()| Publisher::new(Arc::new(SystemClock)));
    let rules = [rules(), Rules::builder(OTHER, AUDIENCE)];
    let list = rules
        .into_iter()
        .zip(&publishers)
        .map(|(rules, publisher)| {
            let rules = rules.with_leeway(LEEWAY).build().unwrap();
            Verifier::new(rules, KeySource::Watched(publisher.published()))
        });
    let cache = TokenCache::new(16, Duration::from_secs(60));
    let verifiers = Verifiers::new(list.collect(), Some(cache));
    (publishers, verifiers)
}

/// A good token of each.
fn tokens() -> [String; 2] {
    let others = with(claims(), json!({ "iss": OTHER }));
    [claims(), others].map(|claims| sign(&header(), &claims))
}

/// Both after their tokens were verified.
fn two_that_remember() -> ([Publisher<KeySet>; 2], Verifiers) {
    let (publishers, verifiers) = two();
    for (place, token) in tokens().iter().enumerate() {
        publishers[place].publish(keys());
        assert_eq!(verifiers.responsible(token).ok(), Some(place));
        assert!(verifiers.verify(place, token, now()).is_ok());
    }
    assert_eq!(verifiers.cached(), 2);
    (publishers, verifiers)
}

/// Who vouches for the token of each, so far as it is remembered.
fn recalled(verifiers: &Verifiers) -> [Option<usize>; 2] {
    tokens().map(|token| {
        let holding = verifiers.recall(token.as_bytes(), now());
        holding.map(|holding| holding.verifier)
    })
}

#[test]
fn a_token_is_recalled_for_as_long_as_its_own_issuer_publishes_its_key() {
    let (publishers, verifiers) = two_that_remember();
    assert_eq!(recalled(&verifiers), [Some(0), Some(1)]);
    publishers[0].publish(keys());
    assert_eq!(recalled(&verifiers), [Some(0), Some(1)]);
    // Nobody has verified anything since.
    publishers[0].publish(key_set(&[]));
    assert_eq!(recalled(&verifiers), [None, Some(1)]);
    publishers[0].publish(keys());
    assert_eq!(recalled(&verifiers), [Some(0), Some(1)]);
}

#[test]
fn whoever_verifies_next_forgets_what_rested_on_a_withdrawn_key() {
    let (publishers, verifiers) = two_that_remember();
    publishers[0].publish(key_set(&[]));
    let [token, _] = tokens();
    let failed = verifiers.verify(0, &token, now()).unwrap_err();
    assert_eq!(failed.error.kind(), JwtErrorKind::UnknownKey);
    assert_eq!(verifiers.cached(), 1);
    assert_eq!(recalled(&verifiers), [None, Some(1)]);
}

#[test]
fn without_keys_a_token_is_unchecked_unless_it_is_wrong_by_itself() {
    let (_publishers, verifiers) = two();
    let expired = sign(&header(), &with(claims(), json!({ "exp": NOW - 60 })));
    let [good, _] = tokens();
    for (token, expected) in [
        (good, JwtErrorKind::KeysUnavailable),
        (expired, JwtErrorKind::Expired),
    ] {
        let failed = verifiers.verify(0, &token, now()).unwrap_err();
        assert_eq!(failed.error.kind(), expected);
    }
}

#[test]
fn a_verdict_stands_until_there_are_other_keys() {
    let (publishers, verifiers) = two();
    publishers[0].publish(key_set(&[]));
    let [token, _] = tokens();
    let failed = verifiers.verify(0, &token, now()).unwrap_err();
    let hinge = failed.hinge.unwrap();
    publishers[1].publish(keys());
    assert!(!verifiers.has_other_keys(&hinge));
    publishers[0].publish(keys());
    assert!(verifiers.has_other_keys(&hinge));
}

#[test]
fn a_token_may_be_newer_than_the_keys_unless_it_was_issued_before_they_were_asked_for() {
    let (_publishers, verifiers) = two();
    for (issued_at, age, expected) in [
        (Some(NOW - 100), 71, true),
        (Some(NOW - 100), 70, true),
        (Some(NOW - 100), 69, false),
        (Some(NOW), 0, true),
        (None, 0, true),
    ] {
        let hinge = Hinge {
            verifier: 0,
            generation: Some(1),
            issued_at: issued_at.map(WallTime::from_unix_seconds),
        };
        let may = verifiers.may_be_newer(&hinge, Duration::from_secs(age), now());
        assert_eq!(may, expected, "{issued_at:?}, {age}");
    }
}
