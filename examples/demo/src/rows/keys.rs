//! The issuer's keys change, and the issuer goes away.

use std::sync::Arc;

use bartizan_testkit::{Endpoint, Fault, OldKey, TokenIssuer};
use http::Method;

use super::Rows;
use crate::client::{Got, HttpCall, http};

/// How many made-up key identifiers are sent.
const FLOOD: usize = 50;

pub(super) fn add(rows: &mut Rows<'_>) -> anyhow::Result<()> {
    rows.group = "While the issuer's keys change";
    let (scene, web) = (rows.scene, rows.scene.workload("/web")?);
    let orders = scene.orders;
    let read = move |token: String| {
        let call = HttpCall {
            method: Method::GET,
            path: "/orders/7",
            token: Some(token),
        };
        http(web.clone(), orders, call)
    };
    let (old, new) = (scene.token(), scene.issuer.clone());
    let send = read.clone();
    rows.add(
        "HTTP: signed with a brand-new key",
        ("200", "hello alice"),
        async move {
            let rotated = new.mint().rotate(OldKey::Keep);
            match rotated.and_then(|key| old.key(&key).sign()) {
                Ok(token) => send(token).await,
                Err(error) => Got::failed(&error),
            }
        },
    );
    let (good, issuer, send) = (scene.token().sign()?, scene.issuer.clone(), read.clone());
    rows.add(
        "HTTP: known key, while the issuer is down",
        ("200", "hello alice"),
        async move {
            down(&issuer);
            let got = send(good).await;
            up(&issuer);
            got
        },
    );
    let (token, issuer) = (scene.token(), scene.issuer.clone());
    let once = ("401", "no more fetches");
    rows.add("HTTP: 50 made-up key identifiers", once, async move {
        let before = issuer.requests(Endpoint::Jwks);
        let mut last = None;
        for number in 0..FLOOD {
            last = Some(
                match token
                    .clone()
                    .header("kid", format!("made-up-{number}"))
                    .sign()
                {
                    Ok(token) => read(token).await,
                    Err(error) => Got::failed(&error),
                },
            );
        }
        // The first unknown key of this demo caused a fetch; until the cool-down has passed, no
        // other does.
        let fetches = issuer.requests(Endpoint::Jwks) - before;
        let said = if fetches == 0 {
            "no more fetches".into()
        } else {
            format!("{fetches} fetches")
        };
        last.map(|got| Got { said, ..got })
            .unwrap_or_else(|| Got::failed(&"nothing was sent"))
    });
    Ok(())
}

const FETCHED: [Endpoint; 3] = [
    Endpoint::OpenIdConfiguration,
    Endpoint::AuthorizationServer,
    Endpoint::Jwks,
];

fn down(issuer: &Arc<TokenIssuer>) {
    FETCHED
        .into_iter()
        .for_each(|endpoint| issuer.set_fault(endpoint, Fault::Disconnect));
}

fn up(issuer: &Arc<TokenIssuer>) {
    FETCHED
        .into_iter()
        .for_each(|endpoint| issuer.clear_fault(endpoint));
}
