//! The packages as a registry would hand them out, beside nothing else of this repository.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::command::Command;
use crate::workspace::{Member, Workspace};

/// Where cargo packs, and builds what it packed.
const PACKAGES: &str = "target/deep/package";

/// The folder into which cargo unpacks, relative to the root.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(PACKAGES).join("package")
}

/// Packs what is published. Packages that are not may name each other, but no registry will have
/// them.
#[must_use]
pub fn pack(workspace: &Workspace) -> Command {
    let pack = Command::cargo(["package", "--workspace", "--target-dir", PACKAGES]);
    let others = workspace.members.iter().filter(|it| !it.published);
    others.fold(pack, |it, member| it.args(["--exclude", &member.name]))
}

/// Makes one workspace of the unpacked packages that are published, in which they find each other
/// instead of asking a registry.
///
/// # Errors
///
/// A package was not unpacked, or something cannot be written.
pub fn make_workspace(root: &Path) -> anyhow::Result<()> {
    let workspace = Workspace::read()?;
    let published: Vec<&Member> = workspace.published().collect();
    let folder = root.join(folder());
    for member in &published {
        let unpacked = folder.join(directory(member)).join("Cargo.toml");
        anyhow::ensure!(
            unpacked.is_file(),
            "{} is absent; the step `package` makes it",
            unpacked.display()
        );
    }
    fs::write(folder.join("Cargo.toml"), manifest(&published)).context("the manifest")?;
    // The same versions of everything else as here.
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).context("the lock file")?;
    Ok(())
}

fn directory(member: &Member) -> String {
    format!("{}-{}", member.name, member.version)
}

fn manifest(members: &[&Member]) -> String {
    let mut text = "[workspace]\nresolver = \"3\"\nmembers = [\n".to_owned();
    // Writing to a string cannot fail.
    for member in members {
        let _ = writeln!(text, "  {:?},", directory(member));
    }
    text.push_str("]\n\n[profile.dev]\ndebug = false\n\n[patch.crates-io]\n");
    for member in members.iter().filter(|it| it.has_library) {
        let _ = writeln!(
            text,
            "{} = {{ path = {:?} }}",
            member.name,
            directory(member)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_published_is_not_packed() {
        let member = |name: &str, published| Member {
            name: name.to_owned(),
            published,
            ..Member::default()
        };
        let workspace = Workspace {
            members: vec![member("a", true), member("xtask", false)],
            ..Workspace::default()
        };
        assert_eq!(
            pack(&workspace).to_string(),
            "cargo package --workspace --target-dir target/deep/package --exclude xtask"
        );
    }

    #[test]
    fn packages_find_each_other() {
        let member = |name: &str, has_library| Member {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            has_library,
            ..Member::default()
        };
        let manifest = manifest(&[&member("a", true), &member("b", false)]);
        assert!(
            manifest.contains("\n  \"a-0.1.0\",\n  \"b-0.1.0\",\n]"),
            "{manifest}"
        );
        assert!(
            manifest.ends_with("[patch.crates-io]\na = { path = \"a-0.1.0\" }\n"),
            "{manifest}"
        );
    }
}
