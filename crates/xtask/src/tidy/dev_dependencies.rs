//! Dev-dependencies inside the family: by path alone, and used from tests, benches and examples.
//!
//! A version makes a cycle that cannot be packaged. In unit tests the types of a crate and those
//! its dev-dependencies see are two, because the crate is compiled twice.

use super::Violation;
use crate::source::Source;
use crate::workspace::{Kind, Member, Workspace};

/// Finds published packages whose family dev-dependencies carry a version.
#[must_use]
pub fn check_versions(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for member in workspace.published() {
        for edge in &member.family {
            if edge.kind == Kind::Dev && edge.requirement != "*" {
                violations.push(Violation::new(
                    &member.name,
                    format!(
                        "dev-dependency {} requires version {}, may have a path only",
                        edge.to, edge.requirement
                    ),
                ));
            }
        }
    }
    violations
}

/// Finds source files of published packages that name a package they have for tests alone. The
/// test kit is named by nobody's `src`, whoever depends on it.
#[must_use]
pub fn check_use(workspace: &Workspace, sources: &[Source]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for member in workspace.published() {
        let names = for_tests_alone(member);
        let inside = format!("{}/src/", member.folder.display());
        for source in sources.iter().filter(|it| it.path.starts_with(&inside)) {
            for name in &names {
                for (at, _) in source.text.match_indices(name.as_str()) {
                    violations.push(Violation::new(
                        source.place(at),
                        format!("names {name}, which is for tests/, benches/ and examples/"),
                    ));
                }
            }
        }
    }
    violations
}

fn for_tests_alone(member: &Member) -> Vec<String> {
    let mut names: Vec<&str> = member
        .family
        .iter()
        .filter(|edge| edge.kind == Kind::Dev)
        .filter(|edge| {
            let same = |other: &&crate::workspace::Edge| other.to == edge.to;
            member
                .family
                .iter()
                .filter(same)
                .all(|it| it.kind == Kind::Dev)
        })
        .map(|edge| edge.to.as_str())
        .collect();
    names.push("bartizan-testkit");
    names.sort_unstable();
    names.dedup();
    names.retain(|name| *name != member.name);
    names.iter().map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Edge;

    fn workspace(name: &str, to: &str, requirement: &str) -> Workspace {
        Workspace {
            members: vec![Member {
                name: name.to_owned(),
                folder: format!("crates/{name}").into(),
                published: true,
                family: vec![Edge {
                    to: to.to_owned(),
                    kind: Kind::Dev,
                    requirement: requirement.to_owned(),
                }],
                ..Member::default()
            }],
            ..Workspace::default()
        }
    }

    #[test]
    fn a_version_is_found() {
        let jwt = |requirement| workspace("bartizan-jwt", "bartizan-testkit", requirement);
        assert_eq!(check_versions(&jwt("*")), []);
        assert_eq!(check_versions(&jwt("^0.1.0")).len(), 1);
    }

    fn check_text(name: &str, path: &str, text: &str, places: &[&str]) {
        let found: Vec<String> = check_use(
            &workspace(name, "bartizan-mtls", "*"),
            &[Source::new(path, text)],
        )
        .into_iter()
        .map(|violation| violation.place)
        .collect();
        assert_eq!(found, places, "{text}");
    }

    #[test]
    fn use_outside_of_tests_is_found() {
        let room = "crates/bartizan-jwt/src/key.rs";
        let line_2 = "crates/bartizan-jwt/src/key.rs:2";
        check_text("bartizan-jwt", room, "use bartizan_core::Code;", &[]);
        check_text(
            "bartizan-jwt",
            room,
            "\nuse bartizan_testkit::Clock;",
            &[line_2],
        );
        check_text(
            "bartizan-jwt",
            room,
            "\nuse bartizan_mtls::Peer;",
            &[line_2],
        );
        check_text(
            "bartizan-jwt",
            "crates/bartizan-jwt/tests/it/main.rs",
            "use bartizan_testkit::Clock;",
            &[],
        );
        check_text(
            "bartizan-testkit",
            "crates/bartizan-testkit/src/lib.rs",
            "//! use bartizan_testkit::Clock;",
            &[],
        );
    }
}
