//! Writes the record of a request, straight from where its facts are held.

use std::net::IpAddr;

use bartizan_core::{Decision, IpNetwork, Protocol};

use super::request::{DecisionRecord, Trace};
use super::wire::{RecordError, shortened};
use super::{
    Durability, Ending, Kind, Level, Stage, VERSION, durability_byte, ending_byte,
    enforcement_byte, level_byte, outcome_byte, protocol_byte, stage_byte,
};

/// The longest text of a field, in bytes. What is longer is cut, and the cut is counted.
pub(super) const LONGEST_TEXT: usize = 1024;

/// The fields behind the fixed part, in the order in which they are written.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub(crate) enum Tag {
    Method = 1,
    Template,
    Path,
    Peer,
    Certificate,
    Forwarded,
    Scheme,
    Issuer,
    Subject,
    Client,
    TokenId,
    Network,
    Trace,
    Sealed,
    Decision,
    Query,
    RequestHeader,
    ResponseHeader,
    RequestField,
    ResponseField,
}

impl Tag {
    const ALL: [Self; 20] = [
        Self::Method,
        Self::Template,
        Self::Path,
        Self::Peer,
        Self::Certificate,
        Self::Forwarded,
        Self::Scheme,
        Self::Issuer,
        Self::Subject,
        Self::Client,
        Self::TokenId,
        Self::Network,
        Self::Trace,
        Self::Sealed,
        Self::Decision,
        Self::Query,
        Self::RequestHeader,
        Self::ResponseHeader,
        Self::RequestField,
        Self::ResponseField,
    ];

    pub(super) fn from_byte(byte: u8) -> Result<Self, RecordError> {
        let index = usize::from(byte).wrapping_sub(1);
        Self::ALL.get(index).copied().ok_or(RecordError::Tag(byte))
    }

    /// Whether there may be several fields of it.
    pub(super) fn repeats(self) -> bool {
        self >= Self::Decision
    }
}

/// The fixed part of a request's record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) number: u64,
    pub(crate) stage: Stage,
    pub(crate) level: Level,
    pub(crate) durability: Durability,
    pub(crate) protocol: Protocol,
    pub(crate) ending: Ending,
    pub(crate) time: u64,
    pub(crate) duration: u64,
    pub(crate) status: Option<u16>,
    pub(crate) grpc_status: Option<u16>,
    pub(crate) response_bytes: u64,
    pub(crate) lost_decisions: u16,
    pub(crate) cut: u16,
}

/// Where `cut` stands behind the beginning of the body.
const CUT_AT: usize = 8 + 5 + 8 + 8 + 2 + 2 + 8 + 2;

/// No status.
pub(super) const NONE: u16 = u16::MAX;

impl Head {
    /// Kind, version and fixed part. What is cut is not known yet.
    #[inline]
    fn write(&self, place: &mut [u8]) {
        let mut rest = Rest(place);
        rest.put(&[VERSION, Kind::Request.byte()]);
        rest.put(&self.number.to_le_bytes());
        rest.put(&[
            stage_byte(self.stage),
            level_byte(self.level),
            durability_byte(self.durability),
            protocol_byte(self.protocol),
            ending_byte(self.ending),
        ]);
        rest.put(&self.time.to_le_bytes());
        rest.put(&self.duration.to_le_bytes());
        rest.put(&self.status.unwrap_or(NONE).to_le_bytes());
        rest.put(&self.grpc_status.unwrap_or(NONE).to_le_bytes());
        rest.put(&self.response_bytes.to_le_bytes());
        rest.put(&self.lost_decisions.to_le_bytes());
        rest.put(&[0, 0]);
    }
}

/// What is left of a place that is being filled.
struct Rest<'p>(&'p mut [u8]);

impl Rest<'_> {
    /// Writes bytes that there is room for.
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        // Many texts are absent, and copying nothing is a call as well.
        if bytes.is_empty() {
            return;
        }
        let rest = std::mem::take(&mut self.0);
        if let Some((place, behind)) = rest.split_at_mut_checked(bytes.len()) {
            place.copy_from_slice(bytes);
            self.0 = behind;
        }
    }
}

/// Writes the record of a request, field by field in the order of their tags, straight from where
/// the facts are held.
#[derive(Debug)]
pub(crate) struct RequestEncoder<'o> {
    out: &'o mut [u8],
    at: usize,
    cut: u16,
}

impl<'o> RequestEncoder<'o> {
    /// Begins an entry in place of these bytes: as many as an entry can have. A field for which
    /// there is no room is left out, and counted.
    pub(crate) fn begin(out: &'o mut [u8], head: &Head) -> Self {
        let mut encoder = Self {
            out,
            at: 0,
            cut: head.cut,
        };
        if let Some(place) = encoder.room(2 + CUT_AT + 2) {
            head.write(place);
        }
        encoder
    }

    pub(crate) fn text(&mut self, tag: Tag, text: &str) {
        let short = self.cut_to(LONGEST_TEXT, text);
        self.bytes(tag, short.as_bytes());
    }

    pub(crate) fn maybe(&mut self, tag: Tag, text: Option<&str>) {
        if let Some(text) = text {
            self.text(tag, text);
        }
    }

    pub(crate) fn bytes(&mut self, tag: Tag, bytes: &[u8]) {
        self.field(tag, [bytes]);
    }

    pub(crate) fn network(&mut self, network: Option<IpNetwork>) {
        match network.map(|network| (network.base(), network.prefix_length())) {
            None => {}
            Some((IpAddr::V4(address), length)) => {
                self.field(Tag::Network, [&[4], &address.octets(), &[length]]);
            }
            Some((IpAddr::V6(address), length)) => {
                self.field(Tag::Network, [&[16], &address.octets(), &[length]]);
            }
        }
    }

    pub(crate) fn trace(&mut self, trace: Option<Trace>) {
        if let Some(trace) = &trace {
            self.field(Tag::Trace, [&trace.trace_id, &trace.parent_id]);
        }
    }

    pub(crate) fn sealed(&mut self, handle: &[u8; 16], ciphertext: &[u8]) {
        self.field(Tag::Sealed, [handle, ciphertext]);
    }

    pub(crate) fn decision(&mut self, decision: &Decision) {
        self.decision_record(&DecisionRecord {
            outcome: decision.outcome(),
            enforcement: decision.enforcement(),
            layer: decision.layer(),
            code: decision.code().map(|code| code.as_str()),
            detail: decision.detail(),
        });
    }

    pub(super) fn decision_record(&mut self, decision: &DecisionRecord<'_>) {
        let (outcome, enforcement) = (
            outcome_byte(decision.outcome),
            enforcement_byte(decision.enforcement),
        );
        let (layer, layer_length) = short_text(decision.layer);
        let (code, code_length) = short_text(decision.code.unwrap_or_default());
        // An empty detail is another thing than none.
        let has_detail = u8::from(decision.detail.is_some());
        let detail = self.cut_to(LONGEST_TEXT, decision.detail.unwrap_or_default());
        let parts: [&[u8]; 6] = [
            &[outcome, enforcement, layer_length],
            layer.as_bytes(),
            &[code_length],
            code.as_bytes(),
            &[has_detail],
            detail.as_bytes(),
        ];
        self.field(Tag::Decision, parts);
    }

    pub(crate) fn pair(&mut self, tag: Tag, name: &str, value: &str) {
        let (short, length) = short_text(name);
        // One cut, however many of the two are too long.
        self.note_cut(value.len() > LONGEST_TEXT || short.len() < name.len());
        let value = shortened(value, LONGEST_TEXT);
        self.field(tag, [&[length], short.as_bytes(), value.as_bytes()]);
    }

    /// Ends the entry, and says how long it is.
    pub(crate) fn finish(self) -> usize {
        if let Some(place) = self.out.get_mut(2 + CUT_AT..2 + CUT_AT + 2) {
            place.copy_from_slice(&self.cut.to_le_bytes());
        }
        self.at
    }

    fn note_cut(&mut self, is_cut: bool) {
        self.cut = self.cut.saturating_add(u16::from(is_cut));
    }

    /// The text as far as it is recorded; a cut is counted.
    fn cut_to<'t>(&mut self, most: usize, text: &'t str) -> &'t str {
        let short = shortened(text, most);
        self.note_cut(short.len() < text.len());
        short
    }

    /// Writes a field of these parts. Their length is known, so that each byte is written once.
    #[inline]
    fn field<const N: usize>(&mut self, tag: Tag, parts: [&[u8]; N]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let place = self.room(3 + length);
        let Some((head, place)) = place.and_then(|place| place.split_first_chunk_mut()) else {
            return self.note_cut(true);
        };
        let [low, high, ..] = length.to_le_bytes();
        *head = [tag as u8, low, high];
        let mut rest = Rest(place);
        for part in parts {
            rest.put(part);
        }
    }

    /// The next bytes, if there are so many.
    #[inline]
    fn room(&mut self, length: usize) -> Option<&mut [u8]> {
        let (_, rest) = self.out.split_at_mut_checked(self.at)?;
        let (place, _) = rest.split_at_mut_checked(length)?;
        self.at += length;
        Some(place)
    }
}

/// A text of at most 255 bytes, and its length.
fn short_text(text: &str) -> (&str, u8) {
    let short = shortened(text, 255);
    (short, u8::try_from(short.len()).unwrap_or(u8::MAX))
}
