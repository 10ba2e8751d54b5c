//! The law: each request that was answered has its record, with the same outcome, or is counted as
//! lost; and nobody else has one.
//!
//! What the clients know is held against what the ledger says, entry by entry. Nothing here reads
//! a clock, a socket or a file.

mod counts;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bartizan::audit::{Ending, Stage};

pub(crate) use self::counts::{Count, Counts, HANDSHAKES};
use crate::journal::{Got, Id, Sent};

/// How many differences are told one by one.
const TOLD: usize = 20;

/// An entry of the ledger, as far as the law goes.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    /// Something happened outside any request.
    Lifecycle,
    /// So many events were lost.
    Loss(u64),
    /// The ledger about itself.
    Own,
    /// So many refusals of somebody unknown, with this code.
    Refusals(String, u64),
    /// One request, or a part of it.
    Request(Record),
}

/// The record of a request.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Which one, if it is ours.
    pub(crate) id: Option<Id>,
    /// Which part of its life it tells of.
    pub(crate) stage: Stage,
    /// How it ended.
    pub(crate) ending: Ending,
    /// The HTTP status.
    pub(crate) status: Option<u16>,
    /// The status of a gRPC call.
    pub(crate) grpc: Option<u16>,
}

/// What the service says of itself at its end.
#[derive(Clone, Debug, Default, serde::Deserialize, serde::Serialize)]
pub(crate) struct Said {
    /// Lifecycle events that were given to the ledger.
    pub(crate) lifecycle: u64,
    /// Events that the ledger took, kept and lost.
    pub(crate) accepted: u64,
    /// Of these, what is on the disk.
    pub(crate) durable: u64,
    /// Of these, what was given up.
    pub(crate) lost: u64,
    /// Whether the ledger ended in order.
    pub(crate) complete: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub(crate) struct Reconciled {
    /// Requests that clients sent.
    pub(crate) requests: u64,
    /// How they ended for the client.
    pub(crate) outcomes: BTreeMap<String, u64>,
    /// Requests that have all of their records.
    pub(crate) recorded: u64,
    /// Requests without an answer and without a record: they never arrived.
    pub(crate) never_arrived: u64,
    /// Records that answered requests lack.
    pub(crate) missing: u64,
    /// Records that requests lack that were sent into the outage and not answered.
    pub(crate) perhaps_missing: u64,
    /// Events that the ledger counted as lost.
    pub(crate) losses: u64,
    /// Of these, lifecycle events.
    pub(crate) lost_lifecycle: u64,
    /// Refusals of strangers by code: what clients counted, and what the ledger did.
    pub(crate) refusals: BTreeMap<String, (Count, u64)>,
    /// How many differences there are.
    pub(crate) differences: u64,
    /// The first of them.
    pub(crate) told: Vec<String>,
}

/// Holds the ledger's entries against what clients know.
#[derive(Debug)]
pub(crate) struct Reconciler<'a> {
    sent: &'a [Vec<Sent>],
    /// The stages that were seen of each request, as bits.
    seen: Vec<Vec<u8>>,
    events: u64,
    lifecycle: u64,
    refusals: BTreeMap<String, u64>,
    result: Reconciled,
}

const WHOLE: u8 = 1;
const ANSWERED: u8 = 2;
const COMPLETED: u8 = 4;

impl<'a> Reconciler<'a> {
    /// Begins with what was sent.
    pub(crate) fn new(sent: &'a [Vec<Sent>]) -> Self {
        Self {
            sent,
            seen: sent.iter().map(|lane| vec![0; lane.len()]).collect(),
            events: 0,
            lifecycle: 0,
            refusals: BTreeMap::new(),
            result: Reconciled::default(),
        }
    }

    /// Takes the next entry.
    pub(crate) fn take(&mut self, entry: &Entry) {
        self.events += u64::from(!matches!(entry, Entry::Loss(_) | Entry::Own));
        match entry {
            Entry::Lifecycle => self.lifecycle += 1,
            Entry::Loss(events) => self.result.losses += events,
            Entry::Own => {}
            Entry::Refusals(code, count) => {
                *self.refusals.entry(counts::group(code)).or_default() += count;
            }
            Entry::Request(record) => self.request(record),
        }
    }

    /// Says what came of it, given how often clients were refused as strangers.
    pub(crate) fn conclude(mut self, refused: &Counts, said: &Said) -> Reconciled {
        for (lane, seen) in self.sent.iter().zip(std::mem::take(&mut self.seen)) {
            for (sent, seen) in lane.iter().zip(seen) {
                self.settle(sent, seen);
            }
        }
        self.result.lost_lifecycle = said.lifecycle.saturating_sub(self.lifecycle);
        if self.lifecycle > said.lifecycle {
            self.differ(format!(
                "{} lifecycle events are recorded, {} happened",
                self.lifecycle, said.lifecycle
            ));
        }
        self.hold_losses();
        self.hold_refusals(refused);
        self.hold_totals(said);
        self.result
    }

    fn request(&mut self, record: &Record) {
        let Some(id) = record.id else {
            return self.differ("a record of a request that no client sent".to_owned());
        };
        let Some(sent) = at(self.sent, id).copied() else {
            return self.differ(format!("{id:?} is recorded, and was never sent"));
        };
        let bit = match record.stage {
            Stage::Answered => ANSWERED,
            Stage::Completed => COMPLETED,
            _ => WHOLE,
        };
        let twice = at_mut(&mut self.seen, id).is_none_or(|seen| {
            let excluded = if bit == WHOLE { u8::MAX } else { WHOLE | bit };
            let twice = *seen & excluded != 0;
            *seen |= bit;
            twice
        });
        if twice {
            self.differ(format!("{id:?} is recorded twice"));
        }
        if !agrees(sent.got, record) {
            self.differ(format!("{id:?} got {:?}, recorded is {record:?}", sent.got));
        }
    }

    fn settle(&mut self, sent: &Sent, seen: u8) {
        let outcome = match sent.got {
            Got::Answer { status, grpc: None } => format!("{status}"),
            Got::Answer {
                grpc: Some(grpc), ..
            } => format!("gRPC {grpc}"),
            Got::Head(status) => format!("{status}, left in the middle"),
            Got::Nothing => "no answer".to_owned(),
        };
        let result = &mut self.result;
        result.requests += 1;
        *result.outcomes.entry(outcome).or_default() += 1;
        let has = match seen {
            WHOLE => u64::from(sent.records),
            _ => u64::from(seen.count_ones()),
        };
        let lacks = u64::from(sent.records).saturating_sub(has);
        match (lacks, sent.got) {
            (0, _) => result.recorded += 1,
            // What was not answered may have been lost on the way, unless the ledger knows it.
            (_, Got::Nothing) if seen == 0 && !sent.in_outage => result.never_arrived += 1,
            (lacks, Got::Nothing) if sent.in_outage => result.perhaps_missing += lacks,
            (lacks, _) => result.missing += lacks,
        }
    }

    fn hold_losses(&mut self) {
        let result = &self.result;
        let (least, most) = (
            result.missing + result.lost_lifecycle,
            result.missing + result.perhaps_missing + result.lost_lifecycle,
        );
        if !(least..=most).contains(&result.losses) {
            self.differ(format!(
                "{} events are counted as lost; missing are {least} to {most}",
                result.losses
            ));
        }
    }

    fn hold_refusals(&mut self, refused: &Counts) {
        let mut recorded = std::mem::take(&mut self.refusals);
        for (code, count) in refused.all() {
            let found = recorded.remove(&code).unwrap_or_default();
            if !(count.sure..=count.sure + count.unsure).contains(&found) {
                self.differ(format!(
                    "{code}: clients were refused {count}, the ledger says {found} times"
                ));
            }
            self.result.refusals.insert(code, (count, found));
        }
        for (code, count) in recorded {
            self.differ(format!("{code}: {count} refusals that no client knows of"));
        }
    }

    fn hold_totals(&mut self, said: &Said) {
        if !said.complete {
            self.differ("the ledger did not end in order".to_owned());
        }
        if said.accepted != said.durable + said.lost {
            self.differ(format!("the law of the ledger itself is broken: {said:?}"));
        }
        if (said.durable, said.lost) != (self.events, self.result.losses) {
            self.differ(format!(
                "the service says {} durable and {} lost, the ledger {} and {}",
                said.durable, said.lost, self.events, self.result.losses
            ));
        }
    }

    fn differ(&mut self, what: String) {
        self.result.differ(what);
    }
}

impl Reconciled {
    /// Adds a difference.
    pub(crate) fn differ(&mut self, what: String) {
        self.differences += 1;
        if self.told.len() < TOLD {
            self.told.push(what);
        }
    }
}

/// Whether the record tells what the client got.
fn agrees(got: Got, record: &Record) -> bool {
    let withheld = record.ending == Ending::Withheld;
    match got {
        // The client learned of nothing but that it was not durable.
        Got::Answer { status: 503, .. } if withheld || record.stage == Stage::Answered => true,
        Got::Answer { status, grpc } => {
            let whole = match record.stage {
                Stage::Answered => Ending::Pending,
                _ => Ending::Complete,
            };
            // The trailers of a held answer come behind its first record.
            let same = grpc == record.grpc || record.stage == Stage::Answered;
            record.status == Some(status) && same && record.ending == whole
        }
        Got::Head(status) => record.status == Some(status) && !withheld,
        Got::Nothing => true,
    }
}

fn at<T>(lanes: &[Vec<T>], id: Id) -> Option<&T> {
    let lane = lanes.get(usize::try_from(id.lane).ok()?)?;
    lane.get(usize::try_from(id.number).ok()?)
}

fn at_mut<T>(lanes: &mut [Vec<T>], id: Id) -> Option<&mut T> {
    let lane = lanes.get_mut(usize::try_from(id.lane).ok()?)?;
    lane.get_mut(usize::try_from(id.number).ok()?)
}
