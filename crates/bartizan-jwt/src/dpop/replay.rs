//! Which proofs were seen, so that each counts once.

#[cfg(all(test, bartizan_loom))]
mod model;

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;

use bartizan_core::WallTime;

use crate::crypto::digest;
use crate::sync::{Mutex, PoisonError};

/// The model checker wants every run to meet at the same lock.
const SHARDS: usize = if cfg!(all(test, bartizan_loom)) {
    1
} else {
    16
};
const DEFAULT_CAPACITY: usize = 100_000;

/// How many proofs of one key are kept. One client makes no more requests than this in a minute,
/// and one that does must not take the room of the others.
const PER_KEY: usize = 1000;

/// Remembers proofs for as long as they would be accepted.
///
/// The store decides alone whether a proof is fresh, and it must do so in one step: of two
/// requests with the same proof, exactly one is fresh. A store that cannot tell says
/// [`Replay::Unknown`], and the request is answered 503: replays are never let pass for want of
/// memory. So is one that waits for longer than the layer's
/// [patience](crate::JwtConfigBuilder::with_patience).
///
/// Only proofs that verified, for tokens that verified, get here.
pub trait ReplayStore: fmt::Debug + Send + Sync + 'static {
    /// Remembers a proof, and says whether it was new.
    fn record(&self, proof: &ProofId, now: WallTime) -> ReplayAnswer;
}

/// What a store knows of a proof.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "seen, not seen, or not known")]
pub enum Replay {
    /// It is new, and is remembered now.
    Fresh,
    /// It was there before.
    Replayed,
    /// The store is full, or cannot be reached.
    Unknown,
}

/// A store's answer.
#[expect(clippy::exhaustive_enums, reason = "now or later")]
pub enum ReplayAnswer {
    /// The answer is known.
    Now(Replay),
    /// The answer follows, from a store that is not in this process.
    Later(Pin<Box<dyn Future<Output = Replay> + Send>>),
}

impl fmt::Debug for ReplayAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(replay) => write!(f, "Now({replay:?})"),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}

/// The identity of a proof: its key and its `jti`. Two clients may choose one `jti`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ProofId {
    key: [u8; 32],
    digest: [u8; 32],
    keep_until: WallTime,
}

impl ProofId {
    pub(crate) fn new(key: [u8; 32], id: &str, keep_until: WallTime) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&key);
        context.update(id.as_bytes());
        let mut bytes = [0; 32];
        let hash = context.finish();
        bytes
            .iter_mut()
            .zip(hash.as_ref())
            .for_each(|(to, from)| *to = *from);
        Self {
            key,
            digest: bytes,
            keep_until,
        }
    }

    /// The thumbprint of the client's key.
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// SHA-256 of key and `jti`: what a proof is to be remembered by. It is of fixed length,
    /// whatever the client chose.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Until when the proof must be remembered.
    pub fn keep_until(&self) -> WallTime {
        self.keep_until
    }
}

/// A [`ReplayStore`] in this process, of bounded size.
///
/// When it is full it says so, and forgets nothing before its time. One key may hold 1000 proofs.
pub struct MemoryReplayStore {
    hash: RandomState,
    shards: Box<[Mutex<Shard>]>,
    per_shard: usize,
}

#[derive(Default)]
struct Shard {
    seen: HashSet<[u8; 32]>,
    per_key: HashMap<[u8; 32], usize>,
    /// Oldest first: all are kept equally long.
    order: VecDeque<ProofId>,
}

impl MemoryReplayStore {
    /// A store for about `capacity` proofs, at 250 bytes each.
    pub fn new(capacity: usize) -> Self {
        Self {
            hash: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            per_shard: capacity.div_ceil(SHARDS),
        }
    }
}

impl Default for MemoryReplayStore {
    /// A store for 100000 proofs.
    fn default() -> Self {
        Self::new(DEFAULT_CAPACITY)
    }
}

impl ReplayStore for MemoryReplayStore {
    fn record(&self, proof: &ProofId, now: WallTime) -> ReplayAnswer {
        let index = self.hash.hash_one(proof.key) as usize % SHARDS;
        ReplayAnswer::Now(self.shards.get(index).map_or(Replay::Unknown, |shard| {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.record(proof, now, self.per_shard)
        }))
    }
}

impl Shard {
    fn record(&mut self, proof: &ProofId, now: WallTime, capacity: usize) -> Replay {
        while let Some(oldest) = self.order.front()
            && oldest.keep_until <= now
        {
            self.seen.remove(&oldest.digest);
            if let Some(count) = self.per_key.get_mut(&oldest.key) {
                *count -= 1;
                if *count == 0 {
                    self.per_key.remove(&oldest.key);
                }
            }
            self.order.pop_front();
        }
        if self.seen.contains(&proof.digest) {
            return Replay::Replayed;
        }
        let of_key = self.per_key.get(&proof.key).copied().unwrap_or_default();
        if self.order.len() >= capacity || of_key >= PER_KEY {
            return Replay::Unknown;
        }
        self.seen.insert(proof.digest);
        self.per_key.insert(proof.key, of_key + 1);
        self.order.push_back(*proof);
        Replay::Fresh
    }
}

impl fmt::Debug for MemoryReplayStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReplayStore")
            .field("capacity", &(self.per_shard * SHARDS))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::now;

    const KEPT: Duration = Duration::from_secs(66);

    fn record(store: &MemoryReplayStore, key: u8, id: &str, at: WallTime) -> Replay {
        match store.record(&ProofId::new([key; 32], id, at + KEPT), at) {
            ReplayAnswer::Now(replay) => replay,
            ReplayAnswer::Later(_) => Replay::Unknown,
        }
    }

    #[test]
    fn a_proof_is_fresh_once_as_long_as_it_would_be_accepted() {
        let store = MemoryReplayStore::default();
        assert_eq!(record(&store, 1, "a", now()), Replay::Fresh);
        assert_eq!(record(&store, 1, "a", now()), Replay::Replayed);
        let last = now() + (KEPT - Duration::from_secs(1));
        assert_eq!(record(&store, 1, "a", last), Replay::Replayed);
        assert_eq!(record(&store, 1, "a", now() + KEPT), Replay::Fresh);
    }

    #[test]
    fn two_clients_may_choose_one_identifier() {
        let store = MemoryReplayStore::default();
        assert_eq!(record(&store, 1, "a", now()), Replay::Fresh);
        assert_eq!(record(&store, 2, "a", now()), Replay::Fresh);
        assert_eq!(record(&store, 2, "b", now()), Replay::Fresh);
    }

    #[test]
    fn a_full_store_lets_nothing_pass_and_forgets_nothing() {
        let store = MemoryReplayStore::new(16 * 4);
        let fill = |key: u8| (0..100).map(move |number| (key, number.to_string()));
        let fresh = fill(1).filter(|(key, id)| record(&store, *key, id, now()) == Replay::Fresh);
        assert_eq!(fresh.count(), 4);
        assert_eq!(record(&store, 1, "0", now()), Replay::Replayed);
        assert_eq!(record(&store, 1, "99", now()), Replay::Unknown);
        assert_eq!(record(&store, 1, "99", now() + KEPT), Replay::Fresh);
    }

    #[test]
    fn one_key_does_not_take_the_room_of_others() {
        let store = MemoryReplayStore::new(SHARDS * (PER_KEY + 1));
        for number in 0..PER_KEY {
            assert_eq!(record(&store, 1, &number.to_string(), now()), Replay::Fresh);
        }
        assert_eq!(record(&store, 1, "more", now()), Replay::Unknown);
        assert_eq!(record(&store, 2, "more", now()), Replay::Fresh);
    }

    #[test]
    fn of_two_at_once_one_is_fresh() {
        let store = MemoryReplayStore::default();
        for round in 0..50 {
            let id = round.to_string();
            let fresh = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4)
                    .map(|_| scope.spawn(|| record(&store, 1, &id, now())))
                    .collect();
                let answers = threads.into_iter().map(|thread| thread.join().unwrap());
                answers.filter(|answer| *answer == Replay::Fresh).count()
            });
            assert_eq!(fresh, 1);
        }
    }
}
