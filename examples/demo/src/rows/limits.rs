//! One caller asks too often, and nobody else pays for it.

use std::net::Ipv4Addr;

use super::Rows;
use crate::client::{Got, HttpCall, grpc, http};

/// More than orders allows one subject in a moment, and payments one workload.
const BURST: usize = 160;
/// Wrong tokens that one address tries at most. It is stopped after some ten: 200 requests, twenty
/// for each, and a few more where a machine takes its time.
const GUESSES: usize = 200;
/// How often a burst is tried that a slow machine may have stretched too long.
const ROUNDS: usize = 5;
/// Where the guesses come from; everybody else is at another address.
const GUESSER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);

pub(super) fn add(rows: &mut Rows<'_>) -> anyhow::Result<()> {
    rows.group(
        "While one caller asks too often",
        "It waits, and nobody else does; a wrong token costs an address twenty requests.",
    );
    let (scene, orders) = (rows.scene, rows.scene.orders);
    let web = scene.workload("/web")?;
    let call = |token| HttpCall::get("/orders/7").token(Some(token));
    let bob = scene.token().subject("bob").sign()?;

    let (dialler, greedy) = (web.clone(), call(bob));
    rows.add(
        "HTTP: bob, 160 times at once",
        ("429", "ratelimit.exceeded, 1 s"),
        worst("429", move || http(dialler.clone(), orders, greedy.clone())),
    );
    let alice = call(scene.token().sign()?);
    rows.send(
        "HTTP: alice, meanwhile",
        ("200", "hello alice"),
        &web,
        orders,
        alice,
    );

    // What each answer tells of the limit, in the fields of the IETF's draft.
    let carl = call(scene.token().subject("carl").sign()?);
    for (request, field, told) in [
        (
            "HTTP: what carl has left",
            "ratelimit",
            r#""user";r=29;t=1"#,
        ),
        (
            "HTTP: how often he may ask",
            "ratelimit-policy",
            r#""user";q=10;w=1"#,
        ),
    ] {
        let call = carl.clone().showing(field);
        rows.send(request, ("200", told), &web, orders, call);
    }

    // An address that guesses tokens, and says with each that it is another.
    let customers = scene.customers;
    let guess = scene.customer_token().audience("guessed").sign()?;
    let (dialler, good) = (web.clone(), scene.customer_token().sign()?);
    let from = HttpCall::get("/customers/7").from(GUESSER);
    rows.add(
        "HTTP: guessed tokens, spoofed addresses",
        ("429", "ratelimit.exceeded, 1 s"),
        async move {
            let mut last = Got::failed(&"nothing was sent");
            for number in 0..GUESSES {
                let call = from.clone().token(Some(guess.clone()));
                let call = call.header("x-forwarded-for", format!("203.0.113.{number}"));
                last = http(dialler.clone(), customers, call).await;
                if last.answer != "401" {
                    break;
                }
            }
            last
        },
    );
    rows.send(
        "HTTP: a neighbour of the guesser",
        ("200", "card ****1111"),
        &web,
        customers,
        HttpCall::get("/customers/7").token(Some(good)),
    );

    let (payments, workload) = (scene.payments, scene.workload("/orders")?);
    let token = scene.token().sign()?;
    rows.add(
        "gRPC: orders, 160 times at once",
        ("gRPC 8", "ratelimit.exceeded, 1 s"),
        worst("gRPC 8", move || {
            grpc(workload.clone(), payments, Some(token.clone()))
        }),
    );
    Ok(())
}

/// Asks many times at once, and gives an answer of this kind if there is one.
async fn worst<F>(wanted: &'static str, ask: impl Fn() -> F) -> Got
where
    F: Future<Output = Got> + Send + 'static,
{
    let mut worst = Got::failed(&"no answer");
    for _ in 0..ROUNDS {
        let asked: Vec<_> = (0..BURST).map(|_| tokio::spawn(ask())).collect();
        for answer in asked {
            if let Ok(got) = answer.await
                && worst.answer != wanted
            {
                worst = got;
            }
        }
        if worst.answer == wanted {
            break;
        }
    }
    worst
}
