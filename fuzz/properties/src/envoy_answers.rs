//! What a service of Envoy's protocol answers: whatever `prost` reads, a request is granted whole or
//! not at all, and not if the service is over a limit that counts.

use std::time::Duration;

use bartizan_ratelimit::fuzzing::envoy_answer;
use bartizan_ratelimit::{Gcra, Rate};
use prost::Message;

/// What counts of `envoy.service.ratelimit.v3.RateLimitResponse`.
#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(int32, tag = "1")]
    overall: i32,
    #[prost(message, repeated, tag = "2")]
    statuses: Vec<Status>,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
}

const OK: i32 = 1;
const OVER_LIMIT: i32 = 2;

/// Holds the bytes to what the head of this file says.
pub fn check(message: &[u8]) {
    let gcra =
        |limit, seconds| Gcra::new(Rate::new(limit, Duration::from_secs(seconds))).expect("a rate");
    // The second one only watches.
    let policies = [gcra(10, 1), gcra(1000, 3600)];
    let read = Response::decode(message);
    for count in 1..=policies.len() {
        let Some((granted, standings)) = envoy_answer(message, &policies[..count], 3) else {
            continue;
        };
        let read = read.as_ref().expect("it was read");
        assert_eq!(standings.len(), count);
        assert!(granted.is_none_or(|granted| granted == 3));
        match read.overall {
            OK => assert_eq!(granted, Some(3)),
            // Granted all the same only where each policy is told of and none that counts is over.
            OVER_LIMIT => {
                let watched = read.statuses.len() == count && read.statuses[0].code != OVER_LIMIT;
                assert_eq!(granted.is_some(), watched);
            }
            other => panic!("{other} is no verdict"),
        }
        let refused = standings.iter().any(|(charged, _)| *charged) && granted.is_none();
        assert!(!refused, "charged for nothing");
    }
}
