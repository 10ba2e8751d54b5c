//! The limiter by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bartizan_ratelimit::{ConfigError, Limiter, Policy, Rate, Verdict};
use bartizan_testkit::ManualClock;

fn limiter(clock: &ManualClock, policies: impl IntoIterator<Item = Policy>) -> Limiter {
    let builder = Limiter::builder().with_clock(Arc::new(clock.clone()));
    policies
        .into_iter()
        .fold(builder, |builder, policy| builder.add_policy(policy))
        .build()
        .unwrap()
}

#[test]
fn all_policies_are_charged_or_none() {
    let clock = ManualClock::default();
    let limiter = limiter(
        &clock,
        [
            Policy::new("hourly", Rate::per_hour(4)),
            Policy::new("burst", Rate::per_second(1)),
        ],
    );
    let mut admitted = 0;
    // A hundred tries in four seconds and a bit: the second policy refuses most of them, and the
    // first is not charged for those.
    for _ in 0..101 {
        admitted += usize::from(limiter.check("alice").is_allowed());
        clock.advance(Duration::from_millis(40));
    }
    assert_eq!(admitted, 4);
    let Verdict::Denied(denial) = limiter.check("alice") else {
        panic!("the hour is spent");
    };
    assert_eq!(denial.policy(), 0);
    let wait = denial.wait().unwrap();
    assert!(
        wait > Duration::from_secs(890) && wait < Duration::from_secs(900),
        "{wait:?}"
    );
}

#[test]
fn threads_together_never_get_more_than_the_policies_allow() {
    for _ in 0..20 {
        let policies = [
            Policy::new("first", Rate::per_day(100)),
            Policy::new("second", Rate::per_day(60)),
            Policy::new("third", Rate::per_day(80)),
        ];
        let limiter = limiter(&ManualClock::default(), policies);
        let admitted = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let verdict = limiter.check("alice");
                        admitted.fetch_add(verdict.is_allowed().into(), Ordering::Relaxed);
                    }
                });
            }
        });
        let admitted = admitted.into_inner();
        // Those that race for the last cells may all be refused, one thread's worth at most.
        assert!((53..=60).contains(&admitted), "{admitted}");
    }
}

#[test]
fn the_wait_suits_all_policies() {
    let clock = ManualClock::default();
    let limiter = limiter(
        &clock,
        [
            Policy::new("burst", Rate::per_second(1)),
            Policy::new("hourly", Rate::per_hour(1)),
            Policy::new("trial", Rate::per_day(1)).in_shadow(),
        ],
    );
    assert!(limiter.check("alice").is_allowed());
    let Verdict::Denied(denial) = limiter.check("alice") else {
        panic!("all are spent");
    };
    assert_eq!(denial.policy(), 0);
    assert_eq!(denial.wait(), Some(Duration::from_secs(3_600)));
    clock.advance(Duration::from_secs(3_600));
    assert!(limiter.check("alice").is_allowed());
}

#[test]
fn a_window_never_holds_more_than_its_limit_where_that_is_asked_for() {
    let clock = ManualClock::default();
    let period = Duration::from_secs(10);
    let limiter = limiter(
        &clock,
        [Policy::new("quota", Rate::never_more_than(9, period))],
    );
    let mut admitted = Vec::new();
    for step in 0..600_u32 {
        // Bursts after silences of all lengths.
        let now = Duration::from_millis(u64::from(step) * 100);
        if step % 97 > 40 && limiter.check("alice").is_allowed() {
            admitted.push(now);
        }
        clock.advance(Duration::from_millis(100));
    }
    for begin in &admitted {
        let within = admitted
            .iter()
            .filter(|at| *at >= begin && **at < *begin + period);
        assert!(within.count() <= 9, "from {begin:?}");
    }
    assert!(admitted.len() > 20);
}

#[test]
fn occupancy_tells_how_full_the_memory_is() {
    let clock = ManualClock::default();
    let limiter = limiter(
        &clock,
        [Policy::new("burst", Rate::per_second(1)).with_keys(1_400)],
    );
    for key in 0..100 {
        assert!(limiter.check(&key).is_allowed());
    }
    let occupancy = limiter.occupancy();
    let [burst] = occupancy.as_slice() else {
        panic!("one policy");
    };
    assert_eq!((burst.policy.as_str(), burst.live), ("burst", 100));
    assert!(burst.slots >= 1_400 && burst.bytes >= burst.slots * 16);
    for key in 100..10_000 {
        assert!(limiter.check(&key).is_allowed());
    }
    let [burst] = <[_; 1]>::try_from(limiter.occupancy()).unwrap();
    assert_eq!(burst.live, burst.slots);
    assert!(burst.live_evictions > 8_000, "{}", burst.live_evictions);
    clock.advance(Duration::from_secs(1));
    assert_eq!(limiter.occupancy()[0].live, 0);
}

#[test]
fn a_policy_that_cannot_work_is_named() {
    let build = |policies: [Policy; 2]| {
        let [first, second] = policies;
        let builder = Limiter::builder().add_policy(first).add_policy(second);
        builder.build().unwrap_err()
    };
    let good = || Policy::new("good", Rate::per_second(1));
    assert!(
        matches!(build([good(), good()]), ConfigError::DuplicatePolicy(name) if name == "good")
    );
    for name in ["", "a\nb", "ä", &"x".repeat(65)] {
        let policy = Policy::new(name, Rate::per_second(1));
        assert!(matches!(build([good(), policy]), ConfigError::Name(it) if it == name));
    }
    for keys in [0, (1 << 32) + 1] {
        let policy = Policy::new("bad", Rate::per_second(1)).with_keys(keys);
        assert!(
            matches!(build([good(), policy]), ConfigError::Keys { policy, .. } if policy == "bad")
        );
    }
    let newcomers = Policy::new("bad", Rate::per_second(1)).with_newcomers(Rate::per_second(0));
    assert!(matches!(
        build([good(), newcomers]),
        ConfigError::Rate { .. }
    ));
}

#[cfg(all(feature = "coarse-clock", target_os = "linux"))]
#[test]
fn the_coarse_clock_moves() {
    let policy = Policy::new("burst", Rate::per_second(200).with_burst(1));
    let limiter = Limiter::builder()
        .add_policy(policy)
        .with_coarse_clock()
        .build()
        .unwrap();
    assert!(limiter.check("alice").is_allowed());
    // A cell comes back within 5 ms, as soon as the kernel's next ticks have passed.
    while !limiter.check("alice").is_allowed() {
        std::thread::yield_now();
    }
}
