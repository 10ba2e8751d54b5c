//! What holds at compile time, and what debug output says.

use std::fmt::Debug;

use bartizan_ratelimit::{
    ConfigError, FleetSecret, Limiter, Policy, Rate, RedisStore, SharedLimiter, Sharing, Store,
};

use crate::support::secret;

#[test]
fn values_are_cloneable_shareable_and_printable() {
    fn check<T: Clone + Send + Sync + Debug + 'static>() {}
    check::<FleetSecret>();
    check::<RedisStore>();
    check::<SharedLimiter>();
    check::<Sharing>();
    check::<Store>();
}

#[test]
fn no_secret_is_printed() {
    let store = RedisStore::at("a:1", secret()).with_credentials("limiter", "hunter2");
    assert!(!format!("{store:?}").contains("hunter2"));
    let sentinel = RedisStore::sentinel("orders", ["a:1"], secret())
        .with_password("hunter2")
        .with_sentinel_credentials("watcher", "hunter2");
    let printed = format!("{sentinel:?}") + &format!("{:?}", sentinel.build().unwrap());
    assert!(
        printed.contains("orders") && !printed.contains("hunter2"),
        "{printed}"
    );
    assert!(!printed.contains(&format!("{:?}", b"hunter2")), "{printed}");
    let store = store.build().unwrap();
    let limiter = Limiter::builder()
        .add_policy(Policy::new("burst", Rate::per_second(1)))
        .build_shared(store, Sharing::among(1))
        .unwrap();
    let printed = format!("{limiter:?}");
    assert!(!printed.contains("hunter2"), "{printed}");
    assert!(
        printed.contains("limiter") && !printed.contains("[7, 7"),
        "{printed}"
    );
}

#[test]
fn sharing_that_cannot_work_is_refused() {
    let build = |sharing: Sharing| {
        let store = RedisStore::at("a:1", secret()).build().unwrap();
        let builder = Limiter::builder().add_policy(Policy::new("burst", Rate::per_second(1)));
        builder.build_shared(store, sharing)
    };
    let refused = |sharing| matches!(build(sharing), Err(ConfigError::Sharing(_)));
    assert!(build(Sharing::among(1)).is_ok());
    assert!(refused(Sharing::among(0)));
    assert!(refused(
        Sharing::among(1).with_deadline(std::time::Duration::ZERO)
    ));
    assert!(refused(
        Sharing::among(1).with_deadline(std::time::Duration::MAX)
    ));
    assert!(refused(Sharing::among(1).with_leases(usize::MAX)));
}
