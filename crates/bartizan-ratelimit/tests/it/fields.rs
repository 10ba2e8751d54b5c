//! What responses tell of limits, read back by a parser that is not ours.

use std::time::Duration;

use bartizan_ratelimit::{Fields, Key, Policy, Rate};
use bartizan_testkit::{Answer, Host, ManualClock};
use proptest::prelude::*;
use sfv::{BareItem, List, ListEntry, Parser};

use crate::support::{call_from, config, layer};

/// One item of a field: its name and its integer parameters.
type Item = (String, Vec<(String, i64)>);

/// Reads a field as RFC 9651 has it.
fn read(answer: &Answer, name: &str) -> Option<Vec<Item>> {
    let list: List = Parser::new(answer.header(name)?).parse().unwrap();
    let item = |entry: &ListEntry| {
        let ListEntry::Item(item) = entry else {
            panic!("an inner list");
        };
        let BareItem::String(name) = &item.bare_item else {
            panic!("not a string");
        };
        let parameters = item.params.iter().map(|(key, value)| {
            let value = value.as_integer().unwrap();
            (key.as_str().to_owned(), value.into())
        });
        (name.as_str().to_owned(), parameters.collect())
    };
    Some(list.iter().map(item).collect())
}

fn item(name: &str, parameters: &[(&str, i64)]) -> Item {
    let parameters = parameters
        .iter()
        .map(|(key, value)| ((*key).to_owned(), *value));
    (name.to_owned(), parameters.collect())
}

#[tokio::test]
async fn standard_fields_tell_policies_and_standings() {
    let clock = ManualClock::default();
    let config = config(Key::address(), &clock)
        .add_policy(Policy::new("bu\"rst", Rate::per_second(2)))
        .add_policy(Policy::new("hourly", Rate::per_hour(10)))
        .add_policy(Policy::new("trial", Rate::per_hour(1)).in_shadow())
        .with_fields(Fields::Standard);
    let layer = layer(config);
    let send = async || {
        Host::AxumLayer
            .send(&layer, &call_from("192.0.2.1"))
            .await
            .unwrap()
    };
    let policies = vec![
        item("bu\"rst", &[("q", 2), ("w", 1)]),
        item("hourly", &[("q", 10), ("w", 3_600)]),
    ];
    for left in [1, 0] {
        let answer = send().await;
        assert!(answer.is_success());
        assert_eq!(read(&answer, "ratelimit-policy").as_ref(), Some(&policies));
        let expected = vec![
            item("bu\"rst", &[("r", left), ("t", 1)]),
            item("hourly", &[("r", left + 8), ("t", 360)]),
        ];
        assert_eq!(read(&answer, "ratelimit"), Some(expected));
    }
    let refused = send().await;
    assert_eq!(refused.http_status, 429);
    assert_eq!(read(&refused, "ratelimit-policy"), Some(policies));
    let expected = vec![
        item("bu\"rst", &[("r", 0), ("t", 1)]),
        item("hourly", &[("r", 8), ("t", 360)]),
    ];
    assert_eq!(read(&refused, "ratelimit"), Some(expected));
    assert_eq!(refused.header("x-ratelimit-limit"), None);
}

#[tokio::test]
async fn who_waits_as_long_as_told_is_admitted() {
    let clock = ManualClock::default();
    let config = config(Key::address(), &clock)
        .add_policy(Policy::new("burst", Rate::new(3, Duration::from_secs(7))))
        .add_policy(Policy::new("slow", Rate::new(4, Duration::from_secs(61))))
        .with_cost(|_| 2)
        .with_fields(Fields::Standard);
    let layer = layer(config);
    let send = async || {
        Host::Hyper
            .send(&layer, &call_from("192.0.2.1"))
            .await
            .unwrap()
    };
    let mut refusals = 0;
    for _ in 0..50 {
        clock.advance(Duration::from_millis(331));
        let answer = send().await;
        if answer.is_success() {
            continue;
        }
        refusals += 1;
        let retry_after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        // Of those that refuse, the one that refuses first tells the same, and no other more.
        let standings = read(&answer, "ratelimit").unwrap();
        let value = |parameters: &[(String, i64)], wanted: &str| {
            let found = parameters.iter().find(|(key, _)| key == wanted);
            found.map(|(_, value)| *value)
        };
        let refusing = standings.iter().filter(|(_, it)| value(it, "r") < Some(2));
        let longest = refusing.filter_map(|(_, it)| value(it, "t")).max();
        assert_eq!(longest, i64::try_from(retry_after).ok());
        clock.advance(Duration::from_secs(retry_after));
        assert!(send().await.is_success());
    }
    assert!(refusals > 10, "{refusals}");
}

#[tokio::test]
async fn legacy_fields_tell_the_tightest_policy() {
    let config = config(Key::address(), &ManualClock::default())
        .add_policy(Policy::new("hourly", Rate::per_hour(10)))
        .add_policy(Policy::new("burst", Rate::per_second(2)))
        .with_fields(Fields::Legacy);
    let layer = layer(config);
    let answer = Host::Hyper
        .send(&layer, &call_from("192.0.2.1"))
        .await
        .unwrap();
    let told = ["limit", "remaining", "reset"].map(|name| {
        answer
            .header(&format!("x-ratelimit-{name}"))
            .map(str::to_owned)
    });
    assert_eq!(told, ["2", "1", "1"].map(|it| Some(it.to_owned())));
    assert_eq!(read(&answer, "ratelimit"), None);
}

#[tokio::test]
async fn nothing_is_told_unless_asked_for() {
    let config = config(Key::address(), &ManualClock::default())
        .add_policy(Policy::new("once", Rate::per_hour(1)));
    let layer = layer(config);
    for _ in 0..2 {
        let answer = Host::Hyper
            .send(&layer, &call_from("192.0.2.1"))
            .await
            .unwrap();
        let told = answer
            .headers
            .keys()
            .filter(|name| name.as_str().contains("ratelimit"));
        assert_eq!(told.count(), 0);
    }
}

#[tokio::test]
async fn what_never_passes_is_told_no_time() {
    let config = config(Key::address(), &ManualClock::default())
        .add_policy(Policy::new("small", Rate::per_hour(1)))
        .with_cost(|_| 2);
    let layer = layer(config);
    let answer = Host::Hyper
        .send(&layer, &call_from("192.0.2.1"))
        .await
        .unwrap();
    assert_eq!(answer.http_status, 429);
    assert_eq!(answer.header("retry-after"), None);
    let answer = Host::TonicRoutes
        .send(&layer, &call_from("192.0.2.1"))
        .await
        .unwrap();
    assert_eq!(answer.grpc_status, Some(8));
    assert_eq!(answer.header("grpc-retry-pushback-ms"), Some("-1"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    /// Whatever a policy is called and allows, a parser that is not ours reads it back.
    #[test]
    fn every_policy_is_read_back(name in "[ -~]{1,64}", quota in 1_u64..1 << 40, window in 1_u64..100_000) {
        let policy = Policy::new(name.clone(), Rate::new(quota, Duration::from_secs(window)));
        let list: List = Parser::new(&policy.to_string()).parse().unwrap();
        let [ListEntry::Item(read)] = list.as_slice() else {
            panic!("not one item");
        };
        prop_assert_eq!(read.bare_item.as_string().map(|it| it.as_str()), Some(name.as_str()));
        let number = |key: &str| read.params.get(key)?.as_integer().map(i64::from);
        prop_assert_eq!(number("q"), i64::try_from(quota).ok());
        prop_assert_eq!(number("w"), i64::try_from(window).ok());
    }
}
