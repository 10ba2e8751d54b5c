//! Reads a document by its description, and keeps account of what it says.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::config::describe::{Description, Need, tables};
use crate::config::node::{At, Member, Node, Value};
use crate::config::problem::{MOST_PROBLEMS, Problem, quoted};
use crate::config::secret::Secret;
use crate::config::setting::Setting;
use crate::config::suggest::nearest;

/// The longest text that references are put into, in bytes.
const LONGEST_TEXT: usize = 64 * 1024;

/// Gives environment variables.
pub(crate) type Environment<'e> = dyn Fn(&str) -> Option<String> + 'e;

/// An option that is in force.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Shown {
    pub(crate) path: String,
    pub(crate) value: String,
    /// The line that says so; none for a default.
    pub(crate) line: Option<usize>,
}

/// What is read, and what is found on the way.
pub(crate) struct Reader<'e> {
    environment: &'e Environment<'e>,
    folder: PathBuf,
    root: fn() -> &'static Description,
    path: Vec<String>,
    problems: Vec<Problem>,
    shown: Vec<Shown>,
    secrets: Vec<PathBuf>,
    fileless: bool,
}

/// One table of the document while it is read.
pub(crate) struct Table<'n> {
    at: At,
    members: &'n [Member],
}

impl<'e> Reader<'e> {
    pub(crate) fn new(
        environment: &'e Environment<'e>,
        folder: &Path,
        root: fn() -> &'static Description,
    ) -> Self {
        Self {
            environment,
            folder: folder.to_owned(),
            root,
            path: Vec::new(),
            problems: Vec::new(),
            shown: Vec::new(),
            secrets: Vec::new(),
            fileless: false,
        }
    }

    /// Whether no file is read.
    pub(crate) fn set_fileless(&mut self, fileless: bool) {
        self.fileless = fileless;
    }

    /// What is wrong, what is in force, and the files that secrets were read from.
    pub(crate) fn finish(self) -> (Vec<Problem>, Vec<Shown>, Vec<PathBuf>) {
        (self.problems, self.shown, self.secrets)
    }

    /// Notes what is wrong with the option that is being read.
    pub(crate) fn problem<T>(&mut self, at: At, message: impl Into<String>) -> Option<T> {
        if self.problems.len() < MOST_PROBLEMS {
            let problem = Problem::new(at, self.path(), message);
            self.problems.push(problem);
        }
        None
    }

    /// Says that another kind of value was expected.
    pub(crate) fn expected<T>(&mut self, node: &Node, what: &str) -> Option<T> {
        let message = format!("expected {what}, found {}", node.kind());
        self.problem(node.at, message)
    }

    /// The path of the option that is being read.
    pub(crate) fn path(&self) -> String {
        let mut path = String::new();
        for part in &self.path {
            if !path.is_empty() && !part.starts_with('[') {
                path.push('.');
            }
            path.push_str(part);
        }
        path
    }

    /// Reads something that belongs to the option that is being read.
    pub(crate) fn within<T>(&mut self, part: String, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(part);
        let result = read(self);
        self.path.pop();
        result
    }

    /// Notes the value that is in force.
    pub(crate) fn show(&mut self, at: At, value: String) {
        let path = self.path();
        let line = (at.line > 0).then_some(at.line);
        self.shown.push(Shown { path, value, line });
    }

    /// Begins to read a table: what stands in it and nobody knows is refused.
    pub(crate) fn table<'n>(
        &mut self,
        node: &'n Node,
        description: &'static Description,
    ) -> Option<Table<'n>> {
        let Value::Table(members) = &node.value else {
            return self.expected(node, "a table");
        };
        for member in members {
            if description.field(&member.name).is_none() {
                let message = self.unknown(&member.name, description);
                self.within(member.name.clone(), |reader| {
                    reader.problem::<()>(member.at, message)
                });
            }
        }
        Some(Table {
            at: node.at,
            members,
        })
    }

    fn unknown(&self, name: &str, description: &'static Description) -> String {
        let names = || description.fields.iter().map(|field| field.name);
        if let Some(near) = nearest(name, names()) {
            return format!("unknown option, did you mean `{near}`?");
        }
        let elsewhere = tables((self.root)()).into_iter();
        let mut elsewhere = elsewhere.filter(|(_, _, table)| table.field(name).is_some());
        match elsewhere.next() {
            Some((path, is_list, _)) if !path.is_empty() => {
                let (open, close) = if is_list { ("[[", "]]") } else { ("[", "]") };
                format!("unknown option here, it belongs into {open}{path}{close}")
            }
            Some(_) => "unknown option here, it belongs to the top of the file".to_owned(),
            None => {
                let names: Vec<_> = names().collect();
                format!("unknown option, there are {}", names.join(", "))
            }
        }
    }

    /// A text with `${NAME}` replaced by the environment variable of that name.
    pub(crate) fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        let Value::Text(text) = &node.value else {
            return self.expected(node, what);
        };
        if !text.contains('$') {
            return Some(text.clone());
        }
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                out.push('$');
                rest = after;
                continue;
            }
            let name = after.strip_prefix('{').and_then(|it| it.split_once('}'));
            let Some((name, after)) = name else {
                return self.problem(node.at, "`$` begins `${NAME}`; write `$$` for one");
            };
            out.push_str(&self.variable(node.at, name)?);
            rest = after;
        }
        out.push_str(rest);
        if out.len() > LONGEST_TEXT {
            return self.problem(node.at, "too long with its environment variables");
        }
        Some(out)
    }

    fn variable(&mut self, at: At, name: &str) -> Option<Zeroizing<String>> {
        let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
        let is_name = name.bytes().next().is_some_and(first)
            && name
                .bytes()
                .all(|byte| first(byte) || byte.is_ascii_digit());
        if !is_name {
            let message = format!(
                "{} is no name of an environment variable; there are no defaults for them",
                quoted(name)
            );
            return self.problem(at, message);
        }
        match (self.environment)(name).map(Zeroizing::new) {
            Some(value) if value.is_empty() => {
                self.problem(at, format!("environment variable {name} is empty"))
            }
            Some(value) => Some(value),
            None => self.problem(at, format!("environment variable {name} is not set")),
        }
    }

    /// A secret: `${NAME}` or `file:PATH`, and nothing that stands in the file itself.
    pub(crate) fn secret(&mut self, node: &Node) -> Option<Secret> {
        let Value::Text(text) = &node.value else {
            return self.expected(node, "a reference to a secret");
        };
        if let Some(path) = text.strip_prefix("file:") {
            if path.is_empty() {
                return self.problem(node.at, "file: names no file");
            }
            let path = self.folder.join(path);
            if self.fileless {
                return self.problem(node.at, format!("{} is not read", path.display()));
            }
            return match Secret::read(&path) {
                Ok(secret) => {
                    self.secrets.push(path);
                    Some(secret)
                }
                Err(message) => self.problem(node.at, message),
            };
        }
        let name = text.strip_prefix("${").and_then(|it| it.strip_suffix('}'));
        let Some(name) = name else {
            let message = "a secret is not written here: name it by ${NAME} or file:PATH";
            return self.problem(node.at, message);
        };
        let value = self.variable(node.at, name)?;
        let bytes = Zeroizing::new(value.as_bytes().to_vec());
        Some(Secret::new(bytes, text.clone()))
    }

    /// The name of a file, beside the configuration file unless it is absolute.
    pub(crate) fn file(&mut self, node: &Node) -> Option<PathBuf> {
        let text = self.text(node, "the name of a file")?;
        if text.is_empty() {
            return self.problem(node.at, "names no file");
        }
        Some(self.folder.join(text))
    }
}

impl Table<'_> {
    pub(crate) fn at(&self) -> At {
        self.at
    }

    /// Reads one option; `None` if something was wrong with it, which is noted.
    pub(crate) fn field<T: Setting>(
        &self,
        reader: &mut Reader<'_>,
        name: &'static str,
        need: Need,
    ) -> Option<T> {
        let member = self.members.iter().find(|member| member.name == name);
        reader.within(name.to_owned(), |reader| match (member, need) {
            (Some(member), _) => T::read(&member.node, reader),
            (None, Need::Default(text)) => T::read(&Node::literal(text), reader),
            (None, Need::Optional) => T::absent(reader),
            (None, Need::Required) => {
                reader.problem(self.at, "is missing, and there is no default for it")
            }
        })
    }
}
