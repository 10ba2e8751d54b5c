//! What holds at compile time, and what debug output says.

use std::fmt::Debug;

use bartizan_core::{Chain, GuardLayer};
use bartizan_ratelimit::{
    Key, Limiter, LimiterBuilder, Policy, Rate, RateLimit, RateLimitConfig, RateLimitConfigBuilder,
    RateLimitGuard, RateLimitLayer, RateLimitPass,
};
use bartizan_testkit::{Host, HostLayer, HttpEcho, ManualClock};

use crate::support::{call_from, config, layer, two_a_second};

#[test]
fn values_are_cloneable_shareable_and_printable() {
    fn check<T: Clone + Send + Sync + Debug + 'static>() {}
    check::<Key>();
    check::<Limiter>();
    check::<LimiterBuilder>();
    check::<Policy>();
    check::<RateLimit<HttpEcho>>();
    check::<RateLimitConfig>();
    check::<RateLimitConfigBuilder>();
    check::<RateLimitGuard>();
    check::<RateLimitLayer>();

    fn check_owned<T: Send + Debug + 'static>() {}
    check_owned::<RateLimitPass>();
}

#[test]
fn the_layer_fits_every_host() {
    fn check<L: HostLayer>() {}
    check::<RateLimitLayer>();
}

#[tokio::test]
async fn guards_chain_and_each_has_its_say() {
    let clock = ManualClock::default();
    let wide = layer(two_a_second(&clock));
    let narrow =
        layer(config(Key::everybody(), &clock).add_policy(Policy::new("one", Rate::per_hour(1))));
    let both = GuardLayer::new(Chain::new(wide.guard().clone(), narrow.guard().clone()));
    let answer = Host::Hyper
        .send(&both, &call_from("192.0.2.1"))
        .await
        .unwrap();
    assert!(answer.is_success());
    let answer = Host::Hyper
        .send(&both, &call_from("192.0.2.2"))
        .await
        .unwrap();
    assert_eq!(answer.code().as_deref(), Some("ratelimit.exceeded"));
}
