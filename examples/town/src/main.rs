//! Certificates, an issuer and tokens on this machine, for trying services.
//!
//! `cargo run -p town -- /tmp/town` writes PEM files and tokens into that folder and is the issuer
//! of the tokens until Ctrl-C: on port 8445, or on the one that is named behind the folder.

use std::env;
use std::fs;
use std::io::Write as _;
use std::io::stdout;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use bartizan_testkit::{DevelopmentCa, SigningAlgorithm, SigningKey, TokenIssuer};

/// The workloads that get a certificate, `spiffe://example.org/NAME` in `NAME.pem`.
const WORKLOADS: [&str; 7] = [
    "gateway", "invoices", "orders", "payments", "registry", "reports", "web",
];

/// How long the tokens are good for. They are bearer tokens in files: not for long.
const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = env::args_os().skip(1);
    let folder = arguments.next().context("usage: town FOLDER [PORT]")?;
    let folder = PathBuf::from(folder);
    let port = match arguments.next() {
        Some(port) => port.to_str().and_then(|port| port.parse().ok()),
        None => Some(8445),
    };
    let port: u16 = port.context("usage: town FOLDER [PORT]")?;

    fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let ca = DevelopmentCa::new("example.org")?;
    ca.write_pem(&folder, "ca")?;
    for name in WORKLOADS {
        ca.workload(&format!("/{name}"))?.write_pem(&folder, name)?;
    }

    let key = SigningKey::generate(SigningAlgorithm::Es256, "key-1")?;
    let issuer = TokenIssuer::builder(key).with_port(port).start(&ca).await;
    let issuer = issuer.with_context(|| format!("no issuer on port {port}: is it taken?"))?;
    let token = || issuer.token().subject("alice").expires_in(TOKEN_LIFETIME);
    let everything = token()
        .audiences(["orders", "payments"])
        .scope("orders:read orders:write payments:charge");
    let invoices = token().audience("invoices").scope("invoices:read");
    for (name, token) in [
        ("alice", everything.clone()),
        ("wrong-audience", everything.audience("elsewhere")),
        ("reader", invoices),
    ] {
        let file = folder.join(format!("{name}.jwt"));
        fs::write(&file, token.sign()?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }

    let (folder, issuer) = (folder.display(), issuer.issuer());
    writeln!(stdout(), "certificates and tokens are in {folder}")?;
    writeln!(stdout(), "the issuer is {issuer}, until Ctrl-C")?;
    tokio::signal::ctrl_c().await?;
    Ok(())
}
