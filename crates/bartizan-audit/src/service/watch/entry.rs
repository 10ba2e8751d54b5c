//! Puts the record of a request together.

use std::cell::RefCell;

use bartizan_core::{IpNetwork, PeerIdentity};

use super::Watch;
use crate::policy::{Rule, redacted};
use crate::privacy::{Bound, Keyed, PersonRef};
use crate::record::{Ending, Head, Level, RequestEncoder, Tag};
use crate::segment::{LONGEST_FRAME, fill_frame};

thread_local! {
    /// Where a record is put together before it is appended: nothing is allocated per request,
    /// and the ledger's lock is held for one copy. It carries nothing from one use to the next.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Watch {
    /// Puts the record together and appends its frame.
    pub(super) fn write<R>(
        &self,
        rule: &Rule,
        ending: Ending,
        append: impl FnOnce(&crate::ledger::Ledger, &[u8]) -> R,
    ) -> R {
        let with = |scratch: &mut Vec<u8>| {
            // As long as the longest, once: fields are written without asking for more.
            scratch.resize(LONGEST_FRAME, 0);
            let frame = fill_frame(scratch, |entry| self.encode(entry, rule, ending));
            append(&self.settings.ledger, frame)
        };
        // While a thread ends its scratch is gone.
        let mut own = Some(with);
        let shared = SCRATCH.try_with(|scratch| {
            let mut scratch = scratch.try_borrow_mut().ok()?;
            own.take().map(|with| with(&mut scratch))
        });
        match (shared, own) {
            (Ok(Some(result)), _) => result,
            (_, Some(with)) => with(&mut Vec::new()),
            (_, None) => unreachable!("it is taken only where its result is given"),
        }
    }

    /// Writes the entry, and says how long it is.
    fn encode(&self, out: &mut [u8], rule: &Rule, ending: Ending) -> usize {
        let context = &self.context;
        let now = self.settings.ledger.clock().monotonic();
        let lasted = now.saturating_since(self.begun.moment).as_micros();
        let mut encoder = RequestEncoder::begin(
            out,
            &Head {
                number: self.begun.number,
                stage: self.stage,
                level: rule.level(),
                durability: rule.durability(),
                protocol: self.protocol,
                ending,
                time: self.begun.time,
                duration: u64::try_from(lasted).unwrap_or(u64::MAX),
                status: self.answer.map(|answer| answer.status.as_u16()),
                grpc_status: self.answer.and_then(|answer| answer.grpc_status),
                response_bytes: self.answer.map_or(0, |answer| answer.bytes),
                lost_decisions: u16::try_from(context.lost_decisions()).unwrap_or(u16::MAX),
                cut: 0,
            },
        );
        encoder.text(Tag::Method, self.method.as_str());
        // What a route table says, nobody sent.
        match context.template() {
            Some(template) => encoder.text(Tag::Template, template),
            None => encoder.maybe(Tag::Template, self.template().map(redacted)),
        }
        if rule.records_path() {
            encoder.maybe(Tag::Path, context.path().ok().map(redacted));
        }
        if let Some(peer) = context.peer() {
            match peer.identity() {
                PeerIdentity::Spiffe(id) => encoder.text(Tag::Peer, id.as_str()),
                PeerIdentity::Dns(names) => {
                    encoder.maybe(Tag::Peer, names.first().map(|name| &**name));
                }
                _ => {}
            }
            encoder.bytes(Tag::Certificate, peer.certificate_sha256());
        }
        let forwarded = context.forwarded().and_then(|it| it.spiffe_id());
        encoder.maybe(Tag::Forwarded, forwarded.map(|id| id.as_str()));
        self.encode_principal(&mut encoder);
        context.visit_decisions(|decision| encoder.decision(decision));
        self.encode_fields(&mut encoder, rule);
        encoder.finish()
    }

    fn encode_principal(&self, encoder: &mut RequestEncoder<'_>) {
        let (v4, v6) = self.settings.address_bits;
        let address = self.context.address();
        let network = address.map(|address| IpNetwork::of_client(address, v4, v6));
        let principal = self.context.principal();
        let is_sealed = self.settings.privacy.is_some() && principal.is_some();
        if let Some(principal) = principal {
            encoder.text(Tag::Scheme, principal.scheme().as_str());
            encoder.text(Tag::Issuer, principal.issuer());
            if !is_sealed {
                encoder.text(Tag::Subject, principal.subject());
            }
            encoder.maybe(Tag::Client, principal.client());
            if !is_sealed {
                encoder.maybe(Tag::TokenId, principal.token_id());
            }
        }
        encoder.network(network);
        encoder.trace(self.trace);
        let Some(principal) = principal.filter(|_| is_sealed) else {
            return;
        };
        let bound = Bound {
            origin: self.settings.ledger.origin(),
            number: self.begun.number,
            time: self.begun.time,
        };
        let person = PersonRef {
            subject: principal.subject(),
            token_id: principal.token_id(),
            address,
        };
        // Without a key nothing about the person is recorded.
        match &self.key {
            Some(Keyed::Key(key)) => {
                let sealed = key.seal(&bound, &person).unwrap_or_default();
                encoder.sealed(key.handle(), &sealed);
            }
            _ => encoder.sealed(&[0; 16], &[]),
        }
    }

    fn encode_fields(&self, encoder: &mut RequestEncoder<'_>, rule: &Rule) {
        if !rule.query().is_empty() {
            let query = self.context.uri().query().unwrap_or_default();
            for pair in query.split('&') {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                if rule.query().iter().any(|allowed| allowed == name) {
                    encoder.pair(Tag::Query, name, redacted(value));
                }
            }
        }
        let Some(extra) = self
            .extra
            .as_ref()
            .filter(|_| rule.level() >= Level::Request)
        else {
            return;
        };
        for (index, value) in &extra.request_headers {
            let name = self.settings.request_headers.get(*index);
            if let Some(name) = name.filter(|name| rule.request_headers().contains(name)) {
                encoder.pair(Tag::RequestHeader, name, redacted(value));
            }
        }
        for (name, value) in &extra.response_headers {
            encoder.pair(Tag::ResponseHeader, name, redacted(value));
        }
        let Some(taps) = &extra.taps else {
            return;
        };
        taps.request(rule.request_fields(), |name, value| {
            encoder.pair(Tag::RequestField, name, value);
        });
        taps.response(rule.response_fields(), |name, value| {
            encoder.pair(Tag::ResponseField, name, value);
        });
    }
}
