//! The same policy in process, in HAProxy and in Envoy: checked to be the same, then measured.
//!
//! See the README beside the package.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench measures time, and prints"
)]

mod cross_check;
mod envoy;
mod haproxy;
mod histogram;
mod load;
mod material;
mod measure;
mod options;
mod plot;
mod policy;
mod process;
mod report;
mod running;
mod service;
mod summary;
mod verdict;

use anyhow::Context as _;
use clap::Parser as _;

use crate::material::Material;
use crate::measure::{Pools, cases, measure};
use crate::options::{Arguments, Command, Options, Participant};
use crate::process::first_line;
use crate::report::Circumstances;
use crate::summary::Summary;

/// What verifies tokens here.
const LIBRARY: &str = if cfg!(feature = "aws-lc-rs") {
    "aws-lc-rs"
} else {
    "ring"
};

/// The page that the result is written to: of its own for what is not the default.
const PAGE: &str = if cfg!(feature = "aws-lc-rs") {
    "gateways-aws-lc-rs"
} else {
    "gateways"
};

fn main() -> anyhow::Result<()> {
    let Arguments { command, options } = Arguments::parse();
    match command {
        Some(Command::Serve(serve)) => service::run(&serve),
        None => bench(options),
    }
}

fn bench(mut options: Options) -> anyhow::Result<()> {
    std::fs::create_dir_all(&options.folder)?;
    options.folder = options.folder.canonicalize()?;
    let (mut versions, mut skipped) = (Vec::new(), Vec::new());
    options
        .participants
        .retain(|participant| match running::version(*participant) {
            Ok(version) if participant.guards() => {
                versions.push((*participant, version));
                true
            }
            Ok(_) => true,
            Err(reason) => {
                eprintln!("skipped: {reason}");
                skipped.push(reason.to_owned());
                false
            }
        });
    let before = load_average()?;

    let material = Material::new(&options.folder)?;
    let guards = options.participants.iter().copied();
    let guards: Vec<_> = guards.filter(|it| it.guards()).collect();
    let rows = verdict::check(&options.folder, &material, &guards, &options.protocols)?;
    eprintln!(
        "{} requests, the same verdict from {} participants",
        rows.len(),
        guards.len()
    );
    if options.check {
        for row in &rows {
            let seen: Vec<_> = row.seen.iter().map(|(_, seen)| seen.text()).collect();
            println!("{} {}: {}", row.protocol, row.name, seen.join(", "));
        }
        return Ok(());
    }

    eprintln!("signing {} tokens", options.distinct());
    let pools = Pools::sign(&options, &material)?;
    let cross_check = match options.participants.contains(&Participant::Bartizan) {
        true => cross_check::run(&options, &material)?,
        false => String::new(),
    };
    let cases = cases(&options);
    let mut samples = Vec::new();
    for round in 0..options.rounds {
        for case in &cases {
            // Nobody is always the first, nor always behind the same other.
            let mut order = options.participants.clone();
            let count = order.len().max(1);
            order.rotate_left(round % count);
            for participant in order {
                let sample = measure(&options, &material, &pools, *case, participant, round)?;
                eprintln!(
                    "{} {} {} connections {}: {:.0}/s, p50 {:?}, p99 {:?}, CPU {:?} of {:?}",
                    case.mode,
                    case.protocol,
                    case.connections,
                    participant,
                    sample.per_second,
                    sample.p50,
                    sample.p99,
                    sample.own,
                    sample.whole,
                );
                samples.push(sample);
            }
        }
    }

    let summary = Summary::new(&samples);
    let circumstances = Circumstances {
        date: first_line("date", &["-u", "+%Y-%m-%d %H:%M UTC"]).context("no date")?,
        command: command(),
        machine: machine()?,
        load: (before, load_average()?),
        versions,
        skipped,
        token_bytes: material.token("user-0").sign()?.len(),
        cross_check,
    };
    let text = report::markdown(&options, &circumstances, &rows, &cases, &summary);
    println!("{text}");
    if !options.dry {
        std::fs::create_dir_all(&options.output)?;
        let file = |extension| options.output.join(format!("{PAGE}.{extension}"));
        std::fs::write(file("md"), text)?;
        std::fs::write(file("svg"), plot::svg(&options, &summary))?;
    }
    Ok(())
}

/// How this was called, as somebody else would have to.
fn command() -> String {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let mut text =
        "cargo run --release --manifest-path benches/peers/Cargo.toml --bin gateways".to_owned();
    if cfg!(feature = "aws-lc-rs") {
        text.push_str(" --features aws-lc-rs");
    }
    if !arguments.is_empty() {
        text.push_str(" -- ");
        text.push_str(&arguments.join(" "));
    }
    text
}

fn machine() -> anyhow::Result<String> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown processor", |it| {
        it.trim_start_matches([' ', '\t', ':'])
    });
    let cores = std::thread::available_parallelism()?;
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!("{model}, {cores} cores, Linux {}", kernel.trim()))
}

fn load_average() -> anyhow::Result<String> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').next().unwrap_or_default().to_owned())
}
