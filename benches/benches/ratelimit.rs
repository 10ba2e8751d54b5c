//! What a limit costs, beside governor, `tower_governor`, limitador and one bare atomic word.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench prints, and may panic"
)]

mod support;

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use bartizan_benches::Comparison;
use bartizan_core::{Connection, Duty, GuardLayer, Principal, Scheme, SecurityContext};
use bartizan_ratelimit::{
    Fields, Gcra, Key, Limiter, Policy, Rate, RateLimitConfig, RateLimitConfigBuilder,
    RateLimitLayer, Ticks,
};
use bytes::Bytes;
use governor::clock::{Clock as _, MonotonicClock};
use governor::{Quota, RateLimiter};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use http_body_util::Empty;
use limitador::limit::{Context as Facts, Limit};
use tower::{Layer as _, Service};
use tower_governor::governor::GovernorConfigBuilder;
use tower_governor::key_extractor::KeyExtractor;
use tower_governor::{GovernorError, GovernorLayer};

use support::{Open, send};

/// A service that does nothing, and answers with a header as services do.
#[derive(Clone, Debug)]
struct Plain;

impl Service<Request<Empty<Bytes>>> for Plain {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Empty<Bytes>>) -> Self::Future {
        drop(request);
        let mut response = Response::new(Empty::new());
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        ready(Ok(response))
    }
}

/// The same with a body that `tower_governor` can refuse with.
#[derive(Clone, Debug)]
struct Axum;

impl Service<Request<Empty<Bytes>>> for Axum {
    type Response = Response<axum::body::Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Empty<Bytes>>) -> Self::Future {
        drop(request);
        let mut response = Response::new(axum::body::Body::empty());
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        ready(Ok(response))
    }
}

/// The far end of the connection, from the same entry as we take it.
#[derive(Clone, Debug)]
struct FarEnd;

impl KeyExtractor for FarEnd {
    type Key = IpAddr;

    fn extract<T>(&self, request: &Request<T>) -> Result<IpAddr, GovernorError> {
        let connection = request.extensions().get::<Connection>();
        let remote = connection.and_then(Connection::remote);
        let remote = remote.ok_or(GovernorError::UnableToExtractKey)?;
        Ok(remote.ip())
    }
}

/// How many checks each of two threads makes in one run.
const CHECKS: u32 = 20_000;

/// How many it makes where each takes some microseconds.
const FEW_CHECKS: u32 = 1_000;

/// How many keys there are, and a number per day at which none is refused while each stays known.
const CASES: [(u32, u64); 3] = [(1, 1 << 36), (1_000, 1 << 25), (1_000_000, 1 << 12)];

/// Keys in an order that no prefetcher guesses (xorshift).
struct Keys {
    state: u32,
    count: u32,
}

impl Keys {
    fn new(count: u32, seed: u32) -> Self {
        let state = seed;
        Self { state, count }
    }

    fn next(&mut self) -> IpAddr {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 17;
        self.state ^= self.state << 5;
        let index = (u64::from(self.state) * u64::from(self.count)) >> 32;
        IpAddr::V4(Ipv4Addr::from(index as u32))
    }
}

/// Memory of 32 bytes for each key.
fn limiter(keys: u32, per_day: u64, coarse: bool) -> Limiter {
    let slots = (keys as usize * 32 / 128 * 7).max(64);
    let rate = Rate::per_day(per_day);
    let mut builder = Limiter::builder().add_policy(Policy::new("bench", rate).with_keys(slots));
    if coarse {
        builder = builder.with_coarse_clock();
    }
    builder.build().unwrap()
}

/// Two threads at once, each with a good share of the keys.
fn both(check: impl Fn(IpAddr) -> bool + Sync, count: u32) {
    both_of(CHECKS, check, count);
}

fn both_of(checks: u32, check: impl Fn(IpAddr) -> bool + Sync, count: u32) {
    let run = |seed| {
        let mut keys = Keys::new(count, seed);
        for _ in 0..checks {
            black_box(check(keys.next()));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| run(7));
        run(1_234_567);
    });
}

fn checks(count: u32, per_day: u64) {
    let exact = limiter(count, per_day, false);
    let coarse = limiter(count, per_day, true);
    let burst = NonZeroU32::new(u32::try_from(per_day).unwrap_or(u32::MAX)).unwrap();
    let quota = Quota::with_period(std::time::Duration::from_nanos(
        86_400_000_000_000 / per_day,
    ))
    .unwrap()
    .allow_burst(burst);
    let quanta = RateLimiter::dashmap(quota);
    let same_clock = RateLimiter::dashmap_with_clock(quota, MonotonicClock);
    let gcra = Gcra::new(Rate::per_day(per_day)).unwrap();
    let (word, origin) = (AtomicU64::new(0), MonotonicClock.now());
    let atomic = || {
        let now = MonotonicClock.now().duration_since(origin);
        let now = Ticks::from_duration(now);
        let charge = |due| {
            gcra.charge(Ticks::from_raw(due), now, 1)
                .ok()
                .map(Ticks::raw)
        };
        word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, charge)
            .is_ok()
    };
    // All keys are known before anything is measured.
    for key in 0..count {
        let key = IpAddr::V4(Ipv4Addr::from(key));
        assert!(exact.check(&key).is_allowed() && coarse.check(&key).is_allowed());
        assert!(quanta.check_key(&key).is_ok() && same_clock.check_key(&key).is_ok());
    }

    let mut keys = [(); 4].map(|()| Keys::new(count, 99));
    let [first, second, third, fourth] = &mut keys;
    let mut one = Comparison::new("One check");
    one.case(format!("governor, Instant, {count} keys"), || {
        same_clock.check_key(&first.next()).is_ok()
    });
    one.case("governor, quanta (its default)", || {
        quanta.check_key(&second.next()).is_ok()
    });
    one.case("Limiter, Instant", || {
        exact.check(&third.next()).is_allowed()
    });
    one.case("Limiter, coarse clock", || {
        coarse.check(&fourth.next()).is_allowed()
    });
    one.case("one atomic word, no key, Instant", atomic);
    one.run();

    let mut two = Comparison::new("20,000 checks in each of two threads at once");
    two.case(format!("governor, Instant, {count} keys"), || {
        both(|key| same_clock.check_key(&key).is_ok(), count);
    });
    two.case("governor, quanta (its default)", || {
        both(|key| quanta.check_key(&key).is_ok(), count);
    });
    two.case("Limiter, Instant", || {
        both(|key| exact.check(&key).is_allowed(), count);
    });
    two.case("Limiter, coarse clock", || {
        both(|key| coarse.check(&key).is_allowed(), count);
    });
    two.case("one atomic word, no key, Instant", || {
        both(|_| atomic(), count);
    });
    for measured in two.run() {
        let each = measured.nanoseconds / f64::from(CHECKS);
        println!("{}: {each:.0} ns a check", measured.name);
    }
    for (clock, limiter) in [("Instant", &exact), ("coarse", &coarse)] {
        for occupancy in limiter.occupancy() {
            let each = occupancy.bytes as f64 / f64::from(count);
            let evictions = occupancy.live_evictions;
            println!("{clock}: {each:.1} bytes a key, {evictions} live evictions, {occupancy:?}");
        }
    }
    beside_limitador(count, per_day, &exact);
}

/// Limitador counts in fixed windows, and takes microseconds: with fewer checks, by itself.
fn beside_limitador(count: u32, per_day: u64, exact: &Limiter) {
    let theirs = limitador::RateLimiter::new(2 * u64::from(count));
    let variables = vec!["client".try_into().unwrap()];
    let no_conditions: Vec<limitador::limit::Predicate> = Vec::new();
    theirs.add_limit(Limit::new(
        "bench",
        per_day,
        86_400,
        no_conditions,
        variables,
    ));
    let namespace = "bench".into();
    let check = |key: IpAddr| {
        let facts = HashMap::from([("client".to_owned(), key.to_string())]);
        let facts = Facts::from(facts);
        let answer = theirs.check_rate_limited_and_update(&namespace, &facts, 1);
        !answer.unwrap().limited
    };
    for key in 0..count {
        assert!(check(IpAddr::V4(Ipv4Addr::from(key))));
    }
    let mut keys = [(); 2].map(|()| Keys::new(count, 99));
    let [first, second] = &mut keys;
    let mut one = Comparison::new("One check, beside limitador");
    one.case(format!("limitador, {count} keys"), || check(first.next()));
    one.case("Limiter, Instant", || {
        exact.check(&second.next()).is_allowed()
    });
    one.run();
    let mut two = Comparison::new("1,000 checks in each of two threads at once");
    two.case(format!("limitador, {count} keys"), || {
        both_of(FEW_CHECKS, check, count);
    });
    two.case("Limiter, Instant", || {
        both_of(FEW_CHECKS, |key| exact.check(&key).is_allowed(), count);
    });
    two.run();
}

/// Sends a request through a service that answers at once.
fn ask<S, B>(service: &mut S, request: Request<Empty<Bytes>>) -> u16
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible>,
{
    let mut context = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut context).is_ready());
    match pin!(service.call(request)).poll(&mut context) {
        Poll::Ready(Ok(response)) => response.status().as_u16(),
        Poll::Pending => 0,
    }
}

/// Layers by address, outermost of all: ours opens the request's context as well.
fn layers(count: u32, per_day: u64) {
    let request = |key: IpAddr| {
        let mut request = Request::new(Empty::<Bytes>::new());
        let connection = Connection::from_remote((key, 4_000).into());
        request.extensions_mut().insert(connection);
        request
    };
    let slots = (count as usize * 32 / 128 * 7).max(64);
    let ours = |per_day, fields| {
        let policy = Policy::new("bench", Rate::per_day(per_day)).with_keys(slots);
        let config = RateLimitConfig::builder(Key::address()).add_policy(policy);
        let config = config.with_fields(fields).with_coarse_clock();
        RateLimitLayer::new(config.build().unwrap()).layer(Axum)
    };
    let period = std::time::Duration::from_nanos(86_400_000_000_000 / per_day);
    let burst = u32::try_from(per_day).unwrap_or(u32::MAX);
    let mut theirs = GovernorConfigBuilder::default();
    let mut theirs = theirs
        .period(period)
        .burst_size(burst)
        .key_extractor(FarEnd);
    let mut theirs_with = theirs.use_headers();
    let mut theirs = GovernorLayer::new(theirs.finish().unwrap()).layer(Axum);
    let mut theirs_with = GovernorLayer::new(theirs_with.finish().unwrap()).layer(Axum);
    let day = std::time::Duration::from_secs(86_400);
    let mut theirs_once = GovernorConfigBuilder::default();
    let mut theirs_once = theirs_once.key_extractor(FarEnd);
    let theirs_once = theirs_once.period(day).burst_size(1).finish().unwrap();
    let mut theirs_once = GovernorLayer::new(theirs_once).layer(Axum);
    let mut ours_with = ours(per_day, Fields::Standard);
    let mut ours_once = ours(1, Fields::None);
    let mut ours = ours(per_day, Fields::None);
    for key in 0..count {
        let request = || request(IpAddr::V4(Ipv4Addr::from(key)));
        assert_eq!(ask(&mut ours, request()), 200);
        assert_eq!(ask(&mut ours_with, request()), 200);
        assert_eq!(ask(&mut ours_once, request()), 200);
        assert_eq!(ask(&mut theirs, request()), 200);
        assert_eq!(ask(&mut theirs_with, request()), 200);
        assert_eq!(ask(&mut theirs_once, request()), 200);
    }
    let mut keys = [(); 7].map(|()| Keys::new(count, 99));
    let [bare, first, second, third, fourth, fifth, sixth] = &mut keys;
    let mut comparison = Comparison::new("A request, by address");
    comparison.case(format!("a bare service, {count} addresses"), || {
        ask(&mut Axum, request(bare.next()))
    });
    comparison.case("admitted, tower_governor", || {
        ask(&mut theirs, request(first.next()))
    });
    comparison.case("admitted, RateLimitLayer", || {
        ask(&mut ours, request(second.next()))
    });
    comparison.case("admitted with headers, tower_governor", || {
        ask(&mut theirs_with, request(third.next()))
    });
    comparison.case("admitted with fields, RateLimitLayer", || {
        ask(&mut ours_with, request(fourth.next()))
    });
    comparison.case("refused, tower_governor", || {
        ask(&mut theirs_once, request(fifth.next()))
    });
    comparison.case("refused, RateLimitLayer", || {
        ask(&mut ours_once, request(sixth.next()))
    });
    comparison.run();
}

fn requests() {
    let principals: Vec<Principal> = (0..1_000)
        .map(|n| Principal::builder(Scheme::Jwt, support::ISSUER, &format!("user-{n}")))
        .map(|principal| principal.assert_verified())
        .collect();
    let mut turn = 0;
    let mut next = || {
        turn = (turn + 389) % principals.len();
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = http::Uri::from_static("/orders/7");
        let context = SecurityContext::new(request.uri().clone());
        context.set_principal(principals[turn].clone()).unwrap();
        request.extensions_mut().insert(context);
        request
    };
    let config = |limit| {
        RateLimitConfig::builder(Key::subject())
            .add_policy(Policy::new("bench", Rate::per_day(limit)).with_keys(4_000))
    };
    let layer =
        |config: RateLimitConfigBuilder| RateLimitLayer::new(config.build().unwrap()).layer(Plain);
    let many = 1 << 36;
    let mut open = GuardLayer::new(Open(Duty::new("open"))).layer(Plain);
    let mut coarse = layer(config(many).with_coarse_clock());
    let mut exact = layer(config(many));
    let mut fields = layer(
        config(many)
            .with_coarse_clock()
            .with_fields(Fields::Standard),
    );
    let two = config(many).add_policy(Policy::new("more", Rate::per_day(many)).with_keys(4_000));
    let mut two = layer(two.with_coarse_clock());
    let mut denied = layer(config(1).with_coarse_clock());
    for _ in 0..2_000 {
        let _ = send(&mut denied, next());
    }
    assert_eq!(send(&mut coarse, next()).status(), 200);
    assert_eq!(send(&mut denied, next()).status(), 429);

    let next = std::cell::RefCell::new(next);
    let next = || next.borrow_mut()();
    let mut comparison = Comparison::new("A request of one of 1,000 principals, context present");
    comparison.case("a guard without rules", || send(&mut open, next()).status());
    comparison.case("admitted, coarse clock", || {
        send(&mut coarse, next()).status()
    });
    comparison.case("admitted, Instant", || send(&mut exact, next()).status());
    comparison.case("admitted by two policies, coarse clock", || {
        send(&mut two, next()).status()
    });
    comparison.case("admitted, coarse clock, RateLimit fields", || {
        send(&mut fields, next()).status()
    });
    comparison.case("refused, coarse clock", || {
        send(&mut denied, next()).status()
    });
    comparison.run();
}

fn main() {
    requests();
    for (count, per_day) in CASES {
        layers(count, per_day);
        checks(count, per_day);
    }
}
