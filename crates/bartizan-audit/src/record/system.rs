//! Records of the ledger about itself, and of what happens outside any request.

use std::net::IpAddr;

use bartizan_core::IpNetwork;

use super::wire::{Input, RecordError, put_short_text, shortened, text};

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
    fn read(input: &mut Input<'_>) -> Result<Self, RecordError> {
        Ok(Self {
            accepted: input.u64()?,
            durable: input.u64()?,
            lost: input.u64()?,
        })
    }

    fn write(self, out: &mut Vec<u8>) {
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

    pub(super) fn read(input: &mut Input<'a>) -> Result<Self, RecordError> {
        Ok(Self {
            time: input.u64()?,
            segment: input.u64()?,
            service: input.short_text()?,
            detail: input.short_text()?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
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

    pub(super) fn read(input: &mut Input<'_>) -> Result<Self, RecordError> {
        Ok(Self {
            time: input.u64()?,
            totals: Totals::read(input)?,
        })
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.extend(self.time.to_le_bytes());
        self.totals.write(out);
    }
}

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

    pub(super) fn read(input: &mut Input<'_>) -> Result<Self, RecordError> {
        Ok(Self {
            time: input.u64()?,
            epoch: input.u32()?,
            key: input.array()?,
        })
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
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

    pub(super) fn read(input: &mut Input<'_>) -> Result<Self, RecordError> {
        Ok(Self {
            time: input.u64()?,
            segment: input.u64()?,
            entries: input.u64()?,
            length: input.u64()?,
        })
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
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

    pub(super) fn read(input: &mut Input<'_>) -> Result<Self, RecordError> {
        Ok(Self {
            time: input.u64()?,
            segment: input.u64()?,
            unsealed: input.u64()?,
            torn_bytes: input.u64()?,
        })
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
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

    pub(super) fn read(input: &mut Input<'a>) -> Result<Self, RecordError> {
        Ok(Self {
            time: input.u64()?,
            segment: input.u64()?,
            length: input.u64()?,
            attempts: input.u32()?,
            reason: input.short_text()?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
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

    pub(super) fn read(input: &mut Input<'_>) -> Result<Self, RecordError> {
        Ok(Self {
            time: input.u64()?,
            lossy: input.u64()?,
            buffered: input.u64()?,
            durable: input.u64()?,
        })
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
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

    pub(super) fn read(input: &mut Input<'_>) -> Result<Self, RecordError> {
        Ok(Self {
            time: input.u64()?,
            handle: input.array()?,
        })
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.extend(self.time.to_le_bytes());
        out.extend(self.handle);
    }
}

/// Refusals and failed handshakes of callers who had not proven who they are: one record for each
/// address prefix, code and second, however many there were.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RefusalsRecord<'a> {
    /// The second, since 1970-01-01T00:00:00Z.
    pub second: u64,
    /// How many there were.
    pub count: u64,
    /// Where they came from. `None` if that is not known, or if there were more prefixes in this
    /// second than are counted apart.
    pub network: Option<IpNetwork>,
    /// The layer that refused.
    pub layer: &'a str,
    /// The reason.
    pub code: &'a str,
}

impl<'a> RefusalsRecord<'a> {
    pub(crate) fn new(
        second: u64,
        count: u64,
        network: Option<IpNetwork>,
        layer: &'a str,
        code: &'a str,
    ) -> Self {
        Self {
            second,
            count,
            network,
            layer: shortened(layer, 255),
            code: shortened(code, 255),
        }
    }

    pub(super) fn read(input: &mut Input<'a>) -> Result<Self, RecordError> {
        Ok(Self {
            second: input.u64()?,
            count: input.u64()?,
            network: read_network(input)?,
            layer: input.short_text()?,
            code: input.short_text()?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.second.to_le_bytes());
        out.extend(self.count.to_le_bytes());
        put_network(out, self.network);
        put_short_text(out, self.layer);
        put_short_text(out, self.code);
    }
}

/// Something happened outside any request: keys rotated, a policy changed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LifecycleRecord<'a> {
    /// When.
    pub time: u64,
    /// What kind of thing, such as `key_changed`.
    pub kind: &'a str,
    /// The component that said so.
    pub layer: &'a str,
    /// What exactly happened.
    pub code: &'a str,
    /// Where it came from.
    pub network: Option<IpNetwork>,
    /// What it is about: a source's name, a key id, an issuer.
    pub subject: &'a str,
    /// An explanation for people, of at most 1,024 bytes.
    pub detail: &'a str,
}

/// The longest explanation, in bytes.
const LONGEST_DETAIL: usize = 1024;

impl<'a> LifecycleRecord<'a> {
    pub(super) fn read(input: &mut Input<'a>) -> Result<Self, RecordError> {
        let record = Self {
            time: input.u64()?,
            kind: input.short_text()?,
            layer: input.short_text()?,
            code: input.short_text()?,
            network: read_network(input)?,
            subject: input.short_text()?,
            detail: text(input.rest())?,
        };
        if record.detail.len() > LONGEST_DETAIL {
            return Err(RecordError::Value);
        }
        Ok(record)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.time.to_le_bytes());
        put_short_text(out, self.kind);
        put_short_text(out, self.layer);
        put_short_text(out, self.code);
        put_network(out, self.network);
        put_short_text(out, self.subject);
        out.extend_from_slice(shortened(self.detail, LONGEST_DETAIL).as_bytes());
    }
}

/// A network as its number of address bytes (0, 4 or 16), the address, and the prefix length.
fn put_network(out: &mut Vec<u8>, network: Option<IpNetwork>) {
    match network.map(|network| (network.base(), network.prefix_length())) {
        None => out.push(0),
        Some((IpAddr::V4(address), length)) => {
            out.push(4);
            out.extend(address.octets());
            out.push(length);
        }
        Some((IpAddr::V6(address), length)) => {
            out.push(16);
            out.extend(address.octets());
            out.push(length);
        }
    }
}

pub(crate) fn read_network(input: &mut Input<'_>) -> Result<Option<IpNetwork>, RecordError> {
    let address: IpAddr = match input.u8()? {
        0 => return Ok(None),
        4 => input.array::<4>()?.into(),
        16 => input.array::<16>()?.into(),
        _ => return Err(RecordError::Value),
    };
    let length = input.u8()?;
    let network = IpNetwork::new(address, length).map_err(|_| RecordError::Value)?;
    // Host bits, or an embedded address: nothing that is written here.
    if network.base() == address && network.prefix_length() == length {
        Ok(Some(network))
    } else {
        Err(RecordError::Value)
    }
}
