//! How a delivery fares.

use bartizan_core::WallTime;

use crate::sink::error::{SinkError, SinkErrorKind};

/// How a [`Delivery`](crate::Delivery) fares. Nothing in it is a secret.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct DeliveryStatus {
    /// What it is doing.
    pub state: DeliveryState,
    /// The index of the next entry that the sink has not got yet.
    pub position: u64,
    /// How many durable entries the sink has not got yet. `None` if the delivery was not
    /// [told of the ledger](crate::DeliveryBuilder::with_ledger).
    pub lag: Option<u64>,
    /// How many entries were delivered since the delivery was started.
    pub delivered: u64,
    /// How many entries were pruned from the ledger before the sink got them, as far as was found
    /// since the delivery was started.
    pub missed: u64,
    /// How many entries the other side refused to have, now and later, or could not have whole,
    /// since the delivery was started.
    pub rejected: u64,
    /// What the other side last said of entries that it took, of those it rejected or else.
    pub last_remark: Option<String>,
    /// How many attempts failed since the delivery was started.
    pub retries: u64,
    /// How many of them in a row, until now; zero after a success.
    pub failures: u64,
    /// The last failure, whether or not it is over.
    pub last_failure: Option<DeliveryFailure>,
    /// When the sink last took entries.
    pub last_success: Option<WallTime>,
}

/// What a delivery is doing.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum DeliveryState {
    /// It offers entries to the sink.
    Delivering,
    /// It has ended.
    Ended {
        /// Whether the sink has everything that was durable by then.
        complete: bool,
    },
    /// It waits for more entries.
    Idle,
    /// The last attempt failed, and it waits before the next.
    Waiting,
}

/// An attempt to deliver that failed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct DeliveryFailure {
    /// What kind of thing went wrong.
    pub kind: SinkErrorKind,
    /// What exactly; fit for a log line.
    pub message: String,
    /// When.
    pub at: WallTime,
}

impl DeliveryStatus {
    pub(super) fn new(position: u64, missed: u64) -> Self {
        Self {
            state: DeliveryState::Idle,
            position,
            lag: None,
            delivered: 0,
            missed,
            rejected: 0,
            last_remark: None,
            retries: 0,
            failures: 0,
            last_failure: None,
            last_success: None,
        }
    }

    pub(super) fn failed(&mut self, error: &SinkError, at: WallTime) {
        self.state = DeliveryState::Waiting;
        self.failures += 1;
        self.retried(error, at);
    }

    /// An attempt that the next one makes good at once.
    pub(super) fn retried(&mut self, error: &SinkError, at: WallTime) {
        self.retries += 1;
        self.last_failure = Some(DeliveryFailure {
            kind: error.kind(),
            message: error.to_string(),
            at,
        });
    }
}
