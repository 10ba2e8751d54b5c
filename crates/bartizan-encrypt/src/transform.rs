//! What is done to the fields of a body: pure, but for random salts.

use std::fmt::Write;
use std::sync::Arc;

use bartizan_core::{Code, Decision, Enforcement, Outcome, SecurityContext, WallTime};

use crate::ciphertext::{Ciphertext, KeyId};
use crate::context::{LONGEST_PART, Place};
use crate::error::{ConfigError, EncryptError, EncryptErrorKind};
use crate::form::{Selection, Token};
use crate::json::Fate;
use crate::key::{KeyPurpose, KeyScope};
use crate::prepared::{FieldName, Prepared};
use crate::rules::{FieldRule, PlaintextPolicy, Shown};
use crate::salts::Salts;
use crate::wiped::WipedBytes;

/// The fields of a collection.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    pub(crate) collection: Box<str>,
    pub(crate) rules: Vec<FieldRule>,
    pub(crate) selection: Selection,
    pub(crate) plaintext: PlaintextPolicy,
    pub(crate) max_values: usize,
}

/// Whom fields are shown to, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewer<'v> {
    pub(crate) context: &'v SecurityContext,
    pub(crate) now: WallTime,
    pub(crate) shadow: bool,
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

/// How many values of one body are sealed or shown, unless said otherwise. Two bytes of a body
/// can be a value, which takes 120 when it is sealed: without a limit, 1 MiB would become 60.
pub(crate) const MOST_VALUES: usize = 10_000;

const PLAINTEXT: &str = "stored as plaintext";

/// There were values that were stored before their kind was sealed.
const PLAINTEXT_ACCEPTED: Code = Code::new("encrypt.plaintext_accepted");

impl Fields {
    /// Whether they can be worked with.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.rules.is_empty() {
            return Err(ConfigError::NoField);
        }
        if self.max_values == 0 {
            return Err(ConfigError::Zero("values"));
        }
        if self.collection.is_empty() || self.collection.len() > LONGEST_PART {
            return Err(ConfigError::Collection(self.collection.len()));
        }
        Ok(())
    }

    /// The scopes whose keys work on this place takes.
    pub(crate) fn scopes(&self, place: &Place) -> Vec<KeyScope> {
        let mut scopes = vec![match place.subject() {
            Some(subject) => KeyScope::subject(place.tenant(), subject),
            None => KeyScope::tenant(place.tenant()),
        }];
        if self.rules.iter().any(FieldRule::uses_pseudonyms) {
            scopes.push(KeyScope::tenant(place.tenant()).with_purpose(KeyPurpose::Pseudonyms));
        }
        scopes
    }

    /// The body with its fields sealed.
    pub(crate) fn seal(
        &self,
        keys: &Prepared,
        place: &Place,
        body: &[u8],
        report: &mut Report,
    ) -> Result<WipedBytes, EncryptError> {
        let (mut met, mut salts) = (0, Salts::expecting(self.rules.len()));
        self.selection.rewrite(body, &mut |number, token, out| {
            self.count(&mut met)?;
            let rule = self.rule(number)?;
            let done = self.seal_one(keys, &mut salts, (place, rule), token, out);
            match done {
                Ok(Some(key)) => report.add(number, "sealed", Some(key)),
                Ok(None) => report.add(number, "passed", None),
                Err(error) => report.add(number, error.kind().word(), None),
            }
            Ok(if done?.is_some() {
                Fate::Replace
            } else {
                Fate::Keep
            })
        })
    }

    /// The body with its fields as this caller may see them.
    pub(crate) fn reveal(
        &self,
        keys: &Prepared,
        place: &Place,
        viewer: &Viewer<'_>,
        body: &[u8],
        report: &mut Report,
    ) -> Result<WipedBytes, EncryptError> {
        let shown = self.rules.iter().map(|rule| rule.shown_to(viewer.context));
        let shown: Vec<_> = shown.collect();
        let mut met = 0;
        self.selection.rewrite(body, &mut |number, token, out| {
            self.count(&mut met)?;
            let rule = self.rule(number)?;
            let shown = *shown.get(number).ok_or(EncryptErrorKind::InvalidValue)?;
            if token.is_null() {
                return Ok(Fate::Keep);
            }
            let mut key = None;
            let done = match token.claimed() {
                None if viewer.accepts(self.plaintext) => {
                    report.add(number, PLAINTEXT, None);
                    self.show_plaintext(keys, place, (rule, shown), token, out)
                }
                None => Err(EncryptErrorKind::PlaintextFound.into()),
                Some(text) if shown.opens() => {
                    let ciphertext = text.parse::<Ciphertext>();
                    ciphertext.and_then(|ciphertext| {
                        key = Some(ciphertext.key_id());
                        let content = keys.open_content(place, self.name(rule), &ciphertext)?;
                        let token = self.selection.token(&content)?;
                        report.add(number, shown.name(), key);
                        self.show(keys, place, shown, token, out)
                    })
                }
                Some(_) => {
                    report.add(number, shown.name(), None);
                    self.show(keys, place, shown, token, out)
                }
            };
            match done {
                // Who was forgotten has no value any more; that is no reason to hide the others.
                Err(error) if error.kind() == EncryptErrorKind::Shredded => {
                    report.add(number, "shredded", key);
                    Ok(self.selection.write_nothing(out))
                }
                Err(error) if error.kind() != EncryptErrorKind::AccessDenied => {
                    report.add(number, error.kind().word(), key);
                    Err(error)
                }
                done => done,
            }
        })
    }

    /// What the report says, with the paths that it is about.
    fn note(&self, report: &Report) -> Option<Arc<str>> {
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

    /// Counts the values of a body, each of which grows by a hundred bytes and more.
    fn count(&self, met: &mut usize) -> Result<(), EncryptError> {
        self.count_one(*met)?;
        *met += 1;
        Ok(())
    }

    /// Whether there may be one more beside so many.
    pub(crate) fn count_one(&self, met: usize) -> Result<(), EncryptError> {
        match met < self.max_values {
            true => Ok(()),
            false => Err(EncryptErrorKind::TooLarge.into()),
        }
    }

    /// Seals a value; `None` for a ciphertext that may pass.
    fn seal_one(
        &self,
        keys: &Prepared,
        salts: &mut Salts,
        (place, rule): (&Place, &FieldRule),
        token: Token<'_>,
        out: &mut WipedBytes,
    ) -> Result<Option<KeyId>, EncryptError> {
        if token.claimed().is_some() {
            if rule.accepts_ciphertext {
                return Ok(None);
            }
            return Err(EncryptErrorKind::CiphertextInjected.into());
        }
        let field = (place, self.name(rule));
        let sealed = keys.seal_with(salts, field, token.bytes(), rule.padding)?;
        self.selection.write_ciphertext(&sealed, out);
        Ok(Some(sealed.key_id()))
    }

    /// Shows a value that was stored before its kind was sealed.
    fn show_plaintext(
        &self,
        keys: &Prepared,
        place: &Place,
        (rule, shown): (&FieldRule, &Shown),
        token: Token<'_>,
        out: &mut WipedBytes,
    ) -> Result<Fate, EncryptError> {
        if matches!(shown, Shown::Ciphertext) {
            let mut salts = Salts::expecting(1);
            self.seal_one(keys, &mut salts, (place, rule), token, out)?;
            return Ok(Fate::Replace);
        }
        self.show(keys, place, shown, token, out)
    }

    /// Writes a value as it is shown.
    fn show(
        &self,
        keys: &Prepared,
        place: &Place,
        shown: &Shown,
        token: Token<'_>,
        out: &mut WipedBytes,
    ) -> Result<Fate, EncryptError> {
        let text = match shown {
            Shown::Ciphertext => return Ok(Fate::Keep),
            Shown::Omitted => return Ok(Fate::Omit),
            Shown::Refused => return Err(EncryptErrorKind::AccessDenied.into()),
            Shown::Plain => {
                out.append(token.bytes());
                return Ok(Fate::Replace);
            }
            Shown::Generalized(generalizer) => match generalizer.apply(&token.text()?) {
                Some(text) => text,
                // What cannot be said more generally is not said.
                None => return Ok(self.selection.write_nothing(out)),
            },
            Shown::Masked(mask) => mask.apply(&token.text()?),
            Shown::Pseudonym(domain) => keys.pseudonym(place.tenant(), domain, &token.text()?)?,
        };
        self.selection.write(&text, out)
    }

    pub(crate) fn rule(&self, number: usize) -> Result<&FieldRule, EncryptError> {
        let rule = self.rules.get(number);
        rule.ok_or(EncryptErrorKind::InvalidValue.into())
    }

    pub(crate) fn name<'f>(&'f self, rule: &'f FieldRule) -> FieldName<'f> {
        FieldName {
            collection: &self.collection,
            path: &rule.path,
        }
    }
}

impl Viewer<'_> {
    pub(crate) fn accepts(&self, policy: PlaintextPolicy) -> bool {
        // In shadow mode nothing was sealed yet, and nothing is shown by it.
        self.shadow
            || match policy {
                PlaintextPolicy::AcceptUntil(end) => self.now < end,
                PlaintextPolicy::Refuse => false,
            }
    }
}

/// The one decision about a request: what was done to its fields, and why it was refused if it
/// was.
pub(crate) fn conclude(
    fields: &Fields,
    report: &Report,
    refused: Option<EncryptError>,
    enforcement: Enforcement,
) -> Decision {
    let outcome = match refused.map(EncryptError::outcome) {
        None => Outcome::Allowed,
        Some(Outcome::Denied) if enforcement == Enforcement::Shadow => Outcome::WouldHaveDenied,
        Some(outcome) => outcome,
    };
    let mut decision = Decision::new("encrypt", outcome).with_enforcement(enforcement);
    let code = refused.map(EncryptError::code);
    if let Some(code) = code.or(report.has_plaintext().then_some(PLAINTEXT_ACCEPTED)) {
        decision = decision.with_code(code);
    }
    match fields.note(report) {
        Some(note) => decision.with_detail(note),
        None => decision,
    }
}

impl Report {
    /// Whether values were met that were not sealed.
    fn has_plaintext(&self) -> bool {
        self.0.iter().any(|entry| entry.what == PLAINTEXT)
    }

    /// Whether the response is one caller's: it holds fields, which others may see otherwise.
    pub(crate) fn is_personal(&self) -> bool {
        let sealing = ["passed", "sealed"];
        self.0.iter().any(|entry| !sealing.contains(&entry.what))
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
