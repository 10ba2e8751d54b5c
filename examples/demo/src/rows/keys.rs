//! The issuer's keys change, and the issuer goes away.

use std::sync::Arc;

use bartizan_testkit::{Endpoint, Fault, OldKey, TokenIssuer};

use super::Rows;
use crate::client::{Got, HttpCall, http};

/// How many made-up key identifiers are sent.
const FLOOD: usize = 50;

pub(super) fn add(rows: &mut Rows<'_>) -> anyhow::Result<()> {
    rows.group(
        "While the issuer's keys change",
        "Keys are fetched ahead and kept; who makes up identifiers causes no second fetch.",
    );
    let (scene, web) = (rows.scene, rows.scene.workload("/web")?);
    let orders = scene.orders;
    let read = move |token: String| {
        let call = HttpCall::get("/orders/7").token(Some(token));
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
    let unknown = ("503", "jwt.keys_unavailable");
    rows.add(
        "HTTP: 50 made-up keys, no more fetches",
        unknown,
        async move {
            let before = issuer.requests(Endpoint::Jwks);
            let mut last = Got::failed(&"nothing was sent");
            for number in 0..FLOOD {
                let made_up = token.clone().header("kid", format!("made-up-{number}"));
                last = match made_up.sign() {
                    Ok(token) => read(token).await,
                    Err(error) => Got::failed(&error),
                };
                // Each of them must get the same; the first that does not is what is shown.
                if (last.answer.as_str(), last.said.as_str()) != unknown {
                    return last;
                }
            }
            // The first unknown key of this demo caused a fetch; until the cool-down has passed, no
            // other does.
            match issuer.requests(Endpoint::Jwks) - before {
                0 => last,
                fetches => Got::failed(&format!("{fetches} fetches")),
            }
        },
    );
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
