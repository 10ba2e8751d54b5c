//! From the first process to the last difference.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::director::Director;
use crate::ledger;
use crate::load::{Load, Tokens};
use crate::memory::{self, Flatness, Sample};
use crate::plan::Plan;
use crate::reconcile::Reconciler;
use crate::report::Report;
use crate::scene::Scene;

/// How long clients have for what they are at.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a record takes of the disk, with room to spare, and what floods take.
const BYTES_PER_REQUEST: u64 = 1_200;
const BYTES_OF_FLOODS: u64 = 512 << 20;

/// What is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// How long, in minutes; at least a third of one, and as long as it takes for every fault to
    /// happen once.
    #[arg(long, default_value_t = 1.0)]
    pub minutes: f64,
    /// About how many requests a second clients send together.
    #[arg(long, default_value_t = 800)]
    pub rate: u32,
    /// Prints the report as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Runs a soak.
///
/// # Errors
///
/// If something could not be started, or the ledger is not intact.
pub async fn soak(options: &Options) -> anyhow::Result<Report> {
    let plan = Plan::of(Duration::from_secs_f64(
        options.minutes.clamp(0.0, 1e5) * 60.0,
    ));
    let requests = u64::from(options.rate) * plan.length.as_secs();
    let mut scene = Scene::start(requests * BYTES_PER_REQUEST + BYTES_OF_FLOODS).await?;
    let disk = match scene.disk.is_mounted() {
        true => "a file system in memory, of its own",
        false => "an ordinary disk, which is never made full",
    };
    let address = scene.service.address();
    let tokens = Tokens::new(&scene.issuer)?;
    let load = Load::new(address, Arc::clone(&scene.authority), tokens);
    let began = Instant::now();
    let (stop, stopped) = oneshot::channel();
    let process = scene.service.process().context("the service runs")?;
    let watching = tokio::spawn(watch(process, began, stopped));

    let mut clients = load.start(options.rate);
    let faults = Director::new(&mut scene, Arc::clone(&load), plan)
        .direct(began)
        .await;
    load.stop();
    let ended = timeout(PATIENCE, async {
        while clients.join_next().await.is_some() {}
    });
    if ended.await.is_err() {
        load.complain(format!("clients still wait after {PATIENCE:?}"));
    }
    let _ = stop.send(());
    let samples = watching.await?;
    let seconds = began.elapsed().as_secs_f64();
    let farewell = scene.service.end().await?;

    let sent = load.journal.sent();
    let mut reconciler = Reconciler::new(&sent);
    let folder = scene.ledger();
    let entries = ledger::read(&folder, &mut reconciler)?;
    let mut reconciled = reconciler.conclude(&load.refused, &farewell.said);
    let (complaints, told) = load.complaints();
    reconciled.differences += complaints - told.len() as u64;
    told.into_iter().for_each(|what| reconciled.differ(what));

    // Tables are full once the first floods are over, however long those took here.
    let floods = faults
        .iter()
        .take(Plan::FLOODS)
        .map(|it| it.second + it.took);
    let warm_up = floods.fold(plan.warm_up.as_secs_f64(), f64::max);
    let warm = warm_up.ceil() as u64;
    let mut report = Report {
        seconds,
        disk,
        faults,
        reconciled,
        entries,
        ledger_bytes: size_of_folder(&folder)?,
        farewell,
        minutes: memory::minutes(&samples),
        memory: Flatness::of_memory(&samples, warm),
        descriptors: Flatness::of_descriptors(&samples, warm),
        most_descriptors: samples.iter().map(|it| it.descriptors).max().unwrap_or(0),
        warm_up,
    };
    report.hold_to_bounds();
    Ok(report)
}

/// Looks at a process once a second.
async fn watch(process: u32, began: Instant, mut stopped: oneshot::Receiver<()>) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = &mut stopped => return samples,
            _ = seconds.tick() => {}
        }
        samples.extend(memory::look(process, began.elapsed().as_secs()));
    }
}

fn size_of_folder(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let of = entry?.metadata()?;
        bytes += if of.is_file() { of.len() } else { 0 };
    }
    Ok(bytes)
}
