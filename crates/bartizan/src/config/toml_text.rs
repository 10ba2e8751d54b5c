//! Documents in TOML.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::node::{At, DEEPEST, Lines, Member, Node, Value};
use crate::config::problem::{ConfigError, Problem};

/// Reads a document; what is wrong with it is told with its place.
pub(crate) fn read(text: &str) -> Result<Node, ConfigError> {
    let lines = Lines::of(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let problems = errors.iter().map(|error| {
            let at = error.span().map(|span| lines.at(span.start));
            // What a parser has to say takes one line here.
            let message = error.message().replace('\n', ", ");
            Problem::new(at.unwrap_or_default(), "", message)
        });
        return Err(ConfigError::new(problems.take(8).collect()));
    }
    let span = document.span();
    Reading { lines }.table(document.get_ref(), &span, 0)
}

struct Reading<'t> {
    lines: Lines<'t>,
}

impl Reading<'_> {
    fn at(&self, span: &Range<usize>) -> At {
        self.lines.at(span.start)
    }

    fn table(
        &self,
        table: &DeTable<'_>,
        span: &Range<usize>,
        depth: usize,
    ) -> Result<Node, ConfigError> {
        let members = table.iter().map(|(name, value)| {
            Ok(Member {
                name: name.get_ref().to_string(),
                at: self.at(&name.span()),
                node: self.node(value, depth + 1)?,
            })
        });
        Ok(Node {
            at: self.at(span),
            value: Value::Table(members.collect::<Result<_, ConfigError>>()?),
        })
    }

    fn node(&self, value: &Spanned<DeValue<'_>>, depth: usize) -> Result<Node, ConfigError> {
        let at = self.at(&value.span());
        if depth > DEEPEST {
            return Err(ConfigError::one(Problem::new(at, "", "nested too deeply")));
        }
        let value = match value.get_ref() {
            DeValue::Array(items) => {
                let items = items.iter().map(|item| self.node(item, depth + 1));
                Value::List(items.collect::<Result<_, _>>()?)
            }
            DeValue::Boolean(value) => Value::Bool(*value),
            DeValue::Datetime(moment) => Value::Text(moment.to_string()),
            DeValue::Float(_) => Value::Other("a number with a point"),
            DeValue::Integer(number) => {
                match i128::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => Value::Integer(number),
                    Err(_) => Value::Other("a number that is too large"),
                }
            }
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Table(table) => return self.table(table, &value.span(), depth),
        };
        Ok(Node { at, value })
    }
}
