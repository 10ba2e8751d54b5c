//! What servers of Redis answer: no more cells are granted than were asked for, each policy is told
//! of, and every slot has a node with a port.

use std::time::Duration;

use bartizan_ratelimit::fuzzing::{redis_answer, redis_slots};
use bartizan_ratelimit::{Gcra, Rate};

/// Holds the bytes to what the head of this file says.
pub fn check(reply: &[u8]) {
    let gcra =
        |limit, seconds| Gcra::new(Rate::new(limit, Duration::from_secs(seconds))).expect("a rate");
    let policies = [gcra(10, 1), gcra(1000, 3600)];
    for count in 0..=policies.len() {
        for sizes in [&[1][..], &[64, 8, 1]] {
            let Some((granted, standings)) = redis_answer(reply, &policies[..count], sizes) else {
                continue;
            };
            assert!(granted.is_none_or(|granted| sizes.contains(&granted)));
            assert_eq!(standings.len(), count);
        }
    }
    if let Some(slots) = redis_slots(reply) {
        assert!(slots.len() <= 1 << 14);
        for (_, _, node) in slots {
            let (host, port) = node.rsplit_once(':').expect("host and port");
            assert!(!host.is_empty() && port.parse::<u16>().is_ok(), "{node}");
        }
    }
}
