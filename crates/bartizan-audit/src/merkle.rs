//! The Merkle tree over the ledger's entries ([RFC 6962 §2.1](https://www.rfc-editor.org/rfc/rfc6962#section-2.1)).

mod proof;

use ring::digest::{SHA256, digest};

pub use self::proof::{
    ProofError, consistency_proof, inclusion_proof, verify_consistency, verify_inclusion,
    verify_subtree_consistency, verify_subtree_inclusion,
};

/// A SHA-256 value: of an entry, or of two below it.
pub type Hash = [u8; 32];

//= RFC 6962 §2.1: The hash of an empty list is the hash of an empty string.
/// The root of the empty tree.
pub const EMPTY_ROOT: Hash = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> Hash {
    let mut hash = [0; 32];
    for (place, byte) in hash.iter_mut().zip(digest(&SHA256, bytes).as_ref()) {
        *place = *byte;
    }
    hash
}

//= RFC 6962 §2.1: MTH({d(0)}) = SHA-256(0x00 || d(0)).
/// The hash of an entry.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut prefixed = Vec::with_capacity(entry.len() + 1);
    prefixed.push(0);
    prefixed.extend_from_slice(entry);
    sha256(&prefixed)
}

//= RFC 6962 §2.1: MTH(D[n]) = SHA-256(0x01 || MTH(D[0:k]) || MTH(D[k:n])).
/// The hash of a node above two others.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [0; 65];
    let (prefix, children) = bytes.split_at_mut(1);
    prefix.copy_from_slice(&[1]);
    let (first, second) = children.split_at_mut(32);
    first.copy_from_slice(left);
    second.copy_from_slice(right);
    sha256(&bytes)
}

/// A growing tree, of which no more is kept than the roots of its complete subtrees: at most 64.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tree {
    size: u64,
    heads: Vec<Hash>,
}

impl Tree {
    /// The empty tree.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            size: 0,
            heads: Vec::new(),
        }
    }

    /// The tree of this size whose complete subtrees have these roots, the largest first; `None`
    /// if that is not how many there are.
    #[must_use]
    pub fn from_heads(size: u64, heads: Vec<Hash>) -> Option<Self> {
        let fits = u32::try_from(heads.len()).is_ok_and(|count| count == size.count_ones());
        fits.then_some(Self { size, heads })
    }

    /// How many leaves there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, the largest first.
    #[must_use]
    pub fn heads(&self) -> &[Hash] {
        &self.heads
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: Hash) {
        self.push_noting(leaf, |_, _| {});
    }

    /// Appends a leaf, and tells of every subtree that it completes: the leaf itself at height 0,
    /// then those above it, each twice as wide.
    pub(crate) fn push_noting(&mut self, leaf: Hash, mut note: impl FnMut(u32, Hash)) {
        let (mut hash, mut size, mut height) = (leaf, self.size, 0);
        note(height, hash);
        while size & 1 == 1 {
            if let Some(left) = self.heads.pop() {
                hash = node_hash(&left, &hash);
            }
            size >>= 1;
            height += 1;
            note(height, hash);
        }
        self.heads.push(hash);
        self.size += 1;
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut heads = self.heads.iter().rev();
        match heads.next() {
            Some(last) => heads.fold(*last, |right, left| node_hash(left, &right)),
            None => EMPTY_ROOT,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaves(count: u8) -> Vec<Hash> {
        (0..count).map(|index| leaf_hash(&[index])).collect()
    }

    /// The definition of RFC 6962, word by word.
    fn root_by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => sha256(b""),
            [one] => *one,
            more => {
                let k = more.len().next_power_of_two() / 2;
                let (left, right) = more.split_at(k);
                node_hash(&root_by_definition(left), &root_by_definition(right))
            }
        }
    }

    #[test]
    fn the_tree_grows_as_it_is_defined() {
        let mut tree = Tree::new();
        assert_eq!(tree.root(), EMPTY_ROOT);
        for (index, leaf) in leaves(70).into_iter().enumerate() {
            tree.push(leaf);
            let count = u8::try_from(index + 1).unwrap();
            assert_eq!(tree.root(), root_by_definition(&leaves(count)), "{count}");
            let again = Tree::from_heads(tree.size(), tree.heads().to_vec());
            assert_eq!(again.as_ref(), Some(&tree));
        }
        assert_eq!(Tree::from_heads(3, vec![[0; 32]]), None);
    }

    #[test]
    fn every_proof_of_a_tree_holds_and_no_other() {
        let all = leaves(23);
        for size in 1..=23_u64 {
            let tree = &all[..usize::try_from(size).unwrap()];
            let root = root_by_definition(tree);
            for index in 0..size {
                let leaf = tree[usize::try_from(index).unwrap()];
                let proof = inclusion_proof(index, tree).unwrap();
                assert_eq!(verify_inclusion(index, size, &leaf, &root, &proof), Ok(()));
                let other = (index + 1) % size;
                if other != index {
                    assert!(verify_inclusion(other, size, &leaf, &root, &proof).is_err());
                }
            }
            for before in 1..=size {
                let old = root_by_definition(&all[..usize::try_from(before).unwrap()]);
                let proof = consistency_proof(before, tree).unwrap();
                assert_eq!(
                    verify_consistency(before, size, &old, &root, &proof),
                    Ok(())
                );
                if before < size {
                    assert!(verify_consistency(before, size, &root, &old, &proof).is_err());
                }
            }
        }
        assert_eq!(inclusion_proof(23, &all), None);
        assert_eq!(consistency_proof(24, &all), None);
        assert_eq!(consistency_proof(0, &all), None);
    }

    #[test]
    fn a_leaf_is_proven_in_the_complete_subtree_that_it_is_in() {
        let all = leaves(16);
        let at = |index: u64| usize::try_from(index).unwrap();
        for width in [1, 2, 4, 8, 16] {
            for start in (0..16).step_by(usize::try_from(width).unwrap()) {
                let end = start + width;
                let subtree = &all[at(start)..at(end)];
                let root = root_by_definition(subtree);
                for index in start..end {
                    let proof = inclusion_proof(index - start, subtree).unwrap();
                    let check = |index: u64, leaf: u64, root: &Hash| {
                        let leaf = &all[at(leaf)];
                        verify_subtree_inclusion(start, end, index, leaf, root, &proof)
                    };
                    assert_eq!(check(index, index, &root), Ok(()), "{start}..{end}");
                    assert!(check(index, (index + 1) % 16, &root).is_err());
                    assert!(check(index, index, &[7; 32]).is_err());
                    assert_eq!(check(end, index, &root), Err(ProofError::Range));
                    if start > 0 {
                        assert_eq!(check(start - 1, index, &root), Err(ProofError::Range));
                    }
                }
            }
        }
        let none = verify_subtree_inclusion(1, 3, 1, &all[1], &[0; 32], &[]);
        assert_eq!(none, Err(ProofError::Range), "1..3 is no subtree");
    }

    #[test]
    fn a_subtree_at_the_end_and_an_empty_one_are_part_of_the_tree() {
        let all = leaves(23);
        let root = root_by_definition(&all);
        let (front, end) = all.split_at(16);
        let (front, end) = (root_by_definition(front), root_by_definition(end));
        let check = |subtree: &Hash, proof: &[Hash]| {
            verify_subtree_consistency(16, 23, 23, subtree, &root, proof)
        };
        assert_eq!(check(&end, &[front]), Ok(()));
        assert_eq!(check(&front, &[end]), Err(ProofError::Mismatch));
        assert_eq!(check(&end, &[]), Err(ProofError::Length));

        let empty = |subtree: &Hash, proof: &[Hash]| {
            verify_subtree_consistency(5, 5, 23, subtree, &root, proof)
        };
        assert_eq!(empty(&EMPTY_ROOT, &[]), Ok(()));
        assert_eq!(empty(&root, &[]), Err(ProofError::Mismatch));
        assert_eq!(empty(&EMPTY_ROOT, &[root]), Err(ProofError::Length));
    }

    proptest! {
        #[test]
        fn no_proof_makes_the_verifier_panic(
            numbers in any::<(u64, u64)>(),
            proof in proptest::collection::vec(any::<[u8; 32]>(), 0..70),
        ) {
            let (a, b) = numbers;
            let root = [9; 32];
            prop_assert!(verify_inclusion(a, b, &root, &[8; 32], &proof).is_err() || b == 1);
            let _ = verify_consistency(a, b, &root, &[8; 32], &proof);
            let _ = verify_subtree_inclusion(a, b, a / 2, &root, &[8; 32], &proof);
            let _ = verify_subtree_consistency(a, b, a / 2, &root, &[8; 32], &proof);
        }
    }
}
