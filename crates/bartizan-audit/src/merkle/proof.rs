//! Proofs that an entry is in a tree, and that one tree continues another
//! ([RFC 9162 §2.1](https://www.rfc-editor.org/rfc/rfc9162#section-2.1), whose trees are those of RFC 6962).

use std::fmt;

use super::{EMPTY_ROOT, Hash, node_hash};

/// Why a proof does not hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ProofError {
    /// The hashes lead to another root.
    Mismatch,
    /// The proof has too few hashes or too many.
    Length,
    /// There is no such leaf, tree or subtree.
    Range,
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mismatch => "the proof leads to another root",
            Self::Length => "the proof has too few hashes or too many",
            Self::Range => "the proof is about no leaf or tree that there can be",
        })
    }
}

impl std::error::Error for ProofError {}

/// Checks that the leaf with this hash is the one at `index` of the tree with this size and root.
///
/// # Errors
///
/// If that is not proven.
pub fn verify_inclusion(
    index: u64,
    size: u64,
    leaf: &Hash,
    root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Range);
    }
    //= RFC 9162 §2.1.3.2: Set fn to leaf_index and sn to tree_size - 1.
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for step in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(step, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, step);
        }
        node >>= 1;
        last >>= 1;
    }
    match (last, hash == *root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::Mismatch),
        _ => Err(ProofError::Length),
    }
}

/// Checks that the tree of size `new` continues the one of size `old`: that the older one is its
/// beginning, unchanged.
///
/// # Errors
///
/// If that is not proven. Every tree continues the empty one; nothing proves it, and the proof
/// has to be empty.
pub fn verify_consistency(
    old: u64,
    new: u64,
    old_root: &Hash,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::Range);
    }
    if old == 0 || old == new {
        if !proof.is_empty() {
            return Err(ProofError::Length);
        }
        let holds = if old == 0 {
            *old_root == EMPTY_ROOT && (new > 0 || *new_root == EMPTY_ROOT)
        } else {
            old_root == new_root
        };
        return if holds {
            Ok(())
        } else {
            Err(ProofError::Mismatch)
        };
    }
    verify_subtree_consistency(0, old, new, old_root, new_root, proof)
}

/// Checks that a leaf is in the subtree of the leaves `start..end`.
///
/// # Errors
///
/// If that is not proven, or the leaves make no subtree.
pub fn verify_subtree_inclusion(
    start: u64,
    end: u64,
    index: u64,
    leaf: &Hash,
    root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if !is_subtree(start, end) || index < start {
        return Err(ProofError::Range);
    }
    verify_inclusion(index - start, end - start, leaf, root, proof)
}

/// Checks that the subtree of the leaves `start..end` is part of the tree of this size.
///
/// # Errors
///
/// If that is not proven, or the leaves make no subtree of it.
pub fn verify_subtree_consistency(
    start: u64,
    end: u64,
    size: u64,
    subtree_root: &Hash,
    root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if start == end && end <= size {
        // The empty subtree is part of every tree, and nothing proves it.
        return match (proof.is_empty(), *subtree_root == EMPTY_ROOT) {
            (true, true) => Ok(()),
            (true, false) => Err(ProofError::Mismatch),
            _ => Err(ProofError::Length),
        };
    }
    if !is_subtree(start, end) || end > size {
        return Err(ProofError::Range);
    }
    let (mut first, mut last, mut top) = (start, end - 1, size - 1);
    let shift = |first: &mut u64, last: &mut u64, top: &mut u64| {
        *first >>= 1;
        *last >>= 1;
        *top >>= 1;
    };
    // Down to the level of the largest complete subtree that the two end with.
    if last == top {
        while first != last {
            shift(&mut first, &mut last, &mut top);
        }
    } else {
        while first != last && last & 1 == 1 {
            shift(&mut first, &mut last, &mut top);
        }
    }
    let mut steps = proof.iter();
    let seed = if first == last {
        subtree_root
    } else {
        steps.next().ok_or(ProofError::Length)?
    };
    let (mut old, mut new) = (*seed, *seed);
    for step in steps {
        if top == 0 {
            return Err(ProofError::Length);
        }
        if last & 1 == 1 || last == top {
            if first < last {
                old = node_hash(step, &old);
            }
            new = node_hash(step, &new);
            while last & 1 == 0 && last != 0 {
                shift(&mut first, &mut last, &mut top);
            }
        } else {
            new = node_hash(&new, step);
        }
        shift(&mut first, &mut last, &mut top);
    }
    match (top, old == *subtree_root && new == *root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::Mismatch),
        _ => Err(ProofError::Length),
    }
}

/// Whether the leaves `start..end` can be a subtree: `start` is a multiple of the smallest power
/// of two that is not less than how many there are.
fn is_subtree(start: u64, end: u64) -> bool {
    end.checked_sub(start)
        .filter(|count| *count > 0)
        .is_some_and(|count| {
            count
                .checked_next_power_of_two()
                .map_or(start == 0, |width| start.is_multiple_of(width))
        })
}

/// Proves that the leaf at `index` is in the tree of these leaves, given by their hashes; `None` if
/// there is no such leaf.
#[must_use]
pub fn inclusion_proof(index: u64, leaves: &[Hash]) -> Option<Vec<Hash>> {
    let mut at = usize::try_from(index)
        .ok()
        .filter(|at| *at < leaves.len())?;
    let (mut part, mut proof) = (leaves, Vec::new());
    while let Some((left, right)) = halves(part) {
        if at < left.len() {
            proof.push(root_of(right));
            part = left;
        } else {
            at -= left.len();
            proof.push(root_of(left));
            part = right;
        }
    }
    proof.reverse();
    Some(proof)
}

/// Proves that the tree of these leaves continues the one of its first `old` leaves; `None` if
/// there are not that many, or none.
#[must_use]
pub fn consistency_proof(old: u64, leaves: &[Hash]) -> Option<Vec<Hash>> {
    let mut old = usize::try_from(old)
        .ok()
        .filter(|old| (1..=leaves.len()).contains(old))?;
    let (mut part, mut whole, mut proof) = (leaves, true, Vec::new());
    while old != part.len() {
        let (left, right) = halves(part)?;
        if old <= left.len() {
            proof.push(root_of(right));
            part = left;
        } else {
            old -= left.len();
            proof.push(root_of(left));
            part = right;
            whole = false;
        }
    }
    if !whole {
        proof.push(root_of(part));
    }
    proof.reverse();
    Some(proof)
}

//= RFC 6962 §2.1: let k be the largest power of two smaller than n.
fn halves(leaves: &[Hash]) -> Option<(&[Hash], &[Hash])> {
    (leaves.len() > 1).then(|| leaves.split_at(leaves.len().next_power_of_two() / 2))
}

/// The root of the tree of these leaves.
pub(crate) fn root_of(leaves: &[Hash]) -> Hash {
    let mut tree = super::Tree::new();
    for leaf in leaves {
        tree.push(*leaf);
    }
    tree.root()
}
