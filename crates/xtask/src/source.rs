//! The Rust source files of the repository.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::mask::{Masked, line_of};

/// The folders that hold source.
const FOLDERS: [&str; 4] = ["crates", "examples", "benches", "fuzz"];

/// One Rust source file.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it is, relative to the root, with `/` between the parts.
    pub path: String,
    /// What it says.
    pub text: String,
    /// What it says, without what does not count.
    pub masked: Masked,
}

impl Source {
    /// The file at `path` that says `text`.
    #[must_use]
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            path: path.into(),
            masked: Masked::new(&text),
            text,
        }
    }

    /// All files below `root`, in the order of their paths.
    ///
    /// # Errors
    ///
    /// A file or folder cannot be read.
    pub fn read_all(root: &Path) -> anyhow::Result<Vec<Self>> {
        let mut paths = Vec::new();
        for folder in FOLDERS {
            collect(&root.join(folder), &mut paths)?;
        }
        paths.sort();
        paths
            .iter()
            .map(|path| {
                let text =
                    fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
                let relative = path.strip_prefix(root).unwrap_or(path);
                let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
                Ok(Self::new(parts.join("/"), text))
            })
            .collect()
    }

    /// `path:line` of an offset.
    #[must_use]
    pub fn place(&self, offset: usize) -> String {
        format!("{}:{}", self.path, line_of(&self.text, offset))
    }

    /// The crate under `crates/` whose `src` this file is in, and its path in there.
    #[must_use]
    pub fn room(&self) -> Option<(&str, &str)> {
        let (name, path) = self.path.strip_prefix("crates/")?.split_once('/')?;
        Some((name, path.strip_prefix("src/")?))
    }

    /// Whether it holds tests and nothing else, by its place.
    #[must_use]
    pub fn is_test(&self) -> bool {
        let mut parts = self.path.split('/').rev();
        parts.next() == Some("tests.rs") || parts.any(|part| part == "tests")
    }

    /// Whether a tool wrote it, by its place.
    #[must_use]
    pub fn is_generated(&self) -> bool {
        self.path.split('/').any(|part| part == "generated")
    }
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            // A build's own files, such as those of fuzz/target, are no source.
            if path.file_name().is_some_and(|name| name != "target") {
                collect(&path, paths)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_and_tests_are_told_by_their_path() {
        let check = |path: &str, room: Option<(&str, &str)>, test: bool| {
            let source = Source::new(path, "");
            assert_eq!(source.room(), room, "{path}");
            assert_eq!(source.is_test(), test, "{path}");
        };
        check("crates/a/src/b/c.rs", Some(("a", "b/c.rs")), false);
        check("crates/a/src/b/tests.rs", Some(("a", "b/tests.rs")), true);
        check("crates/a/src/tests/c.rs", Some(("a", "tests/c.rs")), true);
        check("crates/a/tests/it/main.rs", None, true);
        check("examples/demo/src/main.rs", None, false);
    }
}
