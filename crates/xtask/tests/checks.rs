//! The checks that a pipeline can copy, run as a pipeline would.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, ensure};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A repository of its own, that is gone at the end.
struct Repository(PathBuf);

impl Repository {
    fn new(name: &str) -> anyhow::Result<Self> {
        let folder = format!("bartizan-checks-{name}-{}", std::process::id());
        let repository = Self(std::env::temp_dir().join(folder));
        std::fs::create_dir_all(&repository.0)?;
        repository.git(&["init", "--quiet"])?;
        Ok(repository)
    }

    fn git(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let status = Command::new("git")
            .args([
                "-c",
                "user.name=nobody",
                "-c",
                "user.email=nobody@example.org",
            ])
            .args(arguments)
            .current_dir(&self.0)
            .status()?;
        ensure!(status.success(), "git {arguments:?}");
        Ok(())
    }

    fn write(&self, file: &str, text: &str) -> anyhow::Result<()> {
        let path = self.0.join(file);
        std::fs::create_dir_all(path.parent().context("a folder")?)?;
        std::fs::write(path, text)?;
        self.git(&["add", "--all"])
    }

    fn scan(&self) -> anyhow::Result<Output> {
        run(&self.0, &["secrets"], &[])
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(folder: &Path, steps: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<Output> {
    let output = Command::new("bash")
        .arg(root().join(".ci/checks"))
        .args(steps)
        .envs(variables.iter().copied())
        .current_dir(folder)
        .output()?;
    Ok(output)
}

/// Made up. Each would be found in this file as well, if it were not allowed there.
const SECRETS: [&str; 18] = [
    "-----BEGIN PRIVATE KEY-----",
    "    -----BEGIN RSA PRIVATE KEY-----  ",
    r#"let key = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIrYSSNQFaA2Hwf1duRSxKtLYX5CB04fSeQ6tF1aY/PuoAoGCCqGSM49";"#,
    "aws_access_key_id = AKIAZZZZZZZZZZZZZZZZ",
    "key: AIzaZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ",
    "token=ghp_ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ",
    "github_pat_ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ",
    "glpat-ZZZZZZZZZZZZZZZZZZZZ",
    "xoxb-1234567890-ZZZZ",
    "sk_live_ZZZZZZZZZZZZZZZZZZZZZZZZ",
    "cioZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ",
    "npm_ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ",
    "VAULT_TOKEN=hvs.ZZZZZZZZZZZZZZZZZZZZZZZZ",
    "AGE-SECRET-KEY-1ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ",
    "PRIVATE+KEY+log.example+0123abcd+AZZZZZZZZZZZZZZZZZZZZZZZ",
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.ZZZZZZZZZZZZZZZZZZZZZZ",
    "brt_live_ZZZZZZZZZZZZ_ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ",
    "postgresql://orders:correct-horse@db.internal/orders",
];

const HARMLESS: &str = r#"
let begin = "-----BEGIN PRIVATE KEY-----";
-----BEGIN CERTIFICATE-----
postgresql://orders@db.internal/orders and redis://:${PASSWORD}@cache
eyJ is how a token begins; AKIA is how a name of a key does
brt_live_ and what follows
"#;

#[test]
fn every_kind_of_secret_is_found() -> anyhow::Result<()> {
    for secret in SECRETS {
        let repository = Repository::new("each")?;
        repository.write("src/config.rs", &format!("first\n{secret}\n"))?;
        let output = repository.scan()?;
        assert_eq!(output.status.code(), Some(1), "{secret}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("src/config.rs:2:"), "{secret}: {said}");
    }
    Ok(())
}

#[test]
fn every_pattern_finds_something() -> anyhow::Result<()> {
    let repository = Repository::new("patterns")?;
    repository.write("all.txt", &SECRETS.join("\n"))?;
    let patterns = std::fs::read_to_string(root().join(".ci/secrets"))?;
    for pattern in patterns
        .lines()
        .filter(|it| !it.is_empty() && !it.starts_with('#'))
    {
        let mut grep = Command::new("grep");
        grep.args(["--quiet", "--extended-regexp", "-e", pattern]);
        let found = grep.arg(repository.0.join("all.txt")).status()?;
        assert!(found.success(), "{pattern}");
    }
    Ok(())
}

#[test]
fn what_is_found_is_not_repeated() -> anyhow::Result<()> {
    let repository = Repository::new("quiet")?;
    repository.write("a.txt", "glpat-ZZZZZZZZZZZZZZZZZZZZ\n")?;
    let output = repository.scan()?;
    assert_eq!(output.status.code(), Some(1));
    let said = [output.stdout, output.stderr].concat();
    assert!(!String::from_utf8_lossy(&said).contains("ZZZZ"));
    Ok(())
}

#[test]
fn what_only_resembles_a_secret_is_none() -> anyhow::Result<()> {
    let repository = Repository::new("harmless")?;
    repository.write("src/config.rs", HARMLESS)?;
    let output = repository.scan()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    Ok(())
}

#[test]
fn a_message_of_a_commit_is_read_too() -> anyhow::Result<()> {
    let repository = Repository::new("message")?;
    repository.write("a.txt", "nothing\n")?;
    repository.git(&["commit", "--quiet", "-m", "with glpat-ZZZZZZZZZZZZZZZZZZZZ"])?;
    assert_eq!(repository.scan()?.status.code(), Some(1));
    Ok(())
}

#[test]
fn what_is_allowed_is_not_found_and_nothing_else_is_let_through() -> anyhow::Result<()> {
    let repository = Repository::new("allowed")?;
    repository.write("tests/a.txt", "glpat-ZZZZZZZZZZZZZZZZZZZZ\n")?;
    repository.write(".ci/secrets-allowed", "# Made up.\n^tests/a\\.txt:1:\n")?;
    assert!(repository.scan()?.status.success());
    repository.write("src/a.txt", "glpat-ZZZZZZZZZZZZZZZZZZZZ\n")?;
    assert_eq!(repository.scan()?.status.code(), Some(1));
    Ok(())
}

#[test]
fn this_repository_holds_no_secret() -> anyhow::Result<()> {
    let output = run(&root(), &["secrets"], &[])?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    Ok(())
}

#[test]
fn a_step_that_there_is_not_is_an_error() -> anyhow::Result<()> {
    assert_eq!(run(&root(), &["secret"], &[])?.status.code(), Some(2));
    Ok(())
}

fn texts<'v>(list: &'v Value, member: &str) -> Vec<&'v str> {
    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|it| it[member].as_str()).collect()
}

/// The core is in each package, and small enough to be known.
#[test]
fn the_bill_lists_what_is_linked_and_where_it_comes_from() -> anyhow::Result<()> {
    if Command::new("jq").arg("--version").output().is_err() {
        let required = std::env::var_os("BARTIZAN_REQUIRE_SERVERS").is_some();
        ensure!(!required, "jq is not installed");
        println!("jq is not installed: no bill is written");
        return Ok(());
    }
    let file = std::env::temp_dir().join(format!("bartizan-bill-{}.json", std::process::id()));
    let name = file.to_str().context("a name")?;
    let variables = [("SBOM_PACKAGE", "bartizan-core"), ("SBOM_FILE", name)];
    let output = run(&root(), &["sbom"], &variables)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    let bill: Value = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
    std::fs::remove_file(&file)?;

    assert_eq!(bill["bomFormat"], "CycloneDX");
    assert_eq!(bill["metadata"]["component"]["name"], "bartizan-core");
    let names = texts(&bill["components"], "name");
    assert!(
        names.contains(&"http") && names.contains(&"zeroize"),
        "{names:?}"
    );
    // What only its tests use, and what only its features bring, is not linked.
    assert!(
        !names.contains(&"proptest") && !names.contains(&"axum"),
        "{names:?}"
    );
    assert!(names.len() < 12, "{names:?}");

    let lock = std::fs::read_to_string(root().join("Cargo.lock"))?;
    for component in bill["components"].as_array().context("components")? {
        let sum = component["hashes"][0]["content"]
            .as_str()
            .unwrap_or_default();
        assert!(sum.len() == 64 && lock.contains(sum), "{component}");
        let licence = component["licenses"][0]["expression"].as_str();
        assert!(licence.is_some_and(|it| !it.contains('/')), "{component}");
    }
    let mut known: BTreeSet<&str> = texts(&bill["components"], "bom-ref").into_iter().collect();
    let root = bill["metadata"]["component"]["bom-ref"].as_str();
    known.insert(root.context("a reference")?);
    for edge in bill["dependencies"].as_array().context("dependencies")? {
        let to = edge["dependsOn"].as_array().context("a list")?;
        let all = to.iter().chain([&edge["ref"]]);
        assert!(
            all.clone()
                .all(|it| it.as_str().is_some_and(|it| known.contains(it))),
            "{edge}"
        );
    }
    Ok(())
}
