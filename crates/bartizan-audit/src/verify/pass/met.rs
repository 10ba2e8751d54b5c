//! What is met on the way: records, and the checkpoints that the tree has to fit.

use super::Pass;
use crate::record::{Record, Totals};
use crate::storage::Storage;
use crate::verify::{FindingKind, Place};

/// Clocks are set by so much without anybody meaning harm, in nanoseconds.
const CLOCK_SLACK: u64 = 1_000_000_000;

impl<S: Storage> Pass<'_, S> {
    pub(super) fn record(&mut self, record: &Record<'_>, place: Place) {
        let time = record.time();
        // Refusals are told by whole seconds, faults by when they began.
        if !matches!(record, Record::Refusals(_) | Record::Fault(_)) {
            let back = self.report.last_time.saturating_sub(time);
            if back > CLOCK_SLACK {
                self.find(place, FindingKind::ClockWentBack(back));
            }
            self.report.last_time = time;
        }
        match record {
            Record::Fault(_) => self.find(place, FindingKind::StorageFault),
            Record::Loss(loss) => {
                self.report.lost = self.report.lost.saturating_add(loss.total());
                self.find(place, FindingKind::Lost(loss.total()));
            }
            Record::Recovered(recovered) => {
                self.find(place, FindingKind::Recovered(recovered.torn_bytes));
            }
            Record::Pruned(pruned) => self.pruned.record(*pruned),
            Record::Start(_) => self.report.runs += 1,
            Record::Stop(stop) => {
                let Totals {
                    accepted,
                    durable,
                    lost,
                } = stop.totals;
                if durable.checked_add(lost) != Some(accepted) {
                    self.find(place, FindingKind::Sum);
                }
                let sum = &mut self.report.totals;
                sum.accepted = sum.accepted.saturating_add(accepted);
                sum.durable = sum.durable.saturating_add(durable);
                sum.lost = sum.lost.saturating_add(lost);
            }
            _ => {}
        }
    }

    /// Holds the tree against the checkpoints of its size that it has to fit. They have to be of
    /// this log, whatever their size: witnesses sign those of others too.
    pub(in crate::verify) fn meet_committed(&mut self, place: Place) {
        while let Some(scan) = &self.scan
            && let Some(checkpoint) = self.committed.last()
            && checkpoint.size <= scan.tree.size()
        {
            let fits = checkpoint.origin == scan.origin
                && (checkpoint.size < scan.tree.size() || checkpoint.root == scan.tree.root());
            self.committed.pop();
            if !fits {
                self.find(place, FindingKind::WrongRoot);
            }
        }
    }

    pub(super) fn meet_published(&mut self, note: &[u8]) {
        if self
            .published
            .as_ref()
            .is_some_and(|(_, published)| published == note)
        {
            self.published = None;
        }
    }
}
