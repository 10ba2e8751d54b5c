//! Commands to try, while everything keeps running.

use std::io::{Write as _, stdout};
use std::time::Duration;

use anyhow::Context as _;

use crate::scene::Scene;

/// How long the tokens that are written out are good for.
const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

/// Writes tokens, prints commands that use them, and waits for Ctrl-C.
pub(crate) async fn wait(scene: &Scene) -> anyhow::Result<()> {
    let folder = std::fs::canonicalize(&scene.folder)?;
    let token = || scene.token().expires_in(TOKEN_LIFETIME);
    let clerk = scene.customer_token().expires_in(TOKEN_LIFETIME);
    for (name, token) in [
        ("alice", token()),
        ("wrong-audience", token().audience("invoices")),
        (
            "reader",
            token().audience("invoices").scope("invoices:read"),
        ),
        ("clerk", clerk.scope("customers:read customers:write")),
    ] {
        let file = folder.join(format!("{name}.jwt"));
        std::fs::write(&file, token.sign()?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }

    let folder = folder.display();
    let orders = format!("https://localhost:{}/orders", scene.orders.port());
    let customers = format!("https://localhost:{}/customers", scene.customers.port());
    let curl = format!("curl -sS -4 -w '\\n%{{http_code}}\\n' \\\n    --cacert '{folder}/ca.pem'");
    let with = |who: &str, token: &str| {
        format!(
            "{curl} --cert '{folder}/{who}.pem' --key '{folder}/{who}-key.pem' \\\n    \
             -H \"authorization: Bearer $(cat '{folder}/{token}.jwt')\""
        )
    };
    let mut out = stdout();
    writeln!(out, "  Try, while this runs (Ctrl-C ends it):\n")?;
    for (what, command) in [
        (
            "web reads an order for alice: 200",
            format!("{} {orders}/7", with("web", "alice")),
        ),
        (
            "and places one: 200",
            format!("{} -X POST {orders}", with("web", "alice")),
        ),
        (
            "another workload may not: 403",
            format!("{} {orders}/7", with("reports", "alice")),
        ),
        (
            "nor this token: 401",
            format!("{} {orders}/7", with("web", "wrong-audience")),
        ),
        (
            "nor anybody without a certificate: a TLS alert",
            format!("{curl} {orders}/7"),
        ),
        (
            "customers keeps a card number, and never sees it: 200",
            format!(
                "{} -X PUT {customers}/1 \\\n    -H 'content-type: application/json' -d '{{\"card\":\"4111111111111111\"}}'",
                with("web", "clerk")
            ),
        ),
        (
            "and shows a clerk the end of it: 200",
            format!("{} {customers}/1", with("web", "clerk")),
        ),
        (
            "your own copies of the services, on their default ports, with this issuer",
            "cargo run -p payments\n  cargo run -p orders\n  cargo run -p customers -- \
             --keys target/demo/my-keys.json --audit target/demo/my-audit"
                .to_owned(),
        ),
    ] {
        writeln!(out, "  # {what}\n  {command}\n")?;
    }
    tokio::signal::ctrl_c().await?;
    Ok(())
}
