//! Two copies of a service grant one limit between them, also after their Redis was away.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Rows;
use crate::client::{Got, HttpCall, http};
use crate::scene::{Dialler, Fleet, Scene};

/// How often a user asks each copy, at once.
const EACH: usize = 60;
/// What orders allows a user: so many at once, and so many a second.
const BURST: f64 = 30.0;
const RATE: f64 = 10.0;
/// How long the copies have to find their Redis again.
const PATIENCE: Duration = Duration::from_secs(8);

pub(super) fn add(rows: &mut Rows<'_>) -> anyhow::Result<()> {
    let Some(fleet) = rows.scene.fleet.clone() else {
        return Ok(());
    };
    rows.group(
        "While two copies of orders share their limits",
        "Through Redis while it is there, and by an equal share each while it is not.",
    );
    let web = rows.scene.workload("/web")?;
    let shared = ("200 and 429", "one limit for both");

    let carol = rows.scene.token().subject("carol").sign()?;
    let (dialler, copies) = (web.clone(), fleet.copies);
    rows.add("HTTP: carol, 60 times at each of two", shared, async move {
        ask_both(&dialler, copies, &carol).await
    });

    let call = HttpCall::get("/orders/7");
    let call = call.token(Some(rows.scene.token().subject("dave").sign()?));
    let (killed, dialler) = (Arc::clone(&fleet.redis), web.clone());
    rows.add(
        "HTTP: dave, after Redis was killed",
        ("200", "hello dave"),
        async move {
            killed.lock().await.kill();
            http(dialler, copies[1], call).await
        },
    );
    let tokens = erins(rows.scene)?;
    rows.add("HTTP: erin at both, Redis back", shared, async move {
        match fleet.redis.lock().await.restart().await {
            Ok(()) => until_shared(&web, &fleet, tokens, shared).await,
            Err(error) => Got::failed(&error),
        }
    });
    Ok(())
}

/// Tokens of users who have not asked for anything yet.
fn erins(scene: &Scene) -> anyhow::Result<Vec<String>> {
    let token = |number| scene.token().subject(&format!("erin-{number}")).sign();
    (0..40).map(|number| Ok(token(number)?)).collect()
}

/// Until the copies have found their Redis again each grants its own share, so that one user
/// after the other asks both.
#[expect(clippy::disallowed_methods, reason = "measures how long a row takes")]
async fn until_shared(
    dialler: &Dialler,
    fleet: &Fleet,
    tokens: Vec<String>,
    shared: (&str, &str),
) -> Got {
    let begun = Instant::now();
    let mut last = Got::failed(&"nothing was sent");
    for token in tokens {
        last = ask_both(dialler, fleet.copies, &token).await;
        let is_shared = (last.answer.as_str(), last.said.as_str()) == shared;
        if is_shared || begun.elapsed() > PATIENCE {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let took = begun.elapsed();
    Got { took, ..last }
}

/// Has one user ask both copies many times at once, and counts what was let through.
#[expect(clippy::disallowed_methods, reason = "measures how long a row takes")]
async fn ask_both(dialler: &Dialler, copies: [SocketAddr; 2], token: &str) -> Got {
    let begun = Instant::now();
    let call = HttpCall::get("/orders/7").token(Some(token.to_owned()));
    let asked = (0..EACH).flat_map(|_| copies);
    let asked: Vec<_> = asked
        .map(|copy| tokio::spawn(http(dialler.clone(), copy, call.clone())))
        .collect();
    let (mut passed, mut refused) = (0_u32, 0_u32);
    for answer in asked {
        match answer.await {
            Ok(got) if got.answer == "200" => passed += 1,
            Ok(got) if got.answer == "429" => refused += 1,
            Ok(got) => return got,
            Err(error) => return Got::failed(&error),
        }
    }
    let took = begun.elapsed();
    // What the limit lets through in that time, of which all must have been taken up.
    let most = BURST + RATE * took.as_secs_f64() + 1.0;
    let within = (BURST..=most).contains(&f64::from(passed));
    let said = match within && refused > 0 {
        true => "one limit for both".to_owned(),
        false => format!("{passed} let through"),
    };
    Got {
        answer: "200 and 429".to_owned(),
        said,
        took,
        note: None,
    }
}
