//! What the ledger does with itself: keys, storage, losses, removal.

use crate::record::wire::{Input, RecordError, put_short_text, shortened};

/// The keys of an epoch end, and those of the next begin. The checkpoint that follows is the last
/// one signed by the old key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct EpochRecord {
    /// When.
    pub time: u64,
    /// The number of the epoch that begins.
    pub epoch: u32,
    /// Its Ed25519 public key.
    pub key: [u8; 32],
}

impl EpochRecord {
    pub(crate) const fn new(time: u64, epoch: u32, key: [u8; 32]) -> Self {
        Self { time, epoch, key }
    }

    pub(in crate::record) fn read(input: &mut Input<'_>) -> Result<Self, RecordError> {
        Ok(Self {
            time: input.u64()?,
            epoch: input.u32()?,
            key: input.array()?,
        })
    }

    pub(in crate::record) fn write(self, out: &mut Vec<u8>) {
        out.extend(self.time.to_le_bytes());
        out.extend(self.epoch.to_le_bytes());
        out.extend(self.key);
    }
}

/// The bodies of old entries are removed; their hashes are kept, so that everything that was proven
/// stays proven.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PrunedRecord {
    /// When.
    pub time: u64,
    /// The first segment that is kept.
    pub segment: u64,
    /// Its first entry: the bodies of so many entries are removed, from the first on.
    pub entries: u64,
    /// The length of the last segment that is removed.
    pub length: u64,
}

impl PrunedRecord {
    pub(crate) const fn new(time: u64, segment: u64, entries: u64, length: u64) -> Self {
        Self {
            time,
            segment,
            entries,
            length,
        }
    }

    pub(in crate::record) fn read(input: &mut Input<'_>) -> Result<Self, RecordError> {
        Ok(Self {
            time: input.u64()?,
            segment: input.u64()?,
            entries: input.u64()?,
            length: input.u64()?,
        })
    }

    pub(in crate::record) fn write(self, out: &mut Vec<u8>) {
        for number in [self.time, self.segment, self.entries, self.length] {
            out.extend(number.to_le_bytes());
        }
    }
}

/// The ledger was continued after a run that did not end in order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RecoveredRecord {
    /// When.
    pub time: u64,
    /// The segment whose end was repaired.
    pub segment: u64,
    /// How many whole records no checkpoint covered; they were kept.
    pub unsealed: u64,
    /// How many bytes behind them made no record. They are kept in a file beside the segments.
    pub torn_bytes: u64,
}

impl RecoveredRecord {
    pub(crate) const fn new(time: u64, segment: u64, unsealed: u64, torn_bytes: u64) -> Self {
        Self {
            time,
            segment,
            unsealed,
            torn_bytes,
        }
    }

    pub(in crate::record) fn read(input: &mut Input<'_>) -> Result<Self, RecordError> {
        Ok(Self {
            time: input.u64()?,
            segment: input.u64()?,
            unsealed: input.u64()?,
            torn_bytes: input.u64()?,
        })
    }

    pub(in crate::record) fn write(self, out: &mut Vec<u8>) {
        for number in [self.time, self.segment, self.unsealed, self.torn_bytes] {
            out.extend(number.to_le_bytes());
        }
    }
}

/// The storage failed. The segment was given up at its last durable byte, and what was not durable
/// is written anew behind this record.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct FaultRecord<'a> {
    /// When the first attempt failed.
    pub time: u64,
    /// The segment that was given up.
    pub segment: u64,
    /// How many bytes of it are durable.
    pub length: u64,
    /// How often writing failed since.
    pub attempts: u32,
    /// What the system said.
    pub reason: &'a str,
}

impl<'a> FaultRecord<'a> {
    pub(crate) fn new(
        time: u64,
        segment: u64,
        length: u64,
        attempts: u32,
        reason: &'a str,
    ) -> Self {
        Self {
            time,
            segment,
            length,
            attempts,
            reason: shortened(reason, 255),
        }
    }

    pub(in crate::record) fn read(input: &mut Input<'a>) -> Result<Self, RecordError> {
        Ok(Self {
            time: input.u64()?,
            segment: input.u64()?,
            length: input.u64()?,
            attempts: input.u32()?,
            reason: input.short_text()?,
        })
    }

    pub(in crate::record) fn write(&self, out: &mut Vec<u8>) {
        for number in [self.time, self.segment, self.length] {
            out.extend(number.to_le_bytes());
        }
        out.extend(self.attempts.to_le_bytes());
        put_short_text(out, self.reason);
    }
}

/// Events were lost since the last record of this kind, or since the run began.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LossRecord {
    /// When it was written.
    pub time: u64,
    /// Events of class lossy.
    pub lossy: u64,
    /// Events of class buffered.
    pub buffered: u64,
    /// Events of class durable; the answers to their requests were withheld.
    pub durable: u64,
}

impl LossRecord {
    pub(crate) const fn new(time: u64, lossy: u64, buffered: u64, durable: u64) -> Self {
        Self {
            time,
            lossy,
            buffered,
            durable,
        }
    }

    /// How many there are in all.
    pub const fn total(&self) -> u64 {
        self.lossy
            .saturating_add(self.buffered)
            .saturating_add(self.durable)
    }

    pub(in crate::record) fn read(input: &mut Input<'_>) -> Result<Self, RecordError> {
        Ok(Self {
            time: input.u64()?,
            lossy: input.u64()?,
            buffered: input.u64()?,
            durable: input.u64()?,
        })
    }

    pub(in crate::record) fn write(self, out: &mut Vec<u8>) {
        for number in [self.time, self.lossy, self.buffered, self.durable] {
            out.extend(number.to_le_bytes());
        }
    }
}

/// What is held of a person was made unreadable. It names them by the handle that their records
/// carry, which nobody can compute any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ErasedRecord {
    /// When.
    pub time: u64,
    /// The handle; zeros if there was no key to compute it from.
    pub handle: [u8; 16],
}

impl ErasedRecord {
    pub(crate) const fn new(time: u64, handle: [u8; 16]) -> Self {
        Self { time, handle }
    }

    pub(in crate::record) fn read(input: &mut Input<'_>) -> Result<Self, RecordError> {
        Ok(Self {
            time: input.u64()?,
            handle: input.array()?,
        })
    }

    pub(in crate::record) fn write(self, out: &mut Vec<u8>) {
        out.extend(self.time.to_le_bytes());
        out.extend(self.handle);
    }
}
