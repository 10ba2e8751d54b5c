//! A copy of what is published, which is given the oldest versions that its manifests promise.

use std::path::Path;

use anyhow::Context as _;

use crate::command::Command;
use crate::workspace::Workspace;

/// Where the copy is, below the root.
pub(super) const FOLDER: &str = "target/deep/minimal";

/// Copies the published packages, as far as git knows their files or would know them: the lock
/// file of the workspace is left alone, and what benches and examples ask for counts for nothing.
pub(super) fn copy_workspace(root: &Path) -> anyhow::Result<()> {
    let copy = root.join(FOLDER);
    if copy.exists() {
        std::fs::remove_dir_all(&copy).context("the last copy")?;
    }
    let workspace = Workspace::read()?;
    let published: Vec<&Path> = workspace
        .published()
        .map(|it| it.folder.as_path())
        .collect();
    let list = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let files = Command::new("git").args(list).output(root)?;
    for file in files.split('\0').filter(|file| !file.is_empty()) {
        let (from, to) = (root.join(file), root.join(FOLDER).join(file));
        let is_wanted = published
            .iter()
            .any(|folder| Path::new(file).starts_with(folder));
        // A deleted file is known to git until the deletion is committed.
        if !is_wanted || !from.is_file() {
            continue;
        }
        let folder = to.parent().context("a file is in a folder")?;
        std::fs::create_dir_all(folder)?;
        std::fs::copy(&from, &to).with_context(|| format!("copy {file}"))?;
    }
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).context("the manifest")?;
    std::fs::write(copy.join("Cargo.toml"), of_published(&manifest)).context("the manifest")
}

/// The manifest of the workspace, with no members but those in `crates`.
fn of_published(manifest: &str) -> String {
    let lines = manifest.lines().map(|line| match line {
        line if line.starts_with("members = ") => "members = [\"crates/*\"]",
        line => line,
    });
    lines.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_has_no_members_that_it_lacks() {
        let manifest = "[workspace]\nmembers = [\"crates/*\", \"benches\"]\nexclude = [\"fuzz\"]\n";
        let expected = "[workspace]\nmembers = [\"crates/*\"]\nexclude = [\"fuzz\"]\n";
        assert_eq!(of_published(manifest), expected);
    }
}
