//! What a witness is asked ([C2SP tlog-witness]): to cosign a checkpoint, or to follow a change of
//! the log's key.
//!
//! [C2SP tlog-witness]: https://c2sp.org/tlog-witness

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::decimal;
use crate::merkle::Hash;

/// The longest request that is read, in bytes: a note of the longest kind would not fit, and no
/// checkpoint comes near.
pub(crate) const LONGEST_REQUEST: usize = 64 * 1024;

//= C2SP tlog-witness: The client MUST NOT send more than 63 consistency proof lines.
const MOST_HASHES: usize = 63;

/// The longest entry that changes a key, in bytes; today it has 46.
const LONGEST_CHANGE: usize = 256;

/// Asks for a cosignature: `old N`, the consistency proof, an empty line, the checkpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct AddCheckpoint {
    /// The size that the witness cosigned last.
    pub old: u64,
    /// Proves that the tree of the checkpoint continues the one of that size.
    pub proof: Vec<Hash>,
    /// The checkpoint, as a signed note.
    pub checkpoint: String,
}

impl AddCheckpoint {
    /// A request of these parts.
    #[must_use]
    pub fn new(old: u64, proof: Vec<Hash>, checkpoint: &str) -> Self {
        Self {
            old,
            proof,
            checkpoint: checkpoint.to_owned(),
        }
    }

    /// Reads the body of a request; `None` if it is none, or longer than 64 KiB.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let (old, proof, checkpoint) = head(body, "old ", MOST_HASHES)?;
        Some(Self::new(old, proof, checkpoint))
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_head(f, "old ", self.old, &self.proof)?;
        f.write_str(&self.checkpoint)
    }
}

/// Asks the witness to believe the log's next key: `key N`, the inclusion proof of entry N - 1 in
/// the tree of size N, an empty line, the log's origin, the base64 of that entry.
///
/// It is no part of C2SP, which knows logs of one key. The witness has cosigned the tree of size N
/// already, under the key before; its last entry names the next one. Whoever has no more than that
/// key can therefore not make a witness believe another one.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct AddKey {
    /// The size that the witness cosigned last: of the tree that ends with the change.
    pub size: u64,
    /// Proves that the entry is the last one of that tree.
    pub proof: Vec<Hash>,
    /// The log.
    pub origin: String,
    /// The entry: a change of epochs.
    pub entry: Vec<u8>,
}

impl AddKey {
    /// A request of these parts.
    #[must_use]
    pub fn new(size: u64, proof: Vec<Hash>, origin: &str, entry: &[u8]) -> Self {
        Self {
            size,
            proof,
            origin: origin.to_owned(),
            entry: entry.to_vec(),
        }
    }

    /// Reads the body of a request; `None` if it is none, or longer than 64 KiB.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let (size, proof, rest) = head(body, "key ", MOST_HASHES + 1)?;
        let (origin, encoded) = rest.strip_suffix('\n')?.split_once('\n')?;
        if origin.is_empty() || encoded.contains('\n') || encoded.len() > LONGEST_CHANGE * 2 {
            return None;
        }
        let entry = STANDARD.decode(encoded).ok()?;
        Some(Self::new(size, proof, origin, &entry))
    }
}

impl fmt::Display for AddKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_head(f, "key ", self.size, &self.proof)?;
        writeln!(f, "{}\n{}", self.origin, STANDARD.encode(&self.entry))
    }
}

/// A word with a number, hashes, an empty line; and what comes behind it.
fn head<'b>(body: &'b [u8], word: &str, most: usize) -> Option<(u64, Vec<Hash>, &'b str)> {
    if body.len() > LONGEST_REQUEST {
        return None;
    }
    let (head, rest) = std::str::from_utf8(body).ok()?.split_once("\n\n")?;
    let mut lines = head.split('\n');
    let number = decimal(lines.next()?.strip_prefix(word)?)?;
    let mut proof = Vec::new();
    for line in lines {
        if proof.len() == most {
            return None;
        }
        proof.push(STANDARD.decode(line).ok()?.try_into().ok()?);
    }
    Some((number, proof, rest))
}

fn write_head(f: &mut fmt::Formatter<'_>, word: &str, size: u64, proof: &[Hash]) -> fmt::Result {
    writeln!(f, "{word}{size}")?;
    for hash in proof {
        writeln!(f, "{}", STANDARD.encode(hash))?;
    }
    f.write_str("\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_read_as_they_print() {
        let cosign = AddCheckpoint::new(20, vec![[1; 32], [2; 32]], "log\n21\nroot\n\nsigned\n");
        assert_eq!(
            AddCheckpoint::parse(cosign.to_string().as_bytes()),
            Some(cosign)
        );
        let key = AddKey::new(21, vec![[3; 32]], "log.example/audit", &[1, 5, 9]);
        assert_eq!(AddKey::parse(key.to_string().as_bytes()), Some(key));
    }

    #[test]
    fn what_has_not_the_form_is_refused() {
        let good = AddCheckpoint::new(20, vec![[1; 32]], "x\n").to_string();
        assert!(AddCheckpoint::parse(good.as_bytes()).is_some());
        for bad in [
            String::new(),
            good.replacen("old 20", "old 020", 1),
            good.replacen("old 20", "old +20", 1),
            good.replacen("old 20", "old  20", 1),
            good.replacen("old", "new", 1),
            good.replacen("\n\n", "\n", 1),
            good.replacen("=\n", "\n", 1),
            good.replacen("=\n", "=\r\n", 1),
            AddCheckpoint::new(1, vec![[0; 32]; 64], "x\n").to_string(),
            AddCheckpoint::new(1, vec![], &"x".repeat(LONGEST_REQUEST)).to_string(),
        ] {
            assert_eq!(AddCheckpoint::parse(bad.as_bytes()), None, "{bad:?}");
        }
        let good = AddKey::new(21, vec![], "log", &[9]).to_string();
        for bad in [
            good.trim_end().to_owned(),
            format!("{good}more\n"),
            good.replacen("log", "", 1),
            AddKey::new(21, vec![], "log", &[9; 600]).to_string(),
        ] {
            assert_eq!(AddKey::parse(bad.as_bytes()), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_request_or_none(text in "(old |key )?[0-9]{0,3}\n?[A-Za-z0-9+/=\n]{0,90}") {
            if let Some(request) = AddCheckpoint::parse(text.as_bytes()) {
                prop_assert_eq!(request.to_string(), text.clone());
            }
            if let Some(request) = AddKey::parse(text.as_bytes()) {
                prop_assert_eq!(request.to_string(), text);
            }
        }
    }
}
