//! What is wrong with a file, and where.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::config::node::At;

/// More problems than these are not told: whoever mends them sees the next.
pub(crate) const MOST_PROBLEMS: usize = 64;

/// The longest that a text of the file is quoted, in characters.
const LONGEST_QUOTE: usize = 64;

/// One thing that is wrong with a configuration file.
///
/// It never quotes a secret, nor what stands where one belongs. Values are quoted as they are
/// written, with the names of environment variables and not with what they hold; what a layer says
/// of a value that it refuses can quote it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    at: At,
    path: String,
    message: String,
    feature: Option<&'static str>,
}

impl Problem {
    pub(crate) fn new(at: At, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            at,
            path: path.into(),
            message: message.into(),
            feature: None,
        }
    }

    /// An option that this program was built without: by this feature of the crate `bartizan`.
    #[allow(dead_code, reason = "some builds have everything")]
    pub(crate) fn lacking(at: At, path: impl Into<String>, feature: &'static str) -> Self {
        let message = format!("this program was built without the feature `{feature}`");
        Self {
            feature: Some(feature),
            ..Self::new(at, path, message)
        }
    }

    /// The line, counted from one; `None` of what is wrong with the file as a whole.
    pub fn line(&self) -> Option<usize> {
        (self.at.line > 0).then_some(self.at.line)
    }

    /// The column, counted from one in characters; `None` of what is wrong with the file as a
    /// whole, and in YAML.
    pub fn column(&self) -> Option<usize> {
        (self.at.column > 0).then_some(self.at.column)
    }

    /// The option that it is about, such as `tokens.issuer[0].leeway`; empty if it is about none.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong, in words.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The feature of the crate `bartizan` that the program would have to be built with, if that is
    /// what is wrong.
    pub fn missing_feature(&self) -> Option<&'static str> {
        self.feature
    }

    pub(crate) fn at(&self) -> At {
        self.at
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at.line > 0 {
            write!(f, "{}: ", self.at)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Why a file is no configuration: everything that is wrong with it, in the order of its lines.
#[derive(Clone, Debug)]
pub struct ConfigError {
    file: Option<Arc<str>>,
    problems: Vec<Problem>,
}

impl ConfigError {
    pub(crate) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(Problem::at);
        problems.dedup();
        Self {
            file: None,
            problems,
        }
    }

    pub(crate) fn one(problem: Problem) -> Self {
        Self::new(vec![problem])
    }

    pub(crate) fn whole(message: impl Into<String>) -> Self {
        Self::one(Problem::new(At::default(), "", message))
    }

    #[must_use]
    pub(crate) fn in_file(mut self, file: &str) -> Self {
        self.file = Some(file.into());
        self
    }

    /// The same, of a configuration that was read from this file, if it was from one.
    #[must_use]
    pub(crate) fn of_file(self, file: Option<&Path>) -> Self {
        match file {
            Some(file) => self.in_file(&file.display().to_string()),
            None => self,
        }
    }

    /// What is wrong; never empty, and at most 64 of them.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    /// One line for each problem.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            if let Some(file) = &self.file {
                write!(f, "{file}: ")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// A text of the file as messages quote it.
pub(crate) fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(LONGEST_QUOTE).collect();
    let more = if shown.len() < text.len() { "..." } else { "" };
    format!("{:?}", shown + more)
}

/// An error and its causes, on one line.
pub(crate) fn whole_message(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.ends_with(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        cause = error.source();
    }
    message.replace('\n', "; ")
}
