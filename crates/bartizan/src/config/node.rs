//! A document, whatever language it was written in: values, and where each of them stands.

use std::fmt;

/// The deepest that values may stand inside of one another. The description is six deep.
pub(crate) const DEEPEST: usize = 32;

/// Where something stands: line and column, both counted from one; zero for what was not written,
/// and for columns of a language whose reader does not tell them.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct At {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// A value, and where it begins.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: At,
    pub(crate) value: Value,
}

/// What a document is made of.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Bool(bool),
    Integer(i128),
    List(Vec<Node>),
    /// What no option takes: its kind, for the message.
    Other(&'static str),
    Table(Vec<Member>),
    Text(String),
}

/// A named value.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) at: At,
    pub(crate) node: Node,
}

impl Node {
    /// A default as the description has it: as it would be written, but without quotes.
    pub(crate) fn literal(text: &str) -> Self {
        let value = match text {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => match text.parse() {
                Ok(number) => Value::Integer(number),
                Err(_) => Value::Text(text.to_owned()),
            },
        };
        Self {
            at: At::default(),
            value,
        }
    }

    /// A text as it was written, with the names of environment variables in place of what they
    /// hold: what messages quote.
    pub(crate) fn written(&self) -> &str {
        match &self.value {
            Value::Text(text) => text,
            _ => "",
        }
    }

    /// Whether nothing is put into it.
    pub(crate) fn is_plain(&self) -> bool {
        !self.written().contains('$')
    }

    /// What kind of value it is, with its article.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Bool(_) => "a boolean",
            Value::Integer(_) => "a number",
            Value::List(_) => "a list",
            Value::Other(kind) => kind,
            Value::Table(_) => "a table",
            Value::Text(_) => "a text",
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.column {
            0 => write!(f, "line {}", self.line),
            column => write!(f, "line {}, column {column}", self.line),
        }
    }
}

/// Finds lines and columns of a text.
#[derive(Debug)]
pub(crate) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(crate) fn of(text: &'t str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1));
        Self {
            text,
            starts: starts.collect(),
        }
    }

    /// Where the byte at this offset stands; columns are counted in characters.
    pub(crate) fn at(&self, offset: usize) -> At {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|at| self.starts.get(at));
        let start = start.copied().unwrap_or_default();
        let before = self.text.get(start..offset).unwrap_or_default();
        At {
            line,
            column: before.chars().count() + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_are_counted_from_one_in_characters() {
        let lines = Lines::of("ab\nä = 1\n");
        for (offset, expected) in [
            (0, (1, 1)),
            (1, (1, 2)),
            (2, (1, 3)),
            (3, (2, 1)),
            (5, (2, 2)),
            (9, (2, 6)),
            (10, (3, 1)),
        ] {
            let at = lines.at(offset);
            assert_eq!((at.line, at.column), expected, "{offset}");
        }
    }

    #[test]
    fn defaults_are_read_as_they_are_written() {
        assert_eq!(Node::literal("true").kind(), "a boolean");
        assert_eq!(Node::literal("16384").kind(), "a number");
        assert_eq!(Node::literal("30s").kind(), "a text");
    }
}
