//! Proofs about a ledger, for somebody who has no more of it than a checkpoint.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{Checkpoint, decimal};
use crate::merkle::{
    Hash, ProofError, consistency_proof, inclusion_proof, leaf_hash, verify_inclusion,
};
use crate::note::{Note, NoteError, VerifierKey};
use crate::read::LedgerReader;

/// The hashes of all entries of a ledger: 32 bytes each.
#[derive(Clone, Debug)]
pub struct Prover {
    first: u64,
    leaves: Vec<Hash>,
}

impl Prover {
    /// Reads the ledger in a folder.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or its beginning is missing.
    pub fn load(folder: impl AsRef<Path>) -> io::Result<Self> {
        let mut reader = LedgerReader::open(folder)?;
        let mut prover = Self {
            first: reader.position(),
            leaves: Vec::new(),
        };
        if prover.first != 0 {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the beginning of the ledger is missing",
            ));
        }
        loop {
            let batch = reader.next_batch()?;
            if batch.is_empty() {
                return Ok(prover);
            }
            prover.leaves.extend(batch.iter().map(|entry| entry.hash));
        }
    }

    /// How many entries there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// Proves that the entry at `index` is in the tree of the first `size` entries; `None` if
    /// there are no such.
    #[must_use]
    pub fn inclusion(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        inclusion_proof(index, self.first(size)?)
    }

    /// Proves that the tree of the first `new` entries continues that of the first `old`; `None`
    /// if there are no such.
    #[must_use]
    pub fn consistency(&self, old: u64, new: u64) -> Option<Vec<Hash>> {
        consistency_proof(old, self.first(new)?)
    }

    /// The root of the tree of the first `size` entries.
    #[must_use]
    pub fn root(&self, size: u64) -> Option<Hash> {
        let mut tree = crate::merkle::Tree::new();
        self.first(size)?.iter().for_each(|leaf| tree.push(*leaf));
        Some(tree.root())
    }

    fn first(&self, size: u64) -> Option<&[Hash]> {
        self.leaves.get(..usize::try_from(size).ok()?)
    }
}

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
