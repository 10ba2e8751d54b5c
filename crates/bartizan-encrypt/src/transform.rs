//! What the layer does to a body: pure, but for random salts.

use std::fmt::Write;
use std::sync::Arc;

use bartizan_core::{SecurityContext, WallTime};
use zeroize::Zeroizing;

use crate::ciphertext::{Ciphertext, KeyId};
use crate::context::Place;
use crate::error::{EncryptError, EncryptErrorKind};
use crate::json::{Fate, Paths, rewrite, text_of};
use crate::prepared::{FieldName, Prepared};
use crate::rules::{FieldRule, PlaintextPolicy, Shown};
use crate::wiped::WipedBytes;

/// The fields of a collection.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    pub(crate) collection: Box<str>,
    pub(crate) rules: Vec<FieldRule>,
    pub(crate) paths: Paths,
    pub(crate) plaintext: PlaintextPolicy,
}

/// What was done to the fields of one request, without any value: for its decision.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    rule: usize,
    what: &'static str,
    count: usize,
    /// The first of them; there are rarely two.
    keys: Vec<KeyId>,
}

/// How many keys of one entry are named.
const MOST_KEYS: usize = 4;

impl Fields {
    /// The body with its fields sealed.
    pub(crate) fn seal(
        &self,
        keys: &Prepared,
        place: &Place,
        body: &[u8],
        report: &mut Report,
    ) -> Result<WipedBytes, EncryptError> {
        let body = std::str::from_utf8(body).map_err(|_| EncryptErrorKind::MalformedJson)?;
        rewrite(body, &self.paths, &mut |number, token, out| {
            let rule = self.rule(number)?;
            if text_of(token).is_some_and(|text| Ciphertext::is_claimed_by(&text)) {
                if !rule.accepts_ciphertext {
                    return Err(EncryptErrorKind::CiphertextInjected.into());
                }
                report.add(number, "passed", None);
                return Ok(Fate::Keep);
            }
            let sealed = self.sealed(keys, place, rule, token, out)?;
            report.add(number, "sealed", Some(sealed));
            Ok(Fate::Replace)
        })
    }

    /// The body with its fields as this caller may see them, and whether any was opened.
    pub(crate) fn reveal(
        &self,
        keys: &Prepared,
        place: &Place,
        context: &SecurityContext,
        now: WallTime,
        body: &[u8],
        report: &mut Report,
    ) -> Result<WipedBytes, EncryptError> {
        let body = std::str::from_utf8(body).map_err(|_| EncryptErrorKind::MalformedJson)?;
        let shown: Vec<_> = self
            .rules
            .iter()
            .map(|rule| rule.shown_to(context))
            .collect();
        rewrite(body, &self.paths, &mut |number, token, out| {
            let rule = self.rule(number)?;
            let shown = *shown.get(number).ok_or(EncryptErrorKind::InvalidValue)?;
            if token == "null" {
                return Ok(Fate::Keep);
            }
            let text = text_of(token).filter(|text| Ciphertext::is_claimed_by(text));
            let Some(text) = text else {
                match self.plaintext {
                    PlaintextPolicy::AcceptUntil(end) if now < end => {}
                    _ => return Err(EncryptErrorKind::PlaintextFound.into()),
                }
                report.add(number, "stored as plaintext", None);
                if matches!(shown, Shown::Ciphertext) {
                    self.sealed(keys, place, rule, token, out)?;
                    return Ok(Fate::Replace);
                }
                return self.show(keys, place, shown, token, out);
            };
            if !shown.opens() {
                report.add(number, shown.name(), None);
                return self.show(keys, place, shown, token, out);
            }
            let ciphertext: Ciphertext = text.parse()?;
            let key = Some(ciphertext.key_id());
            let name = self.name(rule);
            match keys.open_content(place, name, &ciphertext) {
                Ok(content) => {
                    report.add(number, shown.name(), key);
                    let content = std::str::from_utf8(&content);
                    let content = content.map_err(|_| EncryptErrorKind::Corrupt)?;
                    self.show(keys, place, shown, content, out)
                }
                // Who was forgotten has no value any more; that is no reason to hide the others.
                Err(error) if error.kind() == EncryptErrorKind::Shredded => {
                    report.add(number, "shredded", key);
                    out.extend_from_slice(b"null");
                    Ok(Fate::Replace)
                }
                Err(error) => Err(error),
            }
        })
    }

    /// What the report says, with the paths that it is about.
    pub(crate) fn note(&self, report: &Report) -> Option<Arc<str>> {
        let mut note = String::new();
        for entry in &report.0 {
            let path = self.rules.get(entry.rule).map_or("", |rule| &rule.path);
            let separator = if note.is_empty() { "" } else { "; " };
            let _ = write!(note, "{separator}{path} {} {}", entry.what, entry.count);
            for key in &entry.keys {
                let _ = write!(note, " {key}");
            }
        }
        (!note.is_empty()).then(|| note.into())
    }

    /// Writes a value as it is shown.
    fn show(
        &self,
        keys: &Prepared,
        place: &Place,
        shown: &Shown,
        content: &str,
        out: &mut Vec<u8>,
    ) -> Result<Fate, EncryptError> {
        let text = || text_of(content).unwrap_or_else(|| Zeroizing::new(content.to_owned()));
        let text = match shown {
            Shown::Ciphertext => return Ok(Fate::Keep),
            Shown::Omitted => return Ok(Fate::Omit),
            Shown::Refused => return Err(EncryptErrorKind::AccessDenied.into()),
            Shown::Plain => {
                out.extend_from_slice(content.as_bytes());
                return Ok(Fate::Replace);
            }
            Shown::Masked(mask) => mask.apply(&text()),
            Shown::Pseudonym(domain) => keys.pseudonym(place.tenant(), domain, &text())?,
        };
        serde_json::to_writer(out, &text).map_err(|_| EncryptErrorKind::InvalidValue)?;
        Ok(Fate::Replace)
    }

    fn sealed(
        &self,
        keys: &Prepared,
        place: &Place,
        rule: &FieldRule,
        token: &str,
        out: &mut Vec<u8>,
    ) -> Result<KeyId, EncryptError> {
        let name = self.name(rule);
        let sealed = keys.seal_content(place, name, token.as_bytes(), rule.padding)?;
        write!(Text(out), "\"{sealed}\"").map_err(|_| EncryptErrorKind::InvalidValue)?;
        Ok(sealed.key_id())
    }

    fn rule(&self, number: usize) -> Result<&FieldRule, EncryptError> {
        let rule = self.rules.get(number);
        rule.ok_or(EncryptErrorKind::InvalidValue.into())
    }

    fn name<'f>(&'f self, rule: &'f FieldRule) -> FieldName<'f> {
        FieldName {
            collection: &self.collection,
            path: &rule.path,
        }
    }
}

impl Report {
    /// Whether any value was opened.
    pub(crate) fn reveals(&self) -> bool {
        let opened = ["masked", "plain", "pseudonym", "stored as plaintext"];
        self.0.iter().any(|entry| opened.contains(&entry.what))
    }

    fn add(&mut self, rule: usize, what: &'static str, key: Option<KeyId>) {
        let known = |entry: &&mut Entry| entry.rule == rule && entry.what == what;
        let entry = match self.0.iter_mut().find(known) {
            Some(entry) => entry,
            None => {
                self.0.push(Entry {
                    rule,
                    what,
                    count: 0,
                    keys: Vec::new(),
                });
                let Some(entry) = self.0.last_mut() else {
                    return;
                };
                entry
            }
        };
        entry.count += 1;
        if let Some(key) = key
            && entry.keys.len() < MOST_KEYS
            && !entry.keys.contains(&key)
        {
            entry.keys.push(key);
        }
    }
}

struct Text<'t>(&'t mut Vec<u8>);

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
