//! What the manifest of a published package says, and from where.

use super::Violation;
use crate::workspace::{Kind, Member, Workspace};

/// The shelves of crates.io that the family stands on. It has more, and refuses none that it does
/// not know: a package with a misspelt one just stands nowhere.
const CATEGORIES: [&str; 9] = [
    "asynchronous",
    "authentication",
    "command-line-utilities",
    "config",
    "cryptography",
    "development-tools::debugging",
    "development-tools::testing",
    "network-programming",
    "web-programming",
];

/// How many keywords crates.io takes, and of how many characters.
const KEYWORDS: (usize, usize) = (5, 20);

/// Finds published packages with a manifest that packaging or a reader would stumble over.
#[must_use]
pub fn check(workspace: &Workspace) -> Vec<Violation> {
    workspace.published().flat_map(check_member).collect()
}

/// What a registry would refuse or not find.
fn check_shelves(member: &Member) -> Vec<String> {
    let (most, longest) = KEYWORDS;
    let mut problems = Vec::new();
    if member.keywords.len() > most {
        problems.push(format!("has more than {most} keywords"));
    }
    for keyword in &member.keywords {
        let plain = keyword.starts_with(|c: char| c.is_ascii_alphanumeric())
            && keyword
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_+".contains(c));
        if !plain || keyword.len() > longest {
            problems.push(format!("the keyword {keyword} is refused"));
        }
    }
    for category in &member.categories {
        if !CATEGORIES.contains(&category.as_str()) {
            problems.push(format!(
                "the category {category} is not on the list in xtask"
            ));
        }
    }
    problems
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
    violations.extend(
        check_shelves(member)
            .into_iter()
            .map(|it| Violation::new(&place, it)),
    );
    let normal = member.family.iter().filter(|it| it.kind != Kind::Dev);
    for edge in normal.filter(|it| it.requirement == "*") {
        violations.push(Violation::new(
            &place,
            format!("{} has no version", edge.to),
        ));
    }
    // Cargo leaves the dependency out of the package, and tests that use it would not compile.
    let needs_family = member.family.iter().any(|edge| edge.kind == Kind::Dev);
    let leaves_out = member.manifest.contains("\nexclude = [\"/tests\"]\n");
    if needs_family != leaves_out {
        let message = match needs_family {
            true => "its tests use the family: exclude = [\"/tests\"]",
            false => "excludes tests that would run anywhere",
        };
        violations.push(Violation::new(&place, message));
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

    fn check_fields(member: Member, expected: &[&str]) {
        let member = Member {
            manifest: format!("lints.workspace = true\n{}", member.manifest),
            published: true,
            ..member
        };
        let workspace = Workspace {
            members: vec![member],
            ..Workspace::default()
        };
        let found: Vec<String> = check(&workspace)
            .into_iter()
            .map(|violation| violation.message)
            .collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found} says {expected}");
        }
    }

    fn texts(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn what_a_registry_would_refuse_is_found() {
        let keywords = |words: &[&str], expected: &[&str]| {
            let keywords = texts(words);
            check_fields(
                Member {
                    keywords,
                    ..Member::default()
                },
                expected,
            );
        };
        keywords(&["jwt", "rate-limit", "a2345678901234567890"], &[]);
        keywords(&["a", "b", "c", "d", "e", "f"], &["more than 5"]);
        keywords(&["a23456789012345678901"], &["refused"]);
        keywords(&["rate limit"], &["refused"]);
        let categories = texts(&["cryptography", "cryptografy"]);
        check_fields(
            Member {
                categories,
                ..Member::default()
            },
            &["cryptografy"],
        );
    }

    fn edge(kind: Kind, requirement: &str) -> Member {
        Member {
            family: vec![crate::workspace::Edge {
                to: "bartizan-b".to_owned(),
                kind,
                requirement: requirement.to_owned(),
            }],
            ..Member::default()
        }
    }

    #[test]
    fn tests_that_need_the_family_stay_out_of_the_package_and_others_do_not() {
        let excluding = |member: Member| Member {
            manifest: "exclude = [\"/tests\"]\n".to_owned(),
            ..member
        };
        check_fields(edge(Kind::Dev, "*"), &["its tests use the family"]);
        check_fields(excluding(edge(Kind::Dev, "*")), &[]);
        check_fields(edge(Kind::Normal, "^0.1.0"), &[]);
        check_fields(excluding(Member::default()), &["would run anywhere"]);
    }

    #[test]
    fn a_dependency_without_a_version_cannot_be_packed() {
        check_fields(edge(Kind::Normal, "*"), &["bartizan-b has no version"]);
        check_fields(edge(Kind::Build, "*"), &["bartizan-b has no version"]);
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
