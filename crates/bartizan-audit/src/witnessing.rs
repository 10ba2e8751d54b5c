//! Has a ledger witnessed: submits its checkpoints, beside the service and never on the path of a
//! request.

mod client;
mod cosigned;
mod error;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan_core::{Code, LifecycleKind, MonotonicTime};
use bartizan_source::{Backoff, random};
use tokio::task::{JoinHandle, JoinSet};

use self::client::{Latest, Shared, blocking};
use self::cosigned::keep;
use crate::error::ConfigError;
use crate::ledger::Ledger;
use crate::prove::Prover;
use crate::witness::LOG_FORKED;

pub use self::client::WitnessClient;
pub use self::cosigned::Cosignature;
pub use self::error::{SubmitError, SubmitErrorKind};

const LOG_CUT: Code = Code::new("audit.log_cut");
const WITNESS_FAILED: Code = Code::new("audit.witness_failed");
const WITNESS_RECOVERED: Code = Code::new("audit.witness_recovered");

/// How long a witness that fails is left alone, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Has the checkpoints of a ledger cosigned by witnesses, for as long as it lives.
///
/// What a witness has cosigned, nobody can take out of the ledger any more without being noticed;
/// what it has not, can be cut off by whoever has the host. The interval is therefore how much can
/// be lost to a thief of the host. The cosigned checkpoint is kept beside the segments, in
/// `checkpoint.cosigned`, once enough witnesses signed the same one.
///
/// A witness that says that the ledger was cut or forked is not argued with: the state is kept,
/// shown in [`status`](Self::status), and told to the ledger's observer as `audit.log_cut` or
/// `audit.log_forked`.
pub struct Witnessing {
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

struct Inner {
    ledger: Ledger,
    quorum: usize,
    interval: Duration,
    prover: tokio::sync::Mutex<Option<Shared>>,
    witnesses: Mutex<Vec<Watched>>,
}

struct Watched {
    client: WitnessClient,
    backoff: Backoff,
    /// Before when it is not asked again.
    due: Option<MonotonicTime>,
    status: WitnessStatus,
}

/// How it stands with one witness.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct WitnessStatus {
    /// Its name.
    pub name: String,
    /// How many entries it cosigned last.
    pub size: u64,
    /// When, in seconds since 1970-01-01T00:00:00Z, by its clock; `None` if it has not since the
    /// run began.
    pub time: Option<u64>,
    /// Why it did not cosign the last time; `None` if it did.
    pub failure: Option<SubmitErrorKind>,
    /// How often in a row it did not.
    pub failures: u32,
}

/// Describes how a ledger is witnessed; made by [`Witnessing::builder`].
#[derive(Debug)]
#[must_use = "call start to have the ledger witnessed"]
pub struct WitnessingBuilder {
    ledger: Ledger,
    clients: Vec<WitnessClient>,
    interval: Duration,
    quorum: Option<NonZeroUsize>,
}

impl WitnessingBuilder {
    /// Adds a witness.
    pub fn add_witness(mut self, client: WitnessClient) -> Self {
        self.clients.push(client);
        self
    }

    /// Replaces how often the latest checkpoint is submitted: how much can be cut off unnoticed.
    /// Ten seconds unless said: an attacker who is in for longer is too late, and a signature and
    /// an fsync in ten seconds are nothing to a witness.
    pub fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Replaces how many witnesses have to have cosigned a checkpoint before it is kept; all of
    /// them unless said.
    pub fn with_quorum(mut self, count: NonZeroUsize) -> Self {
        self.quorum = Some(count);
        self
    }

    /// Begins, on a task of the runtime that this is called in.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Zero`] if the interval is zero, or there is no witness.
    pub fn start(self) -> Result<Witnessing, ConfigError> {
        if self.interval.is_zero() {
            return Err(ConfigError::Zero("the interval of witnessing"));
        }
        if self.clients.is_empty() {
            return Err(ConfigError::Zero("the number of witnesses"));
        }
        let interval = self.interval;
        let watched = self.clients.into_iter().map(|client| Watched {
            status: WitnessStatus {
                name: client.key().name().to_owned(),
                size: 0,
                time: None,
                failure: None,
                failures: 0,
            },
            client,
            backoff: Backoff::new(interval, LONGEST_PAUSE.max(interval)),
            due: None,
        });
        let witnesses: Vec<_> = watched.collect();
        let inner = Arc::new(Inner {
            quorum: self.quorum.map_or(witnesses.len(), NonZeroUsize::get),
            ledger: self.ledger,
            interval,
            prover: tokio::sync::Mutex::new(None),
            witnesses: Mutex::new(witnesses),
        });
        let mine = Arc::clone(&inner);
        let task = tokio::spawn(async move {
            loop {
                mine.round(false).await;
                tokio::time::sleep(mine.interval).await;
            }
        });
        Ok(Witnessing { inner, task })
    }
}

impl Witnessing {
    /// Begins to describe how this ledger is witnessed.
    pub fn builder(ledger: &Ledger) -> WitnessingBuilder {
        WitnessingBuilder {
            ledger: ledger.clone(),
            clients: Vec::new(),
            interval: Duration::from_secs(10),
            quorum: None,
        }
    }

    /// Submits the latest checkpoint to every witness now, whether it is due or not, and says how
    /// it stands. Call it after [`Ledger::shutdown`], so that the end of the run is witnessed.
    pub async fn submit(&self) -> Vec<WitnessStatus> {
        self.inner.round(true).await;
        self.status()
    }

    /// How it stands with each witness.
    #[must_use]
    pub fn status(&self) -> Vec<WitnessStatus> {
        let witnesses = self.inner.witnesses();
        witnesses.iter().map(|it| it.status.clone()).collect()
    }
}

/// Ends the task. What is under way is given up.
impl Drop for Witnessing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Witnessing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Witnessing")
            .field("ledger", &self.inner.ledger)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn witnesses(&self) -> MutexGuard<'_, Vec<Watched>> {
        self.witnesses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Submits the latest checkpoint to those that are due, or to all of them.
    async fn round(&self, all: bool) {
        // One after the other: two at a time would only be in each other's way.
        let mut held = self.prover.lock().await;
        let (prover, latest) = match self.latest(&mut held).await {
            Ok(latest) => latest,
            Err(error) => {
                let all: Vec<usize> = (0..self.witnesses().len()).collect();
                let kind = error.kind();
                all.into_iter().for_each(|at| self.failed(at, kind, &error));
                // What it had read may be of no use any more.
                *held = None;
                return;
            }
        };
        let now = self.ledger.clock().monotonic();
        let mut submissions = JoinSet::new();
        for (at, watched) in self.witnesses().iter().enumerate() {
            let is_due = watched.due.is_none_or(|due| now >= due);
            let has_more = watched.status.time.is_none()
                || watched.status.failure.is_some()
                || watched.status.size != latest.size;
            if all || (is_due && has_more) {
                let (client, prover) = (watched.client.clone(), prover.clone());
                let (latest, known) = (latest.clone(), watched.status.size);
                submissions
                    .spawn(async move { (at, client.submit_from(&prover, &latest, known).await) });
            }
        }
        let mut cosignatures = Vec::new();
        while let Some(done) = submissions.join_next().await {
            match done {
                Ok((at, Ok(cosignature))) => {
                    self.cosigned(at, &cosignature);
                    cosignatures.push(cosignature);
                }
                Ok((at, Err(error))) => self.failed(at, error.kind(), &error),
                Err(_) => {}
            }
        }
        if !cosignatures.is_empty() {
            let (folder, quorum) = (self.ledger.folder().to_owned(), self.quorum);
            // It is kept with the next ones.
            let _ = blocking(move || keep(&folder, &latest.note, &cosignatures, quorum)).await;
        }
    }

    async fn latest(&self, held: &mut Option<Shared>) -> Result<(Shared, Latest), SubmitError> {
        let prover = match held {
            Some(prover) => prover.clone(),
            None => {
                let folder = self.ledger.folder().to_owned();
                let prover = blocking(move || Prover::load(folder)).await?;
                held.insert(Shared(Arc::new(Mutex::new(prover)))).clone()
            }
        };
        let latest = prover.latest().await?;
        Ok((prover, latest))
    }

    fn cosigned(&self, at: usize, cosignature: &Cosignature) {
        let mut witnesses = self.witnesses();
        let Some(watched) = witnesses.get_mut(at) else {
            return;
        };
        watched.backoff.reset();
        watched.due = None;
        let status = &mut watched.status;
        (status.size, status.time) = (cosignature.size, Some(cosignature.time));
        status.failures = 0;
        let recovered = status.failure.take().is_some();
        let name = status.name.clone();
        drop(witnesses);
        if recovered {
            let kind = LifecycleKind::SourceRefreshed;
            let detail = format!("{name} cosigns again");
            self.ledger.tell(kind, WITNESS_RECOVERED, &detail);
        }
    }

    fn failed(&self, at: usize, kind: SubmitErrorKind, error: &SubmitError) {
        let mut witnesses = self.witnesses();
        let Some(watched) = witnesses.get_mut(at) else {
            return;
        };
        let pause = watched.backoff.next(random());
        watched.due = self.ledger.clock().monotonic().checked_add(pause);
        let status = &mut watched.status;
        status.failures = status.failures.saturating_add(1);
        // What was said once is in the status from then on.
        let is_news = status.failure.replace(kind) != Some(kind);
        let name = status.name.clone();
        drop(witnesses);
        if is_news {
            let code = match kind {
                SubmitErrorKind::Cut => LOG_CUT,
                SubmitErrorKind::Forked => LOG_FORKED,
                _ => WITNESS_FAILED,
            };
            let detail = format!("{name}: {error}");
            self.ledger.tell(LifecycleKind::SourceFailed, code, &detail);
        }
    }
}
