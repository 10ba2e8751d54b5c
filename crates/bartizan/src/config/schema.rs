//! The schema of the file, for editors.

use serde_json::{Map, Value, json};

use crate::config::describe::{Description, Field, Kind, Need, tables};
use crate::config::node::{Node, Value as Literal};
use crate::config::root::Root;

/// Where the schema is published.
const ID: &str =
    "https://raw.githubusercontent.com/bartizan-rs/bartizan/main/docs/bartizan.schema.json";

/// The JSON Schema (draft 2020-12) of the configuration file, for editors.
///
/// It is written from the description that the file is read by, and holds every option with its
/// documentation and its default.
pub fn schema() -> String {
    let root = Root::description();
    let mut document = table(root);
    let definitions = tables(root).into_iter().skip(1);
    let definitions = definitions.map(|(_, _, it)| (it.title.to_owned(), table(it).into()));
    let definitions: Map<String, Value> = definitions.collect();
    document.insert(
        "$schema".to_owned(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    document.insert("$id".to_owned(), json!(ID));
    document.insert("title".to_owned(), json!("Bartizan configuration"));
    document.insert("$defs".to_owned(), definitions.into());
    let mut document = Value::from(document);
    // In one order, whichever features others give the maps.
    document.sort_all_objects();
    let mut text = format!("{document:#}");
    text.push('\n');
    text
}

fn table(description: &Description) -> Map<String, Value> {
    let mut document = Map::new();
    let required = description
        .fields
        .iter()
        .filter(|it| it.need == Need::Required);
    let required: Vec<_> = required.map(|it| it.name).collect();
    let properties = description.fields.iter();
    let properties = properties.map(|it| (it.name.to_owned(), property(it).into()));
    let properties: Map<String, Value> = properties.collect();
    document.insert("type".to_owned(), json!("object"));
    document.insert("description".to_owned(), json!(prose(description.about)));
    document.insert("additionalProperties".to_owned(), json!(false));
    document.insert("properties".to_owned(), properties.into());
    if !required.is_empty() {
        document.insert("required".to_owned(), json!(required));
    }
    document
}

fn property(field: &Field) -> Map<String, Value> {
    let mut document = kind(&field.kind);
    document.insert("description".to_owned(), json!(prose(field.about)));
    if let Need::Default(text) = field.need {
        let default = match Node::literal(text).value {
            Literal::Bool(value) => json!(value),
            // Every number of the description fits.
            Literal::Integer(number) => json!(i64::try_from(number).unwrap_or_default()),
            _ => json!(text),
        };
        document.insert("default".to_owned(), default);
    }
    document
}

fn kind(kind: &Kind) -> Map<String, Value> {
    let document = match kind {
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Choice(words) => {
            let each = words
                .iter()
                .map(|(word, about)| json!({ "const": word, "description": prose(about) }));
            json!({ "oneOf": each.collect::<Vec<_>>() })
        }
        Kind::Count(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::List(item) => json!({ "type": "array", "minItems": 1, "items": self::kind(item) }),
        Kind::Path => json!({ "type": "string", "minLength": 1 }),
        Kind::Secret => json!({
            "type": "string",
            "pattern": r"^(file:.+|\$\{[A-Za-z_][A-Za-z0-9_]*\})$",
            "examples": ["${NAME}", "file:/run/secrets/name"],
        }),
        Kind::Size => json!({
            "type": "string",
            "pattern": r"^((0|[1-9][0-9]*)(B|KiB|MiB|GiB)|.*\$\{.*)$",
            "examples": ["64KiB"],
        }),
        Kind::Span => json!({
            "type": "string",
            "pattern": r"^((0|[1-9][0-9]*)(ns|us|ms|s|min|h|d)|.*\$\{.*)$",
            "examples": ["30s"],
        }),
        Kind::Table(description) => {
            json!({ "$ref": format!("#/$defs/{}", description().title) })
        }
        Kind::Text(_, "") => json!({ "type": "string", "minLength": 1 }),
        Kind::Text(_, example) => {
            json!({ "type": "string", "minLength": 1, "examples": [example] })
        }
    };
    match document {
        Value::Object(document) => document,
        _ => Map::new(),
    }
}

/// Documentation as one paragraph.
pub(crate) fn prose(about: &str) -> String {
    about.split_whitespace().collect::<Vec<_>>().join(" ")
}
