//! The page about the file.

use std::fmt::Write as _;

use crate::config::describe::{Description, Field, Kind, Need, tables};
use crate::config::node::{Node, Value};
use crate::config::options::code_only;
use crate::config::root::Root;
use crate::config::schema::prose;

const HEAD: &str = include_str!("reference.md");

/// The documentation of every option of the configuration file, in Markdown: what it takes, its
/// default, and what it is for.
pub fn reference() -> String {
    let mut page = HEAD.replace("CODE_ONLY\n", &code_only());
    for (path, is_list, description) in tables(Root::description()) {
        write_table(&mut page, &path, is_list, description);
    }
    page
}

fn write_table(page: &mut String, path: &str, is_list: bool, description: &Description) {
    let title = match (path, is_list) {
        ("", _) => "At the top of the file".to_owned(),
        (path, true) => format!("`[[{path}]]`"),
        (path, false) => format!("`[{path}]`"),
    };
    let about = prose(description.about);
    let _ = write!(page, "\n## {title}\n\n{about}\n\n");
    page.push_str("| option | takes | default | what it is |\n|---|---|---|---|\n");
    for field in description.fields {
        let about = prose(field.about).replace('|', "\\|");
        let about = match words(&field.kind) {
            Some(words) => format!("{about}{words}"),
            None => about,
        };
        let (name, takes) = (field.name, field.kind.name());
        let _ = writeln!(
            page,
            "| `{name}` | {takes} | {} | {about} |",
            default(field)
        );
    }
}

/// What each word of a choice means.
fn words(kind: &Kind) -> Option<String> {
    let words = match kind {
        Kind::Choice(words) => words,
        Kind::List(Kind::Choice(words)) => words,
        _ => return None,
    };
    let words = words
        .iter()
        .map(|(word, about)| format!("<br>`{word}`: {}", prose(about)));
    Some(words.collect())
}

fn default(field: &Field) -> String {
    match field.need {
        Need::Default(text) => match Node::literal(text).value {
            Value::Text(text) => format!("`\"{text}\"`"),
            _ => format!("`{text}`"),
        },
        Need::Optional => String::new(),
        Need::Required => "required".to_owned(),
    }
}
