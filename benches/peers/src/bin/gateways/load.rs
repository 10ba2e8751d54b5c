//! The load: so many connections, each with one request at a time, on two threads.
//!
//! The loop is closed, the next request following the last answer, unless a rate is given. Then
//! requests have an appointed time, and one that could not be sent then because the last answer
//! was late counts from that time on: a server that stands still does not look better for it.

pub(crate) mod link;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustls::ClientConfig;

use self::link::{Link, good};
use crate::histogram::Histogram;
use crate::options::Protocol;

/// Threads of the generator.
const THREADS: usize = 2;

/// What is sent to whom.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) protocol: Protocol,
    pub(crate) connections: usize,
    pub(crate) tokens: Tokens,
    /// Requests per second on all connections together.
    pub(crate) rate: Option<u32>,
    pub(crate) warmup: Duration,
    pub(crate) seconds: Duration,
}

/// The tokens of requests.
#[derive(Clone)]
pub(crate) enum Tokens {
    /// These, in turn.
    Hot(Arc<[String]>),
    /// Each of these once.
    Distinct(Arc<[String]>),
}

/// What came of it.
pub(crate) struct Measured {
    /// While it was measured.
    pub(crate) times: Histogram,
    pub(crate) elapsed: Duration,
    /// All that were answered, with those of the warm-up.
    pub(crate) answered: u64,
}

const WARMING: u8 = 0;
const MEASURING: u8 = 1;
const OVER: u8 = 2;

struct Shared {
    plan: Plan,
    phase: AtomicU8,
    connected: AtomicUsize,
    next: AtomicUsize,
    answered: AtomicU64,
    failure: Mutex<Option<anyhow::Error>>,
}

/// Runs the load, and calls `mark` when the measurement begins and when it ends.
pub(crate) fn run(
    plan: Plan,
    mut mark: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Measured> {
    let (warmup, seconds, connections) = (plan.warmup, plan.seconds, plan.connections);
    let shared = Arc::new(Shared {
        plan,
        phase: AtomicU8::new(WARMING),
        connected: AtomicUsize::new(0),
        next: AtomicUsize::new(0),
        answered: AtomicU64::new(0),
        failure: Mutex::new(None),
    });
    let threads: Vec<_> = (0..THREADS.min(connections))
        .map(|first| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || drive(&shared, first))
        })
        .collect();

    let wait_for = |span: Duration| {
        let begun = Instant::now();
        while begun.elapsed() < span && !shared.is_over() {
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    while shared.connected.load(Ordering::Relaxed) < connections && !shared.is_over() {
        wait_for(Duration::from_millis(1));
    }
    wait_for(warmup);
    mark()?;
    let begun = Instant::now();
    let _ = shared.enter(WARMING, MEASURING);
    wait_for(seconds);
    shared.phase.store(OVER, Ordering::Relaxed);
    let elapsed = begun.elapsed();
    mark()?;

    let mut times = Histogram::new();
    for thread in threads {
        let part = thread
            .join()
            .ok()
            .context("a thread of the load panicked")?;
        times.add(&part?);
    }
    let failure = shared.failure.lock();
    if let Some(error) = failure.unwrap_or_else(PoisonError::into_inner).take() {
        return Err(error);
    }
    if times.count() == 0 {
        bail!("nothing was answered while it was measured: more tokens are needed");
    }
    Ok(Measured {
        times,
        elapsed,
        answered: shared.answered.load(Ordering::Relaxed),
    })
}

/// One thread with its share of the connections.
fn drive(shared: &Arc<Shared>, first: usize) -> anyhow::Result<Histogram> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let numbers = (first..shared.plan.connections).step_by(THREADS);
        let connections: Vec<_> = numbers
            .map(|number| {
                let shared = Arc::clone(shared);
                tokio::spawn(async move {
                    let mut times = Histogram::new();
                    if let Err(error) = exchange(&shared, number, &mut times).await {
                        shared.fail(error);
                    }
                    times
                })
            })
            .collect();
        let mut times = Histogram::new();
        for connection in connections {
            times.add(&connection.await?);
        }
        Ok(times)
    })
}

/// One connection, until the measurement is over.
async fn exchange(shared: &Shared, number: usize, times: &mut Histogram) -> anyhow::Result<()> {
    let plan = &shared.plan;
    let mut link = Link::open(plan.address, plan.tls.clone(), plan.protocol).await?;
    let mut call = good(plan.protocol, String::new());
    shared.connected.fetch_add(1, Ordering::Relaxed);

    let mut appointed = plan.rate.map(|rate| {
        let gap = Duration::from_secs(1) * plan.connections as u32 / rate;
        let share = gap * number as u32 / plan.connections as u32;
        (Instant::now() + share, gap)
    });
    while !shared.is_over() {
        let Some(token) = shared.token() else {
            shared.phase.store(OVER, Ordering::Relaxed);
            return Ok(());
        };
        call.token.get_or_insert_default().clone_from(token);
        let begun = match &mut appointed {
            Some((at, gap)) => {
                let due = *at;
                *at += *gap;
                // A timer wakes us up to a millisecond late, which is not the server's fault.
                match Instant::now() < due {
                    true => {
                        tokio::time::sleep_until(due.into()).await;
                        Instant::now()
                    }
                    false => due,
                }
            }
            None => Instant::now(),
        };
        let answer = link.send(&call).await?;
        if !answer.is_success(plan.protocol) {
            bail!("{} answered {answer:?} under load", plan.address);
        }
        shared.answered.fetch_add(1, Ordering::Relaxed);
        if shared.phase.load(Ordering::Relaxed) == MEASURING {
            times.record(begun.elapsed());
        }
    }
    Ok(())
}

impl Shared {
    fn is_over(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == OVER
    }

    fn enter(&self, from: u8, to: u8) -> Result<u8, u8> {
        let order = Ordering::Relaxed;
        self.phase.compare_exchange(from, to, order, order)
    }

    /// The next token; none when each has been used.
    fn token(&self) -> Option<&String> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        match &self.plan.tokens {
            Tokens::Hot(tokens) => tokens.get(next % tokens.len().max(1)),
            Tokens::Distinct(tokens) => tokens.get(next),
        }
    }

    fn fail(&self, error: anyhow::Error) {
        let failure = self.failure.lock();
        failure
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
        self.phase.store(OVER, Ordering::Relaxed);
    }
}
