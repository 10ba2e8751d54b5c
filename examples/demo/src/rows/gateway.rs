//! A gateway gives a service in another language the same layers.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Rows;
use crate::client::{BoxError, HttpCall, http, measured, probe};
use crate::scene::{Dialler, Gateway};
use crate::wire::{Alert, Wire};

pub(super) fn add(rows: &mut Rows<'_>) -> anyhow::Result<()> {
    let Some(gateway) = rows.scene.gateway.clone() else {
        return Ok(());
    };
    rows.group(
        "A gateway before a service in Python",
        "Python knows of no token: what reaches it was let in, and headers say who asks.",
    );
    let scene = rows.scene;
    let browser = scene.dialler(None)?;
    let token = scene.token().audience("stock").scope("stock:read").sign()?;
    let alice = |path| HttpCall::get(path).token(Some(token.clone()));
    let spoofed = HttpCall::get("/public/7").header("x_bartizan_subject", "root".to_owned());
    for (request, expected, call) in [
        (
            "HTTP: alice, by her token",
            ("200", "hello alice"),
            alice("/stock/7"),
        ),
        (
            "HTTP: no token",
            ("401", "authz.unauthenticated"),
            HttpCall::get("/stock/7"),
        ),
        (
            "HTTP: X_Bartizan_Subject: root",
            ("200", "hello nobody"),
            spoofed,
        ),
        (
            "HTTP: a path with two meanings",
            ("400", "route.ambiguous_path"),
            alice("/stock/..%2fadmin"),
        ),
        (
            "HTTP: two hosts in one request",
            ("400", "gateway.ambiguous_host"),
            alice("/stock/7").header("host", "admin.internal".to_owned()),
        ),
    ] {
        rows.send(request, expected, &browser, gateway.requests, call);
    }

    let health = gateway.health;
    rows.add(
        "metrics: whom the rules turned away",
        ("200", "authz.unauthenticated: 1"),
        measured(Alert::default(), counted(health)),
    );
    let live = Live {
        dialler: browser.clone(),
        gateway: Arc::clone(&gateway),
        call: alice("/live"),
        token: token.clone(),
    };
    rows.add(
        "WebSocket: its rule goes, in the middle",
        ("101, then end", "authz.denied"),
        measured(Alert::default(), live.until_withdrawn()),
    );
    let (address, call) = (gateway.requests, alice("/stock/7"));
    rows.add(
        "HTTP: alice, after Python was killed",
        ("502", "gateway.upstream_unreachable"),
        async move {
            gateway.kill_python();
            http(browser, address, call).await
        },
    );
    Ok(())
}

/// How often the rules refused somebody, by the metrics.
async fn counted(health: SocketAddr) -> Result<(String, String), BoxError> {
    let (answer, text) = probe(health, "/metrics").await?;
    let denied = r#"bartizan_decisions_total{layer="authz",outcome="denied""#;
    let mut lines = text.lines().filter(|line| line.starts_with(denied));
    let line = lines.next().ok_or("no such metric")?;
    let code = line
        .split("code=\"")
        .nth(1)
        .and_then(|it| it.split('"').next());
    let number = line.rsplit(' ').next().unwrap_or_default();
    Ok((answer, format!("{}: {number}", code.unwrap_or("no code"))))
}

/// A WebSocket that somebody has open.
struct Live {
    dialler: Dialler,
    gateway: Arc<Gateway>,
    call: HttpCall,
    token: String,
}

impl Live {
    /// Talks until it ends, once the rule that allowed it is gone; and tries again.
    async fn until_withdrawn(self) -> Result<(String, String), BoxError> {
        let to = self.gateway.requests;
        let way = (self.call.origin(), to);
        let mut wire = Wire::dial(self.dialler.clone(), way, Alert::default()).await?;
        let ask = format!(
            "GET /live HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             authorization: Bearer {}\r\n\r\n",
            self.token
        );
        wire.write_all(ask.as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(wire.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let answer = head.split(' ').nth(1).unwrap_or_default().to_owned();
        echo(&mut wire, b"before").await?;
        self.gateway.withdraw("/live")?;
        while echo(&mut wire, b"and still").await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let again = http(self.dialler, to, self.call).await;
        Ok((format!("{answer}, then end"), again.said))
    }
}

async fn echo(wire: &mut Wire, text: &'static [u8]) -> Result<(), BoxError> {
    wire.write_all(text).await?;
    let mut back = vec![0; text.len()];
    wire.read_exact(&mut back).await?;
    match back == text {
        true => Ok(()),
        false => Err("it says something else".into()),
    }
}
