//! Tokens that were verified, remembered for a while.

#[cfg(all(test, bartizan_loom))]
pub(crate) mod model;
mod presence;
mod tail_hash;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use bartizan_core::WallTime;
use zeroize::Zeroizing;

use self::presence::Presence;
use self::tail_hash::TailHash;
use crate::rules::MAX_LEEWAY;
use crate::sync::{AtomicBool, AtomicU64, Ordering, PoisonError, RwLock};
use crate::token::VerifiedToken;

/// Longer tokens are verified each time: they are rare, and would decide how much memory the
/// cache takes.
const MAX_TOKEN: usize = 4096;

/// So that requests on many cores seldom meet at one lock.
const MAX_SHARDS: usize = 64;

/// What was verified once, by the token's own bytes.
///
/// Only tokens that verified come in, so that whoever forges tokens neither fills it nor flushes
/// it. A token is found by a hash under a random key of this cache, and then compared byte by
/// byte. Whatever leaves is overwritten with zeros.
pub(crate) struct TokenCache {
    hash: TailHash,
    presence: Presence,
    shards: Box<[RwLock<Shard>]>,
    per_shard: usize,
    lifetime: Duration,
}

/// A token as it was verified.
pub(crate) struct Remembered {
    /// What it says.
    pub(crate) token: VerifiedToken,
    /// The generation of that verifier's keys in which its key was last seen.
    pub(crate) generation: AtomicU64,
    /// Which of the verifiers found it good.
    pub(crate) verifier: u32,
    was_used: AtomicBool,
}

#[derive(Default)]
struct Shard {
    entries: HashMap<u64, Entry, BuildHasherDefault<AsItIs>>,
    /// Every key of `entries` once, in the order in which they are looked at to make room.
    turns: VecDeque<u64>,
}

/// 56 bytes, and 64 with its hash: with many tokens alive, what is looked at first is one line of
/// memory, and the token's bytes and claims are then fetched side by side.
struct Entry {
    bytes: Zeroizing<Box<[u8]>>,
    /// When it was verified, in nanoseconds since the epoch. The checks of time that passed then
    /// pass at every later moment, up to `until`.
    since: u64,
    until: u64,
    remembered: Remembered,
}

impl TokenCache {
    /// A cache for about `capacity` tokens, each for at most `lifetime`.
    pub(crate) fn new(capacity: usize, lifetime: Duration) -> Self {
        // Shards of a hundred or more fill evenly enough that a cache which is said to be large
        // enough is.
        let shards = (capacity / 128).clamp(1, MAX_SHARDS).next_power_of_two();
        Self {
            hash: TailHash::random(),
            presence: Presence::of(capacity),
            shards: (0..shards).map(|_| RwLock::default()).collect(),
            per_shard: capacity.div_ceil(shards),
            lifetime,
        }
    }

    /// What is remembered of a token, if it still holds at `now` and `confirm` agrees.
    pub(crate) fn get(
        &self,
        token: &[u8],
        now: WallTime,
        confirm: impl FnOnce(&Remembered) -> bool,
    ) -> Option<VerifiedToken> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let hash = self.hash.of(token);
        // A lock is written to by everybody who reads: whoever sends many unknown tokens would
        // slow down all others, on every core.
        if !self.presence.may_hold(hash) {
            return None;
        }
        let shard = self.shard(hash)?;
        let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
        let entry = shard.entries.get(&hash)?;
        let remembered = &entry.remembered;
        if !(entry.since..entry.until).contains(&nanoseconds(now)) || !confirm(remembered) {
            return None;
        }
        // Looking at the claims first fetches them while the bytes are compared: with many tokens
        // alive, neither is near.
        let is_over = now >= remembered.token.claims().expires() + MAX_LEEWAY;
        if is_over || **entry.bytes != *token {
            return None;
        }
        // Written only once, so that readers on many cores share the line.
        if !remembered.was_used.load(Ordering::Relaxed) {
            remembered.was_used.store(true, Ordering::Relaxed);
        }
        Some(remembered.token.clone())
    }

    /// Remembers a token that was verified at `now` and holds until `until`.
    pub(crate) fn insert(
        &self,
        token: &[u8],
        remembered: Remembered,
        now: WallTime,
        until: WallTime,
    ) {
        if token.len() > MAX_TOKEN || until <= now {
            return;
        }
        let hash = self.hash.of(token);
        let Some(shard) = self.shard(hash) else {
            return;
        };
        let entry = Entry {
            bytes: Zeroizing::new(token.into()),
            since: nanoseconds(now),
            until: nanoseconds(until.min(now + self.lifetime)),
            remembered,
        };
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        let room = Room {
            presence: &self.presence,
            capacity: self.per_shard,
            now: nanoseconds(now),
        };
        shard.insert(hash, entry, room);
    }

    /// Forgets every token of which `keep` does not hold.
    pub(crate) fn retain(&self, keep: impl Fn(&Remembered) -> bool) {
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            let Shard { entries, turns } = &mut *shard;
            entries.retain(|hash, entry| {
                let is_kept = keep(&entry.remembered);
                if !is_kept {
                    self.presence.take(*hash);
                }
                is_kept
            });
            turns.retain(|hash| entries.contains_key(hash));
        }
    }

    /// How many tokens are remembered.
    pub(crate) fn len(&self) -> usize {
        let shards = self.shards.iter();
        shards
            .map(|shard| {
                let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
                shard.entries.len()
            })
            .sum()
    }

    fn shard(&self, hash: u64) -> Option<&RwLock<Shard>> {
        // The map inside a shard uses the low and the highest bits.
        let index = (hash >> 32) as usize & (self.shards.len() - 1);
        self.shards.get(index)
    }
}

impl Remembered {
    pub(crate) fn new(token: VerifiedToken, verifier: u32, generation: u64) -> Self {
        Self {
            token,
            generation: AtomicU64::new(generation),
            verifier,
            was_used: AtomicBool::new(false),
        }
    }
}

/// Past the year 2554 everything counts as over.
fn nanoseconds(time: WallTime) -> u64 {
    u64::try_from(time.since_unix_epoch().as_nanos()).unwrap_or(u64::MAX)
}

/// What bounds a shard.
#[derive(Clone, Copy)]
struct Room<'c> {
    presence: &'c Presence,
    capacity: usize,
    now: u64,
}

impl Shard {
    fn insert(&mut self, hash: u64, entry: Entry, room: Room<'_>) {
        // Also clears away what nobody asks for any more, a little at each turn.
        for _ in 0..2 {
            self.look_at_next(room);
        }
        if self.entries.insert(hash, entry).is_some() {
            return;
        }
        room.presence.add(hash);
        self.turns.push_back(hash);
        // Two rounds: the first may find that all of them were used.
        for _ in 0..2 * self.turns.len() {
            if self.entries.len() <= room.capacity {
                break;
            }
            self.make_room(room);
        }
    }

    /// Drops the entry whose turn it is if its time is over.
    fn look_at_next(&mut self, room: Room<'_>) {
        self.turn(room, |_| true);
    }

    /// Drops the entry whose turn it is, unless it was used since its last turn.
    fn make_room(&mut self, room: Room<'_>) {
        self.turn(room, |entry| {
            entry.remembered.was_used.swap(false, Ordering::Relaxed)
        });
    }

    /// Drops the entry whose turn it is if its time is over, or if nothing keeps it.
    fn turn(&mut self, room: Room<'_>, is_kept: impl FnOnce(&Entry) -> bool) {
        let Some(hash) = self.turns.pop_front() else {
            return;
        };
        match self.entries.get(&hash) {
            Some(entry) if (entry.since..entry.until).contains(&room.now) && is_kept(entry) => {
                self.turns.push_back(hash);
            }
            _ => {
                if self.entries.remove(&hash).is_some() {
                    room.presence.take(hash);
                }
            }
        }
    }
}

/// The keys of the map are hashes already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        // Not called: the keys are numbers. Any mixing is right.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache")
            .field("tokens", &self.len())
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
