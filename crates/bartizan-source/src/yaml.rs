//! YAML, read into trees in which every value knows its line.
//!
//! For documents that people write for machines: policies and configuration. What readers of YAML
//! disagree about is refused, rather than read one way: aliases and merge keys, tags, keys that
//! come twice, keys that are no texts, the words `yes`, `no`, `on`, `off` without quotes, and
//! numbers with leading zeros.

#[cfg(test)]
mod tests;

use std::fmt;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};

/// Larger texts are refused.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Values are nested at most this deep.
const MAX_DEPTH: usize = 64;

/// A value, and where it stands.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Node {
    /// The line it begins on, counted from 1.
    pub line: usize,
    /// What it is.
    pub value: Value,
}

/// A value of the core schema ([YAML 1.2.2 §10.3](https://yaml.org/spec/1.2.2/#103-core-schema)).
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, `~`, or nothing at all.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// A text, quoted or not.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Members in the order in which they are written, none of them twice.
    Map(Vec<Member>),
}

/// A member of a map.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Member {
    /// Its name.
    pub name: String,
    /// The line of its name.
    pub line: usize,
    /// Its value.
    pub node: Node,
}

impl Node {
    /// The member of this name, if this is a map and has one.
    pub fn member(&self, name: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(members) => members.iter().find(|it| it.name == name).map(|it| &it.node),
            _ => None,
        }
    }
}

impl Value {
    /// What kind of value it is, for messages: `a list`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// Why a text is no YAML that everybody reads alike.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct YamlError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: String,
}

impl YamlError {
    fn new(line: usize, problem: impl Into<String>) -> Self {
        Self {
            line,
            problem: problem.into(),
        }
    }

    /// No conversion, which would show the scanner's error to users.
    fn scanned(error: &ScanError) -> Self {
        Self::new(error.marker().line(), error.info())
    }
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl std::error::Error for YamlError {}

/// Reads all documents of a text of at most 4 MiB, nested at most 64 deep.
///
/// ```
/// use bartizan_source::yaml::{Value, parse};
///
/// let documents = parse("name: orders\nports: [80]\n")?;
/// let ports = documents[0].member("ports").expect("it is there");
/// assert_eq!(ports.line, 2);
/// assert!(matches!(&ports.value, Value::List(list) if list[0].value == Value::Integer(80)));
///
/// let twice = parse("name: orders\nname: payments\n").expect_err("which one?");
/// assert_eq!(twice.to_string(), "line 2: `name` is there already");
/// # Ok::<(), bartizan_source::yaml::YamlError>(())
/// ```
///
/// # Errors
///
/// [`YamlError`] says what is wrong, and on which line.
pub fn parse(text: &str) -> Result<Vec<Node>, YamlError> {
    if text.len() > MAX_BYTES {
        let problem = format!("{} bytes are more than {MAX_BYTES}", text.len());
        return Err(YamlError::new(1, problem));
    }
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| YamlError::scanned(&error))?;
        reader.take(event, span.start.line())?;
    }
    Ok(reader.documents)
}

/// What was begun and not ended yet, from the outside in.
#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    documents: Vec<Node>,
}

enum Open {
    List(usize, Vec<Node>),
    /// The name of the next member, once it was read.
    Map(usize, Vec<Member>, Option<(String, usize)>),
}

impl Reader {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), YamlError> {
        match event {
            Event::Alias(_) => return Err(YamlError::new(line, "aliases are not taken")),
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(anchor, _)
            | Event::MappingStart(anchor, _)
                if anchor != 0 =>
            {
                return Err(YamlError::new(line, "anchors are not taken"));
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => {
                return Err(YamlError::new(line, "tags are not taken"));
            }
            Event::Scalar(text, style, ..) => return self.scalar(&text, style, line),
            Event::SequenceStart(..) => self.begin(Open::List(line, Vec::new()), line)?,
            Event::MappingStart(..) => self.begin(Open::Map(line, Vec::new(), None), line)?,
            Event::SequenceEnd | Event::MappingEnd => {
                let node = match self.open.pop() {
                    Some(Open::List(line, list)) => Node {
                        line,
                        value: Value::List(list),
                    },
                    Some(Open::Map(line, members, _)) => Node {
                        line,
                        value: Value::Map(members),
                    },
                    None => return Ok(()),
                };
                self.put(node);
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, open: Open, line: usize) -> Result<(), YamlError> {
        if let Some(Open::Map(_, _, None)) = self.open.last() {
            return Err(YamlError::new(line, "a name is a text"));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(YamlError::new(
                line,
                format!("nested deeper than {MAX_DEPTH}"),
            ));
        }
        self.open.push(open);
        Ok(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, line: usize) -> Result<(), YamlError> {
        if let Some(Open::Map(_, members, name @ None)) = self.open.last_mut() {
            if text == "<<" {
                return Err(YamlError::new(line, "merge keys are not taken"));
            }
            if members.iter().any(|member| member.name == text) {
                return Err(YamlError::new(line, format!("`{text}` is there already")));
            }
            *name = Some((text.to_owned(), line));
            return Ok(());
        }
        let value = match style {
            ScalarStyle::Plain => plain(text).map_err(|problem| YamlError::new(line, problem))?,
            _ => Value::Text(text.to_owned()),
        };
        self.put(Node { line, value });
        Ok(())
    }

    fn put(&mut self, node: Node) {
        match self.open.last_mut() {
            None => self.documents.push(node),
            Some(Open::List(_, list)) => list.push(node),
            Some(Open::Map(_, members, name)) => {
                if let Some((name, line)) = name.take() {
                    members.push(Member { name, line, node });
                }
            }
        }
    }
}

/// What a scalar without quotes stands for.
fn plain(text: &str) -> Result<Value, String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Boolean(true),
        "false" | "False" | "FALSE" => Value::Boolean(false),
        _ if is_disputed(text) => {
            return Err(format!(
                "`{text}` is a text to some and a boolean to others: quote it"
            ));
        }
        _ if digits.len() > 1
            && digits.starts_with('0')
            && digits
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') =>
        {
            return Err(format!(
                "`{text}` is one number to some and another to others: quote it"
            ));
        }
        _ if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            let number = text.parse();
            Value::Integer(number.map_err(|_| format!("`{text}` is too large a number"))?)
        }
        _ if is_float(digits) => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Value::Float(number),
            _ => return Err(format!("`{text}` is too large a number")),
        },
        _ => Value::Text(text.to_owned()),
    })
}

/// YAML 1.1 has more words for true and false than YAML 1.2.
fn is_disputed(text: &str) -> bool {
    ["y", "n", "yes", "no", "on", "off"]
        .iter()
        .any(|word| word.eq_ignore_ascii_case(text))
}

/// Whether a text without its sign is a number with a point or an exponent.
fn is_float(digits: &str) -> bool {
    let mantissa = digits.split(['e', 'E']).next().unwrap_or_default();
    let is_number = mantissa.bytes().any(|byte| byte.is_ascii_digit())
        && mantissa
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_number && digits.parse::<f64>().is_ok()
}
