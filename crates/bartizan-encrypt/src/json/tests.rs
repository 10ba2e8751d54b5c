use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::error::{EncryptError, EncryptErrorKind};
use crate::wiped::WipedBytes;

/// Rewrites with `"#"` in place of each meant value.
fn replaced(document: &str, paths: &[&str], fate: Fate) -> Result<String, EncryptErrorKind> {
    let paths = Paths::new(paths.iter().copied()).expect("good paths");
    let mut visit = |_: usize, _: &str, out: &mut WipedBytes| {
        out.extend_from_slice(b"\"#\"");
        Ok::<_, EncryptError>(fate)
    };
    rewrite(document, &paths, &mut visit)
        .map(|out| String::from_utf8(out.to_vec()).expect("text"))
        .map_err(EncryptError::kind)
}

fn check(document: &str, paths: &[&str], expected: &str) {
    let found = replaced(document, paths, Fate::Replace);
    assert_eq!(found.as_deref(), Ok(expected), "{document}");
}

#[test]
fn meant_values_change_and_every_other_byte_stays() {
    check(r#"{"a":1}"#, &["/a"], r##"{"a":"#"}"##);
    check(
        "\t{ \"z\" : 1.10 , \"a\" : {\"b\" :12345678901234567890123, \"c\":1e400 }}\r\n",
        &["/a/b"],
        "\t{ \"z\" : 1.10 , \"a\" : {\"b\" :\"#\", \"c\":1e400 }}\r\n",
    );
    check(r#"{"\u0061":[true]}"#, &["/a"], r##"{"\u0061":"#"}"##);
    check(
        r#"{"a/b":1,"~":2}"#,
        &["/a~1b", "/~0"],
        r##"{"a/b":"#","~":"#"}"##,
    );
    check(
        r#"[{"a":1},{"a":2},{"b":3}]"#,
        &["/*/a"],
        r##"[{"a":"#"},{"a":"#"},{"b":3}]"##,
    );
    check(
        r#"{"x":{"k":1,"l":{}}}"#,
        &["/x/*"],
        r##"{"x":{"k":"#","l":"#"}}"##,
    );
    check(
        r#"{"b":1,"b":2,"a":null}"#,
        &["/a"],
        r##"{"b":1,"b":2,"a":"#"}"##,
    );
    check(r#"{"x":null}"#, &["/x/y"], r#"{"x":null}"#);
}

#[test]
fn omitted_members_take_their_commas_along() {
    for (document, expected) in [
        (r#"{"a":1}"#, "{}"),
        (r#"{"a":1,"z":2}"#, r#"{"z":2}"#),
        (r#"{"z":2,"a":1}"#, r#"{"z":2}"#),
        (r#"{"y":0,"a":1,"z":2}"#, r#"{"y":0,"z":2}"#),
        (r#"{"a":1,"b":2}"#, "{}"),
        (r#"{"a":1,"b":2,"z":3}"#, r#"{"z":3}"#),
        (r#"{ "a" : 1 , "z" : 2 }"#, r#"{  "z" : 2 }"#),
        (r#"{"a":1,"z":[0],"b":2}"#, r#"{"z":[0]}"#),
    ] {
        let found = replaced(document, &["/a", "/b"], Fate::Omit).expect(document);
        assert!(serde_json::from_str::<Value>(&found).is_ok(), "{found}");
        assert_eq!(
            found.replace(' ', ""),
            expected.replace(' ', ""),
            "{document}"
        );
    }
    assert_eq!(
        replaced("[1,2]", &["/*"], Fate::Omit).as_deref(),
        Ok("[null,null]")
    );
    assert_eq!(
        replaced("{\"a\":1}", &["/a"], Fate::Keep).as_deref(),
        Ok("{\"a\":1}")
    );
}

#[test]
fn what_may_hide_a_value_is_refused() {
    let refused = |document: &str, path: &str| replaced(document, &[path], Fate::Replace);
    let duplicate = Err(EncryptErrorKind::DuplicateMember);
    assert_eq!(refused(r#"{"a":1,"a":2}"#, "/a"), duplicate);
    assert_eq!(refused(r#"{"a":1,"\u0061":2}"#, "/a"), duplicate);
    assert_eq!(refused(r#"{"a":{"b":1},"a":{"b":2}}"#, "/a/b"), duplicate);
    assert_eq!(refused(r#"{"x":{"a":1,"a":2}}"#, "/x/*"), duplicate);
    let shape = Err(EncryptErrorKind::UnexpectedShape);
    assert_eq!(refused(r#"{"a":[{"b":1}]}"#, "/a/b"), shape);
    assert_eq!(refused(r#"{"a":"b"}"#, "/a/b"), shape);
    assert_eq!(refused("[]", "/a"), shape);
    assert_eq!(refused("7", "/a"), shape);
    let deep = "[".repeat(65) + &"]".repeat(65);
    let document = format!("{{\"z\":{deep}}}");
    assert_eq!(refused(&document, "/a"), Err(EncryptErrorKind::TooDeep));
    let deep = "[".repeat(63) + &"]".repeat(63);
    assert!(refused(&format!("{{\"z\":{deep}}}"), "/a").is_ok());
}

#[test]
fn what_serde_json_refuses_is_refused() {
    for bad in [
        "",
        "{",
        "}",
        "{]",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "{\"a\" 1}",
        "[1 2]",
        "[01]",
        "[1.]",
        "[.5]",
        "[+1]",
        "[1e]",
        "[--1]",
        "[nul]",
        "[NaN]",
        "[tru",
        "\"",
        "[\"\t\"]",
        "[\"\\x\"]",
        "[\"\\u12\"]",
        "[\"\\u12g4\"]",
        "[\"\\ud800\"]",
        "[\"\\udc00\"]",
        "[\"\\ud800\\u0041\"]",
        "[\"\\ud800x\"]",
        "{} {}",
        "{},",
        "\u{feff}{}",
        "[1]\u{a0}",
        "[\"\\u00é\"]",
    ] {
        assert!(serde_json::from_str::<Value>(bad).is_err(), "{bad}");
        let paths = Paths::new(std::iter::empty()).expect("none");
        let document = format!("{{\"z\":{bad}}}");
        for document in [bad, &document] {
            if serde_json::from_str::<Value>(document).is_err() {
                let found = rewrite(document, &paths, &mut |_, _, _| Ok(Fate::Keep));
                assert!(found.is_err(), "{document}");
            }
        }
    }
}

#[test]
fn strings_are_read_as_parsers_read_them() {
    assert_eq!(
        text_of(r#""f\u0065\/1""#).as_deref().map(String::as_str),
        Some("fe/1")
    );
    assert!(text_of("17").is_none());
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9_f64).prop_map(Value::from),
        "[a\"\\\\\\x00-\\x1fé😀/]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[ab\"\\\\é]{1,2}", inner, 0..5).prop_map(Value::from_iter),
        ]
    })
}

/// What a rewrite of `/a` and `/b/*` does, on the parsed document.
fn expected(mut document: Value) -> Option<Value> {
    let members = document.as_object_mut()?;
    if let Some(a) = members.get_mut("a") {
        *a = json!("#");
    }
    match members.get_mut("b") {
        None | Some(Value::Null) => {}
        Some(Value::Array(elements)) => elements.fill(json!("#")),
        Some(Value::Object(inner)) => inner.values_mut().for_each(|value| *value = json!("#")),
        Some(_) => return None,
    }
    Some(document)
}

proptest! {
    #[test]
    fn a_rewrite_is_the_same_document_but_for_the_meant_values(
        document in document(), pretty: bool,
    ) {
        let text = match pretty {
            true => serde_json::to_string_pretty(&document),
            false => serde_json::to_string(&document),
        };
        let text = text.unwrap();
        // The parser rounds some numbers differently from how they were printed.
        let document: Value = serde_json::from_str(&text).unwrap();
        let found = replaced(&text, &["/a", "/b/*"], Fate::Replace).ok();
        let found = found.map(|text| serde_json::from_str::<Value>(&text).unwrap());
        let untouched = document.is_null();
        prop_assert_eq!(found, if untouched { Some(document) } else { expected(document) });
        let none = Paths::new(["/zz/zz"].into_iter()).unwrap();
        let kept = rewrite(&text, &none, &mut |_, _, _| Ok(Fate::Keep));
        if let Ok(kept) = kept {
            prop_assert_eq!(&**kept, text.as_bytes());
        }
    }

    #[test]
    fn any_text_is_judged_as_serde_json_judges_it(
        text in "[\\[\\]{}:,\" \\\\0-9eE.+a-buntrfls-]{0,24}|\\PC{0,20}",
    ) {
        let paths = Paths::new(std::iter::empty()).unwrap();
        let found = rewrite(&text, &paths, &mut |_, _, _| Ok(Fate::Keep));
        let root_is_no_container = !text.trim_start().starts_with(['{', '[', 'n']);
        match serde_json::from_str::<Value>(&text) {
            Ok(_) => prop_assert!(found.is_ok() || root_is_no_container, "{}", text),
            // Numbers past the range of a double are JSON, and stay as they are.
            Err(error) => prop_assert!(
                found.is_err() || error.to_string().contains("out of range"), "{} {}", text, error
            ),
        }
    }
}
