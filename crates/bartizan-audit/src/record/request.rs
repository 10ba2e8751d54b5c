//! The record of one request.

mod trace;

use bartizan_core::{Enforcement, IpNetwork, Outcome, Protocol};

use super::encoder::{Head, LONGEST_TEXT, NONE, RequestEncoder, Tag};
use super::system::read_network;
use super::wire::{Input, RecordError, text};
use super::{
    Durability, Ending, LONGEST_ENTRY, Level, Stage, durability_from, ending_from,
    enforcement_from, level_from, outcome_from, protocol_from, stage_from,
};

pub use self::trace::Trace;

/// One request: who, what, when, where, the outcome, and what every layer decided.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RequestRecord<'a> {
    /// The request's number within the run.
    pub number: u64,
    /// Which part of its life this tells of.
    pub stage: Stage,
    /// How much of it is recorded.
    pub level: Level,
    /// What was promised about this record.
    pub durability: Durability,
    /// The protocol.
    pub protocol: Protocol,
    /// How it ended.
    pub ending: Ending,
    /// When it began.
    pub time: u64,
    /// How long it took until this was recorded, in microseconds.
    pub duration: u64,
    /// The HTTP status; `None` if there was no answer.
    pub status: Option<u16>,
    /// The status of a gRPC call, if it said one.
    pub grpc_status: Option<u16>,
    /// How many bytes of the answer's body were sent.
    pub response_bytes: u64,
    /// How many decisions the context had no room for.
    pub lost_decisions: u16,
    /// How many fields were cut or left out, because they were too long.
    pub cut: u16,
    /// The HTTP method.
    pub method: &'a str,
    /// The route template, or the gRPC method.
    pub template: Option<&'a str>,
    /// The path, where the rule records it.
    pub path: Option<&'a str>,
    /// The workload at the other end of the connection.
    pub peer: Option<&'a str>,
    /// SHA-256 of its certificate.
    pub certificate: Option<[u8; 32]>,
    /// What a trusted proxy asserts about its client.
    pub forwarded: Option<&'a str>,
    /// How the principal was proven, such as `jwt`.
    pub scheme: Option<&'a str>,
    /// Who vouches for the principal.
    pub issuer: Option<&'a str>,
    /// The principal.
    pub subject: Option<&'a str>,
    /// The OAuth client.
    pub client: Option<&'a str>,
    /// The identifier of the credential.
    pub token_id: Option<&'a str>,
    /// The client's address, or the network that stands for it.
    pub network: Option<IpNetwork>,
    /// The trace that the request belongs to.
    pub trace: Option<Trace>,
    /// What is sealed under the key of the principal.
    pub sealed: Option<Sealed<'a>>,
    /// What every layer decided, in order.
    pub decisions: Vec<DecisionRecord<'a>>,
    /// Parameters of the query that the rule names.
    pub query: Vec<(&'a str, &'a str)>,
    /// Headers of the request that the rule names.
    pub request_headers: Vec<(&'a str, &'a str)>,
    /// Headers of the response that the rule names.
    pub response_headers: Vec<(&'a str, &'a str)>,
    /// Fields of the request's body that the rule names, as JSON pointers and JSON values.
    pub request_fields: Vec<(&'a str, &'a str)>,
    /// Fields of the response's body that the rule names, as JSON pointers and JSON values.
    pub response_fields: Vec<(&'a str, &'a str)>,
}

/// What is sealed under the key of a person.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Sealed<'a> {
    /// Stands for the person; computed from their key, and from nothing once that is destroyed.
    pub handle: [u8; 16],
    /// The ciphertext. Empty if the person's key was destroyed or could not be had.
    pub ciphertext: &'a [u8],
}

/// What one layer decided.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct DecisionRecord<'a> {
    /// What it concluded.
    pub outcome: Outcome,
    /// Whether it acted on it.
    pub enforcement: Enforcement,
    /// The layer.
    pub layer: &'a str,
    /// Why.
    pub code: Option<&'a str>,
    /// What else it recorded.
    pub detail: Option<&'a str>,
}

impl<'a> RequestRecord<'a> {
    fn head(&self) -> Head {
        Head {
            number: self.number,
            stage: self.stage,
            level: self.level,
            durability: self.durability,
            protocol: self.protocol,
            ending: self.ending,
            time: self.time,
            duration: self.duration,
            status: self.status,
            grpc_status: self.grpc_status,
            response_bytes: self.response_bytes,
            lost_decisions: self.lost_decisions,
            cut: self.cut,
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        // The encoder writes the first two bytes itself.
        let begin = out.len().saturating_sub(2);
        out.resize(begin + LONGEST_ENTRY, 0);
        let place = out.get_mut(begin..).unwrap_or_default();
        let mut encoder = RequestEncoder::begin(place, &self.head());
        encoder.text(Tag::Method, self.method);
        encoder.maybe(Tag::Template, self.template);
        encoder.maybe(Tag::Path, self.path);
        encoder.maybe(Tag::Peer, self.peer);
        if let Some(certificate) = &self.certificate {
            encoder.bytes(Tag::Certificate, certificate);
        }
        encoder.maybe(Tag::Forwarded, self.forwarded);
        encoder.maybe(Tag::Scheme, self.scheme);
        encoder.maybe(Tag::Issuer, self.issuer);
        encoder.maybe(Tag::Subject, self.subject);
        encoder.maybe(Tag::Client, self.client);
        encoder.maybe(Tag::TokenId, self.token_id);
        encoder.network(self.network);
        encoder.trace(self.trace);
        if let Some(sealed) = &self.sealed {
            encoder.sealed(&sealed.handle, sealed.ciphertext);
        }
        for decision in &self.decisions {
            encoder.decision_record(decision);
        }
        for (tag, pairs) in [
            (Tag::Query, &self.query),
            (Tag::RequestHeader, &self.request_headers),
            (Tag::ResponseHeader, &self.response_headers),
            (Tag::RequestField, &self.request_fields),
            (Tag::ResponseField, &self.response_fields),
        ] {
            for (name, value) in pairs {
                encoder.pair(tag, name, value);
            }
        }
        let length = encoder.finish();
        out.truncate(begin + length);
    }

    fn read_head(input: &mut Input<'a>) -> Result<Self, RecordError> {
        let status = |status: u16| Some(status).filter(|status| *status != NONE);
        Ok(Self {
            number: input.u64()?,
            stage: stage_from(input.u8()?)?,
            level: level_from(input.u8()?)?,
            durability: durability_from(input.u8()?)?,
            protocol: protocol_from(input.u8()?)?,
            ending: ending_from(input.u8()?)?,
            time: input.u64()?,
            duration: input.u64()?,
            status: status(input.u16()?),
            grpc_status: status(input.u16()?),
            response_bytes: input.u64()?,
            lost_decisions: input.u16()?,
            cut: input.u16()?,
            method: "",
            template: None,
            path: None,
            peer: None,
            certificate: None,
            forwarded: None,
            scheme: None,
            issuer: None,
            subject: None,
            client: None,
            token_id: None,
            network: None,
            trace: None,
            sealed: None,
            decisions: Vec::new(),
            query: Vec::new(),
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            request_fields: Vec::new(),
            response_fields: Vec::new(),
        })
    }

    pub(super) fn read(input: &mut Input<'a>) -> Result<Self, RecordError> {
        let mut record = Self::read_head(input)?;
        let (mut last, mut has_method) = (None, false);
        while !input.is_empty() {
            let tag = Tag::from_byte(input.u8()?)?;
            if last.is_some_and(|last| tag < last || (tag == last && !tag.repeats())) {
                return Err(RecordError::Order(tag as u8));
            }
            last = Some(tag);
            has_method |= tag == Tag::Method;
            let length = input.u16()?;
            record.read_field(tag, Input::new(input.bytes(usize::from(length))?))?;
        }
        // The method stands in every record.
        if !has_method {
            return Err(RecordError::Value);
        }
        Ok(record)
    }

    fn read_field(&mut self, tag: Tag, mut field: Input<'a>) -> Result<(), RecordError> {
        let texts = match tag {
            Tag::Method => {
                self.method = limited(field.rest())?;
                return Ok(());
            }
            Tag::Template => &mut self.template,
            Tag::Path => &mut self.path,
            Tag::Peer => &mut self.peer,
            Tag::Forwarded => &mut self.forwarded,
            Tag::Scheme => &mut self.scheme,
            Tag::Issuer => &mut self.issuer,
            Tag::Subject => &mut self.subject,
            Tag::Client => &mut self.client,
            Tag::TokenId => &mut self.token_id,
            Tag::Certificate => {
                self.certificate = Some(field.array()?);
                return field.end();
            }
            Tag::Network => {
                self.network = Some(read_network(&mut field)?.ok_or(RecordError::Value)?);
                return field.end();
            }
            Tag::Trace => {
                self.trace = Some(Trace {
                    trace_id: field.array()?,
                    parent_id: field.array()?,
                });
                return field.end();
            }
            Tag::Sealed => {
                self.sealed = Some(Sealed {
                    handle: field.array()?,
                    ciphertext: field.rest(),
                });
                return Ok(());
            }
            Tag::Decision => {
                self.decisions.push(read_decision(&mut field)?);
                return Ok(());
            }
            Tag::Query => return read_pair(&mut self.query, field),
            Tag::RequestHeader => return read_pair(&mut self.request_headers, field),
            Tag::ResponseHeader => return read_pair(&mut self.response_headers, field),
            Tag::RequestField => return read_pair(&mut self.request_fields, field),
            Tag::ResponseField => return read_pair(&mut self.response_fields, field),
        };
        *texts = Some(limited(field.rest())?);
        Ok(())
    }
}

fn limited(bytes: &[u8]) -> Result<&str, RecordError> {
    match bytes.len() {
        0..=LONGEST_TEXT => text(bytes),
        _ => Err(RecordError::Value),
    }
}

fn read_pair<'a>(
    pairs: &mut Vec<(&'a str, &'a str)>,
    mut field: Input<'a>,
) -> Result<(), RecordError> {
    pairs.push((field.short_text()?, limited(field.rest())?));
    Ok(())
}

fn read_decision<'a>(field: &mut Input<'a>) -> Result<DecisionRecord<'a>, RecordError> {
    let (outcome, enforcement) = (outcome_from(field.u8()?)?, enforcement_from(field.u8()?)?);
    let (layer, code) = (field.short_text()?, field.short_text()?);
    let (has_detail, detail) = (field.u8()?, limited(field.rest())?);
    let detail = match has_detail {
        0 if detail.is_empty() => None,
        1 => Some(detail),
        _ => return Err(RecordError::Value),
    };
    Ok(DecisionRecord {
        outcome,
        enforcement,
        layer,
        code: Some(code).filter(|code| !code.is_empty()),
        detail,
    })
}
