//! Bans, by themselves and as a layer.

use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{
    Check, Enforcement, Entrance, ForwardingHeader, Guard as _, Inspection, TrustedProxies,
};
use bartizan_ratelimit::{BanLayer, BanRefused, BanSubject, Bans, BansBuilder, ConfigError};
use bartizan_testkit::{Host, HostLayer, ManualClock};

use tower::layer::util::Stack;

use crate::support::{Asked, call_from, layer, peer, two_a_second};

const MINUTE: Duration = Duration::from_secs(60);

fn bans(clock: &ManualClock) -> BansBuilder {
    Bans::builder().with_clock(Arc::new(clock.clone()))
}

fn address(text: &str) -> BanSubject {
    BanSubject::address(text.parse().unwrap())
}

#[tokio::test]
async fn the_banned_are_refused_on_every_host_and_nobody_else() {
    for host in Host::WITHOUT_SOCKETS {
        let clock = ManualClock::default();
        let bans = bans(&clock).build().unwrap();
        let layer = BanLayer::new(bans.clone()).with_enforcement(Enforcement::Enforce);
        let send = async |address| host.send(&layer, &call_from(address)).await.unwrap();
        assert!(send("2001:db8::1").await.is_success());
        assert_eq!(bans.ban(&address("2001:db8::1")), Ok(MINUTE));
        // The same subscriber.
        let refused = send("2001:db8::2").await;
        assert_eq!(
            refused.code().as_deref(),
            Some("ratelimit.banned"),
            "{host:?}"
        );
        assert_eq!(refused.header("retry-after"), None);
        assert!(send("2001:db8:0:1::1").await.is_success(), "{host:?}");
        assert_eq!(bans.refused(), 1);
        clock.advance(MINUTE);
        assert!(send("2001:db8::1").await.is_success(), "{host:?}");
    }
}

#[tokio::test]
async fn bans_begin_in_shadow() {
    let bans = Bans::builder().build().unwrap();
    let layer = BanLayer::new(bans.clone());
    bans.ban(&address("192.0.2.1")).unwrap();
    let answer = Host::Hyper
        .send(&layer, &call_from("192.0.2.1"))
        .await
        .unwrap();
    assert!(answer.is_success());
    let decision = &answer.json()["context"]["decisions"][0];
    assert_eq!(decision["outcome"], "would_have_denied");
    assert_eq!(decision["code"], "ratelimit.banned");
}

#[tokio::test]
async fn beyond_the_largest_share_the_banned_pass_and_are_recorded() {
    let clock = ManualClock::default();
    let bans = bans(&clock).with_largest_share(50).build().unwrap();
    let layer = BanLayer::new(bans.clone()).with_enforcement(Enforcement::Enforce);
    bans.ban(&address("192.0.2.1")).unwrap();
    let mut last = None;
    for _ in 0..150 {
        last = Some(
            Host::Hyper
                .send(&layer, &call_from("192.0.2.1"))
                .await
                .unwrap(),
        );
    }
    assert_eq!(bans.refused(), 99);
    let spared = last.unwrap();
    assert!(spared.is_success());
    let decisions = &spared.json()["context"]["decisions"];
    assert_eq!(decisions[0]["outcome"], "would_have_denied");
    assert_eq!(decisions[0]["code"], "ratelimit.banned");
    // A minute later it begins anew, though the ban is over by then.
    clock.advance(MINUTE);
    bans.ban(&address("192.0.2.1")).unwrap();
    let answer = Host::Hyper
        .send(&layer, &call_from("192.0.2.1"))
        .await
        .unwrap();
    assert_eq!(answer.http_status, 403);
}

#[test]
fn peers_and_principals_are_banned_by_what_is_proven() {
    let bans = Bans::builder().build().unwrap();
    let layer = BanLayer::new(bans.clone());
    let is_banned = |mut asked: Asked| {
        let mut inspection = Inspection::new(&mut asked.parts, &asked.context);
        match layer.guard().check(&mut inspection) {
            Check::Now(verdict) => verdict.is_err(),
            Check::Later(never) => match never {},
        }
    };
    let web = || Asked::new().with_peer("spiffe://example.org/web");
    let alice = || Asked::new().with_principal("https://a.example", "alice", None);
    let namesake = || Asked::new().with_principal("https://b.example", "alice", None);
    assert!(!is_banned(web()) && !is_banned(alice()));
    bans.ban(&BanSubject::peer(&peer("spiffe://example.org/web")))
        .unwrap();
    assert!(is_banned(web()) && !is_banned(alice()));
    let principal = alice().context.principal().cloned().unwrap();
    bans.ban(&BanSubject::principal(&principal)).unwrap();
    assert!(is_banned(alice()) && !is_banned(namesake()));
    assert_eq!(bans.len(), 2);
    // An operator is told whom it is about.
    for (subject, expected) in [
        (
            BanSubject::peer(&peer("spiffe://example.org/web")),
            "BanSubject(spiffe://example.org/web)",
        ),
        (
            BanSubject::principal(&principal),
            "BanSubject(alice of https://a.example)",
        ),
        (address("192.0.2.1"), "BanSubject(192.0.2.1/32)"),
        (address("2001:db8::1"), "BanSubject(2001:db8::/64)"),
    ] {
        assert_eq!(format!("{subject:?}"), expected);
    }
}

#[test]
fn bans_that_follow_soon_last_twice_as_long() {
    let clock = ManualClock::default();
    let bans = bans(&clock)
        .with_lengths(MINUTE, 3 * MINUTE)
        .build()
        .unwrap();
    let scanner = address("192.0.2.1");
    assert_eq!(bans.ban(&scanner), Ok(MINUTE));
    // To ban again who is banned changes nothing.
    clock.advance(MINUTE / 2);
    assert_eq!(bans.ban(&scanner), Ok(MINUTE / 2));
    clock.advance(MINUTE);
    assert_eq!(bans.remaining(&scanner), None);
    assert_eq!(bans.ban(&scanner), Ok(2 * MINUTE));
    clock.advance(2 * MINUTE);
    assert_eq!(bans.ban(&scanner), Ok(3 * MINUTE));
    // Undone, and forgotten.
    assert!(bans.lift(&scanner));
    assert!(!bans.lift(&scanner));
    assert_eq!(bans.ban(&scanner), Ok(MINUTE));
    clock.advance(2 * MINUTE);
    assert_eq!(bans.ban(&scanner), Ok(MINUTE));
}

#[test]
fn a_full_table_refuses_new_bans_and_frees_nobody() {
    let clock = ManualClock::default();
    let bans = bans(&clock).with_capacity(2).build().unwrap();
    bans.ban(&address("192.0.2.1")).unwrap();
    bans.ban(&address("192.0.2.2")).unwrap();
    assert_eq!(bans.ban(&address("192.0.2.3")), Err(BanRefused::Full));
    assert_eq!(bans.len(), 2);
    // What is over and forgotten makes room.
    clock.advance(2 * MINUTE);
    assert_eq!(bans.ban(&address("192.0.2.3")), Ok(MINUTE));
    assert_eq!(bans.list(), [(address("192.0.2.3"), MINUTE)]);
}

#[test]
fn nobody_is_banned_faster_than_the_pace_allows() {
    let clock = ManualClock::default();
    let bans = bans(&clock).with_bans_per_minute(3).build().unwrap();
    let ban = |last: u8| bans.ban(&address(&format!("192.0.2.{last}")));
    for last in 0..3 {
        assert!(ban(last).is_ok());
    }
    assert_eq!(ban(3), Err(BanRefused::TooMany));
    clock.advance(MINUTE / 3);
    assert!(ban(3).is_ok());
}

#[test]
fn the_exempt_are_never_banned() {
    let bans = Bans::builder()
        .add_exempt("10.0.0.0/8".parse().unwrap())
        .add_exempt("2001:db8::1/128".parse().unwrap())
        .build()
        .unwrap();
    for exempt in ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1", "2001:db8::2"] {
        assert_eq!(
            bans.ban(&address(exempt)),
            Err(BanRefused::Exempt),
            "{exempt}"
        );
    }
    assert!(bans.ban(&address("11.0.0.1")).is_ok());
    assert!(bans.ban(&address("2001:db8:0:1::1")).is_ok());
}

#[tokio::test]
async fn a_proxy_is_never_banned_and_its_client_is() {
    let header = ForwardingHeader::XForwardedFor;
    let proxies = TrustedProxies::networks(header, ["10.0.0.0/8".parse().unwrap()]);
    let bans = Bans::builder().add_exempt_proxies(&proxies);
    let bans = bans.build().unwrap();
    let layer = BanLayer::new(bans.clone())
        .with_enforcement(Enforcement::Enforce)
        .with_entrance(Entrance::new().with_proxies(proxies));
    assert_eq!(bans.ban(&address("10.0.0.1")), Err(BanRefused::Exempt));
    bans.ban(&address("203.0.113.7")).unwrap();
    let send = async |forwarded: Option<&str>| {
        let mut call = call_from("10.0.0.1");
        if let Some(forwarded) = forwarded {
            let value = forwarded.parse().unwrap();
            call = call.add_header("x-forwarded-for".parse().unwrap(), value);
        }
        Host::Hyper.send(&layer, &call).await.unwrap().http_status
    };
    assert_eq!(send(None).await, 200);
    assert_eq!(send(Some("203.0.113.7")).await, 403);
    assert_eq!(send(Some("203.0.113.7, 203.0.113.8")).await, 200);
    // Whoever is no proxy does not choose his address.
    let call = call_from("203.0.113.7");
    let call = call.add_header(
        "x-forwarded-for".parse().unwrap(),
        "192.0.2.1".parse().unwrap(),
    );
    let answer = Host::Hyper.send(&layer, &call).await.unwrap();
    assert_eq!(answer.http_status, 403);
}

#[tokio::test]
async fn the_banned_are_refused_before_anything_is_counted() {
    let bans = Bans::builder().build().unwrap();
    let shut = BanLayer::new(bans.clone()).with_enforcement(Enforcement::Enforce);
    let limit = layer(two_a_second(&ManualClock::default()));
    bans.ban(&address("192.0.2.1")).unwrap();
    let both = Stack::new(limit.clone(), shut);
    for _ in 0..3 {
        let answer = Host::Hyper
            .send(&both, &call_from("192.0.2.1"))
            .await
            .unwrap();
        assert_eq!(answer.code().as_deref(), Some("ratelimit.banned"));
    }
    assert_eq!(limit.limiter().occupancy()[0].live, 0);
}

#[test]
fn bans_that_cannot_work_are_refused() {
    let refused = |builder: BansBuilder| builder.build().is_err();
    assert!(refused(Bans::builder().with_capacity(0)));
    assert!(refused(Bans::builder().with_capacity((1 << 24) + 1)));
    assert!(refused(
        Bans::builder().with_lengths(Duration::ZERO, MINUTE)
    ));
    assert!(refused(Bans::builder().with_lengths(2 * MINUTE, MINUTE)));
    assert!(refused(
        Bans::builder().with_lengths(MINUTE, 100_000 * 60 * MINUTE)
    ));
    let pace = Bans::builder().with_bans_per_minute(0).build();
    assert!(matches!(pace, Err(ConfigError::Rate { .. })));
}

#[test]
fn the_layer_fits_every_host() {
    fn check<L: HostLayer>() {}
    check::<BanLayer>();
}
