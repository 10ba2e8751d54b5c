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

/// Each package without features, and with each of its features alone.
#[must_use]
pub fn each_feature_alone(workspace: &Workspace) -> Vec<Command> {
    let mut commands = Vec::new();
    for member in &workspace.members {
        let alone = Command::cargo(["check", "--package", &member.name, "--no-default-features"]);
        commands.push(alone.clone());
        for feature in &member.features {
            commands.push(alone.clone().args(["--features", feature]));
        }
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_of_every_package_is_checked_alone() {
        let member = |name: &str, features: &[&str]| Member {
            name: name.to_owned(),
            features: features.iter().map(|it| (*it).to_owned()).collect(),
            ..Member::default()
        };
        let workspace = Workspace {
            members: vec![member("a", &["x", "y"]), member("b", &[])],
            ..Workspace::default()
        };
        let shown: Vec<String> = each_feature_alone(&workspace)
            .iter()
            .map(Command::to_string)
            .collect();
        assert_eq!(
            shown,
            [
                "cargo check --package a --no-default-features",
                "cargo check --package a --no-default-features --features x",
                "cargo check --package a --no-default-features --features y",
                "cargo check --package b --no-default-features",
            ]
        );
        let with: Vec<&str> = with_all_features(&workspace)
            .iter()
            .map(|member| member.name.as_str())
            .collect();
        assert_eq!(with, ["a"]);
    }
}
