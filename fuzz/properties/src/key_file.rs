//! Keyset files and key records: none opens that was not sealed, and records read what they write.

use std::path::PathBuf;
use std::sync::OnceLock;

use bartizan_encrypt::{KeyBytes, KeyFile, KeyRecord, LocalKek};

struct Ground {
    file: PathBuf,
    kek: LocalKek,
    good: Vec<u8>,
}

fn ground() -> &'static Ground {
    static GROUND: OnceLock<Ground> = OnceLock::new();
    GROUND.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("bartizan-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("keys.json");
        let _ = std::fs::remove_file(&file);
        let kek = LocalKek::new(&KeyBytes::from_slice(&[1; 32]).expect("32 bytes"));
        KeyFile::create(&file, kek.clone()).expect("a new file");
        let good = std::fs::read(&file).expect("the file");
        Ground { file, kek, good }
    })
}

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    if let Ok(records) = serde_json::from_slice::<Vec<KeyRecord>>(bytes) {
        let written = serde_json::to_vec(&records).expect("plain data");
        let back: Vec<KeyRecord> = serde_json::from_slice(&written).expect("what was written");
        assert_eq!(back, records);
    }
    let Ground { file, kek, good } = ground();
    // The input as a whole, and in the place of a piece of a good file.
    let at = bytes
        .first()
        .map_or(0, |at| usize::from(*at) * good.len() / 256);
    let piece = bytes.get(1..).unwrap_or_default();
    let mut patched = good.clone();
    let end = (at + piece.len()).min(good.len());
    patched.splice(at..end, piece.iter().copied());
    for content in [bytes, &patched] {
        std::fs::write(file, content).expect("a writable file");
        let opened = KeyFile::open(file, std::slice::from_ref(kek));
        if opened.is_ok() {
            let reading = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).ok();
            assert_eq!(reading(content), reading(good), "another file opened");
        }
    }
}
