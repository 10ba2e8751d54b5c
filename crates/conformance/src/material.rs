//! A file of vectors, and the shape of its JSON.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

/// A file that is being read, and the folder that it lies in.
#[derive(Debug)]
pub(crate) struct Material {
    root: PathBuf,
    path: String,
}

impl Material {
    pub(crate) fn new(root: &Path, path: &str) -> Self {
        Self {
            root: root.to_owned(),
            path: path.to_owned(),
        }
    }

    /// The path of the file, relative to the folder.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The bytes of the file.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>> {
        self.other(&self.path)
    }

    /// The file as text.
    pub(crate) fn text(&self) -> Result<String> {
        String::from_utf8(self.bytes()?).with_context(|| format!("{} is not UTF-8", self.path))
    }

    /// The file as JSON.
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.bytes()?).with_context(|| format!("{} is not JSON", self.path))
    }

    /// The bytes of another file of the folder.
    pub(crate) fn other(&self, path: &str) -> Result<Vec<u8>> {
        fs::read(self.root.join(path)).with_context(|| format!("cannot read {path}"))
    }

    /// The path of a file beside this one, relative to the folder.
    pub(crate) fn beside(&self, name: &str) -> String {
        match self.path.rsplit_once('/') {
            Some((folder, _)) => format!("{folder}/{name}"),
            None => name.to_owned(),
        }
    }
}

/// Access to members that a file of vectors must have.
pub(crate) trait Members {
    /// The member of this name, whatever it is.
    fn member(&self, name: &str) -> Result<&Value>;

    /// The list of this name.
    fn list(&self, name: &str) -> Result<&[Value]> {
        let list = self.member(name)?.as_array().map(Vec::as_slice);
        list.ok_or_else(|| anyhow!("{name} is not a list"))
    }

    /// The text of this name.
    fn text(&self, name: &str) -> Result<&str> {
        self.member(name)?
            .as_str()
            .ok_or_else(|| anyhow!("{name} is not text"))
    }

    /// The text of this name, or nothing where it is absent or null.
    fn maybe_text(&self, name: &str) -> Option<&str> {
        self.text(name).ok()
    }

    /// The texts in the list of this name; none where it is null.
    fn texts(&self, name: &str) -> Result<Vec<&str>> {
        if self.member(name)?.is_null() {
            return Ok(Vec::new());
        }
        let texts = self
            .list(name)?
            .iter()
            .map(Value::as_str)
            .collect::<Option<_>>();
        texts.ok_or_else(|| anyhow!("{name} has an item that is not text"))
    }

    /// The whole number of this name.
    fn number(&self, name: &str) -> Result<u64> {
        self.member(name)?
            .as_u64()
            .ok_or_else(|| anyhow!("{name} is not a whole number"))
    }
}

impl Members for Value {
    fn member(&self, name: &str) -> Result<&Value> {
        self.get(name)
            .ok_or_else(|| anyhow!("a member {name} is missing"))
    }
}

/// The items of a document that is a list.
pub(crate) fn items(document: &Value) -> Result<&[Value]> {
    document
        .as_array()
        .map(Vec::as_slice)
        .ok_or_else(|| anyhow!("the document is not a list"))
}
