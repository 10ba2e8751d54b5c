//! Measurements in turns: each case, each participant, from a process that has seen nothing.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use crate::load::{self, Plan, Tokens};
use crate::material::{Certificate, Material};
use crate::options::{Mode, Options, Participant, Protocol};
use crate::policy::Limit;
use crate::running::{Running, Usage};

/// What is compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Case {
    pub(crate) mode: Mode,
    pub(crate) protocol: Protocol,
    pub(crate) connections: usize,
    pub(crate) rate: Option<u32>,
}

/// One participant, one case, one turn.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) case: Case,
    pub(crate) participant: Participant,
    pub(crate) round: usize,
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// Processor time per request of its own process, and with the service behind it.
    pub(crate) own: Duration,
    pub(crate) whole: Duration,
    /// Memory after the load, in bytes, of its own process and of the service behind it.
    pub(crate) resident: (u64, u64),
    /// How many were answered, with those of the warm-up, and how many of them its log lacks.
    pub(crate) answered: u64,
    pub(crate) missing: u64,
}

/// Tokens for both modes.
pub(crate) struct Pools {
    hot: Arc<[String]>,
    distinct: Arc<[String]>,
}

impl Pools {
    pub(crate) fn sign(options: &Options, material: &Material) -> anyhow::Result<Self> {
        let distinct = match options.modes.contains(&Mode::Distinct) {
            true => material.distinct(options.distinct())?,
            false => Vec::new(),
        };
        Ok(Self {
            hot: material.hot(options.hot)?.into(),
            distinct: distinct.into(),
        })
    }

    fn of(&self, mode: Mode, participant: Participant) -> Tokens {
        match mode {
            Mode::Hot => Tokens::Hot(Arc::clone(&self.hot)),
            Mode::Distinct if participant.guards() => Tokens::Distinct(Arc::clone(&self.distinct)),
            // Who does not look at them may get one twice, and would need many more.
            Mode::Distinct => Tokens::Hot(Arc::clone(&self.distinct)),
        }
    }
}

/// All cases that were asked for.
pub(crate) fn cases(options: &Options) -> Vec<Case> {
    let mut cases = Vec::new();
    for mode in &options.modes {
        for protocol in &options.protocols {
            for connections in &options.connections {
                cases.push(Case {
                    mode: *mode,
                    protocol: *protocol,
                    connections: *connections,
                    rate: None,
                });
            }
        }
    }
    // The same load for all, where there is the most to compare.
    let most = options.connections.iter().max().copied();
    if options.modes.contains(&Mode::Hot) && options.protocols.contains(&Protocol::Http1) {
        cases.extend(most.map(|connections| Case {
            mode: Mode::Hot,
            protocol: Protocol::Http1,
            connections,
            rate: Some(options.rate),
        }));
    }
    cases
}

/// Measures one participant in one case.
pub(crate) fn measure(
    options: &Options,
    material: &Material,
    pools: &Pools,
    case: Case,
    participant: Participant,
    round: usize,
) -> anyhow::Result<Sample> {
    let folder = &options.folder;
    let running = Running::start(participant, folder, Limit::MEASURED, case.mode)?;
    let tls = match participant.is_tls() {
        true => Some(material.client(Certificate::Good, case.protocol)?),
        false => None,
    };
    let plan = Plan {
        address: running.address,
        tls,
        protocol: case.protocol,
        connections: case.connections,
        tokens: pools.of(case.mode, participant),
        rate: case.rate,
        warmup: options.warmup(),
        seconds: options.seconds(),
    };
    let mut used: Vec<Usage> = Vec::new();
    let measured = load::run(plan, || {
        used.push(running.usage()?);
        Ok(())
    });
    let measured = measured.with_context(|| format!("{} in {case:?}", participant.name()))?;
    let resident = running.resident()?;
    let missing = running.stop(measured.answered, case.connections)?;

    let (before, after) = used
        .first()
        .zip(used.last())
        .context("nothing was marked")?;
    let requests = u32::try_from(measured.times.count())?;
    let own = after.front.saturating_sub(before.front);
    let behind = after.backend.saturating_sub(before.backend);
    Ok(Sample {
        case,
        participant,
        round,
        per_second: f64::from(requests) / measured.elapsed.as_secs_f64(),
        p50: measured.times.quantile(0.5),
        p99: measured.times.quantile(0.99),
        own: own / requests,
        whole: (own + behind) / requests,
        resident,
        answered: measured.answered,
        missing,
    })
}
