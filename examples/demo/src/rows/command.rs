//! The command `bartizan` on what this run has left behind, where it was built.

use std::path::{Path, PathBuf};
use std::process::Output;

use super::Rows;
use crate::client::{BoxError, measured};
use crate::wire::Alert;

/// The command, if it lies beside the demo.
pub(crate) fn find() -> Option<PathBuf> {
    let command = std::env::current_exe().ok()?.with_file_name("bartizan");
    command.is_file().then_some(command)
}

pub(super) fn add(rows: &mut Rows<'_>) {
    let Some(command) = find() else {
        return;
    };
    rows.group(
        "The command `bartizan`, on what is left of this run",
        "The log says who used what: that is the least policy, and each decision names its rule.",
    );
    let scene = rows.scene;
    let (folder, issuer) = (
        scene.folder.clone(),
        scene.issuer.mint().issuer().to_owned(),
    );
    let run = |arguments: &[&str]| {
        let arguments: Vec<_> = arguments.iter().map(|it| (*it).to_owned()).collect();
        Run {
            command: command.clone(),
            arguments,
        }
    };

    let log = folder.join("customers-audit").display().to_string();
    let learned = folder.join("customers-learned.toml");
    let (learn, policy) = (run(&["policy", "learn", "--ledger", &log]), learned.clone());
    rows.add(
        "bartizan policy learn",
        ("exit 0", "3 rules: billing, edge, web"),
        measured(Alert::default(), async move {
            let output = learn.output().await?;
            let text = String::from_utf8(output.stdout)?;
            std::fs::write(&policy, &text)?;
            Ok((code(output.status), rules(&text)))
        }),
    );
    let policy = learned.display().to_string();
    for (request, method, expected) in [
        (
            "bartizan policy explain: billing reads",
            "GET",
            ("exit 0", "allowed by rule"),
        ),
        (
            "bartizan policy explain: billing writes",
            "PUT",
            ("exit 0", "denied: no rule allows it"),
        ),
    ] {
        let explain = run(&[
            "policy",
            "explain",
            "--policy",
            &policy,
            "--method",
            method,
            "--path",
            "/customers/7",
            "--peer",
            "spiffe://partner.example/billing",
            "--issuer",
            &issuer,
            "--subject",
            "alice",
            "--client",
            "test-client",
        ]);
        rows.add(
            request,
            expected,
            measured(Alert::default(), async move {
                let output = explain.output().await?;
                let text = String::from_utf8(output.stdout)?;
                let first = text.lines().next().unwrap_or_default();
                // The rule's name is longer than this table is wide.
                let said = first.split(" \"").next().unwrap_or_default();
                Ok((code(output.status), said.to_owned()))
            }),
        );
    }
    let wrong = folder.join("invoices-wrong.toml");
    let (check, file) = (
        run(&["check", &wrong.display().to_string()]),
        scene.invoices.file.clone(),
    );
    rows.add(
        "bartizan check: `alow` for `allow`",
        ("exit 1", "did you mean `allow`?"),
        measured(Alert::default(), async move {
            let good = std::fs::read_to_string(file)?;
            std::fs::write(&wrong, good.replace("\nallow =", "\nalow ="))?;
            let output = check.output().await?;
            let text = String::from_utf8(output.stderr)?;
            let hint = text.find("did you mean").and_then(|at| text.get(at..));
            let hint = hint.and_then(|hint| hint.lines().next());
            Ok((code(output.status), hint.unwrap_or("no hint").to_owned()))
        }),
    );
}

struct Run {
    command: PathBuf,
    arguments: Vec<String>,
}

impl Run {
    /// Runs it to its end, beside everything else.
    async fn output(self) -> Result<Output, BoxError> {
        let mut command = std::process::Command::new(self.command);
        command.args(self.arguments);
        let output = tokio::task::spawn_blocking(move || command.output());
        Ok(output.await??)
    }
}

fn code(status: std::process::ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit {code}"),
        None => "killed".to_owned(),
    }
}

/// Which peers a learned policy has rules for.
fn rules(text: &str) -> String {
    let peers = text.lines().filter_map(|line| {
        let peer = line.split("peers = [\"").nth(1)?.split('"').next()?;
        Path::new(peer).file_name()?.to_str()
    });
    let mut peers: Vec<_> = peers.collect();
    peers.sort_unstable();
    format!("{} rules: {}", peers.len(), peers.join(", "))
}
