//! Proofs about a ledger, for somebody who has no more of it than a checkpoint.

mod prover;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{Checkpoint, decimal};
use crate::merkle::{Hash, ProofError, leaf_hash, verify_inclusion};
use crate::note::{Note, NoteError, VerifierKey};

pub use self::prover::Prover;

/// The first line of a proof's text form.
const TITLE: &str = "c2sp.org/tlog-proof@v1";

/// A proof that an entry is in a log, with the signed checkpoint it leads to
/// ([C2SP tlog-proof](https://c2sp.org/tlog-proof)): everything that it takes to check it offline.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct EntryProof {
    /// The entry's place.
    pub index: u64,
    /// The hashes beside its path to the root.
    pub hashes: Vec<Hash>,
    /// The checkpoint, as a signed note.
    pub checkpoint: String,
}

impl EntryProof {
    /// A proof of these parts.
    #[must_use]
    pub fn new(index: u64, hashes: Vec<Hash>, checkpoint: &str) -> Self {
        Self {
            index,
            hashes,
            checkpoint: checkpoint.to_owned(),
        }
    }

    /// Reads the text form.
    ///
    /// # Errors
    ///
    /// If it is not of that form.
    pub fn parse(text: &str) -> Result<Self, EntryProofError> {
        let (head, checkpoint) = text.split_once("\n\n").ok_or(EntryProofError::Form)?;
        let mut lines = head.split('\n').filter(|line| !line.starts_with("extra "));
        if lines.next() != Some(TITLE) {
            return Err(EntryProofError::Form);
        }
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = index.and_then(decimal).ok_or(EntryProofError::Form)?;
        let mut hashes = Vec::new();
        for line in lines {
            // A tree of 2^64 leaves has no longer path.
            if hashes.len() == 64 {
                return Err(EntryProofError::Form);
            }
            let hash = STANDARD.decode(line).ok().and_then(|it| it.try_into().ok());
            hashes.push(hash.ok_or(EntryProofError::Form)?);
        }
        Ok(Self::new(index, hashes, checkpoint))
    }

    /// Checks that this entry is in the log with this key.
    ///
    /// # Errors
    ///
    /// If the checkpoint is not the log's, or the proof does not lead to it.
    pub fn verify(&self, entry: &[u8], key: &VerifierKey) -> Result<Checkpoint, EntryProofError> {
        let note = Note::parse(self.checkpoint.as_bytes()).map_err(EntryProofError::Note)?;
        note.verified_by(key).map_err(EntryProofError::Note)?;
        let checkpoint = Checkpoint::parse(note.text()).map_err(|_| EntryProofError::Form)?;
        if checkpoint.origin != key.name() {
            return Err(EntryProofError::Note(NoteError::Unsigned));
        }
        let leaf = leaf_hash(entry);
        verify_inclusion(
            self.index,
            checkpoint.size,
            &leaf,
            &checkpoint.root,
            &self.hashes,
        )
        .map_err(EntryProofError::Proof)?;
        Ok(checkpoint)
    }
}

impl std::fmt::Display for EntryProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{TITLE}\nindex {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{}", STANDARD.encode(hash))?;
        }
        f.write_char('\n')?;
        f.write_str(&self.checkpoint)
    }
}

/// Why a proof does not hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryProofError {
    /// It has not the form of a proof.
    #[error("text has not the form of a proof")]
    Form,
    /// Its checkpoint is none of the log.
    #[error("checkpoint of the proof is none of the log")]
    Note(#[source] NoteError),
    /// It does not lead to its checkpoint.
    #[error("proof does not lead to its checkpoint")]
    Proof(#[source] ProofError),
}
