//! Which crate of the family may name which other.

use super::Violation;
use crate::workspace::{Kind, Workspace};

/// The layer crates. They are siblings, and never name each other.
pub const LAYERS: [&str; 8] = [
    "bartizan-apikey",
    "bartizan-audit",
    "bartizan-authz",
    "bartizan-encrypt",
    "bartizan-jwt",
    "bartizan-mtls",
    "bartizan-ratelimit",
    "bartizan-telemetry",
];

/// What a published package may name; `None` if the table has no row for it.
fn may_name(package: &str) -> Option<Vec<&'static str>> {
    let names: &[&str] = match package {
        "bartizan-core" | "bartizan-encrypt-derive" => &[],
        "bartizan-source" | "bartizan-testkit" | "bartizan-attack" => &["bartizan-core"],
        // A derive macro is the other half of its crate, not a sibling.
        "bartizan-encrypt" => &[
            "bartizan-core",
            "bartizan-source",
            "bartizan-encrypt-derive",
        ],
        layer if LAYERS.contains(&layer) => &["bartizan-core", "bartizan-source"],
        "bartizan" => {
            let mut names = vec!["bartizan-core", "bartizan-source"];
            names.extend(LAYERS);
            return Some(names);
        }
        "bartizan-cli" => &["bartizan", "bartizan-attack"],
        _ => return None,
    };
    Some(names.to_vec())
}

/// Finds published packages that name one they may not. Unpublished packages may name any.
#[must_use]
pub fn check(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for member in workspace.published() {
        let Some(allowed) = may_name(&member.name) else {
            violations.push(Violation::new(
                &member.name,
                "is published and has no row in the table of directions",
            ));
            continue;
        };
        for edge in &member.family {
            if edge.kind != Kind::Dev && !allowed.contains(&edge.to.as_str()) {
                let message = match allowed.as_slice() {
                    [] => format!("depends on {}, may name no other crate", edge.to),
                    some => format!("depends on {}, may name only {}", edge.to, some.join(", ")),
                };
                violations.push(Violation::new(&member.name, message));
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::{Edge, Member};

    fn check_edge(from: &str, to: &str, kind: Kind, allowed: bool) {
        let workspace = Workspace {
            members: vec![Member {
                name: from.to_owned(),
                published: true,
                family: vec![Edge {
                    to: to.to_owned(),
                    kind,
                    requirement: "^0.1.0".to_owned(),
                }],
                ..Member::default()
            }],
            ..Workspace::default()
        };
        assert_eq!(check(&workspace).is_empty(), allowed, "{from} -> {to}");
    }

    #[test]
    fn a_crate_names_only_what_lies_below_it() {
        check_edge("bartizan-source", "bartizan-core", Kind::Normal, true);
        check_edge("bartizan-jwt", "bartizan-source", Kind::Normal, true);
        check_edge("bartizan", "bartizan-jwt", Kind::Normal, true);
        check_edge("bartizan-cli", "bartizan", Kind::Normal, true);
        check_edge(
            "bartizan-encrypt",
            "bartizan-encrypt-derive",
            Kind::Normal,
            true,
        );

        check_edge("bartizan-core", "bartizan-source", Kind::Normal, false);
        check_edge("bartizan-core", "bartizan-testkit", Kind::Build, false);
        check_edge("bartizan-source", "bartizan-jwt", Kind::Normal, false);
        check_edge("bartizan-testkit", "bartizan-source", Kind::Normal, false);
        check_edge("bartizan", "bartizan-testkit", Kind::Normal, false);
        check_edge("bartizan-cli", "bartizan-core", Kind::Normal, false);
        check_edge("bartizan-jwt", "conformance", Kind::Normal, false);
    }

    #[test]
    fn siblings_never_name_each_other() {
        for from in LAYERS {
            for to in LAYERS {
                check_edge(from, to, Kind::Normal, false);
                check_edge(from, to, Kind::Build, false);
            }
        }
    }

    #[test]
    fn tests_are_another_matter() {
        check_edge("bartizan-jwt", "bartizan-testkit", Kind::Dev, true);
    }

    #[test]
    fn a_new_crate_needs_a_row() {
        check_edge("bartizan-new", "bartizan-core", Kind::Normal, false);
    }

    #[test]
    fn an_unpublished_package_may_name_any() {
        let workspace = Workspace {
            members: vec![Member {
                name: "conformance".to_owned(),
                family: vec![Edge {
                    to: "bartizan-jwt".to_owned(),
                    kind: Kind::Normal,
                    requirement: "^0.1.0".to_owned(),
                }],
                ..Member::default()
            }],
            ..Workspace::default()
        };
        assert_eq!(check(&workspace), []);
    }
}
