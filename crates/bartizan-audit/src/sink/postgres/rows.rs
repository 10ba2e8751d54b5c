//! Entries as rows.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_postgres::types::{ToSql, Type};

use crate::read::StoredEntry;
use crate::render::{Renderer, hex};
use crate::sink::error::{SinkError, SinkErrorKind};
use crate::sink::summary::Summary;

/// All columns but the origin come as arrays: one statement, however many rows.
pub(super) const INSERT: &str = "insert into bartizan_audit \
     (origin, index, hash, entry, time, kind, outcome, code, principal, issuer, peer, address, \
     method, route, status, grpc_status, trace_id, document) \
     select $1, index, hash, entry, time, kind, outcome, code, principal, issuer, peer, \
     address::inet, method, route, status, grpc_status, trace_id, document::jsonb \
     from unnest($2::bigint[], $3::bytea[], $4::bytea[], $5::timestamptz[], $6::text[], \
     $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], \
     $14::text[], $15::integer[], $16::integer[], $17::text[], $18::text[]) \
     as new (index, hash, entry, time, kind, outcome, code, principal, issuer, peer, address, \
     method, route, status, grpc_status, trace_id, document) \
     on conflict (origin, index) do nothing";

/// What of the same entries is there with other bytes, and how many are not there at all.
pub(super) const COMPARE: &str = "select \
     min(new.index) filter (where old.entry <> new.entry or old.hash <> new.hash) as other, \
     count(*) filter (where old.index is null) as missing \
     from unnest($2::bigint[], $3::bytea[], $4::bytea[]) as new (index, hash, entry) \
     left join bartizan_audit as old on old.origin = $1 and old.index = new.index";

pub(super) type Value<'v> = (&'v (dyn ToSql + Sync), Type);

type Text<'e> = Vec<Option<Cow<'e, str>>>;

/// Rows, column by column.
#[derive(Default)]
pub(super) struct Rows<'e> {
    index: Vec<i64>,
    hash: Vec<&'e [u8]>,
    entry: Vec<&'e [u8]>,
    time: Vec<SystemTime>,
    kind: Vec<&'static str>,
    outcome: Vec<Option<&'static str>>,
    code: Text<'e>,
    principal: Text<'e>,
    issuer: Text<'e>,
    peer: Text<'e>,
    address: Vec<Option<String>>,
    method: Text<'e>,
    route: Text<'e>,
    status: Vec<Option<i32>>,
    grpc_status: Vec<Option<i32>>,
    trace_id: Vec<Option<String>>,
    document: Vec<String>,
}

impl<'e> Rows<'e> {
    pub(super) fn new(entries: &'e [StoredEntry], renderer: &Renderer) -> Result<Self, SinkError> {
        let mut rows = Self::default();
        for entry in entries {
            let unfit = |error| SinkError::new(SinkErrorKind::Unreadable, error);
            rows.index.push(i64::try_from(entry.index).map_err(unfit)?);
            rows.hash.push(&entry.hash);
            rows.entry.push(&entry.bytes);
            rows.document.push(without_nul(renderer.render(entry)?));
            rows.describe(entry)?;
        }
        Ok(rows)
    }

    fn describe(&mut self, entry: &'e StoredEntry) -> Result<(), SinkError> {
        let record = entry.record()?;
        let summary = Summary::of(&record);
        // The column has microseconds.
        self.time
            .push(UNIX_EPOCH + Duration::from_micros(summary.time / 1000));
        self.kind.push(summary.kind.as_str());
        self.outcome.push(summary.outcome.map(|it| it.as_str()));
        let owned = |text: Option<&str>| text.map(|text| Cow::Owned(storable(text)));
        self.code.push(owned(summary.code));
        self.principal.push(owned(summary.principal.as_deref()));
        self.issuer.push(owned(summary.issuer));
        self.peer.push(owned(summary.peer));
        let address = summary.network.map(|network| network.to_string());
        self.address.push(address);
        self.method.push(owned(summary.method));
        self.route.push(owned(summary.route));
        self.status.push(summary.status.map(i32::from));
        self.grpc_status.push(summary.grpc_status.map(i32::from));
        let trace = summary.trace.map(|trace| hex(&trace.trace_id));
        self.trace_id.push(trace);
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// What identifies them: the arguments of [`COMPARE`], and the first of [`INSERT`].
    pub(super) fn identity<'v>(&'v self, origin: &'v &'v str) -> Vec<Value<'v>> {
        vec![
            (origin, Type::TEXT),
            (&self.index, Type::INT8_ARRAY),
            (&self.hash, Type::BYTEA_ARRAY),
            (&self.entry, Type::BYTEA_ARRAY),
        ]
    }

    pub(super) fn values<'v>(&'v self, origin: &'v &'v str) -> Vec<Value<'v>> {
        let mut values = self.identity(origin);
        values.push((&self.time, Type::TIMESTAMPTZ_ARRAY));
        let columns: [&'v (dyn ToSql + Sync); 9] = [
            &self.kind,
            &self.outcome,
            &self.code,
            &self.principal,
            &self.issuer,
            &self.peer,
            &self.address,
            &self.method,
            &self.route,
        ];
        values.extend(columns.map(|column| (column, Type::TEXT_ARRAY)));
        values.push((&self.status, Type::INT4_ARRAY));
        values.push((&self.grpc_status, Type::INT4_ARRAY));
        values.push((&self.trace_id, Type::TEXT_ARRAY));
        values.push((&self.document, Type::TEXT_ARRAY));
        values
    }
}

/// The database has no text with a NUL in it: one in a request would be refused for ever, and
/// everything behind it held up. The stored bytes have it still.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The same in a JSON document, where it is an escape.
fn without_nul(document: String) -> String {
    if !document.contains("\\u0000") {
        return document;
    }
    let mut out = String::with_capacity(document.len());
    let mut rest = document.as_str();
    while let Some(at) = rest.find('\\') {
        let (plain, escape) = rest.split_at(at);
        out.push_str(plain);
        let (escape, behind) = match escape.strip_prefix("\\u0000") {
            Some(behind) => ("\\ufffd", behind),
            // A backslash and what it escapes, which may be one as well.
            None => escape.split_at_checked(2).unwrap_or((escape, "")),
        };
        out.push_str(escape);
        rest = behind;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_is_replaced_and_nothing_else() {
        let texts = [
            "",
            "\0",
            "a\0b\0",
            "\\",
            "\\u0000",
            "\\\0",
            "\"\\\"\0\\u0000\u{1}é",
        ];
        for text in texts {
            let document = serde_json::to_string(&[text, "end"]).unwrap();
            let read: [String; 2] = serde_json::from_str(&without_nul(document)).unwrap();
            assert_eq!(read, [text.replace('\0', "\u{fffd}"), "end".to_owned()]);
        }
    }
}
