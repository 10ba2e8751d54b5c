//! One caller asks too often, and nobody else pays for it.

use http::Method;

use super::Rows;
use crate::client::{HttpCall, http};

/// More than orders allows one subject in a moment.
const BURST: usize = 60;

pub(super) fn add(rows: &mut Rows<'_>) -> anyhow::Result<()> {
    rows.group = "While one caller asks too often";
    let web = rows.scene.workload("/web")?;
    let orders = rows.scene.orders;
    let bob = rows.scene.token().subject("bob").sign()?;
    let alice = rows.scene.token().sign()?;
    let call = |token| HttpCall {
        method: Method::GET,
        path: "/orders/7",
        token: Some(token),
    };

    let (dialler, greedy) = (web.clone(), call(bob));
    rows.add(
        "HTTP: bob, sixty times at once",
        ("429", "ratelimit.exceeded"),
        async move {
            let asked =
                (0..BURST).map(|_| tokio::spawn(http(dialler.clone(), orders, greedy.clone())));
            let asked: Vec<_> = asked.collect();
            let mut worst = None;
            for answer in asked {
                let got = answer.await;
                if let Ok(got) = got
                    && (worst.is_none() || got.answer == "429")
                {
                    worst = Some(got);
                }
            }
            worst.unwrap_or_else(|| crate::client::Got::failed(&"no answer"))
        },
    );
    rows.add(
        "HTTP: alice, meanwhile",
        ("200", "hello alice"),
        http(web, orders, call(alice)),
    );
    Ok(())
}
