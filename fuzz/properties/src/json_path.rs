//! Paths into bodies: two that cannot be told apart are refused, and each of the others leads to
//! exactly one value of the document that it describes.

use bartizan_encrypt::fuzzing::{Change, rewrite_json, rewrite_message};

use crate::input::text;

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let text = text(bytes);
    let paths: Vec<&str> = text.split('\n').take(8).collect();
    let empty = rewrite_json("{}", &paths, Change::Replace);
    if empty.is_ok() {
        for path in &paths {
            let segments: Vec<_> = path.split('/').skip(1).collect();
            let value = segments
                .iter()
                .rev()
                .fold("1".to_owned(), |inner, segment| {
                    if *segment == "*" {
                        return format!("[{inner}]");
                    }
                    let name = segment.replace("~1", "/").replace("~0", "~");
                    let name = serde_json::to_string(&name).expect("text");
                    format!("{{{name}:{inner}}}")
                });
            let single = rewrite_json(&value, &[path], Change::Replace);
            let single = single.expect("each of them is good");
            // One of 64 segments describes a document that nests as deep as one may.
            let written = single.expect("the document it describes");
            let written = String::from_utf8(written).expect("text");
            assert_eq!(
                written.matches("\"#\"").count(),
                1 + value.matches("\"#\"").count()
            );
        }
    }
    let _ = rewrite_message(&[], &paths, Change::Replace);
}
