//! The policies in force, and how they decide together.

#[cfg(any(feature = "envoy", feature = "redis"))]
mod known;

use std::sync::Arc;

use bytes::Bytes;

use crate::error::ConfigError;
use crate::field;
use crate::gcra::Gcra;
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
                let denial = Denial::new(index, Refused::Spent { denied, due });
                return self.refuse(hash, now, cost, applicable, denial, report);
            }
        }
        for (index, limit) in self.applicable(applicable) {
            let charge = limit.table.charge(hash, now, &limit.gcra, cost);
            report.set(index, Outcome::of_charge(&charge));
            if !limit.policy.is_shadow()
                && let Err(refused) = charge
            {
                self.refund(hash, now, cost, report);
                let denial = Denial::new(index, refused);
                return match refused {
                    Refused::Crowded { .. } => Verdict::Denied(denial),
                    Refused::Spent { .. } => {
                        self.refuse(hash, now, cost, applicable, denial, report)
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
        found: Denial,
        report: &mut Report,
    ) -> Verdict {
        let mut denial: Option<Denial> = None;
        for (index, limit) in self.enforced(applicable) {
            let due = limit.table.due(hash, now);
            report.set(index, Outcome::Refused { due });
            if let Err(denied) = limit.gcra.charge(due, now, cost) {
                match &mut denial {
                    Some(denial) => denial.extend(denied.wait()),
                    None => denial = Some(Denial::new(index, Refused::Spent { denied, due })),
                }
            }
        }
        // Another thread may have given cells back since; that came too late for this request.
        Verdict::Denied(denial.unwrap_or(found))
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

    /// The `RateLimit-Policy` field of the policies in a report.
    pub(crate) fn policy_field(&self, report: &Report) -> Bytes {
        let all = (0..self.limits.len()).all(|index| !report.of(index).is_absent());
        if all {
            return self.field.clone();
        }
        let mut text = String::new();
        for (_, limit) in self.shown(report) {
            field::write_policy(&mut text, limit.policy.name(), limit.policy.rate());
        }
        Bytes::from(text)
    }

    /// The `RateLimit` field of a report.
    pub(crate) fn standing_field(
        &self,
        now: Ticks,
        report: &Report,
        denial: Option<&Denial>,
    ) -> String {
        let mut text = String::with_capacity(self.limits.len() * 40);
        for (index, limit) in self.shown(report) {
            let due = report.of(index).due();
            let mut more_in = limit.gcra.next_in(due, now);
            if let Some(denial) = denial
                && denial.policy() == index
            {
                more_in = denial.wait().unwrap_or_default().max(more_in);
            }
            let remaining = limit.gcra.remaining(due, now);
            field::write_standing(&mut text, limit.policy.name(), remaining, more_in);
        }
        text
    }

    /// The policy of a report that is nearest to its end: its limit, what remains, and after how
    /// long all is there again.
    pub(crate) fn tightest(&self, now: Ticks, report: &Report) -> Option<(u64, u64, u64)> {
        self.shown(report)
            .map(|(index, limit)| {
                let due = report.of(index).due();
                let full_in = field::whole_seconds(limit.gcra.full_in(due, now));
                let remaining = limit.gcra.remaining(due, now);
                (limit.policy.rate().limit(), remaining, full_in)
            })
            .min_by_key(|(_, remaining, _)| *remaining)
    }

    /// The policies that clients are told of: those that apply and are enforced.
    fn shown(&self, report: &Report) -> impl Iterator<Item = (usize, &Limit)> {
        self.limits
            .iter()
            .enumerate()
            .filter(|(index, limit)| !limit.policy.is_shadow() && !report.of(*index).is_absent())
    }
}
