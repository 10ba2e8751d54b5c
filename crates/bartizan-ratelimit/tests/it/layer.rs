//! The layer on every host.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_core::{Enforcement, Entrance, Event, ForwardingHeader, TrustedProxies, observe_fn};
use bartizan_ratelimit::{
    ConfigError, Key, Policy, Rate, RateLimitConfig, RateLimitLayer, Settlement,
};
use bartizan_testkit::{Call, Host, ManualClock};
use tower::layer::util::Stack;

use crate::support::{admits, call_from, config, layer, two_a_second};

#[test]
fn rejects_when_unconfigured() {
    let refused = RateLimitConfig::builder(Key::address()).build();
    assert!(matches!(refused, Err(ConfigError::PolicyCount(0))));
    let nine = (0..9).fold(RateLimitConfig::builder(Key::address()), |config, n| {
        config.add_policy(Policy::new(n.to_string(), Rate::per_second(1)))
    });
    assert!(matches!(nine.build(), Err(ConfigError::PolicyCount(9))));
}

#[tokio::test]
async fn a_request_without_a_key_is_refused_on_every_host() {
    for host in Host::WITHOUT_SOCKETS {
        let layer = layer(two_a_second(&ManualClock::default()));
        let answer = host.send(&layer, &Call::echo("hello")).await.unwrap();
        assert_eq!(
            answer.code().as_deref(),
            Some("ratelimit.no_key"),
            "{host:?}"
        );
        let status = if host.is_grpc() { 200 } else { 403 };
        assert_eq!(answer.http_status, status, "{host:?}");
    }
}

#[tokio::test]
async fn a_burst_passes_and_what_follows_waits_on_every_host() {
    for host in Host::WITHOUT_SOCKETS {
        let clock = ManualClock::default();
        let layer = layer(two_a_second(&clock));
        let send = async || host.send(&layer, &call_from("192.0.2.1")).await.unwrap();
        assert!(send().await.is_success(), "{host:?}");
        assert!(send().await.is_success(), "{host:?}");
        let refused = send().await;
        assert!(!refused.is_success(), "{host:?}");
        assert_eq!(refused.code().as_deref(), Some("ratelimit.exceeded"));
        assert_eq!(refused.header("retry-after"), Some("1"), "{host:?}");
        // Another caller is not concerned.
        let other = host.send(&layer, &call_from("192.0.2.2")).await.unwrap();
        assert!(other.is_success(), "{host:?}");
        // A moment too early, and in time.
        clock.advance(Duration::from_nanos(499_999_999));
        assert!(!send().await.is_success(), "{host:?}");
        clock.advance(Duration::from_nanos(1));
        let admitted = send().await;
        assert!(admitted.is_success(), "{host:?}");
        let decision = &admitted.json()["context"]["decisions"][0];
        assert_eq!(decision["outcome"], "allowed", "{host:?}");
        assert_eq!(decision["detail"], "local", "{host:?}");
        assert!(!send().await.is_success(), "{host:?}");
    }
}

#[tokio::test]
async fn renders_grpc_rejection() {
    let layer = layer(two_a_second(&ManualClock::default()));
    let call = call_from("192.0.2.1");
    for _ in 0..2 {
        Host::TonicRoutes.send(&layer, &call).await.unwrap();
    }
    let refused = Host::TonicRoutes.send(&layer, &call).await.unwrap();
    assert_eq!(refused.http_status, 200);
    assert_eq!(refused.grpc_status, Some(8));
    assert_eq!(refused.ended_with_headers, Some(true));
    assert_eq!(refused.header("grpc-retry-pushback-ms"), Some("500"));
    assert_eq!(refused.code().as_deref(), Some("ratelimit.exceeded"));
}

#[tokio::test]
async fn shadow_mode_lets_pass_and_records() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let observer = Arc::clone(&seen);
    let config = two_a_second(&ManualClock::default())
        .with_enforcement(Enforcement::Shadow)
        .with_observer(Arc::new(observe_fn(move |event| {
            if let Event::Decision(decision) = event {
                let code = decision.code().map(|code| code.as_str());
                observer
                    .lock()
                    .unwrap()
                    .push((decision.outcome().as_str(), code));
            }
        })));
    let layer = layer(config);
    for _ in 0..3 {
        let answer = Host::Hyper
            .send(&layer, &call_from("192.0.2.1"))
            .await
            .unwrap();
        assert!(answer.is_success());
    }
    let expected = [
        ("allowed", None),
        ("allowed", None),
        ("would_have_denied", Some("ratelimit.exceeded")),
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_policy_in_shadow_records_beside_one_that_holds() {
    let clock = ManualClock::default();
    let config = config(Key::address(), &clock)
        .add_policy(Policy::new("trial", Rate::per_hour(1)).in_shadow())
        .add_policy(Policy::new("burst", Rate::per_second(2)));
    let layer = layer(config);
    let send = async || {
        Host::Hyper
            .send(&layer, &call_from("192.0.2.1"))
            .await
            .unwrap()
    };
    assert!(send().await.is_success());
    let second = send().await;
    assert!(second.is_success());
    let decisions = &second.json()["context"]["decisions"];
    assert_eq!(decisions[0]["outcome"], "would_have_denied");
    assert_eq!(decisions[0]["detail"], "local: trial");
    // The verdict follows once all policies were asked; the echo stands further in.
    assert_eq!(decisions[1]["outcome"], "allowed");
    let third = send().await;
    assert_eq!(third.code().as_deref(), Some("ratelimit.exceeded"));
    assert_eq!(third.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn what_is_refused_costs_nothing() {
    let clock = ManualClock::default();
    let layer = layer(two_a_second(&clock));
    for _ in 0..2 {
        assert!(admits(&layer, "192.0.2.1").await);
    }
    // Knocking a hundred times while waiting changes nothing.
    for _ in 0..100 {
        clock.advance(Duration::from_millis(4));
        assert!(!admits(&layer, "192.0.2.1").await);
    }
    clock.advance(Duration::from_millis(100));
    assert!(admits(&layer, "192.0.2.1").await);
}

#[tokio::test]
async fn a_flood_of_made_up_addresses_frees_nobody_and_harms_nobody() {
    let clock = ManualClock::default();
    let policy = Policy::new("burst", Rate::per_second(10)).with_keys(1_400);
    let layer = layer(config(Key::address(), &clock).add_policy(policy));
    let offender = async || admits(&layer, "192.0.2.66").await;
    for _ in 0..10 {
        assert!(offender().await);
    }
    // 65,536 of them in a second, while the offender knocks on.
    let mut admitted = 0;
    for network in 0..=255_u8 {
        for host in 0..=255_u8 {
            let made_up = IpAddr::from([100, 64, network, host]);
            let _ = layer.limiter().check(&made_up);
        }
        clock.advance(Duration::from_secs(1) / 256);
        admitted += usize::from(offender().await);
        // Whoever stays within the limit does not notice.
        if network % 32 == 0 {
            assert!(admits(&layer, "203.0.113.7").await, "{network}");
        }
    }
    // Ten a second, as if nobody else had been there.
    assert_eq!(admitted, 10);
    let [burst] = <[_; 1]>::try_from(layer.limiter().occupancy()).unwrap();
    assert!(burst.live_evictions > 10_000, "{}", burst.live_evictions);
}

#[tokio::test]
async fn the_client_behind_a_trusted_proxy_is_counted_and_not_what_it_makes_up() {
    let proxies = TrustedProxies::networks(
        ForwardingHeader::XForwardedFor,
        ["10.0.0.0/8".parse().unwrap()],
    );
    let layer = layer(two_a_second(&ManualClock::default()))
        .with_entrance(Entrance::new().with_proxies(proxies));
    for made_up in 0..3_u8 {
        let header = format!("{made_up}.9.9.9, 203.0.113.7");
        let call = call_from("10.0.0.1")
            .add_header("x-forwarded-for".parse().unwrap(), header.parse().unwrap());
        let answer = Host::Hyper.send(&layer, &call).await.unwrap();
        assert_eq!(answer.is_success(), made_up < 2, "{made_up}");
    }
}

#[tokio::test]
async fn the_response_settles_what_is_charged() {
    let clock = ManualClock::default();
    let config = config(Key::address(), &clock)
        .add_policy(Policy::new("burst", Rate::per_second(10)))
        .with_settlement(|response| match response.status.as_u16() {
            404 => Settlement::Charge(9),
            200 => Settlement::Refund,
            _ => Settlement::Keep,
        });
    let layer = layer(config);
    for _ in 0..50 {
        let answer = Host::AxumLayer
            .send(&layer, &call_from("192.0.2.1"))
            .await
            .unwrap();
        assert_eq!(answer.http_status, 200);
    }
    let wrong = call_from("192.0.2.1").with_http_path("/nowhere");
    let answer = Host::AxumLayer.send(&layer, &wrong).await.unwrap();
    assert_eq!(answer.http_status, 404);
    let answer = Host::AxumLayer
        .send(&layer, &call_from("192.0.2.1"))
        .await
        .unwrap();
    assert_eq!(answer.http_status, 429);
}

#[tokio::test]
async fn a_refusal_further_in_charges_the_address() {
    for host in Host::WITHOUT_SOCKETS {
        let clock = ManualClock::default();
        let outer = config(Key::address(), &clock)
            .add_policy(Policy::new("fuse", Rate::per_second(10)))
            .with_settlement(|response| {
                let grpc = response.headers.get("grpc-status");
                match response.status.as_u16() {
                    403 => Settlement::Charge(8),
                    _ if grpc.is_some_and(|status| status == "7") => Settlement::Charge(8),
                    _ => Settlement::Keep,
                }
            });
        // Refuses everybody, since nobody is authenticated.
        let inner =
            config(Key::subject(), &clock).add_policy(Policy::new("burst", Rate::per_second(10)));
        let both = Stack::new(layer(inner), layer(outer));
        let code = async || {
            let answer = host.send(&both, &call_from("192.0.2.1")).await.unwrap();
            answer.code()
        };
        assert_eq!(
            code().await.as_deref(),
            Some("ratelimit.no_key"),
            "{host:?}"
        );
        assert_eq!(
            code().await.as_deref(),
            Some("ratelimit.no_key"),
            "{host:?}"
        );
        // Eighteen of ten are spent.
        assert_eq!(
            code().await.as_deref(),
            Some("ratelimit.exceeded"),
            "{host:?}"
        );
        clock.advance(Duration::from_millis(899));
        assert_eq!(
            code().await.as_deref(),
            Some("ratelimit.exceeded"),
            "{host:?}"
        );
        clock.advance(Duration::from_millis(1));
        assert_eq!(
            code().await.as_deref(),
            Some("ratelimit.no_key"),
            "{host:?}"
        );
    }
}

#[tokio::test]
async fn limits_change_at_run_time() {
    let clock = ManualClock::default();
    let layer = layer(two_a_second(&clock));
    let ask = async || admits(&layer, "192.0.2.1").await;
    assert!(ask().await && ask().await && !ask().await);
    layer
        .limiter()
        .set_rate("burst", Rate::per_second(4))
        .unwrap();
    // One second's worth is spent, of either rate.
    assert!(!ask().await);
    clock.advance(Duration::from_millis(250));
    assert!(ask().await && !ask().await);
    let unknown = layer.limiter().set_rate("other", Rate::per_second(4));
    assert!(matches!(unknown, Err(ConfigError::UnknownPolicy(name)) if name == "other"));
    let wrong = layer.limiter().set_rate("burst", Rate::per_second(0));
    assert!(matches!(wrong, Err(ConfigError::Rate { .. })));
}

#[tokio::test]
async fn clones_count_together() {
    let layer = layer(two_a_second(&ManualClock::default()));
    let clone: RateLimitLayer = layer.clone();
    assert!(admits(&layer, "192.0.2.1").await);
    assert!(admits(&clone, "192.0.2.1").await);
    assert!(!admits(&layer, "192.0.2.1").await);
    assert!(!admits(&clone, "192.0.2.1").await);
}
