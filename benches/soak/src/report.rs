//! What a soak came to, for people and for programs.

use std::fmt;

use crate::director::Injected;
use crate::memory::{Flatness, Minute};
use crate::reconcile::Reconciled;
use crate::serve::Farewell;

/// What a soak came to.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Report {
    /// How long it took, in seconds.
    pub(crate) seconds: f64,
    /// Where the ledger was, and whether its disk could be made full.
    pub(crate) disk: &'static str,
    /// What went wrong when.
    pub(crate) faults: Vec<Injected>,
    /// Requests, records, and what became of them.
    pub(crate) reconciled: Reconciled,
    /// Entries of the ledger.
    pub(crate) entries: u64,
    /// Bytes of the ledger.
    pub(crate) ledger_bytes: u64,
    /// What the service said at its end.
    pub(crate) farewell: Farewell,
    /// Resident memory of the service, minute by minute.
    pub(crate) minutes: Vec<Minute>,
    /// Whether resident memory stayed flat after the warm-up.
    pub(crate) memory: Option<Flatness>,
    /// Whether open descriptors did.
    pub(crate) descriptors: Option<Flatness>,
    /// The most descriptors that were open at once.
    pub(crate) most_descriptors: u64,
    /// How long the warm-up was, in seconds.
    pub(crate) warm_up: f64,
}

impl Report {
    /// Holds memory, descriptors and tables to their bounds; what exceeds one is a difference.
    pub(crate) fn hold_to_bounds(&mut self) {
        let differ = |this: &mut Self, what: String| this.reconciled.differ(what);
        for (what, flatness) in [("memory", self.memory), ("descriptors", self.descriptors)] {
            match flatness {
                Some(flatness) if flatness.holds() => {}
                Some(flatness) => differ(self, format!("{what} did not stay flat: {flatness:?}")),
                None => differ(self, format!("too little was seen of {what}")),
            }
        }
        let tables = &self.farewell.tables;
        let full = [
            ("addresses", tables.addresses, tables.most_addresses),
            ("tokens", tables.tokens, tables.most_tokens),
        ];
        for (what, has, most) in full {
            if has > most {
                differ(
                    self,
                    format!("{has} {what} are remembered, at most {most} may be"),
                );
            }
        }
        let failed = self.farewell.tables.handshakes_failed;
        let handshakes = self.reconciled.refusals.get(crate::reconcile::HANDSHAKES);
        if handshakes.map_or(0, |(_, recorded)| *recorded) != failed {
            differ(
                self,
                format!("the listener counts {failed} failed handshakes"),
            );
        }
    }

    /// Whether there is no difference.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.reconciled.differences == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let it = &self.reconciled;
        writeln!(
            f,
            "Soak of {:.0} s; the ledger on {}\n",
            self.seconds, self.disk
        )?;
        writeln!(f, "Requests: {}", it.requests)?;
        for (outcome, count) in &it.outcomes {
            writeln!(f, "  {count:>9}  {outcome}")?;
        }
        writeln!(f, "\nFaults")?;
        for Injected {
            second,
            fault,
            took,
            seen,
        } in &self.faults
        {
            writeln!(
                f,
                "  at {second:>6.1} s, for {took:>5.1} s: {fault}: {seen}"
            )?;
        }
        for (code, count) in &self.farewell.storage {
            writeln!(f, "  the ledger said {code} {count} times")?;
        }
        writeln!(
            f,
            "\nReconciled with {} entries, {} bytes",
            self.entries, self.ledger_bytes
        )?;
        writeln!(
            f,
            "  {:>9}  requests with all of their records",
            it.recorded
        )?;
        writeln!(f, "  {:>9}  never arrived", it.never_arrived)?;
        writeln!(
            f,
            "  {:>9}  records of answered requests missing",
            it.missing
        )?;
        writeln!(
            f,
            "  {:>9}  records of unanswered ones missing, of the outage",
            it.perhaps_missing
        )?;
        writeln!(f, "  {:>9}  lifecycle events missing", it.lost_lifecycle)?;
        writeln!(f, "  {:>9}  events counted as lost", it.losses)?;
        for (code, (count, recorded)) in &it.refusals {
            writeln!(
                f,
                "  {recorded:>9}  refused as strangers, {code}; clients: {count}"
            )?;
        }
        self.write_memory(f)?;
        match it.differences {
            0 => writeln!(f, "\nNo difference."),
            count => {
                writeln!(f, "\n{count} differences, the first of which are")?;
                it.told.iter().try_for_each(|what| writeln!(f, "  {what}"))
            }
        }
    }
}

impl Report {
    fn write_memory(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        writeln!(f, "\nThe service's resident memory, MiB: min, median, max")?;
        for minute in &self.minutes {
            let Minute {
                minute,
                min,
                median,
                max,
            } = *minute;
            let (min, median, max) = (mib(min), mib(median), mib(max));
            writeln!(
                f,
                "  minute {minute:>3}: {min:>7.1} {median:>7.1} {max:>7.1}"
            )?;
        }
        let warm_up = self.warm_up;
        if let Some(Flatness { first, last, bound }) = self.memory {
            let (first, last, bound) = (mib(first), mib(last), mib(bound));
            writeln!(
                f,
                "  after {warm_up:.0} s: first third {first:.1}, last third {last:.1} \
                 ({:+.1} %), at most {bound:.1}",
                (last / first - 1.0) * 100.0
            )?;
        }
        if let Some(Flatness { first, last, bound }) = self.descriptors {
            let most = self.most_descriptors;
            writeln!(
                f,
                "  descriptors: {first}, then {last}, at most {bound}; at once {most}"
            )?;
        }
        let tables = &self.farewell.tables;
        writeln!(
            f,
            "  tables: {} of {} addresses ({} made room), {} of {} tokens",
            tables.addresses,
            tables.most_addresses,
            tables.evictions,
            tables.tokens,
            tables.most_tokens
        )
    }
}
