//! What the ledger's entries say, and how they are written.
//!
//! An entry is `version (1) | kind (1) | body`, at most [`LONGEST_ENTRY`] bytes. Its bytes as they
//! are stored are what the tree is built over: there is no canonical form to agree on.

mod encoder;
mod request;
mod system;
mod terms;
mod wire;

pub(crate) use self::encoder::{Head, RequestEncoder, Tag};
pub use self::request::{DecisionRecord, RequestRecord, Sealed, Trace};
pub use self::system::{
    EpochRecord, ErasedRecord, FaultRecord, LifecycleRecord, LossRecord, PrunedRecord,
    RecoveredRecord, RefusalsRecord, StartRecord, StopRecord, Totals,
};
pub use self::terms::{Durability, Ending, Level, Stage};
pub(crate) use self::terms::{
    durability_byte, durability_from, ending_byte, ending_from, enforcement_byte, enforcement_from,
    level_byte, level_from, outcome_byte, outcome_from, protocol_byte, protocol_from, stage_byte,
    stage_from,
};
pub use self::wire::RecordError;
pub(crate) use self::wire::{Input, put_short_text, shortened, text};

/// The longest entry, in bytes: what a length of two bytes can say, as in C2SP entry bundles.
pub const LONGEST_ENTRY: usize = 65_535;

/// The version of the format that this crate writes.
pub(crate) const VERSION: u8 = 1;

/// What an entry is about; its second byte.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// A signed checkpoint: the one kind that is no leaf of the tree.
    Checkpoint,
    /// The keys of an epoch end, and those of the next begin.
    Epoch,
    /// What is held of a person was made unreadable.
    Erased,
    /// The storage failed, and what was not durable is written anew.
    Fault,
    /// Nothing happened for a while, and the service is alive.
    Heartbeat,
    /// Something happened outside any request.
    Lifecycle,
    /// Events were lost, and counted.
    Loss,
    /// The bodies of old entries were removed.
    Pruned,
    /// The ledger was continued after a run that did not end in order.
    Recovered,
    /// Refusals of callers who had not proven who they are, counted together.
    Refusals,
    /// One request.
    Request,
    /// A run of the service begins.
    Start,
    /// A run of the service ends in order.
    Stop,
}

impl Kind {
    /// The byte that stands for it.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Checkpoint => 1,
            Self::Start => 2,
            Self::Stop => 3,
            Self::Heartbeat => 4,
            Self::Epoch => 5,
            Self::Recovered => 6,
            Self::Fault => 7,
            Self::Loss => 8,
            Self::Erased => 9,
            Self::Pruned => 10,
            Self::Request => 16,
            Self::Refusals => 17,
            Self::Lifecycle => 18,
        }
    }

    /// A short stable name, fit for a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Checkpoint => "checkpoint",
            Self::Epoch => "epoch",
            Self::Erased => "erased",
            Self::Fault => "fault",
            Self::Heartbeat => "heartbeat",
            Self::Lifecycle => "lifecycle",
            Self::Loss => "loss",
            Self::Pruned => "pruned",
            Self::Recovered => "recovered",
            Self::Refusals => "refusals",
            Self::Request => "request",
            Self::Start => "start",
            Self::Stop => "stop",
        }
    }

    /// The kind of an entry, by its first two bytes.
    ///
    /// # Errors
    ///
    /// If version or kind are unknown, or missing.
    pub fn of(entry: &[u8]) -> Result<Self, RecordError> {
        let mut input = Input::new(entry);
        match input.u8()? {
            VERSION => Self::from_byte(input.u8()?),
            other => Err(RecordError::Version(other)),
        }
    }

    fn from_byte(byte: u8) -> Result<Self, RecordError> {
        Ok(match byte {
            1 => Self::Checkpoint,
            2 => Self::Start,
            3 => Self::Stop,
            4 => Self::Heartbeat,
            5 => Self::Epoch,
            6 => Self::Recovered,
            7 => Self::Fault,
            8 => Self::Loss,
            9 => Self::Erased,
            10 => Self::Pruned,
            16 => Self::Request,
            17 => Self::Refusals,
            18 => Self::Lifecycle,
            other => return Err(RecordError::Kind(other)),
        })
    }
}

/// One entry of the ledger, read. Times are nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Record<'a> {
    /// The keys of an epoch end, and those of the next begin.
    Epoch(EpochRecord),
    /// What is held of a person was made unreadable.
    Erased(ErasedRecord),
    /// The storage failed, and what was not durable is written anew.
    Fault(FaultRecord<'a>),
    /// Nothing happened for a while; the time says until when.
    Heartbeat {
        /// When it was written.
        time: u64,
    },
    /// Something happened outside any request.
    Lifecycle(LifecycleRecord<'a>),
    /// Events were lost, and counted.
    Loss(LossRecord),
    /// The bodies of old entries were removed.
    Pruned(PrunedRecord),
    /// The ledger was continued after a run that did not end in order.
    Recovered(RecoveredRecord),
    /// Refusals of callers who had not proven who they are, counted together.
    Refusals(RefusalsRecord<'a>),
    /// One request.
    Request(Box<RequestRecord<'a>>),
    /// A run of the service begins.
    Start(StartRecord<'a>),
    /// A run of the service ends in order.
    Stop(StopRecord),
}

impl<'a> Record<'a> {
    /// Reads an entry. Total: any bytes give a record or an error, and what is read writes back as
    /// it was.
    ///
    /// # Errors
    ///
    /// If the bytes are no record of a version that is known, or a checkpoint.
    pub fn decode(entry: &'a [u8]) -> Result<Self, RecordError> {
        if entry.len() > LONGEST_ENTRY {
            return Err(RecordError::Trailing);
        }
        let kind = Kind::of(entry)?;
        let mut input = Input::new(entry);
        input.bytes(2)?;
        let input = &mut input;
        let record = match kind {
            Kind::Checkpoint => return Err(RecordError::Kind(kind.byte())),
            Kind::Epoch => Self::Epoch(EpochRecord::read(input)?),
            Kind::Erased => Self::Erased(ErasedRecord::read(input)?),
            Kind::Fault => Self::Fault(FaultRecord::read(input)?),
            Kind::Heartbeat => Self::Heartbeat { time: input.u64()? },
            Kind::Lifecycle => Self::Lifecycle(LifecycleRecord::read(input)?),
            Kind::Loss => Self::Loss(LossRecord::read(input)?),
            Kind::Pruned => Self::Pruned(PrunedRecord::read(input)?),
            Kind::Recovered => Self::Recovered(RecoveredRecord::read(input)?),
            Kind::Refusals => Self::Refusals(RefusalsRecord::read(input)?),
            Kind::Request => Self::Request(Box::new(RequestRecord::read(input)?)),
            Kind::Start => Self::Start(StartRecord::read(input)?),
            Kind::Stop => Self::Stop(StopRecord::read(input)?),
        };
        input.end()?;
        Ok(record)
    }

    /// Appends the entry to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend([VERSION, self.kind().byte()]);
        match self {
            Self::Epoch(record) => record.write(out),
            Self::Erased(record) => record.write(out),
            Self::Fault(record) => record.write(out),
            Self::Heartbeat { time } => out.extend(time.to_le_bytes()),
            Self::Lifecycle(record) => record.write(out),
            Self::Loss(record) => record.write(out),
            Self::Pruned(record) => record.write(out),
            Self::Recovered(record) => record.write(out),
            Self::Refusals(record) => record.write(out),
            Self::Request(record) => record.write(out),
            Self::Start(record) => record.write(out),
            Self::Stop(record) => record.write(out),
        }
    }

    /// What it is about.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Epoch(_) => Kind::Epoch,
            Self::Erased(_) => Kind::Erased,
            Self::Fault(_) => Kind::Fault,
            Self::Heartbeat { .. } => Kind::Heartbeat,
            Self::Lifecycle(_) => Kind::Lifecycle,
            Self::Loss(_) => Kind::Loss,
            Self::Pruned(_) => Kind::Pruned,
            Self::Recovered(_) => Kind::Recovered,
            Self::Refusals(_) => Kind::Refusals,
            Self::Request(_) => Kind::Request,
            Self::Start(_) => Kind::Start,
            Self::Stop(_) => Kind::Stop,
        }
    }

    /// When it happened, in nanoseconds since 1970-01-01T00:00:00Z, as the service's clock said.
    pub fn time(&self) -> u64 {
        match self {
            Self::Epoch(record) => record.time,
            Self::Erased(record) => record.time,
            Self::Fault(record) => record.time,
            Self::Heartbeat { time } => *time,
            Self::Lifecycle(record) => record.time,
            Self::Loss(record) => record.time,
            Self::Pruned(record) => record.time,
            Self::Recovered(record) => record.time,
            Self::Refusals(record) => record.second.saturating_mul(1_000_000_000),
            Self::Request(record) => record.time,
            Self::Start(record) => record.time,
            Self::Stop(record) => record.time,
        }
    }
}

#[cfg(test)]
mod tests;
