//! The rules that no compiler checks.
//!
//! Each rule is a function from what it judges to the [`Violation`]s it finds; `tests/tidy.rs`
//! runs all of them over the tree. A rule that does not fit any more is changed here, with a
//! reason, and not worked around in a crate.

use std::fmt;

use anyhow::Context as _;

use crate::source::Source;
use crate::workspace::Workspace;

pub mod banned;
pub mod codes;
pub mod crypto;
pub mod dev_dependencies;
pub mod directions;
pub mod entrance_hall;
pub mod manifests;
pub mod pages;
pub mod rooms;
pub mod size;

/// One place where the tree breaks a rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// The file and line, or the package.
    pub place: String,
    /// What is wrong there, and what would be right.
    pub message: String,
}

impl Violation {
    /// `message` holds at `place`.
    #[must_use]
    pub fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// What the rules judge.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The packages.
    pub workspace: Workspace,
    /// The source files.
    pub sources: Vec<Source>,
    /// The list of codes, if there is one.
    pub codes: Option<String>,
    /// The pages of the documentation that a rule is about.
    pub pages: Vec<pages::Page>,
}

impl Tree {
    /// Reads the tree that this tool was built in.
    ///
    /// # Errors
    ///
    /// Something in it cannot be read.
    pub fn read() -> anyhow::Result<Self> {
        let workspace = Workspace::read()?;
        let sources = Source::read_all(&workspace.root)?;
        let list = workspace.root.join(codes::LIST);
        let codes = match list.exists() {
            true => Some(std::fs::read_to_string(&list).context(codes::LIST)?),
            false => None,
        };
        let pages = pages::PAGES
            .into_iter()
            .filter_map(|path| {
                let text = std::fs::read_to_string(workspace.root.join(path)).ok()?;
                let path = path.to_owned();
                Some(pages::Page { path, text })
            })
            .collect();
        Ok(Self {
            workspace,
            sources,
            codes,
            pages,
        })
    }
}

/// A rule finds the places of the tree that break it, or fails to look.
pub type Rule = fn(&Tree) -> anyhow::Result<Vec<Violation>>;

/// All rules by name.
pub const RULES: [(&str, Rule); 12] = [
    ("directions", |tree| Ok(directions::check(&tree.workspace))),
    ("dev-versions", |tree| {
        Ok(dev_dependencies::check_versions(&tree.workspace))
    }),
    ("dev-use", |tree| {
        Ok(dev_dependencies::check_use(&tree.workspace, &tree.sources))
    }),
    ("crypto", |tree| crypto::check(&tree.workspace)),
    ("rooms", |tree| Ok(rooms::check(&tree.sources))),
    ("size", |tree| Ok(size::check(&tree.sources))),
    ("lib.rs", |tree| Ok(entrance_hall::check(&tree.sources))),
    ("codes", |tree| {
        Ok(codes::check(&tree.sources, tree.codes.as_deref()))
    }),
    ("manifests", |tree| Ok(manifests::check(&tree.workspace))),
    ("banned", |tree| {
        let mut violations = banned::check_unfinished(&tree.sources);
        violations.extend(banned::check_allow(&tree.sources));
        Ok(violations)
    }),
    ("clock", |tree| Ok(banned::check_clock(&tree.sources))),
    ("pages", |tree| Ok(pages::check(tree))),
];
