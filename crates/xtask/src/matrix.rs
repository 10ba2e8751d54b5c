//! Commands that are run package by package, so that features do not unify by accident.

use crate::command::Command;
use crate::workspace::{Member, Workspace};

/// Each package that has features, with all of them.
#[must_use]
pub fn with_all_features(workspace: &Workspace) -> Vec<&Member> {
    workspace
        .members
        .iter()
        .filter(|member| !member.features.is_empty())
        .collect()
}

/// The one that hands on to the features of the others, most of which are checked there.
const FACADE: &str = "bartizan";

/// Those of its features that are more than that.
const ITS_OWN: [&str; 3] = ["axum", "config", "tonic"];

/// Each published package without features, and with each of its features alone.
#[must_use]
pub fn each_feature_alone(workspace: &Workspace) -> Vec<Command> {
    let own = |member: &Member, feature: &str| member.name != FACADE || ITS_OWN.contains(&feature);
    alone(workspace.published(), own)
}

/// The same of every package, and of every feature.
#[must_use]
pub fn every_feature_alone(workspace: &Workspace) -> Vec<Command> {
    alone(workspace.members.iter(), |_, _| true)
}

fn alone<'w>(
    members: impl Iterator<Item = &'w Member>,
    wanted: impl Fn(&Member, &str) -> bool,
) -> Vec<Command> {
    let mut commands = Vec::new();
    for member in members {
        let alone = Command::cargo(["check", "--package", &member.name, "--no-default-features"]);
        commands.push(alone.clone());
        for feature in member.features.iter().filter(|it| wanted(member, it)) {
            commands.push(alone.clone().args(["--features", feature]));
        }
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, published: bool, features: &[&str]) -> Member {
        Member {
            name: name.to_owned(),
            published,
            features: features.iter().map(|it| (*it).to_owned()).collect(),
            ..Member::default()
        }
    }

    fn workspace() -> Workspace {
        let members = vec![
            member("a", true, &["x", "y"]),
            member(FACADE, true, &["config", "x"]),
            member("example", false, &[]),
        ];
        Workspace {
            members,
            ..Workspace::default()
        }
    }

    fn check(commands: &[Command], expected: &[&str]) {
        let shown: Vec<String> = commands.iter().map(Command::to_string).collect();
        let expected: Vec<String> = expected
            .iter()
            .map(|it| format!("cargo check --package {it}"))
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn every_feature_that_is_a_packages_own_is_checked_alone() {
        check(
            &each_feature_alone(&workspace()),
            &[
                "a --no-default-features",
                "a --no-default-features --features x",
                "a --no-default-features --features y",
                "bartizan --no-default-features",
                "bartizan --no-default-features --features config",
            ],
        );
        let workspace = workspace();
        let with = with_all_features(&workspace);
        let with: Vec<&str> = with.iter().map(|member| member.name.as_str()).collect();
        assert_eq!(with, ["a", FACADE]);
    }

    #[test]
    fn every_other_is_checked_alone_as_well_where_there_is_time() {
        check(
            &every_feature_alone(&workspace()),
            &[
                "a --no-default-features",
                "a --no-default-features --features x",
                "a --no-default-features --features y",
                "bartizan --no-default-features",
                "bartizan --no-default-features --features config",
                "bartizan --no-default-features --features x",
                "example --no-default-features",
            ],
        );
    }
}
