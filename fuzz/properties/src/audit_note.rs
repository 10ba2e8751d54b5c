//! Notes, keys, checkpoints and proofs as text: nothing verifies that the key did not sign.

use bartizan_audit::{Checkpoint, EntryProof, Note, VerifierKey};

use crate::input::text;

const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let text = text(bytes);
    let key = VerifierKey::parse(KEY).expect("a key");
    if let Ok(note) = Note::parse(text.as_bytes()) {
        assert!(note.text().ends_with('\n'));
        // The one published text that the key did sign.
        if note.verified_by(&key).is_ok() {
            assert!(
                note.text()
                    .starts_with("If you think cryptography is the answer")
            );
        }
    }
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(checkpoint.to_string(), text);
    }
    if let Ok(key) = VerifierKey::parse(text) {
        assert_eq!(VerifierKey::parse(&key.to_string()), Ok(key));
    }
    if let Ok(proof) = EntryProof::parse(text) {
        assert_eq!(EntryProof::parse(&proof.to_string()), Ok(proof.clone()));
        assert!(proof.verify(b"entry", &key).is_err());
    }
}
