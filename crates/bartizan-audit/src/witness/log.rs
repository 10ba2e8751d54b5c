//! What a witness knows of one log, and how that changes. Pure: state and request in, next state
//! or refusal out.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::request::{AddCheckpoint, AddKey};
use crate::checkpoint::{Checkpoint, decimal};
use crate::merkle::{EMPTY_ROOT, Hash, leaf_hash, verify_consistency, verify_inclusion};
use crate::note::{Note, VerifierKey};
use crate::record::Record;

/// What a witness knows of a log: the key that it was given, the key that it has followed the log
/// to, and the largest tree that it has cosigned.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct WitnessedLog {
    pinned: VerifierKey,
    epoch: u32,
    key: VerifierKey,
    size: u64,
    root: Hash,
    /// The cosigned checkpoint of that size; empty before the first.
    note: String,
}

/// Why a witness does not do what it is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refusal {
    /// The witness has cosigned a tree of another size.
    Conflict(u64),
    /// The witness has cosigned another tree of the same size: the log was forked.
    Forked(u64),
    /// The proof does not lead from the tree that was cosigned to the one that is shown.
    Inconsistent,
    /// It is no request, or makes no sense.
    Malformed,
    /// The checkpoint is not signed by the key of the epoch to which the log was followed.
    Untrusted(u32),
}

impl WitnessedLog {
    /// A log of which nothing is known but its first key, whose name is the log's origin.
    pub(crate) fn new(pinned: VerifierKey) -> Self {
        Self {
            key: pinned.clone(),
            pinned,
            epoch: 0,
            size: 0,
            root: EMPTY_ROOT,
            note: String::new(),
        }
    }

    pub(crate) fn pinned(&self) -> &VerifierKey {
        &self.pinned
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The largest checkpoint that was cosigned, with log's signature and cosignature.
    pub(crate) fn note(&self) -> &str {
        &self.note
    }

    /// Decides about a checkpoint: the next state, whose note `cosign` completes.
    pub(crate) fn add_checkpoint(
        &self,
        request: &AddCheckpoint,
        cosign: impl FnOnce(&str) -> String,
    ) -> Result<Cosigned, Refusal> {
        let note = Note::parse(request.checkpoint.as_bytes()).map_err(|_| Refusal::Malformed)?;
        let checkpoint = Checkpoint::parse(note.text()).map_err(|_| Refusal::Malformed)?;
        //= C2SP tlog-witness: it MUST ignore signatures from unknown keys.
        let signed = note.verified_by(&self.key).is_ok();
        if !signed || checkpoint.origin != self.key.name() {
            return Err(Refusal::Untrusted(self.epoch));
        }
        //= C2SP tlog-witness: The old size MUST be equal to or lower than the checkpoint size.
        if request.old > checkpoint.size {
            return Err(Refusal::Malformed);
        }
        //= C2SP tlog-witness: The witness MUST check that the old size matches the size of the
        //= latest checkpoint it cosigned.
        if request.old != self.size {
            return Err(Refusal::Conflict(self.size));
        }
        //= C2SP tlog-witness: If the old size matches the checkpoint size, the witness MUST check
        //= that the root hashes are also identical.
        if self.size == checkpoint.size && self.root != checkpoint.root {
            return Err(Refusal::Forked(self.size));
        }
        let (old, new) = (self.size, checkpoint.size);
        verify_consistency(old, new, &self.root, &checkpoint.root, &request.proof)
            .map_err(|_| Refusal::Inconsistent)?;
        let cosignature = cosign(note.text());
        // Signatures of others are nobody's business here, and would only grow the file.
        let own = request
            .checkpoint
            .lines()
            .skip_while(|line| !line.is_empty());
        let own = own.filter(|line| {
            crate::note::signature(line)
                .is_some_and(|it| it.name() == self.key.name() && it.key_hash() == self.key.hash())
        });
        let signed: String = own.take(1).map(|line| format!("{line}\n")).collect();
        let next = Self {
            size: checkpoint.size,
            root: checkpoint.root,
            note: format!("{}\n{signed}{cosignature}", note.text()),
            ..self.clone()
        };
        Ok(Cosigned { next, cosignature })
    }

    /// Decides about a change of the log's key: the next state, unless it has that key already.
    pub(crate) fn add_key(&self, request: &AddKey) -> Result<Option<Self>, Refusal> {
        let Ok(Record::Epoch(change)) = Record::decode(&request.entry) else {
            return Err(Refusal::Malformed);
        };
        // An answer that was lost is asked for again.
        if change.epoch == self.epoch && change.key == *self.key.public() {
            return Ok(None);
        }
        if request.size != self.size || request.size == 0 {
            return Err(Refusal::Conflict(self.size));
        }
        let leaf = leaf_hash(&request.entry);
        // The last entry and no other: the checkpoint over it is the last one of the key before,
        // whose word about what comes later counts for nothing.
        let last = request.size - 1;
        verify_inclusion(last, request.size, &leaf, &self.root, &request.proof)
            .map_err(|_| Refusal::Inconsistent)?;
        if self.epoch.checked_add(1) != Some(change.epoch) {
            return Err(Refusal::Inconsistent);
        }
        let key = VerifierKey::new(self.key.name(), change.key);
        Ok(Some(Self {
            epoch: change.epoch,
            key: key.map_err(|_| Refusal::Inconsistent)?,
            ..self.clone()
        }))
    }

    /// Reads what was [printed](fmt::Display).
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (head, note) = std::str::from_utf8(bytes).ok()?.split_once("\n\n")?;
        let mut lines = head.split('\n');
        if lines.next() != Some(TITLE) {
            return None;
        }
        let mut value = |word: &str| lines.next()?.strip_prefix(word);
        let pinned = VerifierKey::parse(value("pinned ")?).ok()?;
        let epoch = u32::try_from(decimal(value("epoch ")?)?).ok()?;
        let key = VerifierKey::parse(value("key ")?).ok()?;
        let size = decimal(value("size ")?)?;
        let root = STANDARD.decode(value("root ")?).ok()?.try_into().ok()?;
        if lines.next().is_some() || key.name() != pinned.name() {
            return None;
        }
        let state = Self {
            pinned,
            epoch,
            key,
            size,
            root,
            note: note.to_owned(),
        };
        state.is_whole().then_some(state)
    }

    /// Whether note and state are about the same tree.
    fn is_whole(&self) -> bool {
        if self.note.is_empty() {
            return self.size == 0 && self.root == EMPTY_ROOT && self.epoch == 0;
        }
        let note = Note::parse(self.note.as_bytes()).ok();
        let checkpoint = note.and_then(|note| Checkpoint::parse(note.text()).ok());
        checkpoint.is_some_and(|it| {
            it.origin == self.key.name() && it.size == self.size && it.root == self.root
        })
    }
}

/// A checkpoint that was cosigned.
#[derive(Clone, Debug)]
pub(crate) struct Cosigned {
    pub(crate) next: WitnessedLog,
    /// The signature line.
    pub(crate) cosignature: String,
}

/// The first line of a state file.
const TITLE: &str = "bartizan-audit witnessed log 1";

impl fmt::Display for WitnessedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{TITLE}\npinned {}", self.pinned)?;
        writeln!(f, "epoch {}\nkey {}", self.epoch, self.key)?;
        writeln!(
            f,
            "size {}\nroot {}\n",
            self.size,
            STANDARD.encode(self.root)
        )?;
        f.write_str(&self.note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::{Tree, consistency_proof, inclusion_proof};
    use crate::note::SignerKey;
    use crate::record::EpochRecord;
    use crate::witness::key::WitnessKey;

    const ORIGIN: &str = "log.example/audit";

    fn signer(seed: u8) -> SignerKey {
        SignerKey::from_seed(ORIGIN, &[seed; 32]).unwrap()
    }

    fn root_of(leaves: &[Hash]) -> Hash {
        let mut tree = Tree::new();
        leaves.iter().for_each(|leaf| tree.push(*leaf));
        tree.root()
    }

    fn leaves(count: u8) -> Vec<Hash> {
        (0..count).map(|index| leaf_hash(&[index])).collect()
    }

    fn request(old: u64, leaves: &[Hash], key: &SignerKey) -> AddCheckpoint {
        let checkpoint = Checkpoint::new(ORIGIN, leaves.len() as u64, root_of(leaves));
        let proof = consistency_proof(old, leaves).unwrap_or_default();
        AddCheckpoint::new(old, proof, &key.sign(&checkpoint.to_string()))
    }

    fn add(log: &WitnessedLog, request: &AddCheckpoint) -> Result<WitnessedLog, Refusal> {
        let key = WitnessKey::from_seed("w", zeroize::Zeroizing::new([1; 32])).unwrap();
        let cosigned = log.add_checkpoint(request, |text| key.cosign(text, 5))?;
        let note = Note::parse(cosigned.next.note.as_bytes()).unwrap();
        assert_eq!(key.public().cosigned(&note), Some(5));
        assert_eq!(note.verified_by(&cosigned.next.key), Ok(()));
        assert!(cosigned.next.note.ends_with(&cosigned.cosignature));
        let read = WitnessedLog::parse(cosigned.next.to_string().as_bytes());
        assert_eq!(read.as_ref(), Some(&cosigned.next));
        Ok(cosigned.next)
    }

    #[test]
    fn a_log_is_followed_as_it_grows_and_nowhere_else() {
        let (key, all) = (signer(7), leaves(20));
        let fresh = WitnessedLog::new(key.verifier());
        let ten = add(&fresh, &request(0, &all[..10], &key)).unwrap();
        assert_eq!(ten.size(), 10);
        let mut forked = all.clone();
        forked[3] = [9; 32];
        let check = |request: AddCheckpoint, expected: Result<u64, Refusal>| {
            assert_eq!(add(&ten, &request).map(|next| next.size), expected);
        };
        check(request(10, &all, &key), Ok(20));
        check(request(10, &all[..10], &key), Ok(10));
        check(request(10, &forked, &key), Err(Refusal::Inconsistent));
        check(request(10, &forked[..10], &key), Err(Refusal::Forked(10)));
        check(request(0, &all, &key), Err(Refusal::Conflict(10)));
        check(request(5, &all, &key), Err(Refusal::Conflict(10)));
        check(request(5, &all[..5], &key), Err(Refusal::Conflict(10)));
        check(request(12, &all, &key), Err(Refusal::Conflict(10)));
        check(request(10, &all[..5], &key), Err(Refusal::Malformed));
        check(request(10, &all, &signer(8)), Err(Refusal::Untrusted(0)));
        let mut without = request(10, &all, &key);
        without.proof.pop();
        check(without, Err(Refusal::Inconsistent));
        let mut other = request(10, &all, &key);
        other.checkpoint = other.checkpoint.replace(ORIGIN, "other.example/audit");
        check(other, Err(Refusal::Untrusted(0)));
        let mut zero = request(0, &all[..3], &key);
        zero.proof.push([0; 32]);
        assert_eq!(add(&fresh, &zero), Err(Refusal::Inconsistent));
        let nothing = AddCheckpoint::new(10, vec![], "nothing");
        check(nothing, Err(Refusal::Malformed));
    }

    #[test]
    fn a_change_of_keys_is_followed_from_the_tree_that_was_cosigned() {
        let (old, new) = (signer(7), signer(8));
        let change = |epoch| {
            let mut entry = Vec::new();
            let change = EpochRecord::new(1, epoch, *new.verifier().public());
            Record::Epoch(change).encode(&mut entry);
            entry
        };
        let entry = change(1);
        let mut all = leaves(9);
        all.push(leaf_hash(&entry));
        let ask = |size: u64, index: u64, entry: &[u8]| {
            let size = usize::try_from(size).unwrap();
            let proof = inclusion_proof(index, &all[..size]).unwrap();
            AddKey::new(size as u64, proof, ORIGIN, entry)
        };
        let fresh = WitnessedLog::new(old.verifier());
        assert_eq!(
            fresh.add_key(&ask(10, 9, &entry)),
            Err(Refusal::Conflict(0)),
            "nothing is cosigned yet"
        );
        let nine = add(&fresh, &request(0, &all[..9], &old)).unwrap();
        assert_eq!(nine.add_key(&ask(10, 9, &entry)), Err(Refusal::Conflict(9)));
        let ten = add(&nine, &request(9, &all, &old)).unwrap();
        let refused = |request: AddKey, expected| {
            assert_eq!(ten.add_key(&request), Err(expected));
        };
        refused(ask(10, 9, &change(2)), Refusal::Inconsistent);
        refused(ask(10, 8, &entry), Refusal::Inconsistent);
        refused(ask(10, 9, b"x"), Refusal::Malformed);
        let followed = ten.add_key(&ask(10, 9, &entry)).unwrap().unwrap();
        assert_eq!((followed.epoch(), &followed.key), (1, &new.verifier()));
        assert_eq!(followed.pinned(), &old.verifier());
        assert_eq!(followed.add_key(&ask(10, 9, &entry)), Ok(None), "once more");
        all.push([1; 32]);
        let late = request(10, &all, &old);
        assert_eq!(add(&followed, &late), Err(Refusal::Untrusted(1)));
        let eleven = add(&followed, &request(10, &all, &new)).unwrap();
        assert_eq!(eleven.size(), 11);
    }

    #[test]
    fn a_damaged_state_is_no_state() {
        let (key, all) = (signer(7), leaves(4));
        let fresh = WitnessedLog::new(key.verifier());
        let read = WitnessedLog::parse(fresh.to_string().as_bytes());
        assert_eq!(read.as_ref(), Some(&fresh));
        let state = add(&fresh, &request(0, &all, &key)).unwrap().to_string();
        for bad in [
            state.replacen("size 4", "size 3", 1),
            state.replacen("epoch 0", "epoch -1", 1),
            state.replacen("\n4\n", "\n5\n", 1),
            state.replacen(TITLE, "x", 1),
            String::new(),
        ] {
            assert_eq!(WitnessedLog::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
