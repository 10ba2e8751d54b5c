//! What a package brings along: one crypto library, and in the core's case, little at all.
//!
//! Metadata unifies features across the workspace, so the trees are those of `cargo tree`, which
//! resolves each package as its user would.

use std::path::Path;

use anyhow::Context as _;

use super::Violation;
use crate::command::Command;
use crate::workspace::{Member, Workspace};

/// Packages that bring a second crypto library (or TLS stack) into a tree.
const REFUSED: [&str; 23] = [
    "aes-gcm",
    "aws-lc-fips-sys",
    "aws-lc-rs",
    "aws-lc-sys",
    "boring",
    "boring-sys",
    "chacha20poly1305",
    "curve25519-dalek",
    "ed25519-dalek",
    "hmac",
    "k256",
    "mbedtls",
    "mbedtls-sys-auto",
    "native-tls",
    "openssl",
    "openssl-sys",
    "p256",
    "p384",
    "p521",
    "rsa",
    "sha2",
    "wolfssl-sys",
    "x25519-dalek",
];

/// How many packages the core's tree may have, itself included.
const CORE_PACKAGES: usize = 12;

/// One package of a resolved tree, as `name version`.
pub type TreePackage = String;

/// Resolves each published package alone, with its default features, and judges the trees.
///
/// # Errors
///
/// `cargo tree` failed.
pub fn check(workspace: &Workspace) -> anyhow::Result<Vec<Violation>> {
    let mut violations = Vec::new();
    for member in workspace.published() {
        let both = tree(&workspace.root, member, "normal,build")?;
        violations.extend(check_crypto(&member.name, &both));
        if member.name == "bartizan-core" {
            let normal = tree(&workspace.root, member, "normal")?;
            violations.extend(check_core(&member.name, &normal));
        }
    }
    Ok(violations)
}

/// The packages that `member` brings along on any platform, itself included.
fn tree(root: &Path, member: &Member, edges: &str) -> anyhow::Result<Vec<TreePackage>> {
    let output = Command::cargo(["tree", "--prefix", "none", "--format", "{p}"])
        .args(["--target", "all", "--edges", edges, "--package"])
        .args([&member.name])
        .output(root)
        .with_context(|| format!("the tree of {}", member.name))?;
    let packages = parse(&output);
    anyhow::ensure!(
        packages.iter().any(|it| name_of(it) == member.name),
        "the tree of {} does not contain itself: {output}",
        member.name
    );
    Ok(packages)
}

/// `name vVERSION (path or kind) (*)` by line.
fn parse(output: &str) -> Vec<TreePackage> {
    let mut packages: Vec<TreePackage> = output
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some(format!("{} {}", words.next()?, words.next()?))
        })
        .collect();
    packages.sort();
    packages.dedup();
    packages
}

fn name_of(package: &str) -> &str {
    package.split(' ').next().unwrap_or(package)
}

/// Finds crypto libraries other than one `ring` in a tree.
#[must_use]
pub fn check_crypto(name: &str, tree: &[TreePackage]) -> Vec<Violation> {
    let mut violations: Vec<Violation> = tree
        .iter()
        .filter(|package| REFUSED.contains(&name_of(package)))
        .map(|package| {
            Violation::new(
                name,
                format!("its default tree has {package}, ring is the only crypto library"),
            )
        })
        .collect();
    let rings: Vec<&str> = tree
        .iter()
        .filter(|package| name_of(package) == "ring")
        .map(String::as_str)
        .collect();
    if rings.len() > 1 {
        violations.push(Violation::new(
            name,
            format!(
                "its default tree has {}, one is enough",
                rings.join(" and ")
            ),
        ));
    }
    violations
}

/// Finds the core's tree grown too large.
#[must_use]
pub fn check_core(name: &str, tree: &[TreePackage]) -> Vec<Violation> {
    if tree.len() <= CORE_PACKAGES {
        return Vec::new();
    }
    vec![Violation::new(
        name,
        format!(
            "its tree has {} packages, at most {CORE_PACKAGES} are allowed: {}",
            tree.len(),
            tree.join(", ")
        ),
    )]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(output: &str) -> usize {
        check_crypto("bartizan-jwt", &parse(output)).len()
    }

    #[test]
    fn a_second_crypto_library_is_found() {
        assert_eq!(
            found("bartizan-jwt v0.1.0 (/x)\nring v0.17.14\nring v0.17.14 (*)\n"),
            0
        );
        assert_eq!(
            found("ring v0.17.14\naws-lc-rs v1.0.0\naws-lc-sys v0.30.0\n"),
            2
        );
        for name in REFUSED {
            assert_eq!(
                found(&format!("ring v0.17.14\n{name} v1.0.0\n")),
                1,
                "{name}"
            );
        }
    }

    #[test]
    fn a_second_version_of_the_one_library_is_found() {
        assert_eq!(found("ring v0.17.14\nring v0.18.0\n"), 1);
    }

    #[test]
    fn a_library_of_a_similar_name_is_none() {
        assert_eq!(
            found("ring-compat v0.1.0\nsha1_smol v1.0.0\nrsa-key v1.0.0\n"),
            0
        );
    }

    #[test]
    fn a_core_of_13_packages_is_found() {
        let tree = |count: usize| -> Vec<TreePackage> {
            (0..count).map(|n| format!("package{n} v1.0.0")).collect()
        };
        assert_eq!(check_core("bartizan-core", &tree(12)), []);
        assert_eq!(check_core("bartizan-core", &tree(13)).len(), 1);
    }

    #[test]
    fn a_package_that_appears_twice_counts_once() {
        assert_eq!(
            parse("a v1.0.0\n\nb v1.0.0 (proc-macro)\na v1.0.0 (*)\n").len(),
            2
        );
    }
}
