//! Runs of the service: how they begin and end.

use crate::record::wire::{Input, RecordError, put_short_text, shortened};

/// What became of the events of one run: `accepted = durable + lost`, always.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Totals {
    /// Events that the ledger was given.
    pub accepted: u64,
    /// Events that are on the disk.
    pub durable: u64,
    /// Events that were given up, and counted.
    pub lost: u64,
}

impl Totals {
    pub(super) fn read(input: &mut Input<'_>) -> Result<Self, RecordError> {
        Ok(Self {
            accepted: input.u64()?,
            durable: input.u64()?,
            lost: input.u64()?,
        })
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        for number in [self.accepted, self.durable, self.lost] {
            out.extend(number.to_le_bytes());
        }
    }
}

/// A run of the service begins.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct StartRecord<'a> {
    /// When.
    pub time: u64,
    /// Which segment the run begins with.
    pub segment: u64,
    /// The service, as its configuration names it.
    pub service: &'a str,
    /// What the service says of itself, such as its version.
    pub detail: &'a str,
}

impl<'a> StartRecord<'a> {
    pub(crate) fn new(time: u64, segment: u64, service: &'a str, detail: &'a str) -> Self {
        Self {
            time,
            segment,
            service: shortened(service, 255),
            detail: shortened(detail, 255),
        }
    }

    pub(in crate::record) fn read(input: &mut Input<'a>) -> Result<Self, RecordError> {
        Ok(Self {
            time: input.u64()?,
            segment: input.u64()?,
            service: input.short_text()?,
            detail: input.short_text()?,
        })
    }

    pub(in crate::record) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.time.to_le_bytes());
        out.extend(self.segment.to_le_bytes());
        put_short_text(out, self.service);
        put_short_text(out, self.detail);
    }
}

/// A run of the service ends in order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct StopRecord {
    /// When.
    pub time: u64,
    /// What became of the run's events.
    pub totals: Totals,
}

impl StopRecord {
    pub(crate) const fn new(time: u64, totals: Totals) -> Self {
        Self { time, totals }
    }

    pub(in crate::record) fn read(input: &mut Input<'_>) -> Result<Self, RecordError> {
        Ok(Self {
            time: input.u64()?,
            totals: Totals::read(input)?,
        })
    }

    pub(in crate::record) fn write(self, out: &mut Vec<u8>) {
        out.extend(self.time.to_le_bytes());
        self.totals.write(out);
    }
}
