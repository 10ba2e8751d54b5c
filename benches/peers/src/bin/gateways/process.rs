//! The processes that are measured, and what the kernel says of them.

use std::fs::File;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take to begin or to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server. Killed when it is dropped.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    end: End,
    // Open for as long as it is to serve, where that is how it ends.
    input: Option<ChildStdin>,
}

/// How a server is told to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// Its standard input is closed.
    Input,
    /// By a signal.
    Signal,
}

impl Process {
    /// Starts a server whose output goes into files of its name, and waits until it accepts
    /// connections.
    pub(crate) fn start(
        name: &'static str,
        mut command: Command,
        end: End,
        folder: &Path,
        listen: SocketAddr,
    ) -> anyhow::Result<Self> {
        let file = |end: &str| File::create(folder.join(format!("{name}.{end}")));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(file("out")?)
            .stderr(file("err")?)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let input = child.stdin.take();
        let mut process = Self {
            name,
            child,
            end,
            input,
        };
        let begun = Instant::now();
        while TcpStream::connect(listen).is_err() {
            if let Some(status) = process.child.try_wait()? {
                let said = std::fs::read_to_string(folder.join(format!("{name}.err")))?;
                bail!("{name} ended with {status}: {said}");
            }
            if begun.elapsed() > PATIENCE {
                bail!("{name} does not listen on {listen}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(process)
    }

    /// What it has used of all processors together.
    pub(crate) fn processor_time(&self) -> anyhow::Result<Duration> {
        // By the nanosecond, where the kernel says so; threads of servers do not end under load.
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id()))?;
        let mut nanoseconds = 0;
        for task in tasks {
            let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
            let first = text.split_ascii_whitespace().next().unwrap_or_default();
            nanoseconds += first.parse::<u64>().context("no schedstat")?;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// How much of it is in memory, in bytes.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_ascii_whitespace().next());
        let kilobytes: u64 = number.context("no VmRSS")?.parse()?;
        Ok(kilobytes * 1_024)
    }

    /// Ends it in order, so that it writes what it has not written yet.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        drop(self.input.take());
        if self.end == End::Signal {
            kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        }
        let begun = Instant::now();
        while self.child.try_wait()?.is_none() {
            if begun.elapsed() > PATIENCE {
                bail!("{} does not end", self.name);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nobody is left to tell, and one that has ended already is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port on loopback that was free a moment ago.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// The first line that a program prints about itself.
pub(crate) fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().find(|line| !line.trim().is_empty())?;
    Some(line.trim().to_owned())
}

/// How many lines a file has.
pub(crate) fn lines(path: &Path) -> anyhow::Result<u64> {
    let mut file = File::open(path)?;
    let (mut buffer, mut lines) = (vec![0; 1 << 20], 0);
    loop {
        let read = file.read(&mut buffer)?;
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else {
            return Ok(lines);
        };
        lines += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
    }
}
