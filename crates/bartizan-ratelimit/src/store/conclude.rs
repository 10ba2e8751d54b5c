//! What has come of a request.

use std::sync::Arc;

use super::Source;
use super::seam::{Answer, Ask};
use crate::lease::{Grant, Place};
use crate::limiter::Active;
use crate::ticks::Ticks;
use crate::verdict::{Denial, Outcome, Report, Verdict};

/// What has come of a request.
#[derive(Debug)]
pub(crate) struct Concluded {
    pub(crate) hash: u64,
    pub(crate) now: Ticks,
    pub(crate) cost: u64,
    pub(crate) report: Report,
    /// `None` if the store did not answer, and a policy refuses then.
    pub(crate) verdict: Option<Verdict>,
    pub(crate) source: Source,
    /// What the request was paid from, if a store was charged for it.
    pub(crate) paid: Option<Paid>,
}

/// What a request was paid from.
#[derive(Debug)]
pub(crate) struct Paid {
    pub(crate) place: Place,
    pub(crate) grant: Arc<Grant>,
}

impl Concluded {
    /// What a grant says of those who are paid from it.
    pub(super) fn paid(
        place: Place,
        now: Ticks,
        cost: u64,
        grant: Arc<Grant>,
        source: Source,
    ) -> Self {
        let mut report = Report::new();
        for (charge, standing) in grant.charges.iter().zip(&grant.standings) {
            // As if everything that was granted had been spent: what remains beyond is certain.
            let due = grant.taken.saturating_add(standing.debt);
            report.set(charge.policy, outcome(standing.charged, due));
        }
        Self {
            hash: place.hash,
            now,
            cost,
            report,
            verdict: Some(Verdict::Allowed),
            source,
            paid: Some(Paid { place, grant }),
        }
    }

    /// A refusal.
    pub(super) fn refused(
        hash: u64,
        now: Ticks,
        cost: u64,
        report: Report,
        denial: Denial,
        source: Source,
    ) -> Self {
        Self {
            hash,
            now,
            cost,
            report,
            verdict: Some(Verdict::Denied(denial)),
            source,
            paid: None,
        }
    }
}

/// Notes down what a store has refused, and says for how long. For cells ahead, `least` is how
/// many a caller has to wait for; otherwise it is what the request costs.
pub(super) fn note_refusal(
    active: &Active,
    hash: u64,
    taken: Ticks,
    ask: &Ask,
    answer: &Answer,
    cost: u64,
) -> (Report, Denial) {
    let mut report = Report::new();
    let mut denial: Option<Denial> = None;
    let mut nearest = None;
    let least = ask.sizes.last().copied().unwrap_or(cost);
    for (charge, standing) in ask.charges.iter().zip(&answer.standings) {
        let due = taken.saturating_add(standing.debt);
        if charge.may_fail {
            continue;
        }
        report.set(charge.policy, Outcome::Refused { due });
        let Some(limit) = active.limits.get(charge.policy) else {
            continue;
        };
        // A request of one cell waits until there is a batch.
        let batch = charge.gcra.takes(least.saturating_sub(cost));
        let held = due
            .max(taken.saturating_add(ask.hold))
            .saturating_add(batch);
        nearest = nearest.max(Some((standing.debt, charge.policy)));
        if let Some(found) = Active::refusal(charge.policy, &charge.gcra, held, taken, cost) {
            limit.table.raise(hash, taken, held);
            Active::add_refusal(&mut denial, found);
        }
    }
    let denial = denial.unwrap_or_else(|| {
        // The store counts more coarsely than this does, and has the last word.
        let (_, policy) = nearest.unwrap_or_default();
        Denial::by_store(policy)
    });
    (report, denial)
}

fn outcome(charged: bool, due: Ticks) -> Outcome {
    match charged {
        true => Outcome::Charged {
            after: due,
            returned: 0,
        },
        false => Outcome::Refused { due },
    }
}
