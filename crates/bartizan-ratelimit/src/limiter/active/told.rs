//! What clients are told of the policies in force.

use bytes::Bytes;

use super::{Active, Limit};
use crate::field::{self, Text};
use crate::ticks::Ticks;
use crate::verdict::{Denial, Report};

impl Active {
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
    ) -> Text {
        let mut text = Text::new();
        for (index, limit) in self.shown(report) {
            let (remaining, mut more_in) = limit.gcra.standing(report.of(index).due(), now);
            if let Some(denial) = denial
                && denial.policy() == index
            {
                let wait = denial.wait().unwrap_or_default();
                more_in = more_in.max(Ticks::from_duration(wait));
            }
            field::write_standing(&mut text, &limit.standing, remaining, more_in);
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
