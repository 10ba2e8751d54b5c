//! What the service answers, and what comes of it.

use std::net::SocketAddr;
use std::time::Duration;

use bartizan_core::{Clock as _, Connection, SystemClock};
use bartizan_ratelimit::{
    EnvoyStore, Fallback, Key, Limiter, Policy, Rate, RateLimitConfig, RateLimitLayer,
    SharedLimiter, SharedVerdict, Sharing, Source, Verdict,
};
use bartizan_testkit::{Call, Host};
use tonic::Code;
use tonic::transport::Channel;

use crate::service::{Does, RateLimitService};

/// A field of a message: its number, and bytes.
fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
    field.extend(content);
    field
}

/// A field of a message: its number, and a small number.
fn number(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

/// What the service thinks of a descriptor: its code, what remains, after how long it is over.
fn status(code: u8, remaining: u8, reset: u8) -> Vec<u8> {
    let parts = [
        number(1, code),
        number(3, remaining),
        bytes(4, &number(1, reset)),
    ];
    bytes(2, &parts.concat())
}

fn answer(code: u8, statuses: &[Vec<u8>]) -> Does {
    Does::Answer([number(1, code), statuses.concat()].concat())
}

const OK: u8 = 1;
const OVER_LIMIT: u8 = 2;

/// Waits for as long as may be, so that a busy machine is no service that does not answer.
fn patient(instances: u32) -> Sharing {
    Sharing::among(instances).with_deadline(Duration::from_secs(10))
}

fn limiter(channel: Channel, policies: &[Policy]) -> SharedLimiter {
    limiter_with(patient(2), channel, policies)
}

fn limiter_with(sharing: Sharing, channel: Channel, policies: &[Policy]) -> SharedLimiter {
    let mut builder = Limiter::builder();
    for policy in policies {
        builder = builder.add_policy(policy.clone());
    }
    builder
        .build_shared(EnvoyStore::new(channel, "shop"), sharing)
        .unwrap()
}

fn policy(name: &str) -> Policy {
    Policy::new(name, Rate::per_minute(10)).with_fallback(Fallback::Closed)
}

fn wait(verdict: SharedVerdict) -> Option<Duration> {
    match verdict.verdict() {
        Some(Verdict::Denied(denial)) => denial.wait(),
        _ => None,
    }
}

/// Checks once, and that this does not take longer than it may on a busy machine.
async fn timely(limiter: &SharedLimiter, key: &str) -> SharedVerdict {
    let begun = SystemClock.monotonic();
    let verdict = limiter.check(key).await;
    let took = SystemClock.monotonic().saturating_since(begun);
    assert!(took < Duration::from_secs(3), "took {took:?}");
    verdict
}

#[tokio::test]
async fn the_service_is_asked_with_a_descriptor_for_each_policy() {
    let (service, channel) = RateLimitService::start(answer(OK, &[])).await;
    let limiter = limiter(channel.clone(), &[policy("a"), policy("b")]);
    let verdict = limiter.check_cost("alice", 3).await;
    assert_eq!(
        (verdict.is_allowed(), verdict.source()),
        (true, Source::Envoy)
    );
    let entry = |key: &str, value: &str| {
        bytes(
            1,
            &[bytes(1, key.as_bytes()), bytes(2, value.as_bytes())].concat(),
        )
    };
    let descriptor =
        |name: &str| bytes(2, &[entry("policy", name), entry("key", "alice")].concat());
    let expected = [
        bytes(1, b"shop"),
        descriptor("a"),
        descriptor("b"),
        number(3, 3),
    ];
    assert_eq!(service.asked(), [expected.concat()]);
    // What costs nothing is not asked for: the protocol takes 0 for 1.
    assert!(limiter.check_cost("alice", 0).await.is_allowed());
    assert_eq!(service.asked().len(), 1);

    let plain = EnvoyStore::new(channel, "shop").without_policy_names();
    let builder = Limiter::builder().add_policy(policy("a"));
    let plain = builder.build_shared(plain, patient(1)).unwrap();
    let _ = plain.check("alice").await;
    let expected = [
        bytes(1, b"shop"),
        bytes(2, &entry("key", "alice")),
        number(3, 1),
    ];
    assert_eq!(service.asked().last(), Some(&expected.concat()));
}

#[tokio::test]
async fn what_is_over_its_limit_is_refused_until_the_window_is_over() {
    let over = answer(OVER_LIMIT, &[status(OK, 5, 7), status(OVER_LIMIT, 0, 42)]);
    let (service, channel) = RateLimitService::start(over).await;
    let limiter = limiter(channel, &[policy("a"), policy("b")]);
    let first = timely(&limiter, "alice").await;
    assert_eq!((first.is_allowed(), first.source()), (false, Source::Envoy));
    assert_eq!(wait(first), Some(Duration::from_secs(42)));
    let Some(Verdict::Denied(denial)) = first.verdict() else {
        panic!("refused");
    };
    assert_eq!(denial.policy(), 1);
    // Nobody is asked again before.
    for _ in 0..20 {
        let again = timely(&limiter, "alice").await;
        assert_eq!((again.is_allowed(), again.source()), (false, Source::Local));
    }
    assert_eq!(service.asked().len(), 1);
    // Without words about each descriptor, the verdict counts.
    service.now_does(answer(OVER_LIMIT, &[]));
    let untold = timely(&limiter, "bob").await;
    assert_eq!(wait(untold), Some(Duration::from_secs(1)));
}

#[tokio::test]
async fn policies_in_shadow_refuse_nobody() {
    let over = answer(OVER_LIMIT, &[status(OVER_LIMIT, 0, 42), status(OK, 5, 42)]);
    let (_service, channel) = RateLimitService::start(over).await;
    let limiter = limiter(channel, &[policy("trial").in_shadow(), policy("limit")]);
    for _ in 0..3 {
        let verdict = timely(&limiter, "alice").await;
        assert_eq!(
            (verdict.is_allowed(), verdict.source()),
            (true, Source::Envoy)
        );
    }
}

#[tokio::test]
async fn a_service_that_gives_no_verdict_is_fallen_back_from_and_returned_to() {
    for bad in [
        Does::Fail(Code::Unknown),
        Does::Fail(Code::Unavailable),
        Does::Silence,
        // No verdict, and no message at all.
        answer(0, &[]),
        Does::Answer(vec![0xff; 9]),
    ] {
        let (service, channel) = RateLimitService::start(answer(OK, &[])).await;
        let sharing = Sharing::among(2).with_deadline(Duration::from_millis(500));
        let limiter = limiter_with(sharing, channel, &[policy("a")]);
        assert!(timely(&limiter, "alice").await.is_allowed());
        service.now_does(bad.clone());
        for _ in 0..5 {
            let verdict = timely(&limiter, "alice").await;
            assert_eq!(
                (verdict.verdict(), verdict.source()),
                (None, Source::Fallback),
                "{bad:?}"
            );
        }
        // Nobody waits any more.
        assert!(limiter.status().is_lost);
        let trips = limiter.status().round_trips;
        let _ = timely(&limiter, "alice").await;
        assert_eq!(limiter.status().round_trips, trips);
        service.now_does(answer(OK, &[]));
        let begun = SystemClock.monotonic();
        while !timely(&limiter, "alice").await.is_allowed() {
            let waited = SystemClock.monotonic().saturating_since(begun);
            assert!(
                waited < Duration::from_secs(60),
                "it never came back: {bad:?}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn requests_that_the_service_does_not_take_do_not_have_it_given_up() {
    let (service, channel) = RateLimitService::start(Does::Fail(Code::InvalidArgument)).await;
    let limiter = limiter(channel, &[policy("a")]);
    for _ in 0..50 {
        assert_eq!(timely(&limiter, "alice").await.verdict(), None);
    }
    assert!(!limiter.status().is_lost);
    service.now_does(answer(OK, &[]));
    // Nor do costs beyond what the protocol can say, or keys that say nothing.
    let huge = Policy::new("huge", Rate::per_second(1 << 20).with_burst(1 << 40));
    let builder = Limiter::builder().add_policy(huge);
    let store = EnvoyStore::new(service.channel(), "shop");
    let huge = builder.build_shared(store, patient(1)).unwrap();
    for key in ["", "bob"] {
        let verdict = huge.check_cost(key, 1 << 39).await;
        assert_eq!(
            (verdict.is_allowed(), verdict.source()),
            (true, Source::Envoy)
        );
    }
    let last = service.asked().pop().unwrap();
    assert!(
        last.ends_with(&[3 << 3, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        "{last:?}"
    );
}

#[tokio::test]
async fn the_layer_asks_with_what_requests_are_counted_by() {
    let (service, channel) = RateLimitService::start(answer(OK, &[status(OK, 3, 9)])).await;
    let key = Key::all([Key::network(24, 64), Key::everybody()]);
    let config = RateLimitConfig::builder(key)
        .add_policy(policy("a"))
        .with_fields(bartizan_ratelimit::Fields::Standard)
        .with_store(EnvoyStore::new(channel, "shop"), patient(1));
    let layer = RateLimitLayer::new(config.build().unwrap());
    let remote = SocketAddr::from(([192, 0, 2, 7], 4_000));
    let call = Call::echo("hello").with_connection(Connection::from_remote(remote));
    let answer = Host::Hyper.send(&layer, &call).await.unwrap();
    assert!(answer.is_success());
    assert_eq!(answer.json()["context"]["decisions"][0]["detail"], "envoy");
    assert!(
        answer
            .header("ratelimit")
            .unwrap()
            .starts_with(r#""a";r=3;"#)
    );
    let asked = service.asked().concat();
    let has = |text: &[u8]| asked.windows(text.len()).any(|it| it == text);
    assert!(has(b"remote_address") && has(b"192.0.2.0") && has(b"generic_key"));
}
