//! Every order in which threads can meet at the cache, tried by a model checker.

use std::sync::Arc;

use loom::thread;

use super::*;
use crate::testing::{claims, header, keys, now, rules, sign};
use crate::verify::verify;

const MINUTE: Duration = Duration::from_secs(60);

/// As [`TailHash::random`], and the same in every order that is tried.
fn hash() -> TailHash {
    TailHash::keyed(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// An empty cache.
pub(crate) fn cache(shards: usize, per_shard: usize) -> TokenCache {
    TokenCache {
        hash: hash(),
        presence: Presence::of(1),
        shards: (0..shards).map(|_| RwLock::default()).collect(),
        per_shard,
        lifetime: MINUTE,
    }
}

/// Tokens under one counter of presence, in these of two shards.
fn neighbours<const N: usize>(shards: [u64; N]) -> [String; N] {
    let hash = hash();
    let mut numbers = 0_u32..;
    shards.map(|shard| {
        let tokens = numbers.by_ref().map(|number| format!("t-{number}"));
        let mut fit = tokens.filter(|token| {
            let hash = hash.of(token.as_bytes());
            hash % 64 == 7 && hash >> 32 & 1 == shard
        });
        fit.next().unwrap()
    })
}

fn verified() -> VerifiedToken {
    let token = sign(&header(), &claims());
    verify(&token, &keys(), &rules().build().unwrap(), now()).unwrap()
}

fn put(cache: &TokenCache, name: &str, token: &VerifiedToken, verifier: u32) {
    let remembered = Remembered::new(token.clone(), verifier, 1);
    cache.insert(name.as_bytes(), remembered, now(), now() + MINUTE);
}

fn finds(cache: &TokenCache, name: &str) -> bool {
    cache.get(name.as_bytes(), now(), |_| true).is_some()
}

fn may_hold(cache: &TokenCache, name: &str) -> bool {
    cache.presence.may_hold(cache.hash.of(name.as_bytes()))
}

#[test]
fn a_token_that_is_kept_is_found_whoever_comes_and_goes_beside_it() {
    let token = verified();
    // They meet at no lock, and at one counter.
    let [kept, comes, goes] = neighbours([0, 0, 1]);
    loom::model(move || {
        let cache = Arc::new(cache(2, 4));
        put(&cache, &kept, &token, 0);
        put(&cache, &goes, &token, 1);
        let coming = {
            let (cache, comes, token) = (Arc::clone(&cache), comes.clone(), token.clone());
            thread::spawn(move || put(&cache, &comes, &token, 2))
        };
        let going = {
            let cache = Arc::clone(&cache);
            thread::spawn(move || cache.retain(|remembered| remembered.verifier != 1))
        };
        assert!(finds(&cache, &kept));
        coming.join().unwrap();
        going.join().unwrap();
        assert!(finds(&cache, &kept) && finds(&cache, &comes) && !finds(&cache, &goes));
        // Nothing was counted that was not there, and nothing left without being taken off.
        cache.retain(|remembered| remembered.verifier != 2);
        assert!(finds(&cache, &kept));
        cache.retain(|_| false);
        assert!(!may_hold(&cache, &kept));
    });
}

#[test]
fn of_two_that_come_into_a_full_cache_one_is_kept_and_found() {
    let token = verified();
    let names = neighbours([0, 0]);
    loom::model(move || {
        let cache = Arc::new(cache(1, 1));
        let threads = names.clone().map(|name| {
            let (cache, token) = (Arc::clone(&cache), token.clone());
            thread::spawn(move || put(&cache, &name, &token, 0))
        });
        // Looking marks it as used, which decides who makes room.
        let _ = finds(&cache, &names[0]);
        for thread in threads {
            thread.join().unwrap();
        }
        let found = names.iter().filter(|name| finds(&cache, name)).count();
        assert_eq!((found, cache.len()), (1, 1));
        cache.retain(|_| false);
        assert!(!may_hold(&cache, &names[0]));
    });
}
