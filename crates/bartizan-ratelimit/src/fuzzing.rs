//! What the fuzz targets of this repository reach beyond the public interface. Not part of it.

use std::time::Duration;

use crate::gcra::Gcra;
use crate::store::{Answer, Ask, Charge, Subject};
use crate::ticks::Ticks;
use crate::{deadline, envoy, redis};

/// How many cells a store has granted, and for each policy whether it was charged and how much it
/// is behind.
pub type Told = (Option<u64>, Vec<(bool, Ticks)>);

/// What a server of Redis says, in its own protocol, to a charge of these sizes.
pub fn redis_answer(reply: &[u8], policies: &[Gcra], sizes: &[u64]) -> Option<Told> {
    let reply = ::redis::parse_redis_value(reply).ok()?;
    told(redis::read_answer(&ask(policies, sizes), &reply).ok()?)
}

/// Which slots are whose, as a node of a cluster says in the protocol of Redis.
pub fn redis_slots(reply: &[u8]) -> Option<Vec<(u16, u16, String)>> {
    redis::read_slots(&::redis::parse_redis_value(reply).ok()?)
}

/// What a service of Envoy's protocol says to a charge of so many cells.
pub fn envoy_answer(message: &[u8], policies: &[Gcra], cost: u64) -> Option<Told> {
    told(envoy::read_message(&ask(policies, &[cost]), cost, message).ok()?)
}

/// For how long a client waits, by its `grpc-timeout`.
pub fn grpc_timeout(text: &[u8]) -> Option<Duration> {
    deadline::read_grpc_timeout(text)
}

fn ask(policies: &[Gcra], sizes: &[u64]) -> Ask {
    let charges = policies.iter().enumerate().map(|(policy, gcra)| Charge {
        policy,
        name: "fuzz".into(),
        gcra: *gcra,
        may_fail: policy % 2 == 1,
    });
    Ask {
        subject: Subject::Plain([].into()),
        charges: charges.collect(),
        sizes: sizes.to_vec(),
        hold: Ticks::ZERO,
    }
}

fn told(answer: Answer) -> Option<Told> {
    let standings = answer.standings.iter();
    let standings = standings.map(|it| (it.charged, it.debt)).collect();
    Some((answer.granted, standings))
}
