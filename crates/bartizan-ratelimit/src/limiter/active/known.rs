//! What is known here of a key that is charged elsewhere.

use super::Active;
use crate::gcra::Gcra;
use crate::table::Refused;
use crate::ticks::Ticks;
use crate::verdict::{Applicable, Denial, Outcome, Report};

impl Active {
    /// Refuses a request that the store would refuse, as far as is known here.
    pub(crate) fn known_refusal(
        &self,
        hash: u64,
        now: Ticks,
        cost: u64,
        applicable: Applicable,
        report: &mut Report,
    ) -> Option<Denial> {
        let mut denial: Option<Denial> = None;
        for (index, limit) in self.enforced(applicable) {
            let due = limit.table.due(hash, now);
            if let Some(found) = Self::refusal(index, &limit.gcra, due, now, cost) {
                Self::add_refusal(&mut denial, found);
            }
        }
        if denial.is_some() {
            for (index, limit) in self.enforced(applicable) {
                let due = limit.table.due(hash, now);
                report.set(index, Outcome::Refused { due });
            }
        }
        denial
    }

    /// The refusal of one policy, if it refuses.
    pub(crate) fn refusal(
        policy: usize,
        gcra: &Gcra,
        due: Ticks,
        now: Ticks,
        cost: u64,
    ) -> Option<Denial> {
        let denied = gcra.charge(due, now, cost).err()?;
        Some(Denial::new(policy, Refused::Spent { denied, due }))
    }

    /// Adds what another policy refuses.
    pub(crate) fn add_refusal(denial: &mut Option<Denial>, found: Denial) {
        match denial {
            Some(denial) => denial.extend(found.wait()),
            None => *denial = Some(found),
        }
    }
}
