//! What witnesses say about a ledger.

use std::num::NonZeroUsize;

use super::{FindingKind, Verifier};
use crate::checkpoint::Checkpoint;
use crate::note::Note;
use crate::storage::Storage;
use crate::witness::CosignerKey;
use crate::writer::COSIGNED_FILE;

/// Which witnesses are asked, and what they said.
#[derive(Clone, Debug, Default)]
pub(super) struct Witnesses {
    keys: Vec<CosignerKey>,
    quorum: Option<NonZeroUsize>,
    since: u64,
    notes: Vec<String>,
}

/// The largest checkpoint that enough witnesses cosigned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Witnessed {
    /// How many entries it commits to.
    pub size: u64,
    /// Since when enough witnesses have said so, in seconds since 1970-01-01T00:00:00Z, by their
    /// clocks.
    pub time: u64,
}

/// What follows from it.
#[derive(Debug, Default)]
pub(super) struct Word {
    pub(super) committed: Vec<Checkpoint>,
    pub(super) witnessed: Option<Witnessed>,
}

impl Verifier {
    /// Adds a witness whose word counts: the ledger has to contain what it cosigned.
    ///
    /// The cosigned checkpoint in the ledger's folder is looked at, and those that are
    /// [added](Self::add_cosigned). Whoever can write to the folder can put an older one back, but
    /// none that says something else: state [how old](Self::require_witnessed_since) it may be, or
    /// add one that the witness itself gave out.
    pub fn add_witness(mut self, key: CosignerKey) -> Self {
        if !self.witnesses.keys.contains(&key) {
            self.witnesses.keys.push(key);
        }
        self
    }

    /// Sets how many of the witnesses have to have cosigned the same checkpoint; by default all of
    /// them.
    pub fn with_quorum(mut self, count: NonZeroUsize) -> Self {
        self.witnesses.quorum = Some(count);
        self
    }

    /// Adds a cosigned checkpoint, as a signed note: one that was kept elsewhere, such as by the
    /// witness. It counts if enough of the witnesses signed it.
    pub fn add_cosigned(mut self, note: &str) -> Self {
        self.witnesses.notes.push(note.to_owned());
        self
    }

    /// Demands that the cosignatures that count are not older than this, in seconds since
    /// 1970-01-01T00:00:00Z.
    pub fn require_witnessed_since(mut self, seconds: u64) -> Self {
        self.witnesses.since = seconds;
        self
    }
}

impl Witnesses {
    /// What is to be believed of the ledger, and what does not fit.
    pub(super) fn word<S: Storage>(&self, storage: &S) -> (Word, Vec<FindingKind>) {
        let (mut word, mut findings, mut most) = (Word::default(), Vec::new(), 0);
        let wanted = self.quorum.map_or(self.keys.len(), NonZeroUsize::get);
        if let Ok(bytes) = storage.read(COSIGNED_FILE) {
            // Whoever signed it: the ledger itself said so.
            match read(&bytes) {
                Some((checkpoint, _)) => word.committed.push(checkpoint),
                None => findings.push(FindingKind::BadCosignature),
            }
            self.hear(&bytes, wanted, &mut word, &mut findings, &mut most);
        }
        for note in &self.notes {
            if read(note.as_bytes()).is_none() {
                findings.push(FindingKind::BadCosignature);
            }
            self.hear(note.as_bytes(), wanted, &mut word, &mut findings, &mut most);
        }
        if !self.keys.is_empty() && word.witnessed.is_none() {
            let found = most;
            findings.push(FindingKind::Unwitnessed { found, wanted });
        }
        (word, findings)
    }

    fn hear(
        &self,
        bytes: &[u8],
        wanted: usize,
        word: &mut Word,
        findings: &mut Vec<FindingKind>,
        most: &mut usize,
    ) {
        let Some((checkpoint, note)) = read(bytes) else {
            return;
        };
        let mut times = Vec::new();
        for key in &self.keys {
            let claims = |it: &crate::note::Signature<'_>| {
                it.name() == key.name() && it.key_hash() == key.hash()
            };
            match key.cosigned(&note) {
                Some(time) => times.push(time),
                None if note.signatures().iter().any(claims) => {
                    findings.push(FindingKind::BadCosignature);
                }
                None => {}
            }
        }
        times.retain(|time| *time >= self.since);
        *most = times.len().max(*most);
        // The latest time at which enough of them had signed.
        times.sort_unstable_by(|a, b| b.cmp(a));
        let enough = wanted.checked_sub(1).and_then(|last| times.get(last));
        if let Some(time) = enough {
            let witnessed = Witnessed {
                size: checkpoint.size,
                time: *time,
            };
            if word
                .witnessed
                .is_none_or(|held| held.size <= witnessed.size)
            {
                word.witnessed = Some(witnessed);
            }
            word.committed.push(checkpoint);
        }
    }
}

fn read(bytes: &[u8]) -> Option<(Checkpoint, Note<'_>)> {
    let note = Note::parse(bytes).ok()?;
    let checkpoint = Checkpoint::parse(note.text()).ok()?;
    Some((checkpoint, note))
}
