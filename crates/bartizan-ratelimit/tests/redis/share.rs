//! Instances that share limits: separate stores, separate connections, one server.

use std::time::Duration;

use bartizan_core::{Clock as _, SystemClock};
use bartizan_ratelimit::{Policy, Rate, SharedLimiter, Sharing, Source};

use crate::server::Server;
use crate::support::{Admitted, among, limiter, store, timely, until, until_from};

/// The windows that are looked at.
const WINDOWS: [u64; 6] = [5, 50, 250, 500, 1_000, 2_000];

fn instances(
    server: &Server,
    count: u32,
    sharing: &Sharing,
    policy: &Policy,
) -> Vec<SharedLimiter> {
    (0..count)
        .map(|_| limiter(store(server), sharing.clone(), std::slice::from_ref(policy)))
        .collect()
}

/// Lets instances admit what they can, all for one caller, each in several tasks.
async fn admit(
    instances: &[SharedLimiter],
    span: Duration,
    pause: Option<Duration>,
) -> (Admitted, u64) {
    let origin = SystemClock.monotonic();
    let mut tasks = tokio::task::JoinSet::new();
    for instance in instances {
        for _ in 0..2 {
            let (limiter, key) = (instance.clone(), "alice".to_owned());
            tasks.spawn(Admitted::collect(limiter, key, origin, span, pause));
        }
    }
    let (mut all, mut checks) = (Admitted::default(), 0);
    while let Some(collected) = tasks.join_next().await {
        let (admitted, count) = collected.unwrap();
        all.extend(admitted);
        checks += count;
    }
    (all, checks)
}

/// No window of the fleet's admissions holds more than the limit, whatever its length; what lies
/// wholly within a window was decided within it, so that nothing has to be tolerated.
async fn check(count: u32, rate: Rate, leases: bool, span: Duration) {
    let Some(server) = Server::start().await else {
        return;
    };
    let policy = Policy::new("limit", rate);
    let sharing = match leases {
        true => among(count),
        false => among(count).without_leases(),
    };
    let sharing = sharing.with_deadline(Duration::from_secs(5));
    let instances = instances(&server, count, &sharing, &policy);
    let (admitted, checks) = admit(&instances, span, Some(Duration::from_micros(200))).await;
    let leased = instances.iter().any(|it| it.status().leases > 0);
    assert_eq!(leased, leases, "leases are in use if they are on");
    let per_second = rate.limit() as f64 / rate.period().as_secs_f64();
    let mut most = Vec::new();
    for window in WINDOWS {
        let found = admitted.most_within(Duration::from_millis(window));
        let allowed = rate.burst() as f64 + per_second * window as f64 / 1_000.0;
        assert!(
            found as f64 <= allowed,
            "{found} in {window} ms, {allowed} are allowed"
        );
        most.push(format!("{found}/{allowed:.0} in {window} ms"));
    }
    let trips: u64 = instances.iter().map(|it| it.status().round_trips).sum();
    // What is refused in one place is not lost in another: the fleet gets its rate.
    let all = rate.burst() as f64 + per_second * span.as_secs_f64();
    let used = admitted.len() as f64 / all;
    println!(
        "{count} instances, {rate:?}, leases {leases}, {span:?}: {checks} checks, {trips} round \
         trips, {} admitted ({:.1} % of the limit), most {}",
        admitted.len(),
        used * 100.0,
        most.join(", ")
    );
    if checks as f64 > all * 2.0 {
        assert!(used > 0.6, "only {} of {all} admitted", admitted.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_admit_no_more_than_the_limit() {
    check(2, Rate::per_second(400), false, Duration::from_secs(4)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_instances_admit_no_more_than_the_limit() {
    check(
        4,
        Rate::per_second(100).with_burst(10),
        false,
        Duration::from_secs(4),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_with_leases_admit_no_more_than_the_limit() {
    check(2, Rate::per_second(400), true, Duration::from_secs(4)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_instances_with_leases_admit_no_more_than_the_limit() {
    check(4, Rate::per_second(1_000), true, Duration::from_secs(4)).await;
}

/// Run by `.ci/deep`, or by hand with `--ignored`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes five minutes"]
async fn over_minutes_fleets_admit_no_more_than_the_limit() {
    // Four fleets, so long each.
    let seconds = std::env::var("BARTIZAN_SHARE_SECONDS");
    let seconds = seconds.map_or(75, |seconds| seconds.parse().unwrap());
    let minutes = Duration::from_secs(seconds);
    check(2, Rate::per_second(400), false, minutes).await;
    check(4, Rate::per_second(200), false, minutes).await;
    check(2, Rate::per_second(400), true, minutes).await;
    check(4, Rate::per_second(1_000), true, minutes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hardly_any_check_of_a_busy_caller_needs_a_round_trip() {
    let Some(server) = Server::start().await else {
        return;
    };
    let policy = Policy::new("limit", Rate::per_second(20_000));
    let sharing = among(2).with_deadline(Duration::from_secs(5));
    let instances = instances(&server, 2, &sharing, &policy);
    let (admitted, checks) = admit(&instances, Duration::from_secs(3), None).await;
    let trips: u64 = instances.iter().map(|it| it.status().round_trips).sum();
    println!(
        "{checks} checks, {} admitted, {trips} round trips",
        admitted.len()
    );
    assert!(checks > 5_000, "{checks} checks say nothing");
    assert!(
        trips * 20 < checks,
        "{trips} round trips for {checks} checks"
    );
}

#[tokio::test]
async fn small_limits_are_exact_by_themselves() {
    let Some(server) = Server::start().await else {
        return;
    };
    let policy = Policy::new("small", Rate::per_minute(60));
    let fleet = instances(&server, 2, &among(4), &policy);
    let mut admitted = 0;
    for turn in 0..80 {
        let verdict = timely(&fleet[turn % 2], "alice").await;
        assert_ne!(verdict.source(), Source::Lease);
        admitted += usize::from(verdict.is_allowed());
    }
    // One a second comes back meanwhile.
    assert!((60..=62).contains(&admitted), "{admitted}");
}

#[tokio::test]
async fn what_the_store_has_refused_is_refused_without_asking() {
    let Some(server) = Server::start().await else {
        return;
    };
    let policies = [
        Policy::new("burst", Rate::per_hour(3)),
        Policy::new("day", Rate::per_day(9)),
    ];
    let mine = limiter(store(&server), among(1), &policies);
    for _ in 0..3 {
        let verdict = timely(&mine, "alice").await;
        assert!(verdict.is_allowed());
        assert_eq!(verdict.source(), Source::Redis);
    }
    let first = timely(&mine, "alice").await;
    assert_eq!((first.is_allowed(), first.source()), (false, Source::Redis));
    let trips = mine.status().round_trips;
    for _ in 0..50 {
        let again = timely(&mine, "alice").await;
        assert_eq!((again.is_allowed(), again.source()), (false, Source::Local));
    }
    assert_eq!(mine.status().round_trips, trips);
    // Others are asked for.
    assert!(timely(&mine, "bob").await.is_allowed());
    // And the other instance has it from the store: all policies, or none.
    let other = limiter(store(&server), among(1), &policies);
    let denied = timely(&other, "alice").await;
    assert_eq!(
        (denied.is_allowed(), denied.source()),
        (false, Source::Redis)
    );
}

#[tokio::test]
async fn a_burst_on_top_of_what_is_in_hand_stays_within_the_limit() {
    let Some(server) = Server::start().await else {
        return;
    };
    let policy = Policy::new("limit", Rate::per_second(400));
    let exact = among(1).without_leases();
    let mine = limiter(store(&server), among(1), std::slice::from_ref(&policy));
    let other = limiter(store(&server), exact, std::slice::from_ref(&policy));
    assert!(timely(&other, "somebody").await.is_allowed());
    let mut tries = 0;
    until(async || {
        tries += 1;
        let key = format!("caller {tries}");
        until_from(&mine, &key, Source::Lease).await;
        // What was charged for the lease comes back at the server while it can be spent here.
        tokio::time::sleep(Duration::from_millis(40)).await;
        let begun = SystemClock.monotonic();
        let mut spent = 0;
        for cost in [50, 5, 1] {
            while other.check_cost(&key, cost).await.is_allowed() {
                spent += cost;
            }
        }
        let mut in_hand = 0;
        while mine.check(&key).await.source() == Source::Lease {
            in_hand += 1;
        }
        let within = SystemClock
            .monotonic()
            .saturating_since(begun)
            .as_secs_f64();
        let allowed = 400.0 + 400.0 * within;
        let all = (spent + in_hand) as f64;
        assert!(
            all <= allowed,
            "{spent} and {in_hand} in {within} s, {allowed} are allowed"
        );
        // On a machine that is too busy the lease is over by now, and nothing was tried.
        in_hand > 2 && within < 0.05
    })
    .await;
}

#[tokio::test]
async fn cells_that_nobody_spends_are_given_back() {
    let Some(server) = Server::start().await else {
        return;
    };
    // What is taken and not given back would be missing for hours.
    let policy = Policy::new("quota", Rate::per_day(100_000));
    let mine = limiter(store(&server), among(1), std::slice::from_ref(&policy));
    until_from(&mine, "alice", Source::Lease).await;
    assert_eq!(mine.status().leases, 1);
    let spent = async || {
        let other = limiter(
            store(&server),
            among(1).without_leases(),
            std::slice::from_ref(&policy),
        );
        let verdict = other.check_cost("alice", 99_900).await;
        (verdict.source(), verdict.is_allowed())
    };
    until(async || mine.status().leases == 0).await;
    assert_eq!(spent().await, (Source::Redis, true));
}

#[tokio::test]
async fn an_orderly_shutdown_gives_back_what_is_in_hand() {
    let Some(server) = Server::start().await else {
        return;
    };
    let policy = Policy::new("quota", Rate::per_day(100_000));
    let mine = limiter(store(&server), among(1), std::slice::from_ref(&policy));
    until_from(&mine, "alice", Source::Lease).await;
    mine.release().await;
    assert_eq!(mine.status().leases, 0);
    let debt = server.run::<Vec<String>>(&["KEYS", "bartizan:*"]).await;
    let [key] = debt.as_slice() else {
        panic!("one caller, one policy: {debt:?}");
    };
    assert!(!key.contains("alice"), "{key}");
    // A few requests were admitted, at 0.864 s each; a lease of eight would be seven seconds more.
    let left: i64 = server.run(&["PTTL", key]).await;
    assert!((1..6_000).contains(&left), "{left}");
}

#[tokio::test]
async fn callers_that_crowd_the_table_are_asked_for_one_by_one() {
    let Some(server) = Server::start().await else {
        return;
    };
    let policy = Policy::new("limit", Rate::per_second(100_000));
    let mine = limiter(
        store(&server),
        among(1).with_leases(64),
        std::slice::from_ref(&policy),
    );
    for turn in 0..6 {
        for caller in 0..200 {
            let verdict = timely(&mine, &format!("caller {caller}")).await;
            assert!(verdict.is_allowed(), "{turn}");
        }
    }
    assert!(mine.status().leases <= 64, "{}", mine.status().leases);
}

#[tokio::test]
async fn rates_change_at_run_time() {
    let Some(server) = Server::start().await else {
        return;
    };
    let mine = limiter(
        store(&server),
        among(1),
        &[Policy::new("limit", Rate::per_hour(1))],
    );
    assert!(timely(&mine, "alice").await.is_allowed());
    assert!(!timely(&mine, "alice").await.is_allowed());
    mine.set_rate("limit", Rate::per_hour(2).with_burst(6))
        .unwrap();
    // An hour is owed; three hours may be.
    assert!(timely(&mine, "alice").await.is_allowed());
    assert!(mine.set_rate("other", Rate::per_hour(2)).is_err());
}

#[tokio::test]
async fn a_dropped_request_leaves_no_one_waiting() {
    let Some(server) = Server::start().await else {
        return;
    };
    let policy = Policy::new("limit", Rate::per_second(10_000));
    let mine = limiter(store(&server), among(1), std::slice::from_ref(&policy));
    for _ in 0..200 {
        let check = mine.check("alice");
        let _ = tokio::time::timeout(Duration::from_micros(50), check).await;
        let verdict = timely(&mine, "alice").await;
        assert!(verdict.is_allowed(), "{verdict:?}");
    }
}
