//! The fields that responses carry, read back by a parser that is not ours.

use std::convert::Infallible;
use std::future::ready;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bartizan_ratelimit::{Fields, Key, Policy, Rate, RateLimitConfig, RateLimitLayer};
use http::{HeaderMap, Request, Response};
use sfv::{List, ListEntry, Parser};
use tower::{Layer, Service, service_fn};

use crate::input::{Input, text};

/// The items of a field, each with the integers behind it.
fn read(headers: &HeaderMap, field: &str) -> Vec<(String, Vec<(String, i64)>)> {
    let Some(value) = headers.get(field) else {
        return Vec::new();
    };
    let list: List = Parser::new(value.as_bytes()).parse().expect("a list");
    let item = |entry: &ListEntry| {
        let ListEntry::Item(item) = entry else {
            panic!("an inner list");
        };
        let name = item.bare_item.as_string().expect("a string").as_str();
        let number = |value: &sfv::BareItem| i64::from(value.as_integer().expect("an integer"));
        let parameters = item.params.iter();
        let parameters = parameters.map(|(key, value)| (key.as_str().to_owned(), number(value)));
        (name.to_owned(), parameters.collect())
    };
    list.iter().map(item).collect()
}

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut config = RateLimitConfig::builder(Key::everybody()).with_fields(Fields::Both);
    let mut shown = Vec::new();
    while !input.is_empty() {
        let (shadow, bursts) = (input.flag(), input.flag());
        let (limit, period) = (input.long(), input.word());
        let burst = bursts.then(|| input.long());
        let name = text(input.piece());
        let mut rate = Rate::new(limit, Duration::from_millis(period.into()));
        if let Some(burst) = burst {
            rate = rate.with_burst(burst);
        }
        let mut policy = Policy::new(name, rate).with_keys(1);
        if shadow {
            policy = policy.in_shadow();
        } else {
            shown.push((name.to_owned(), limit.min(999_999_999_999_999)));
        }
        config = config.add_policy(policy);
    }
    let Ok(config) = config.build() else {
        return;
    };
    let service = service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(Response::new(()))));
    let mut service = RateLimitLayer::new(config).layer(service);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..3 {
        let response = match pin!(service.call(Request::new(()))).poll(&mut context) {
            Poll::Ready(Ok(response)) => response,
            _ => panic!("nothing waits here"),
        };
        let policies = read(response.headers(), "ratelimit-policy");
        let standings = read(response.headers(), "ratelimit");
        let names = |items: &[(String, Vec<_>)]| -> Vec<String> {
            items.iter().map(|(name, _)| name.clone()).collect()
        };
        let expected: Vec<_> = shown.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(names(&policies), expected);
        assert_eq!(names(&standings), expected);
        for ((_, parameters), (_, limit)) in policies.iter().zip(&shown) {
            assert_eq!(parameters.first(), Some(&("q".to_owned(), *limit as i64)));
        }
        for (_, parameters) in &standings {
            assert_eq!(parameters.first().map(|(key, _)| key.as_str()), Some("r"));
            assert!(parameters.iter().all(|(_, number)| *number >= 0));
        }
    }
}
