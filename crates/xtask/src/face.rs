//! The face of a library, as rustdoc tells it to machines: whose types its public items show.
//!
//! A type of another crate in a public signature binds every user to that crate's version, so
//! each crate lists in its manifest whose types it shows, in the table that
//! `cargo-check-external-types` reads. That tool follows one nightly each; what is read here has
//! looked the same for long: an object with a `path` and an `id` names a type or a trait.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use crate::tidy::Violation;

/// What rustdoc wrote about a package's library below `folder`.
///
/// # Errors
///
/// The file cannot be read, or is no JSON.
pub fn written(folder: &Path, package: &str) -> anyhow::Result<Value> {
    let file = folder.join("doc").join(package.replace('-', "_"));
    let file = file.with_extension("json");
    let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))
}

/// Crates whose types everybody has, and one whose macro writes bounds that nobody can name.
const EVERYBODYS: [&str; 5] = ["alloc", "core", "pin_project_lite", "proc_macro", "std"];

/// Whose types a library shows, and where each is first seen.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Face(BTreeMap<String, String>);

impl Face {
    /// Reads what `rustdoc --output-format json` wrote about a library.
    ///
    /// # Errors
    ///
    /// It has not the members that rustdoc writes.
    pub fn read(json: &Value) -> anyhow::Result<Self> {
        let known = Known::read(json)?;
        let mut face = Self::default();
        for item in known.items() {
            let place = place_of(item);
            let mut ids = BTreeSet::new();
            collect(item.get("inner").unwrap_or(&Value::Null), &mut ids);
            for name in ids.iter().filter_map(|id| known.foreign(id)) {
                face.0.entry(name).or_insert_with(|| place.clone());
            }
        }
        Ok(face)
    }

    /// Compares with the list in the manifest of `package`.
    #[must_use]
    pub fn check(&self, package: &str, listed: &[String]) -> Vec<Violation> {
        let listed: BTreeSet<&str> = listed.iter().map(|it| crate_of(it)).collect();
        let absent = self
            .0
            .iter()
            .filter(|(name, _)| !listed.contains(name.as_str()))
            .map(|(name, place)| format!("shows {name} ({place}), which is not on its list"));
        let stale = listed
            .iter()
            .filter(|name| !self.0.contains_key(**name))
            .map(|name| format!("lists {name}, of which it shows nothing"));
        absent
            .chain(stale)
            .map(|message| Violation::new(package, message))
            .collect()
    }
}

/// `http` of `http::*`.
fn crate_of(pattern: &str) -> &str {
    pattern.split("::").next().unwrap_or(pattern)
}

/// The tables of the file.
struct Known<'v> {
    index: &'v serde_json::Map<String, Value>,
    paths: &'v serde_json::Map<String, Value>,
    crates: &'v serde_json::Map<String, Value>,
}

impl<'v> Known<'v> {
    fn read(json: &'v Value) -> anyhow::Result<Self> {
        let table = |name: &str| {
            let table = json.get(name).and_then(Value::as_object);
            table.with_context(|| format!("there is no table `{name}`"))
        };
        Ok(Self {
            index: table("index")?,
            paths: table("paths")?,
            crates: table("external_crates")?,
        })
    }

    /// What the library says itself. Rustdoc leaves out what is private; what the compiler adds
    /// (auto traits, blanket impls of others) is no decision of the library's.
    fn items(&self) -> impl Iterator<Item = &'v Value> {
        self.index.values().filter(|item| {
            let is = |path: &str| item.pointer(path).filter(|value| !value.is_null());
            is("/crate_id").and_then(Value::as_u64) == Some(0)
                && is("/inner/impl/is_synthetic").and_then(Value::as_bool) != Some(true)
                && is("/inner/impl/blanket_impl").is_none()
        })
    }

    /// The name of the crate that an item is from, if that is not this one or everybody's.
    fn foreign(&self, id: &str) -> Option<String> {
        let number = self.paths.get(id)?.get("crate_id")?.as_u64()?;
        let name = self.crates.get(&number.to_string())?.get("name")?;
        let name = name.as_str()?;
        (!EVERYBODYS.contains(&name)).then(|| name.to_owned())
    }
}

/// Finds the ids of all types and traits that are named somewhere below.
fn collect(value: &Value, ids: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, ids)),
        Value::Object(members) => {
            // `path` in a signature, `source` in a re-export.
            if (members.contains_key("path") || members.contains_key("source"))
                && let Some(id) = members.get("id").and_then(Value::as_u64)
            {
                ids.insert(id.to_string());
            }
            members.values().for_each(|member| collect(member, ids));
        }
        _ => {}
    }
}

fn place_of(item: &Value) -> String {
    let file = item.pointer("/span/filename").and_then(Value::as_str);
    let file = file.unwrap_or("?");
    let line = item.pointer("/span/begin/0").unwrap_or(&Value::Null);
    match item.get("name").and_then(Value::as_str) {
        Some(name) => format!("`{name}` in {file}:{line}"),
        None => format!("{file}:{line}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// One public function, with what it takes; crate 0 is the library, 1 is `http`, 2 is `core`.
    fn library(input: Value, more: Value) -> Value {
        let function = json!({
            "id": 10, "crate_id": 0, "name": "respond",
            "span": {"filename": "src/a.rs", "begin": [7, 1]},
            "inner": {"function": {"sig": {"inputs": [["it", input]], "output": null}}},
        });
        json!({
            "index": {"10": function, "11": more},
            "paths": {
                "1": {"crate_id": 1, "path": ["http", "Request"]},
                "2": {"crate_id": 2, "path": ["core", "Option"]},
                "3": {"crate_id": 0, "path": ["a", "Own"]},
            },
            "external_crates": {"1": {"name": "http"}, "2": {"name": "core"}},
        })
    }

    fn named(id: u64, argument: Value) -> Value {
        json!({"resolved_path": {"path": "Named", "id": id, "args": {"angle_bracketed": {
            "args": [{"type": argument}]
        }}}})
    }

    fn check(json: &Value, listed: &[&str], expected: &[&str]) {
        let listed: Vec<String> = listed.iter().map(|it| (*it).to_owned()).collect();
        let found: Vec<String> = Face::read(json)
            .unwrap()
            .check("bartizan-a", &listed)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, expected);
    }

    const ABSENT: &str =
        "bartizan-a: shows http (`respond` in src/a.rs:7), which is not on its list";

    #[test]
    fn a_foreign_type_is_found_wherever_it_stands_in_a_signature() {
        let plain = library(named(1, Value::Null), Value::Null);
        check(&plain, &[], &[ABSENT]);
        check(&plain, &["http::*"], &[]);
        let argument = library(named(2, named(1, Value::Null)), Value::Null);
        check(&argument, &["http::Request"], &[]);
        check(
            &argument,
            &["tonic::*"],
            &[ABSENT, "bartizan-a: lists tonic, of which it shows nothing"],
        );
        let bound = json!({"impl_trait": [{"trait_bound": {"trait": {"path": "T", "id": 1}}}]});
        check(&library(bound, Value::Null), &[], &[ABSENT]);
    }

    #[test]
    fn ones_own_types_and_everybodys_need_no_list() {
        check(
            &library(named(2, named(3, Value::Null)), Value::Null),
            &[],
            &[],
        );
    }

    #[test]
    fn a_reexport_is_found_and_what_the_compiler_adds_is_not() {
        let own = named(3, Value::Null);
        let reexport = json!({
            "crate_id": 0, "name": null, "span": {"filename": "src/lib.rs", "begin": [3, 1]},
            "inner": {"use": {"source": "http::Request", "name": "Request", "id": 1}},
        });
        let expected = "bartizan-a: shows http (src/lib.rs:3), which is not on its list";
        check(&library(own.clone(), reexport), &[], &[expected]);

        let implementation = |synthetic: bool, blanket: Value| {
            json!({"crate_id": 0, "name": null, "span": null, "inner": {"impl": {
                "trait": {"path": "Service", "id": 1},
                "is_synthetic": synthetic,
                "blanket_impl": blanket,
            }}})
        };
        let written = library(own.clone(), implementation(false, Value::Null));
        check(&written, &["http::*"], &[]);
        for added in [
            implementation(true, Value::Null),
            implementation(false, json!({"generic": "T"})),
        ] {
            check(&library(own.clone(), added), &[], &[]);
        }
    }

    #[test]
    fn a_file_of_another_form_is_an_error() {
        assert!(Face::read(&json!({"index": {}, "paths": {}})).is_err());
    }
}
