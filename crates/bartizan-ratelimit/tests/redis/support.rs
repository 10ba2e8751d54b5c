//! Stores, limiters, and waiting for what has to come.

use std::time::Duration;

use bartizan_core::{Clock as _, MonotonicTime, SystemClock};
use bartizan_ratelimit::{
    FleetSecret, Limiter, Policy, RedisStore, SharedLimiter, SharedVerdict, Sharing, Source,
};

use crate::server::{PATIENCE, Server};

/// The deadline of most tests: generous, since other tests run beside them.
pub(crate) const DEADLINE: Duration = Duration::from_millis(500);

/// No request takes longer: the deadline, and what a busy machine adds.
pub(crate) const SLOWEST: Duration = Duration::from_secs(3);

pub(crate) fn secret() -> FleetSecret {
    FleetSecret::new([7; 32]).unwrap()
}

pub(crate) fn store(server: &Server) -> RedisStore {
    RedisStore::at(server.address(), secret()).build().unwrap()
}

pub(crate) fn among(instances: u32) -> Sharing {
    Sharing::among(instances).with_deadline(DEADLINE)
}

pub(crate) fn limiter(store: RedisStore, sharing: Sharing, policies: &[Policy]) -> SharedLimiter {
    let mut builder = Limiter::builder();
    for policy in policies {
        builder = builder.add_policy(policy.clone());
    }
    builder.build_shared(store, sharing).unwrap()
}

/// Waits for a condition.
pub(crate) async fn until(mut condition: impl AsyncFnMut() -> bool) {
    let begun = SystemClock.monotonic();
    while !condition().await {
        let waited = SystemClock.monotonic().saturating_since(begun);
        assert!(waited < PATIENCE, "it never came");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Checks once, and that this does not take longer than it may.
pub(crate) async fn timely(limiter: &SharedLimiter, key: &str) -> SharedVerdict {
    let begun = SystemClock.monotonic();
    let verdict = limiter.check(key).await;
    let took = SystemClock.monotonic().saturating_since(begun);
    assert!(took < SLOWEST, "took {took:?}");
    verdict
}

/// Waits until verdicts come from this source.
pub(crate) async fn until_from(limiter: &SharedLimiter, key: &str, source: Source) {
    until(async || timely(limiter, key).await.source() == source).await;
}

/// What was admitted: between which moments each was decided.
#[derive(Default)]
pub(crate) struct Admitted(Vec<(Duration, Duration)>);

impl Admitted {
    /// Admits as fast as it can for a while, and notes down when.
    pub(crate) async fn collect(
        limiter: SharedLimiter,
        key: String,
        origin: MonotonicTime,
        span: Duration,
        pause: Option<Duration>,
    ) -> (Self, u64) {
        let (mut admitted, mut checks) = (Self::default(), 0);
        let now = || SystemClock.monotonic().saturating_since(origin);
        while now() < span {
            let begun = now();
            let verdict = limiter.check(&key).await;
            assert_ne!(verdict.source(), Source::Fallback, "the store is there");
            checks += 1;
            if verdict.is_allowed() {
                admitted.0.push((begun, now()));
            }
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => tokio::task::yield_now().await,
            }
        }
        (admitted, checks)
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The most that lies wholly within any window of this length.
    pub(crate) fn most_within(&self, window: Duration) -> usize {
        // A window that holds the most begins where some admission begins.
        let mut ends: Vec<(Duration, Duration)> = self.0.clone();
        ends.sort_unstable();
        let mut most = 0;
        for (index, (begin, _)) in ends.iter().enumerate() {
            let within = ends[index..]
                .iter()
                .take_while(|(from, _)| *from <= *begin + window)
                .filter(|(_, to)| *to <= *begin + window);
            most = most.max(within.count());
        }
        most
    }
}
