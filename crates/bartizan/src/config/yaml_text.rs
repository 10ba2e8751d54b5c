//! Documents in YAML.

use bartizan_source::yaml::{self, Value as Yaml};

use crate::config::node::{At, DEEPEST, Member, Node, Value};
use crate::config::problem::{ConfigError, Problem};

/// Reads the one document of a text.
pub(crate) fn read(text: &str) -> Result<Node, ConfigError> {
    let documents = yaml::parse(text)
        .map_err(|error| ConfigError::one(Problem::new(at(error.line), "", error.problem)))?;
    let mut documents = documents.into_iter();
    let first = documents.next();
    if let Some(second) = documents.next() {
        let message = "a second document";
        return Err(ConfigError::one(Problem::new(at(second.line), "", message)));
    }
    match first {
        // Nothing but comments is an empty configuration, as in TOML.
        None => Ok(empty()),
        Some(node) if node.value == Yaml::Null => Ok(empty()),
        Some(node) => convert(node, 0),
    }
}

fn at(line: usize) -> At {
    At { line, column: 0 }
}

fn empty() -> Node {
    Node {
        at: at(1),
        value: Value::Table(Vec::new()),
    }
}

fn convert(node: yaml::Node, depth: usize) -> Result<Node, ConfigError> {
    let at = at(node.line);
    if depth > DEEPEST {
        return Err(ConfigError::one(Problem::new(at, "", "nested too deeply")));
    }
    let value = match node.value {
        Yaml::Null => Value::Other("nothing"),
        Yaml::Boolean(value) => Value::Bool(value),
        Yaml::Integer(number) => Value::Integer(number.into()),
        Yaml::Float(_) => Value::Other("a number with a point"),
        Yaml::Text(text) => Value::Text(text),
        Yaml::List(items) => {
            let items = items.into_iter().map(|item| convert(item, depth + 1));
            Value::List(items.collect::<Result<_, _>>()?)
        }
        Yaml::Map(members) => {
            let members = members.into_iter().map(|member| {
                Ok(Member {
                    name: member.name,
                    at: self::at(member.line),
                    node: convert(member.node, depth + 1)?,
                })
            });
            Value::Table(members.collect::<Result<_, ConfigError>>()?)
        }
    };
    Ok(Node { at, value })
}
