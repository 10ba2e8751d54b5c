//! The bench's load generator beside oha, on the same server.

use std::process::Command;

use anyhow::Context as _;
use serde_json::Value;

use crate::load::{self, Plan, Tokens};
use crate::material::{Certificate, Material};
use crate::options::{Mode, Options, Participant, Protocol};
use crate::policy::Limit;
use crate::process::first_line;
use crate::running::Running;

/// One hot token on the most connections, by the one and by the other; a sentence about it.
pub(crate) fn run(options: &Options, material: &Material) -> anyhow::Result<String> {
    let Some(version) = first_line("oha", &["--version"]) else {
        return Ok("It was not held against another: oha is not installed.".to_owned());
    };
    let connections = options.connections.iter().max().copied().unwrap_or(1);
    let token = material.token("user-0").sign()?;
    let running = Running::start(
        Participant::Bartizan,
        &options.folder,
        Limit::MEASURED,
        Mode::Hot,
    )?;
    let plan = Plan {
        address: running.address,
        tls: Some(material.client(Certificate::Good, Protocol::Http1)?),
        protocol: Protocol::Http1,
        connections,
        tokens: Tokens::Hot([token.clone()].into()),
        rate: None,
        warmup: options.warmup(),
        seconds: options.seconds(),
    };
    let ours = load::run(plan, || Ok(()))?;
    let ours = ours.times.count() as f64 / ours.elapsed.as_secs_f64();

    let file = |name: &str| options.folder.join(name);
    let output = Command::new("oha")
        .args(["--no-tui", "--output-format", "json"])
        .args(["-z", &format!("{}ms", options.seconds().as_millis())])
        .args(["-c", &connections.to_string()])
        .arg("--cacert")
        .arg(file("ca.pem"))
        .arg("--cert")
        .arg(file("web.pem"))
        .arg("--key")
        .arg(file("web-key.pem"))
        .args(["-H", &format!("authorization: Bearer {token}")])
        .arg(format!("https://{}/orders/7", running.address))
        .output()?;
    let said: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("oha: {}", String::from_utf8_lossy(&output.stderr)))?;
    let theirs = said.pointer("/summary/requestsPerSec");
    let theirs = theirs.and_then(Value::as_f64).context("oha gave no rate")?;
    let codes = said.pointer("/statusCodeDistribution");
    let codes = codes
        .and_then(Value::as_object)
        .context("oha gave no codes")?;
    anyhow::ensure!(codes.keys().eq(["200"]), "oha was answered {codes:?}");
    Ok(format!(
        "Held once against {version}, on Bartizan with one hot token, HTTP/1.1, {connections} \
         connections: {ours:.0} requests/s by ours, {theirs:.0} by oha."
    ))
}
