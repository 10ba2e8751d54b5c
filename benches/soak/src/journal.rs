//! What every client sent, and what it got.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the traces of all requests of a soak begin with.
const MARK: [u8; 8] = *b"bartsoak";

/// Names one request; it travels as the request's trace, and the ledger records that.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Id {
    /// The client.
    pub(crate) lane: u32,
    /// Which of its requests.
    pub(crate) number: u32,
}

impl Id {
    /// The request that a trace names, if it is one of ours.
    pub(crate) fn of_trace(trace: &[u8; 16]) -> Option<Self> {
        let (mark, rest) = trace.split_first_chunk::<8>()?;
        let (lane, number) = rest.split_first_chunk::<4>()?;
        (*mark == MARK).then_some(Self {
            lane: u32::from_be_bytes(*lane),
            number: u32::from_be_bytes(*number.first_chunk()?),
        })
    }

    /// The header `traceparent` of the request.
    pub(crate) fn traceparent(self) -> String {
        let mark = u64::from_be_bytes(MARK);
        format!(
            "00-{mark:016x}{:08x}{:08x}-{:016x}-01",
            self.lane, self.number, 1
        )
    }
}

/// What came back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Got {
    /// A whole answer.
    Answer {
        /// Its HTTP status.
        status: u16,
        /// The status of a gRPC call.
        grpc: Option<u16>,
    },
    /// The head of an answer; then the client left.
    Head(u16),
    /// Nothing that the client could rely on.
    Nothing,
}

/// One request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Sent {
    /// What came back.
    pub(crate) got: Got,
    /// How many records it has in the ledger: two if the first one holds the answer back.
    pub(crate) records: u8,
    /// Whether it was sent while the ledger's disk was full.
    pub(crate) in_outage: bool,
}

/// The requests of one client.
#[derive(Debug)]
pub(crate) struct Lane {
    lane: u32,
    sent: Mutex<Vec<Sent>>,
    outage: Arc<AtomicBool>,
}

/// The requests of all clients.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    lanes: Mutex<Vec<Arc<Lane>>>,
    outage: Arc<AtomicBool>,
}

impl Journal {
    /// A place for the requests of one more client.
    pub(crate) fn lane(&self) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = Arc::new(Lane {
            lane: u32::try_from(lanes.len()).unwrap_or(u32::MAX),
            sent: Mutex::default(),
            outage: Arc::clone(&self.outage),
        });
        lanes.push(Arc::clone(&lane));
        lane
    }

    /// Says whether the ledger's disk is full.
    pub(crate) fn set_outage(&self, outage: bool) {
        self.outage.store(outage, Ordering::SeqCst);
    }

    /// Everything, by client.
    pub(crate) fn sent(&self) -> Vec<Vec<Sent>> {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.iter().map(|lane| lane.sent().clone()).collect()
    }
}

impl Lane {
    /// Notes a request before it is sent.
    pub(crate) fn begin(&self, records: u8) -> Id {
        let mut sent = self.sent();
        sent.push(Sent {
            got: Got::Nothing,
            records,
            in_outage: self.outage.load(Ordering::SeqCst),
        });
        Id {
            lane: self.lane,
            number: u32::try_from(sent.len() - 1).unwrap_or(u32::MAX),
        }
    }

    /// Notes what came back.
    pub(crate) fn end(&self, id: Id, got: Got) {
        let at = usize::try_from(id.number).unwrap_or(usize::MAX);
        if let Some(sent) = self.sent().get_mut(at) {
            sent.got = got;
        }
    }

    fn sent(&self) -> MutexGuard<'_, Vec<Sent>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_names_the_request_that_it_was_made_for() {
        let id = Id {
            lane: 7,
            number: 70_000,
        };
        let text = id.traceparent();
        let hex = text.get(3..35).unwrap();
        let trace = u128::from_str_radix(hex, 16).unwrap().to_be_bytes();
        assert_eq!(Id::of_trace(&trace), Some(id));
        assert_eq!(Id::of_trace(&[7; 16]), None);
        assert_eq!(text.len(), 55);
    }

    #[test]
    fn what_was_not_answered_got_nothing() {
        let journal = Journal::default();
        let lane = journal.lane();
        let (first, second) = (lane.begin(1), lane.begin(2));
        journal.set_outage(true);
        let third = journal.lane().begin(1);
        let answer = Got::Answer {
            status: 200,
            grpc: None,
        };
        lane.end(second, answer);
        let sent = journal.sent();
        let of = |id: Id| sent[id.lane as usize][id.number as usize];
        assert_eq!((of(first).got, of(second).got), (Got::Nothing, answer));
        assert_eq!((of(first).in_outage, of(third).in_outage), (false, true));
    }
}
