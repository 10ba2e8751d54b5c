//! Proofs about trees: the right one holds, and what is made of it by changing anything does not.

use bartizan_audit::{
    Hash, Tree, consistency_proof, inclusion_proof, leaf_hash, verify_consistency,
    verify_inclusion, verify_subtree_consistency, verify_subtree_inclusion,
};

use crate::input::Input;

fn root(leaves: &[Hash]) -> Hash {
    let mut tree = Tree::new();
    leaves.iter().for_each(|leaf| tree.push(*leaf));
    tree.root()
}

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (count, at) = (input.byte(), input.byte());
    let (a, b, c) = (input.long(), input.long(), input.long());
    let (hashes, _) = input.rest().as_chunks::<32>();
    let random = [9; 32];
    let _ = verify_inclusion(a, b, &random, &random, hashes);
    let _ = verify_consistency(a, b, &random, &[8; 32], hashes);
    let _ = verify_subtree_inclusion(a, b, c, &random, &random, hashes);
    let _ = verify_subtree_consistency(a, b, c, &random, &random, hashes);

    let leaves: Vec<Hash> = (0..=count).map(|leaf| leaf_hash(&[leaf])).collect();
    let (size, index) = (leaves.len() as u64, u64::from(at) % leaves.len() as u64);
    let leaf = leaves[index as usize];
    let proof = inclusion_proof(index, &leaves).expect("a leaf");
    verify_inclusion(index, size, &leaf, &root(&leaves), &proof).expect("the right proof");
    if hashes != proof {
        assert!(verify_inclusion(index, size, &leaf, &root(&leaves), hashes).is_err());
    }
    let old = index + 1;
    let old_root = root(&leaves[..old as usize]);
    let proof = consistency_proof(old, &leaves).expect("a beginning");
    verify_consistency(old, size, &old_root, &root(&leaves), &proof).expect("the right proof");
    if hashes != proof {
        assert!(verify_consistency(old, size, &old_root, &root(&leaves), hashes).is_err());
    }
}
