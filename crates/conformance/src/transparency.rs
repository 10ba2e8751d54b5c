//! `merkle-rfc6962` and `signed-note`: proofs about logs, and what logs sign.

use anyhow::{Context, Result};
use bartizan_audit::{
    Checkpoint, Hash, Note, NoteError, ProofError, Tree, VerifierKey, leaf_hash,
    verify_consistency, verify_inclusion, verify_subtree_consistency, verify_subtree_inclusion,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::material::{Material, Members, items};
use crate::tally::{Expected, Tally, reason};

/// Proofs of the four kinds, by the file's name.
pub(crate) fn proofs(material: &Material, tally: &mut Tally) -> Result<()> {
    let verify = match material.path().rsplit('/').next() {
        Some("inclusion.json") => inclusion,
        Some("consistency.json") => consistency,
        Some("subtreeinclusion.json") => subtree_inclusion,
        _ => subtree_consistency,
    };
    for case in items(&material.json()?)? {
        let fails = case.member("wantErr")? == &Value::Bool(true);
        let short = |name: &str| case.text(name).is_ok_and(|text| bytes(text).is_err());
        if !fails && ["root", "root1", "root2"].into_iter().any(short) {
            tally.skip("a root that is none of SHA-256, of which nothing is to be proven");
            continue;
        }
        let expected = if fails {
            Expected::Refused
        } else {
            Expected::ACCEPTED
        };
        tally.judge(case.text("name")?, expected, || {
            let verified = verify(case).map_err(|error| error.to_string())?;
            verified.map_err(reason)?;
            Ok(String::new())
        });
    }
    Ok(())
}

type Verified = Result<Result<(), ProofError>>;

fn inclusion(case: &Value) -> Verified {
    let (index, size) = (case.number("leafIdx")?, case.number("treeSize")?);
    let (leaf, root) = (hash(case, "leafHash")?, hash(case, "root")?);
    Ok(verify_inclusion(index, size, &leaf, &root, &proof(case)?))
}

fn consistency(case: &Value) -> Verified {
    let (old, new) = (case.number("size1")?, case.number("size2")?);
    let (old_root, new_root) = (hash(case, "root1")?, hash(case, "root2")?);
    Ok(verify_consistency(
        old,
        new,
        &old_root,
        &new_root,
        &proof(case)?,
    ))
}

fn subtree_inclusion(case: &Value) -> Verified {
    let (start, end, index) = (
        case.number("start")?,
        case.number("end")?,
        case.number("leafIdx")?,
    );
    let (leaf, root) = (hash(case, "leafHash")?, hash(case, "root")?);
    let proof = proof(case)?;
    Ok(verify_subtree_inclusion(
        start, end, index, &leaf, &root, &proof,
    ))
}

fn subtree_consistency(case: &Value) -> Verified {
    let (start, end, size) = (
        case.number("start")?,
        case.number("end")?,
        case.number("size")?,
    );
    let (subtree, root) = (hash(case, "root1")?, hash(case, "root2")?);
    let proof = proof(case)?;
    Ok(verify_subtree_consistency(
        start, end, size, &subtree, &root, &proof,
    ))
}

fn hash(case: &Value, name: &str) -> Result<Hash> {
    bytes(case.text(name)?)
}

fn bytes(text: &str) -> Result<Hash> {
    let bytes = STANDARD.decode(text)?;
    bytes
        .try_into()
        .ok()
        .context("a hash that has not 32 bytes")
}

fn proof(case: &Value) -> Result<Vec<Hash>> {
    case.texts("proof")?.into_iter().map(bytes).collect()
}

/// The roots of a tree of eight leaves while it grows.
pub(crate) fn tree(material: &Material, tally: &mut Tally) -> Result<()> {
    let document = material.json()?;
    let (leaves, roots) = (
        document.texts("leaf_inputs")?,
        document.texts("roots_by_size")?,
    );
    let mut tree = Tree::new();
    for (size, root) in roots.iter().enumerate() {
        tally.judge(&format!("root of {size}"), Expected::value(*root), || {
            Ok(tree
                .root()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect())
        });
        if let Some(leaf) = leaves.get(size) {
            let digits: Vec<&str> = (0..leaf.len() / 2)
                .filter_map(|at| leaf.get(2 * at..2 * at + 2))
                .collect();
            let bytes: Result<Vec<u8>, _> = digits
                .iter()
                .map(|pair| u8::from_str_radix(pair, 16))
                .collect();
            tree.push(leaf_hash(&bytes?));
        }
    }
    Ok(())
}

/// Notes, and the keys they are opened with.
pub(crate) fn notes(material: &Material, tally: &mut Tally) -> Result<()> {
    let document = material.json()?;
    for case in document.list("open")? {
        let keys: Result<Vec<VerifierKey>, _> = case
            .texts("verifier_keys")?
            .into_iter()
            .map(VerifierKey::parse)
            .collect();
        let keys = keys?;
        let note = STANDARD.decode(case.text("note_b64")?)?;
        let expected = match case.text("result")? {
            "ok" => Expected::value(case.texts("verified_names")?.join(" ")),
            _ => Expected::Refused,
        };
        tally.judge(case.text("name")?, expected, || opened(&note, &keys));
    }
    let key = document.text("verifier_key")?;
    tally.judge("verifier key", Expected::value(key), || read_key(key));
    let second = document.text("verifier_key_2")?;
    tally.judge("second verifier key", Expected::value(second), || {
        read_key(second)
    });
    for bad in document.texts("verifier_keys_bad")? {
        tally.judge(bad, Expected::Refused, || read_key(bad));
    }
    for length in 0..key.len() {
        let part = key.get(..length).unwrap_or_default();
        tally.judge(
            &format!("first {length} of a key"),
            Expected::Refused,
            || read_key(part),
        );
        let mut changed = key.as_bytes().to_vec();
        if let Some(byte) = changed.get_mut(length) {
            *byte = byte.wrapping_add(1);
        }
        let changed = String::from_utf8_lossy(&changed).into_owned();
        let name = format!("byte {length} of a key raised");
        tally.judge(&name, Expected::Refused, || read_key(&changed));
    }
    Ok(())
}

fn read_key(text: &str) -> Result<String, String> {
    VerifierKey::parse(text)
        .map(|key| key.to_string())
        .map_err(reason)
}

/// The names of the keys that signed, in the order of the signatures.
fn opened(note: &[u8], keys: &[VerifierKey]) -> Result<String, String> {
    let note = Note::parse(note).map_err(reason)?;
    let mut names: Vec<&str> = Vec::new();
    for signature in note.signatures() {
        let mut fitting = keys
            .iter()
            .filter(|key| key.name() == signature.name() && key.hash() == signature.key_hash());
        let key = fitting.next();
        if fitting.next().is_some() {
            return Err("two keys of one name and hash".to_owned());
        }
        if let Some(key) = key
            && !names.contains(&key.name())
        {
            note.verified_by(key).map_err(reason)?;
            names.push(key.name());
        }
    }
    match names.is_empty() {
        true => Err(reason(NoteError::Unsigned)),
        false => Ok(names.join(" ")),
    }
}

/// Bodies of checkpoints. A root of another length than that of SHA-256 is refused here.
pub(crate) fn checkpoints(material: &Material, tally: &mut Tally) -> Result<()> {
    for (number, case) in material.json()?.list("cases")?.iter().enumerate() {
        let body = case.text("body")?;
        let expected = match case.text("result")? {
            "valid" => Expected::value(body),
            "valid-lenient" => Expected::Either,
            _ => Expected::Refused,
        };
        tally.judge(&format!("case {number}"), expected, || {
            Checkpoint::parse(body)
                .map(|it| it.to_string())
                .map_err(reason)
        });
    }
    Ok(())
}
