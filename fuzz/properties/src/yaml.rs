//! YAML: what `serde_json` reads is read alike, every value stands on a line of the text, and what
//! is read twice is the same.

use bartizan_source::yaml::{Node, Value, parse};
use serde_json::Value as Json;

use crate::input::text;

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let text = text(bytes);
    let lines = text
        .split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'])
        .count()
        + 1;
    let documents = match parse(text) {
        Ok(documents) => documents,
        Err(error) => {
            assert!(error.line <= lines, "{error}");
            assert!(!error.problem.is_empty());
            return;
        }
    };
    for document in &documents {
        check_node(document, lines, 0);
    }
    assert_eq!(parse(text).as_deref(), Ok(&documents[..]));
    if let (Ok(json), [document]) = (serde_json::from_str::<Json>(text), &documents[..]) {
        compare(&document.value, &json);
        if let Value::Float(ours) = document.value {
            assert_eq!(text.trim().parse(), Ok(ours), "the nearest double");
        }
    }
}

fn check_node(node: &Node, lines: usize, depth: usize) {
    assert!((1..=lines).contains(&node.line) && depth <= 64);
    match &node.value {
        Value::List(list) => list.iter().for_each(|it| check_node(it, lines, depth + 1)),
        Value::Map(members) => {
            for (at, member) in members.iter().enumerate() {
                let before = &members[..at];
                assert!(before.iter().all(|it| it.name != member.name));
                check_node(&member.node, lines, depth + 1);
            }
        }
        _ => {}
    }
}

fn compare(ours: &Value, json: &Json) {
    match (ours, json) {
        (Value::Null, Json::Null) => {}
        (Value::Boolean(ours), Json::Bool(json)) => assert_eq!(ours, json),
        // `-0` is a whole number here, and a double there.
        (Value::Integer(ours), Json::Number(json)) => {
            assert!(json.as_i64() == Some(*ours) || json.as_f64() == Some(*ours as f64));
        }
        // Theirs may be the one beside the nearest, which `check` holds ours to.
        (Value::Float(ours), Json::Number(json)) => {
            let json = json.as_f64().expect("a double");
            assert!([json.next_down(), json, json.next_up()].contains(ours));
        }
        (Value::Text(ours), Json::String(json)) => assert_eq!(ours, json),
        (Value::List(ours), Json::Array(json)) => {
            assert_eq!(ours.len(), json.len());
            ours.iter()
                .zip(json)
                .for_each(|(ours, json)| compare(&ours.value, json));
        }
        (Value::Map(ours), Json::Object(json)) => {
            assert_eq!(ours.len(), json.len());
            for member in ours {
                compare(&member.node.value, &json[&member.name]);
            }
        }
        (ours, json) => panic!("{ours:?} and {json}"),
    }
}
