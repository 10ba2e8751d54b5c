//! Thousands of addresses are made up to get around a limit, and nobody else pays for it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Rows;
use crate::client::{BoxError, Got, HttpCall, Line, measured};
use crate::scene::{Dialler, EDGE};
use crate::wire::{Alert, Wire};

/// How many requests a flood is, each from another address if one believes it.
const FLOOD: u32 = 2_000;
/// Over how many connections it comes.
const LINES: u32 = 4;
/// Where the flood comes from that says it is a proxy and is none.
const LIAR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 5);
/// What customers allows an address: so many requests at once, so many a second, and a wrong
/// token counts as so many.
const BURST: f64 = 200.0;
const RATE: f64 = 50.0;
const GUESS: f64 = 20.0;

pub(super) fn add(rows: &mut Rows<'_>) -> anyhow::Result<()> {
    rows.group(
        "While thousands of addresses are made up",
        "Who is no trusted proxy is believed about no address, and a whole IPv6 network is one.",
    );
    let (scene, customers) = (rows.scene, rows.scene.customers);
    let guess = scene.customer_token().audience("guessed").sign()?;
    let good = scene.customer_token().sign()?;
    let guess = HttpCall::get("/customers/7").token(Some(guess));
    let good = HttpCall::get("/customers/7").token(Some(good));
    let (web, edge) = (scene.workload("/web")?, scene.workload("/edge")?);
    let known = ("200", "card ****1111");
    let stopped = ("401, then 429", "as from one address");

    // Nobody trusts it to say where requests come from.
    let flood = Flood {
        dialler: web.clone(),
        customers,
        call: guess.clone().from(LIAR),
        address: |number| Ipv4Addr::from_bits(0xCB00_0000 | number).to_string(),
    };
    let (end, neighbours) = beside(flood, web, customers, good.clone());
    rows.add("HTTP: alice, 20 times, beside a flood", known, neighbours);
    rows.add("HTTP: 2,000 guesses, spoofed addresses", stopped, end);

    // Behind the trusted proxy one subscriber has 2^64 addresses, and uses another for each.
    let flood = Flood {
        dialler: edge.clone(),
        customers,
        call: guess.from(EDGE),
        address: |number| format!("2001:db8:5::{number:x}"),
    };
    let neighbour = good.from(EDGE);
    let neighbour = neighbour.header("x-forwarded-for", "2001:db8:6::1".to_owned());
    let (end, neighbours) = beside(flood, edge, customers, neighbour);
    rows.add("HTTP: a neighbour behind the same proxy", known, neighbours);
    rows.add("HTTP: 2,000 guesses from one IPv6 /64", stopped, end);
    Ok(())
}

/// Many requests, each of which names another address as its own.
#[derive(Clone)]
struct Flood {
    dialler: Dialler,
    customers: SocketAddr,
    call: HttpCall,
    address: fn(u32) -> String,
}

impl Flood {
    /// Sends them all, and gives how many were looked at before they were stopped.
    #[expect(clippy::disallowed_methods, reason = "measures how long a row takes")]
    async fn run(self) -> Result<(String, String), BoxError> {
        let begun = Instant::now();
        let flood = Arc::new(self);
        let lines: Vec<_> = (0..LINES)
            .map(|line| tokio::spawn(Arc::clone(&flood).line(line)))
            .collect();
        let (mut looked_at, mut stopped) = (0_u32, 0_u32);
        for line in lines {
            let (guesses, refusals) = line.await??;
            looked_at += guesses;
            stopped += refusals;
        }
        // What the limit allows one address in that time, and those that were under way together.
        let seconds = begun.elapsed().as_secs_f64();
        let most = (BURST + RATE * seconds) / GUESS + f64::from(LINES);
        let said = match f64::from(looked_at) <= most {
            true => "as from one address".to_owned(),
            false => format!("{looked_at} looked at"),
        };
        match looked_at > 0 && stopped > 0 && looked_at + stopped == FLOOD {
            true => Ok(("401, then 429".to_owned(), said)),
            false => Ok((format!("{looked_at} x 401"), format!("{stopped} x 429"))),
        }
    }

    /// Counts answers to guesses, and refusals to answer.
    async fn line(self: Arc<Self>, line: u32) -> Result<(u32, u32), BoxError> {
        let (mut guesses, mut refusals) = (0, 0);
        let mut open = open(&self.dialler, &self.call, self.customers).await?;
        for number in (line..FLOOD).step_by(LINES as usize) {
            let address = (self.address)(number);
            let call = self.call.clone().header("x-forwarded-for", address);
            match open.send(call).await?.0.as_str() {
                "401" => guesses += 1,
                "429" => refusals += 1,
                other => return Err(format!("answered {other}").into()),
            }
        }
        Ok((guesses, refusals))
    }
}

async fn open(dialler: &Dialler, call: &HttpCall, to: SocketAddr) -> Result<Line, BoxError> {
    let wire = Wire::dial(dialler.clone(), (call.origin(), to), Alert::default()).await?;
    Line::over(wire).await
}

/// Starts the flood and, while it goes on, asks for somebody else.
fn beside(
    flood: Flood,
    dialler: Dialler,
    customers: SocketAddr,
    call: HttpCall,
) -> (
    impl Future<Output = Got> + 'static,
    impl Future<Output = Got> + 'static,
) {
    let (ended, end) = oneshot::channel();
    let neighbours = measured(Alert::default(), async move {
        tokio::spawn(async move {
            let _ = ended.send(measured(Alert::default(), flood.run()).await);
        });
        let mut line = open(&dialler, &call, customers).await?;
        let mut last = line.send(call.clone()).await?;
        for _ in 1..20 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            last = line.send(call.clone()).await?;
            if last.0 != "200" {
                break;
            }
        }
        Ok(last)
    });
    let end = async move {
        end.await
            .unwrap_or_else(|_| Got::failed(&"it was not started"))
    };
    (end, neighbours)
}
