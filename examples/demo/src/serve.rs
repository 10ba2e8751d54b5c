//! Commands to try, while everything keeps running.

use std::time::Duration;

use crate::scene::Scene;

/// How long the tokens that are written out are good for.
const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

/// Writes tokens, prints commands that use them, and waits for Ctrl-C.
pub(crate) async fn wait(scene: &Scene) -> anyhow::Result<()> {
    let folder = std::fs::canonicalize(&scene.folder)?;
    let good = scene.token().expires_in(TOKEN_LIFETIME).sign()?;
    let wrong = scene
        .token()
        .expires_in(TOKEN_LIFETIME)
        .audience("invoices")
        .sign()?;
    std::fs::write(folder.join("alice.jwt"), good)?;
    std::fs::write(folder.join("wrong-audience.jwt"), wrong)?;

    let folder = folder.display();
    let (orders, port) = (
        format!("https://localhost:{}/orders", scene.orders.port()),
        scene.orders.port(),
    );
    let curl = |who: &str, token: &str| {
        format!(
            "curl -sS --resolve localhost:{port}:127.0.0.1 --cacert {folder}/ca.pem \\\n    \
             --cert {folder}/{who}.pem --key {folder}/{who}-key.pem \\\n    \
             -H \"authorization: Bearer $(cat {folder}/{token}.jwt)\""
        )
    };
    println!("  Try, while this runs (Ctrl-C ends it):\n");
    for (what, command) in [
        (
            "web reads an order for alice",
            format!("{} {orders}/7", curl("web", "alice")),
        ),
        (
            "and places one",
            format!("{} -X POST {orders}", curl("web", "alice")),
        ),
        (
            "another workload may not",
            format!("{} {orders}/7", curl("reports", "alice")),
        ),
        (
            "nor this token",
            format!("{} {orders}/7", curl("web", "wrong-audience")),
        ),
        (
            "nor anybody without a certificate",
            format!("curl -sS --cacert {folder}/ca.pem {orders}/7"),
        ),
    ] {
        println!("  # {what}\n  {command}; echo\n");
    }
    tokio::signal::ctrl_c().await?;
    Ok(())
}
