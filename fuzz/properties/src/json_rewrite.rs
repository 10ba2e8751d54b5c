//! JSON bodies: a rewritten document is the same as before but for the guarded members, by
//! `serde_json`'s reading, and every other byte stays.

use bartizan_encrypt::EncryptErrorKind;
use bartizan_encrypt::fuzzing::{Change, rewrite_json};
use serde_json::{Value, json};

use crate::input::text;

const PATHS: [&str; 5] = ["/a", "/b/*", "/c/d", "/e/*/f", "/~0~1"];

/// What becomes of the value that a path leads to; `None` for what is refused.
fn change(value: &mut Value, path: &[&str], change: Change) -> Option<()> {
    let (first, rest) = path.split_first()?;
    let put = |place: &mut Value| match rest {
        [] => {
            *place = match change_of(change) {
                Some(put) => put,
                None => return Some(()),
            };
            Some(())
        }
        _ => self::change(place, rest, change),
    };
    match value {
        Value::Null => Some(()),
        Value::Array(elements) if *first == "*" => elements.iter_mut().try_for_each(put),
        Value::Object(members) => {
            let name = first.replace("~1", "/").replace("~0", "~");
            let meant: Vec<String> = match *first {
                "*" => members.keys().cloned().collect(),
                _ => members
                    .keys()
                    .filter(|key| **key == name)
                    .cloned()
                    .collect(),
            };
            for key in meant {
                if rest.is_empty() && matches!(change, Change::Omit) {
                    members.remove(&key);
                } else {
                    put(members.get_mut(&key)?)?;
                }
            }
            Some(())
        }
        _ => None,
    }
}

fn change_of(change: Change) -> Option<Value> {
    match change {
        Change::Keep => None,
        Change::Omit => Some(Value::Null),
        Change::Replace => Some(json!("#")),
    }
}

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let document = text(bytes);
    let parsed = serde_json::from_str::<Value>(document);
    for kind in [Change::Keep, Change::Omit, Change::Replace] {
        let found = rewrite_json(document, &PATHS, kind).expect("good paths");
        match (&parsed, found) {
            (Ok(parsed), Ok(out)) => {
                if matches!(kind, Change::Keep) {
                    assert_eq!(out, document.as_bytes());
                }
                let mut expected = parsed.clone();
                for path in PATHS {
                    let path: Vec<_> = path.split('/').skip(1).collect();
                    change(&mut expected, &path, kind).expect("it was not refused");
                }
                let found: Value = serde_json::from_slice(&out).expect("a document");
                assert_eq!(found, expected);
            }
            (Ok(_), Err(kind)) => assert!(
                matches!(
                    kind,
                    EncryptErrorKind::DuplicateMember
                        | EncryptErrorKind::TooDeep
                        | EncryptErrorKind::UnexpectedShape
                ),
                "{kind:?}"
            ),
            // Numbers past the range of a double are JSON, and stay as they are.
            (Err(error), Ok(_)) => assert!(error.to_string().contains("out of range"), "{error}"),
            (Err(_), Err(_)) => {}
        }
    }
}
