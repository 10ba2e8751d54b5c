//! What the manifest of a published package says, and from where.

use super::Violation;
use crate::workspace::{Member, Workspace};

/// Finds published packages with a manifest that packaging or a reader would stumble over.
#[must_use]
pub fn check(workspace: &Workspace) -> Vec<Violation> {
    workspace.published().flat_map(check_member).collect()
}

fn check_member(member: &Member) -> Vec<Violation> {
    let place = format!("{}/Cargo.toml", member.folder.display());
    let mut violations: Vec<Violation> = member
        .absent_fields
        .iter()
        .map(|field| Violation::new(&place, format!("{field} is missing")))
        .collect();
    let mut lints = false;
    for (number, section, line) in lines(&member.manifest) {
        lints |= line == "lints.workspace=true" && section.is_empty();
        lints |= line == "workspace=true" && section == "lints";
        if ships(section) && names_a_path_to_the_family(section, &line) {
            violations.push(Violation::new(
                format!("{place}:{number}"),
                "a family crate is named by its path; say `workspace = true`",
            ));
        }
    }
    if !lints {
        violations.push(Violation::new(&place, "lints.workspace = true is missing"));
    }
    violations
}

/// The lines of a manifest with their numbers and sections, without blanks and comments.
fn lines(manifest: &str) -> impl Iterator<Item = (usize, &str, String)> {
    let mut section = "";
    manifest
        .lines()
        .enumerate()
        .filter_map(move |(index, line)| {
            let line = line.split('#').next().unwrap_or_default().trim();
            if let Some(header) = line.strip_prefix('[') {
                section = header.trim_end_matches(']');
                return None;
            }
            let line: String = line.chars().filter(|c| !c.is_whitespace()).collect();
            (!line.is_empty()).then_some((index + 1, section, line))
        })
}

/// Whether a section lists dependencies that users get.
fn ships(section: &str) -> bool {
    section.contains("dependencies") && !section.contains("dev-dependencies")
}

fn names_a_path_to_the_family(section: &str, line: &str) -> bool {
    let path = line.contains("path=\"");
    let family = line.starts_with("bartizan") || section.contains("dependencies.bartizan");
    path && family
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(manifest: &str, absent: &[&'static str], expected: &[&str]) {
        let workspace = Workspace {
            members: vec![Member {
                name: "bartizan-a".to_owned(),
                folder: "crates/bartizan-a".into(),
                published: true,
                manifest: manifest.to_owned(),
                absent_fields: absent.to_vec(),
                ..Member::default()
            }],
            ..Workspace::default()
        };
        let found: Vec<String> = check(&workspace)
            .into_iter()
            .map(|violation| violation.to_string())
            .collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found} says {expected}");
        }
    }

    const LINTS: &str = "[lints]\nworkspace = true\n";

    #[test]
    fn a_good_manifest_passes() {
        check_text(
            &format!(
                "{LINTS}[dependencies]\nbartizan-core.workspace = true\n\
                 [dev-dependencies]\nbartizan-testkit = {{ path = \"../bartizan-testkit\" }}\n"
            ),
            &[],
            &[],
        );
        check_text(
            "lints.workspace = true\n[package]\nname = \"a\"\n",
            &[],
            &[],
        );
    }

    #[test]
    fn missing_fields_and_lints_are_found() {
        check_text(
            LINTS,
            &["description", "readme"],
            &["description", "readme"],
        );
        check_text("[package]\nname = \"a\"\n", &[], &["lints.workspace"]);
        check_text(
            "[lints.rust]\nworkspace = true\n",
            &[],
            &["lints.workspace"],
        );
        check_text("[lints]\n# workspace = true\n", &[], &["lints.workspace"]);
    }

    #[test]
    fn a_path_to_the_family_is_found() {
        for section in [
            "dependencies",
            "build-dependencies",
            "target.'cfg(unix)'.dependencies",
        ] {
            check_text(
                &format!("{LINTS}[{section}]\nbartizan-core = {{ path = \"../bartizan-core\" }}\n"),
                &[],
                &["Cargo.toml:4"],
            );
        }
        check_text(
            &format!("{LINTS}[dependencies.bartizan-core]\npath = \"../bartizan-core\"\n"),
            &[],
            &["Cargo.toml:4"],
        );
    }
}
