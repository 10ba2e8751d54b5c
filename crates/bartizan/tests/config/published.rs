//! What is published about the file: its schema, and the page.
//!
//! `UPDATE_DOCS=1 cargo test -p bartizan --features config --test config` writes both anew.

use std::path::PathBuf;

use bartizan::config::{Config, reference, schema};
use serde_json::{Value, json};

use crate::sample::{Folder, WHOLE};

#[track_caller]
fn check(name: &str, expected: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "docs/{name} is old: set UPDATE_DOCS=1 and run this again"
    );
}

#[test]
fn the_page_about_the_file_is_what_the_file_is_read_by() {
    check("CONFIGURATION.md", &reference());
}

#[test]
fn the_schema_is_what_the_file_is_read_by() {
    check("bartizan.schema.json", &schema());
}

fn parsed(text: &str) -> Value {
    let table: toml::Table = toml::from_str(text).unwrap();
    serde_json::to_value(table).unwrap()
}

#[test]
fn the_schema_agrees_with_the_reader() {
    let schema: Value = serde_json::from_str(&schema()).unwrap();
    assert!(jsonschema::draft202012::meta::is_valid(&schema));
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let folder = Folder::new();
    for text in [WHOLE, "", "[bans]\nfirst = '5min'"] {
        assert!(Config::from_toml(text, folder.path()).is_ok(), "{text}");
        let told: Vec<_> = validator
            .iter_errors(&parsed(text))
            .map(|it| it.to_string())
            .collect();
        assert!(told.is_empty(), "{told:?}");
    }
    for text in [
        "[bans]\ncapacty = 1",
        "bans = 1",
        "[bans]\nfirst = '5 minutes'",
        "[bans]\nmode = 'off'",
        "[intake]\nmax_body = '1MB'",
        "[load]",
        "[[tokens.issuer]]\nsecret = [{ algorithm = 'HS256', secret = 'hunter2' }]",
        "[[rules.rule]]\nname = 'a'\neffect = 'allow'\nform = []",
        "[[rules.rule]]\nname = 'a'\neffect = 'allow'\nfrom = [{ except = [{ peer = 'a' }] }]",
    ] {
        assert!(Config::from_toml(text, folder.path()).is_err(), "{text}");
        assert!(!validator.is_valid(&parsed(text)), "{text}");
    }
}

#[test]
fn every_option_of_the_schema_is_documented() {
    fn walk(value: &Value, seen: &mut usize) {
        let Some(members) = value.as_object() else {
            return;
        };
        if let Some(properties) = members.get("properties").and_then(Value::as_object) {
            for (name, property) in properties {
                assert!(property["description"].is_string(), "{name}");
                *seen += 1;
            }
            assert_eq!(value["additionalProperties"], json!(false));
        }
        members.values().for_each(|value| walk(value, seen));
    }
    let mut seen = 0;
    walk(&serde_json::from_str(&schema()).unwrap(), &mut seen);
    assert!(seen > 200, "{seen}");
}
