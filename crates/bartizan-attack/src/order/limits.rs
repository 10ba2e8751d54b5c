//! Ways around a limit: each request claims to be somebody else's.

use crate::draft::Draft;
use crate::given::{Given, Made};
use crate::table::table;

table! { Order;
    "order.limit-is-there" [Limited] "more requests than a limit allows", "CWE-770" =>
        |given| flooded(given, |it, _| it);
    "order.limit-by-forwarded-for" [Limited] "more requests than a limit allows, each from another address by X-Forwarded-For", "CWE-348" =>
        |given| flooded(given, |it, number| it.field("x-forwarded-for", address(number)));
    "order.limit-by-forwarded" [Limited] "more requests than a limit allows, each from another address by Forwarded", "RFC 7239 §8.1" =>
        |given| flooded(given, |it, number| it.field("forwarded", format!("for={}", address(number))));
    "order.limit-by-real-ip" [Limited] "more requests than a limit allows, each from another address by X-Real-IP and the like", "CWE-348" =>
        |given| flooded(given, |it, number| ["x-real-ip", "true-client-ip", "cf-connecting-ip", "x-client-ip", "x-envoy-external-address"]
            .iter().fold(it, |it, name| it.field(name, address(number))));
    "order.limit-by-user" [Limited] "more requests than a limit allows, each of another user by a field", "CWE-290" =>
        |given| flooded(given, |it, number| ["x-user", "x-user-id", "x-tenant-id", "x-api-key", "x-client-id", "x-session-id"]
            .iter().fold(it, |it, name| it.field(name, format!("user-{number}"))));
    "order.limit-by-query" [Limited] "more requests than a limit allows, each with another query", "CWE-770" =>
        |given| flooded(given, |it, number| it.query(&format!("x={number}")));
    "order.limit-by-agent" [Limited] "more requests than a limit allows, each of another browser", "CWE-770" =>
        |given| flooded(given, |it, number| it.field("user-agent", format!("agent/{number}")).field("accept-language", format!("x-{number}")));
    "order.limit-by-spelling" [Limited] "more requests than a limit allows, each with another spelling of the host", "CWE-178" =>
        |given| flooded(given, |it, number| { let host = it.host.clone().unwrap_or_default(); if number % 2 == 0 { it.host(host.to_uppercase()) } else { it } });
}

fn address(number: usize) -> String {
    format!("198.51.{}.{}", number / 250 % 250, number % 250 + 1)
}

/// Half as many requests again as the limit allows, and some.
fn flooded(given: &Given<'_>, make: impl Fn(Draft, usize) -> Draft) -> Made {
    let count = given.limit()? * 3 / 2 + 20;
    let shots = (0..count).map(|number| make(given.control(), number));
    let shots: Vec<_> = shots.collect();
    Ok(given.drafts(|_| shots)?.flooding())
}
