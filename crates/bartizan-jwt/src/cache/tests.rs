use zeroize::ZeroizeOnDrop;

use super::*;
use crate::testing::{claims, header, keys, now, rules, sign, with};
use crate::verify::verify;

const MINUTE: Duration = Duration::from_secs(60);

fn verified(id: usize) -> VerifiedToken {
    let claims = with(claims(), serde_json::json!({ "jti": id.to_string() }));
    let token = sign(&header(), &claims);
    verify(&token, &keys(), &rules().build().unwrap(), now()).unwrap()
}

/// A cache with the names of these tokens in it; what stands for their bytes is `t-1` and so on.
fn filled(capacity: usize, count: usize) -> TokenCache {
    let cache = TokenCache::new(capacity, MINUTE);
    for id in 0..count {
        put(&cache, id, now());
    }
    cache
}

fn put(cache: &TokenCache, id: usize, at: WallTime) {
    let remembered = Remembered::new(verified(id), 0, 1);
    cache.insert(bytes(id).as_bytes(), remembered, at, now() + MINUTE * 5);
}

fn bytes(id: usize) -> String {
    format!("t-{id}")
}

fn found(cache: &TokenCache, id: usize, at: WallTime) -> Option<String> {
    let token = cache.get(bytes(id).as_bytes(), at, |_| true)?;
    token.claims().principal().token_id().map(str::to_owned)
}

#[test]
fn gives_back_what_was_remembered_and_nothing_else() {
    let cache = filled(64, 10);
    for id in 0..10 {
        assert_eq!(found(&cache, id, now()), Some(id.to_string()));
    }
    assert_eq!(found(&cache, 10, now()), None);
    assert!(cache.get(b"", now(), |_| true).is_none());
    assert!(cache.get(b"t-1 ", now(), |_| true).is_none());
    assert!(cache.get(b"t-1", now(), |_| false).is_none());
}

#[test]
fn a_token_that_differs_in_its_front_alone_is_another() {
    // The hash is the same: what decides is the comparison.
    let cache = TokenCache::new(64, MINUTE);
    let token = |front: &str| format!("{front}.{}", "s".repeat(64));
    let remembered = Remembered::new(verified(1), 0, 1);
    assert_eq!(
        cache.hash.of(token("a").as_bytes()),
        cache.hash.of(token("b").as_bytes())
    );
    cache.insert(token("a").as_bytes(), remembered, now(), now() + MINUTE);
    assert!(cache.get(token("a").as_bytes(), now(), |_| true).is_some());
    assert!(cache.get(token("b").as_bytes(), now(), |_| true).is_none());
}

#[test]
fn holds_from_its_verification_until_the_cap_or_its_end() {
    let cache = filled(64, 1);
    let second = Duration::from_secs(1);
    assert!(found(&cache, 0, now().saturating_sub(second)).is_none());
    assert!(found(&cache, 0, now() + (MINUTE - second)).is_some());
    assert!(found(&cache, 0, now() + MINUTE).is_none());
    // Its own end comes before the cap.
    let late = (now() + MINUTE * 5).saturating_sub(second);
    put(&cache, 1, late);
    assert!(found(&cache, 1, late).is_some());
    assert!(found(&cache, 1, late + second).is_none());
    // What has ended is not taken in.
    put(&cache, 2, now() + MINUTE * 5);
    assert!(found(&cache, 2, now() + MINUTE * 5).is_none());
}

#[test]
fn never_holds_more_than_its_capacity() {
    for capacity in [1, 2, 100, 300] {
        let cache = filled(capacity, 700);
        // Shards are filled by chance, and each has its share of the capacity.
        let most = cache.per_shard * cache.shards.len();
        assert!(cache.len() <= most && most <= capacity + cache.shards.len());
        for shard in &cache.shards {
            let shard = shard.read().unwrap();
            assert_eq!(shard.entries.len(), shard.turns.len());
        }
    }
}

#[test]
fn what_is_used_outlives_what_is_not() {
    let cache = filled(100, 50);
    for id in 100..400 {
        for used in 0..20 {
            assert!(
                found(&cache, used, now()).is_some(),
                "{used} is gone at {id}"
            );
        }
        put(&cache, id, now());
    }
}

#[test]
fn what_has_ended_makes_way() {
    let cache = filled(100, 50);
    let later = now() + MINUTE;
    for id in 100..150 {
        put(&cache, id, later);
    }
    assert_eq!(cache.len(), 50, "each new one clears away two old ones");
    for id in 100..150 {
        assert!(found(&cache, id, later).is_some());
    }
}

#[test]
fn what_left_is_not_looked_for() {
    let cache = filled(8, 100);
    let held: usize = (0..100)
        .filter(|id| {
            cache
                .presence
                .may_hold(cache.hash.of(bytes(*id).as_bytes()))
        })
        .count();
    // Some of the others pass by chance: one in eight.
    assert!(held >= cache.len() && held < 60, "{held}");
    cache.retain(|_| false);
    for id in 0..100 {
        assert!(!cache.presence.may_hold(cache.hash.of(bytes(id).as_bytes())));
    }
}

#[test]
fn forgets_what_it_is_told_to() {
    let cache = filled(64, 10);
    cache.retain(|remembered| remembered.token.claims().principal().token_id() != Some("3"));
    assert_eq!(cache.len(), 9);
    assert!(found(&cache, 3, now()).is_none());
    assert!(found(&cache, 4, now()).is_some());
}

#[test]
fn what_is_long_is_not_kept() {
    let cache = TokenCache::new(64, MINUTE);
    for (length, kept) in [(MAX_TOKEN, true), (MAX_TOKEN + 1, false)] {
        let token = "a".repeat(length);
        let remembered = Remembered::new(verified(1), 0, 1);
        cache.insert(token.as_bytes(), remembered, now(), now() + MINUTE);
        assert_eq!(cache.get(token.as_bytes(), now(), |_| true).is_some(), kept);
    }
}

#[test]
fn what_leaves_is_overwritten() {
    fn is_overwritten<T: ZeroizeOnDrop>(_: &T) {}
    let cache = filled(64, 1);
    for shard in &cache.shards {
        for entry in shard.read().unwrap().entries.values() {
            is_overwritten(&entry.bytes);
        }
    }
}

#[test]
fn two_caches_hash_with_different_keys() {
    let one = TokenCache::new(64, MINUTE);
    let other = TokenCache::new(64, MINUTE);
    assert_ne!(one.hash.of(b"token"), other.hash.of(b"token"));
}

#[test]
fn its_debug_form_shows_no_token() {
    let shown = format!("{:?}", filled(64, 3));
    assert!(
        shown.contains("tokens: 3") && !shown.contains("t-1"),
        "{shown}"
    );
}

#[test]
fn an_entry_and_its_hash_fill_one_line_of_memory() {
    assert_eq!(size_of::<(u64, Entry)>(), 64);
}
