//! The policies in force, and how they decide together.

#[cfg(any(feature = "envoy", feature = "redis"))]
mod known;
mod told;

use std::sync::Arc;

use bytes::Bytes;

use crate::error::ConfigError;
use crate::field;
use crate::gcra::{Denied, Gcra};
use crate::newcomers::Newcomers;
use crate::policy::Policy;
use crate::rate::Rate;
use crate::table::{Refused, Table};
use crate::ticks::Ticks;
use crate::verdict::{Applicable, Denial, Outcome, Report, Verdict};

/// The policies in force.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) limits: Box<[Limit]>,
    /// The `RateLimit-Policy` field of all policies, made once.
    field: Bytes,
}

/// One policy in force, with its memory.
#[derive(Clone, Debug)]
pub(crate) struct Limit {
    pub(crate) policy: Policy,
    pub(crate) gcra: Gcra,
    pub(crate) table: Arc<Table>,
    /// What decisions say of it, made once.
    pub(crate) note: Arc<str>,
    #[cfg(any(feature = "envoy", feature = "redis"))]
    pub(crate) name: Arc<str>,
    /// What stands before its numbers in the `RateLimit` field, made once.
    standing: Arc<[u8]>,
}

impl Limit {
    pub(super) fn new(policy: Policy) -> Result<Self, ConfigError> {
        policy.check_name()?;
        let newcomers = policy.newcomers().map(Gcra::new).transpose()?;
        let table = Table::new(policy.keys()?, newcomers.map(Newcomers::new));
        Ok(Self {
            gcra: Gcra::new(policy.rate())?,
            table: Arc::new(table),
            note: format!("local: {}", policy.name()).into(),
            #[cfg(any(feature = "envoy", feature = "redis"))]
            name: policy.name().into(),
            standing: field::standing_of(policy.name()).into(),
            policy,
        })
    }
}

impl Active {
    pub(super) fn new(limits: Box<[Limit]>) -> Self {
        let mut text = String::new();
        for limit in limits.iter().filter(|limit| !limit.policy.is_shadow()) {
            field::write_policy(&mut text, limit.policy.name(), limit.policy.rate());
        }
        let field = Bytes::from(text);
        Self { limits, field }
    }

    /// The same policies, one of them with another rate.
    pub(super) fn with_rate(&self, policy: &str, rate: Rate, gcra: Gcra) -> Self {
        let mut limits = self.limits.clone();
        for limit in limits.iter_mut().filter(|it| it.policy.name() == policy) {
            limit.policy.set_rate(rate);
            limit.gcra = gcra;
        }
        Self::new(limits)
    }

    /// Charges a key to all policies that apply, or to none.
    pub(crate) fn decide(
        &self,
        hash: u64,
        now: Ticks,
        cost: u64,
        applicable: Applicable,
        report: &mut Report,
    ) -> Verdict {
        // What the first refuses was charged to nobody. The others are asked beforehand, so that
        // charges need to be undone only where two requests of one key race.
        let later = self.enforced(applicable).skip(1);
        for (index, limit) in later {
            let due = limit.table.due(hash, now);
            if let Err(denied) = limit.gcra.charge(due, now, cost) {
                let found = (index, denied, due);
                return self.refuse(hash, now, cost, applicable, found, report);
            }
        }
        for (index, limit) in self.applicable(applicable) {
            let charge = limit.table.charge(hash, now, &limit.gcra, cost);
            report.set(index, Outcome::of_charge(&charge));
            if !limit.policy.is_shadow()
                && let Err(refused) = charge
            {
                self.refund(hash, now, cost, report);
                return match refused {
                    Refused::Crowded { .. } => Verdict::Denied(Denial::new(index, refused)),
                    Refused::Spent { denied, due } => {
                        let found = (index, denied, due);
                        self.refuse(hash, now, cost, applicable, found, report)
                    }
                };
            }
        }
        Verdict::Allowed
    }

    /// Refuses a request for all policies that would: the client is told a wait that suits all.
    fn refuse(
        &self,
        hash: u64,
        now: Ticks,
        cost: u64,
        applicable: Applicable,
        (found, denied, due): (usize, Denied, Ticks),
        report: &mut Report,
    ) -> Verdict {
        let mut denial: Option<Denial> = None;
        for (index, limit) in self.enforced(applicable) {
            let (due, verdict) = match index == found {
                true => (due, Err(denied)),
                false => {
                    let due = limit.table.due(hash, now);
                    (due, limit.gcra.charge(due, now, cost))
                }
            };
            report.set(index, Outcome::Refused { due });
            if let Err(denied) = verdict {
                match &mut denial {
                    Some(denial) => denial.extend(denied.wait()),
                    None => denial = Some(Denial::new(index, Refused::Spent { denied, due })),
                }
            }
        }
        let found = || Denial::new(found, Refused::Spent { denied, due });
        Verdict::Denied(denial.unwrap_or_else(found))
    }

    fn applicable(&self, applicable: Applicable) -> impl Iterator<Item = (usize, &Limit)> {
        let limits = self.limits.iter().enumerate();
        limits.filter(move |(index, _)| applicable.has(*index))
    }

    fn enforced(&self, applicable: Applicable) -> impl Iterator<Item = (usize, &Limit)> {
        self.applicable(applicable)
            .filter(|(_, limit)| !limit.policy.is_shadow())
    }

    /// Gives back what a report says was charged.
    pub(crate) fn refund(&self, hash: u64, now: Ticks, cost: u64, report: &Report) {
        for (index, limit) in self.limits.iter().enumerate() {
            if let Some(receipt) = report.of(index).receipt() {
                limit.table.refund(hash, now, &limit.gcra, cost, receipt);
            }
        }
    }

    /// Charges what a request turned out to cost, to the policies that it was charged to.
    pub(crate) fn owe(&self, hash: u64, now: Ticks, cost: u64, report: &Report) {
        for (index, limit) in self.limits.iter().enumerate() {
            if report.of(index).receipt().is_some() {
                limit.table.owe(hash, now, &limit.gcra, cost);
            }
        }
    }
}
