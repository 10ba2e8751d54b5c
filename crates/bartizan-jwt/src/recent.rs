//! What was learnt of credentials a moment ago, by their bytes.

use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use bartizan_core::MonotonicTime;
use zeroize::Zeroizing;

use crate::sync::{Mutex, MutexGuard, PoisonError};

/// So that requests on many cores seldom meet at one lock.
const MAX_SHARDS: usize = 16;

/// The bytes of a credential, as the key of a table: compared whole, and overwritten with zeros
/// when they leave.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct CredentialBytes(Zeroizing<Box<[u8]>>);

impl CredentialBytes {
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for CredentialBytes {
    fn from(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }
}

impl Borrow<[u8]> for CredentialBytes {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// As the bytes themselves, which `Borrow` demands.
impl Hash for CredentialBytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

/// A bounded table of what is known of credentials, each for its time.
///
/// A credential is found by a hash under a random key of this table, and then compared byte by
/// byte. At the bound, what was not asked for since its last turn makes room.
pub(crate) struct Recent<V> {
    hash: RandomState,
    shards: Box<[Mutex<Shard<V>>]>,
    per_shard: usize,
}

struct Shard<V> {
    entries: HashMap<u64, Entry<V>>,
    /// Every key of `entries` once, in the order in which they are looked at to make room.
    turns: VecDeque<u64>,
}

struct Entry<V> {
    credential: CredentialBytes,
    until: MonotonicTime,
    was_used: bool,
    value: V,
}

impl<V: Clone> Recent<V> {
    /// A table for about `capacity` credentials; at least one.
    pub(crate) fn new(capacity: usize) -> Self {
        let shards = (capacity / 64).clamp(1, MAX_SHARDS).next_power_of_two();
        Self {
            hash: RandomState::new(),
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            per_shard: capacity.div_ceil(shards).max(1),
        }
    }

    /// What is known of a credential at `now`.
    pub(crate) fn get(&self, credential: &[u8], now: MonotonicTime) -> Option<V> {
        let hash = self.hash.hash_one(credential);
        let mut shard = self.shard(hash)?;
        let entry = shard.entries.get_mut(&hash)?;
        if now >= entry.until || entry.credential.as_slice() != credential {
            return None;
        }
        entry.was_used = true;
        Some(entry.value.clone())
    }

    /// Keeps `value` until then, in place of what was known.
    pub(crate) fn insert(
        &self,
        credential: CredentialBytes,
        value: V,
        now: MonotonicTime,
        until: MonotonicTime,
    ) {
        let hash = self.hash.hash_one(credential.as_slice());
        let Some(mut shard) = self.shard(hash) else {
            return;
        };
        let entry = Entry {
            credential,
            until,
            was_used: false,
            value,
        };
        // Also clears away what nobody asks for any more, a little at each turn.
        shard.look_at_next(now);
        if shard.entries.insert(hash, entry).is_some() {
            return;
        }
        // Two rounds: the first may find that all of them were used. The new one has no turn yet,
        // so that it is not the one that goes.
        for _ in 0..2 * shard.turns.len() {
            if shard.entries.len() <= self.per_shard {
                break;
            }
            shard.make_room(now);
        }
        shard.turns.push_back(hash);
    }

    /// Forgets a credential.
    pub(crate) fn remove(&self, credential: &[u8]) {
        let hash = self.hash.hash_one(credential);
        if let Some(mut shard) = self.shard(hash)
            && let Some(entry) = shard.entries.get(&hash)
            && entry.credential.as_slice() == credential
        {
            shard.entries.remove(&hash);
            shard.turns.retain(|turn| *turn != hash);
        }
    }

    /// How many credentials something is known of.
    pub(crate) fn len(&self) -> usize {
        let shards = self.shards.iter();
        shards.map(|shard| lock(shard).entries.len()).sum()
    }

    fn shard(&self, hash: u64) -> Option<MutexGuard<'_, Shard<V>>> {
        // The map inside a shard uses the low and the highest bits.
        let index = (hash >> 32) as usize & (self.shards.len() - 1);
        self.shards.get(index).map(lock)
    }
}

fn lock<V>(shard: &Mutex<Shard<V>>) -> MutexGuard<'_, Shard<V>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<V> Shard<V> {
    /// Drops the entry whose turn it is if its time is over.
    fn look_at_next(&mut self, now: MonotonicTime) {
        self.take_turn(|entry| now < entry.until);
    }

    /// Drops the entry whose turn it is, unless it was used since its last turn.
    fn make_room(&mut self, now: MonotonicTime) {
        self.take_turn(|entry| now < entry.until && std::mem::take(&mut entry.was_used));
    }

    fn take_turn(&mut self, stays: impl FnOnce(&mut Entry<V>) -> bool) {
        let Some(hash) = self.turns.pop_front() else {
            return;
        };
        if self.entries.get_mut(&hash).is_some_and(stays) {
            self.turns.push_back(hash);
        } else {
            self.entries.remove(&hash);
        }
    }
}

impl<V> Default for Shard<V> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            turns: VecDeque::new(),
        }
    }
}

impl<V: Clone> fmt::Debug for Recent<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recent({} credentials)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bartizan_core::{Clock, SystemClock};
    use proptest::prelude::*;

    use super::*;

    fn start() -> MonotonicTime {
        SystemClock.monotonic()
    }

    fn after(start: MonotonicTime, seconds: u64) -> MonotonicTime {
        start.checked_add(Duration::from_secs(seconds)).unwrap()
    }

    fn put<V: Clone>(recent: &Recent<V>, name: &str, value: V, now: MonotonicTime, seconds: u64) {
        let key = CredentialBytes::from(name.as_bytes());
        recent.insert(key, value, now, after(now, seconds));
    }

    #[test]
    fn what_is_known_ends_with_its_time() {
        let (recent, now) = (Recent::new(10), start());
        put(&recent, "a", 1, now, 5);
        assert_eq!(recent.get(b"a", after(now, 4)), Some(1));
        assert_eq!(recent.get(b"a", after(now, 5)), None);
        assert_eq!(recent.get(b"b", now), None);
        put(&recent, "a", 2, now, 9);
        assert_eq!(
            recent.get(b"a", after(now, 5)),
            Some(2),
            "the newer one counts"
        );
        recent.remove(b"a");
        assert_eq!((recent.get(b"a", now), recent.len()), (None, 0));
    }

    #[test]
    fn what_is_asked_for_outlives_a_flood_of_what_is_not() {
        let (recent, now) = (Recent::new(8), start());
        put(&recent, "good", 0, now, 1000);
        for number in 0..1000 {
            assert_eq!(recent.get(b"good", now), Some(0), "after {number} others");
            put(&recent, &format!("other {number}"), 1, now, 1000);
            assert!(recent.len() <= 8);
        }
    }

    #[test]
    fn debug_prints_no_credential() {
        let (recent, now) = (Recent::new(8), start());
        put(&recent, "hunter2", "hunter3", now, 5);
        assert_eq!(format!("{recent:?}"), "Recent(1 credentials)");
    }

    proptest! {
        #[test]
        fn never_holds_more_than_its_bound_nor_answers_for_another(
            names in proptest::collection::vec("[a-c]{1,4}", 0..200),
            capacity in 0_usize..12,
        ) {
            let (recent, now) = (Recent::new(capacity), start());
            for name in &names {
                put(&recent, name, name.clone(), now, 5);
                prop_assert_eq!(recent.get(name.as_bytes(), now), Some(name.clone()));
                prop_assert!(recent.len() <= capacity.max(1));
            }
            for name in &names {
                let known = recent.get(name.as_bytes(), now);
                prop_assert!(known.is_none_or(|known| known == *name));
            }
        }
    }
}
