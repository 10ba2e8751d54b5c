//! Entries as messages of syslog, in frames.

use std::fmt::Write as _;

use crate::read::StoredEntry;
use crate::render::{Format, Renderer, hex, is_unsafe, rfc3339};
use crate::sink::error::SinkError;
use crate::sink::summary::{Severity, Summary};

/// What messages look like.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub(super) format: Format,
    pub(super) facility: u8,
    pub(super) limit: usize,
    pub(super) enterprise: u32,
    pub(super) hostname: String,
    pub(super) service: Option<String>,
}

/// Writes messages of one log.
pub(super) struct Writer<'f> {
    form: &'f Form,
    origin: &'f str,
    renderer: Renderer,
    app_name: String,
}

impl<'f> Writer<'f> {
    pub(super) fn new(form: &'f Form, origin: &'f str) -> Self {
        let service = form.service.as_deref().unwrap_or(origin);
        Self {
            form,
            origin,
            renderer: Renderer::new(form.format, origin).with_service(service),
            app_name: name(service, 48),
        }
    }

    /// Appends the entry as a frame. Says whether all of it fitted.
    ///
    //= RFC 5425 §4.3: SYSLOG-FRAME = MSG-LEN SP SYSLOG-MSG
    pub(super) fn frame(&self, entry: &StoredEntry, out: &mut Vec<u8>) -> Result<bool, SinkError> {
        let mut message = self.head(entry)?;
        let head = message.len();
        let text = self.renderer.render(entry)?;
        match self.form.format {
            Format::Cef => message.push_str(&text),
            _ => push_ascii(&mut message, &text),
        }
        let fits = message.len() <= self.form.limit;
        if !fits {
            let length = message.len();
            message.truncate(head);
            message.push_str(&self.instead(entry, length));
        }
        let _ = write!(Bytes(out), "{} ", message.len());
        out.extend_from_slice(message.as_bytes());
        Ok(fits)
    }

    //= RFC 5424 §6: SYSLOG-MSG = HEADER SP STRUCTURED-DATA [SP MSG]
    fn head(&self, entry: &StoredEntry) -> Result<String, SinkError> {
        let record = entry.record()?;
        let summary = Summary::of(&record);
        let severity = match summary.severity() {
            Severity::Error => 3,
            Severity::Warning => 4,
            Severity::Information => 6,
        };
        let priority = u16::from(self.form.facility) * 8 + severity;
        let mut head = format!("<{priority}>1 ");
        //= RFC 5424 §6.2.3: TIME-SECFRAC = "." 1*6DIGIT
        let time = rfc3339(summary.time);
        head.push_str(time.get(..26).unwrap_or_default());
        let (host, app, kind) = (&self.form.hostname, &self.app_name, summary.kind.as_str());
        let _ = write!(head, "Z {host} {app} - {kind} ");
        let _ = write!(head, "[bartizan@{} log=\"", self.form.enterprise);
        for c in self.origin.chars() {
            match c {
                //= RFC 5424 §6.3.3: the characters '"', '\' and ']' MUST be escaped
                '"' | '\\' | ']' => head.extend(['\\', c]),
                c if is_unsafe(c) => head.push('?'),
                c => head.push(c),
            }
        }
        let _ = write!(head, "\" index=\"{}\"", entry.index);
        let _ = write!(head, " hash=\"{}\"] ", hex(&entry.hash));
        Ok(head)
    }

    /// What is said of an entry that is too long: where it is.
    fn instead(&self, entry: &StoredEntry, length: usize) -> String {
        let index = entry.index;
        match self.form.format {
            Format::Cef => format!(
                "CEF:0|Bartizan|bartizan-audit|1|too_long|too_long|5|cnt={length} externalId={index}"
            ),
            _ => format!("{{\"index\":{index},\"too_long\":{length}}}"),
        }
    }
}

/// A name in a header: printable ASCII, and not too long.
fn name(text: &str, most: usize) -> String {
    let fit = |c: char| if c.is_ascii_graphic() { c } else { '_' };
    text.chars().map(fit).take(most).collect()
}

/// JSON without a character that is not ASCII: what else there is stands in strings, where it can be
/// escaped. Receivers then have no encoding to guess, and need no byte order mark (RFC 5424
/// §6.4), which many of them take for text.
fn push_ascii(out: &mut String, json: &str) {
    for c in json.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
}

/// Bytes that text is written to.
struct Bytes<'b>(&'b mut Vec<u8>);

impl std::fmt::Write for Bytes<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::record::{LifecycleRecord, LossRecord, Record};

    fn form(format: Format, limit: usize) -> Form {
        Form {
            format,
            facility: 13,
            limit,
            enterprise: 32473,
            hostname: "node-7".to_owned(),
            service: Some("orders é".to_owned()),
        }
    }

    fn entry(detail: &str) -> StoredEntry {
        let mut bytes = Vec::new();
        let record = LifecycleRecord {
            time: 1_800_000_000_123_456_789,
            kind: "key_changed",
            layer: "encrypt",
            code: "encrypt.key_changed",
            network: None,
            subject: "",
            detail,
        };
        Record::Lifecycle(record).encode(&mut bytes);
        StoredEntry::new(7, bytes)
    }

    fn frame(form: &Form, entry: &StoredEntry) -> (String, bool) {
        let mut out = Vec::new();
        let writer = Writer::new(form, "a\"]\\\n/log");
        let fits = writer.frame(entry, &mut out).unwrap();
        (String::from_utf8(out).unwrap(), fits)
    }

    #[test]
    fn a_message_is_framed_by_its_length() {
        let entry = entry("é😀");
        let (text, fits) = frame(&form(Format::Json, 8192), &entry);
        let (length, message) = text.split_once(' ').unwrap();
        assert_eq!(length.parse(), Ok(message.len()));
        let head = "<110>1 2027-01-15T08:00:00.123456Z node-7 orders__ - lifecycle \
                    [bartizan@32473 log=\"a\\\"\\]\\\\?/log\" index=\"7\" hash=\"";
        let rest = message.strip_prefix(head).unwrap();
        let rest = rest.strip_prefix(&hex(&entry.hash)).unwrap();
        let document = rest.strip_prefix("\"] ").unwrap();
        assert!(fits && document.is_ascii(), "{document}");
        let document: Value = serde_json::from_str(document).unwrap();
        assert_eq!(document["detail"], "é😀");
    }

    #[test]
    fn losses_are_more_severe_than_requests() {
        let loss = Record::Loss(LossRecord::new(1, 0, 0, 1));
        let mut bytes = Vec::new();
        loss.encode(&mut bytes);
        let (text, _) = frame(&form(Format::Json, 8192), &StoredEntry::new(1, bytes));
        assert!(text.contains("<107>1 "), "{text}");
    }

    #[test]
    fn what_is_too_long_says_where_it_is() {
        let long = entry(&"x".repeat(1000));
        for format in [Format::Cef, Format::Ecs, Format::Json, Format::Ocsf] {
            let (text, fits) = frame(&form(format, 1024), &long);
            assert!(!fits && text.len() <= 1024, "{text}");
            assert!(
                text.contains("index=\"7\"") && text.contains("too_long"),
                "{text}"
            );
            let (_, fits) = frame(&form(format, 4096), &long);
            assert!(fits, "{format}");
        }
    }

    proptest! {
        #[test]
        fn nothing_breaks_a_message(detail: String) {
            let detail: String = detail.chars().take(200).collect();
            for format in [Format::Cef, Format::Ecs, Format::Json, Format::Ocsf] {
                let (text, fits) = frame(&form(format, 64 * 1024), &entry(&detail));
                prop_assert!(fits);
                prop_assert!(!text.chars().any(is_unsafe), "{text:?}");
                prop_assert!(format == Format::Cef || text.is_ascii(), "{text:?}");
                let (length, message) = text.split_once(' ').unwrap();
                prop_assert_eq!(length.parse(), Ok(message.len()));
            }
        }
    }
}
