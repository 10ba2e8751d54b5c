//! What happens outside any request.

use bartizan_core::IpNetwork;

use super::network::{put_network, read_network};
use crate::record::wire::{Input, RecordError, put_short_text, shortened, text};

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

    pub(in crate::record) fn read(input: &mut Input<'a>) -> Result<Self, RecordError> {
        Ok(Self {
            second: input.u64()?,
            count: input.u64()?,
            network: read_network(input)?,
            layer: input.short_text()?,
            code: input.short_text()?,
        })
    }

    pub(in crate::record) fn write(&self, out: &mut Vec<u8>) {
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
    pub(in crate::record) fn read(input: &mut Input<'a>) -> Result<Self, RecordError> {
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

    pub(in crate::record) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.time.to_le_bytes());
        put_short_text(out, self.kind);
        put_short_text(out, self.layer);
        put_short_text(out, self.code);
        put_network(out, self.network);
        put_short_text(out, self.subject);
        out.extend_from_slice(shortened(self.detail, LONGEST_DETAIL).as_bytes());
    }
}
