//! How a listener fares: for health pages and metrics.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bartizan_core::{Code, WallTime};

use crate::accept::Acceptor;

/// Tells how a listener fares, also while a server loop has it; got from
/// [`MtlsListener::monitor`](crate::MtlsListener::monitor).
///
/// Cheap to clone. It keeps no listener alive.
#[derive(Clone)]
pub struct ListenerMonitor(pub(crate) Arc<Acceptor>);

/// How a listener fares at one moment.
///
/// [`Status`](bartizan_source::Status) has the rest: generation, last refresh and failures of the
/// source.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListenerStatus {
    /// Handshakes that led to a connection.
    pub handshakes_completed: u64,
    /// Handshakes that did not, by the code that observers were told: one of this crate's.
    pub handshakes_failed: BTreeMap<Code, u64>,
    /// Clients in a handshake now, those included who wait for the application to accept them.
    pub handshakes_under_way: usize,
    /// The last moment at which our own certificate is valid; `None` without one.
    pub not_after: Option<WallTime>,
    /// The serial number of our own certificate, big-endian, without leading zeros.
    pub serial: Option<Box<[u8]>>,
    /// How the source of the material fares.
    pub source: bartizan_source::Status,
}

impl ListenerMonitor {
    /// How the listener fares now.
    pub fn status(&self) -> ListenerStatus {
        let material = self.0.configurations.material();
        let version = material.load();
        let identity = version.as_ref().map(|version| version.value().identity());
        ListenerStatus {
            handshakes_completed: self.0.outcomes.completed.load(Ordering::Relaxed),
            handshakes_failed: self.0.outcomes.failed(),
            handshakes_under_way: self.0.under_way(),
            not_after: identity.map(crate::Identity::not_after),
            serial: identity.map(|identity| identity.serial().into()),
            source: material.status(),
        }
    }
}

impl fmt::Debug for ListenerMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ListenerMonitor")
            .field(&self.status())
            .finish()
    }
}

/// Counts of what handshakes came to. As many entries as there are codes.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    completed: AtomicU64,
    failed: Mutex<BTreeMap<Code, u64>>,
}

impl Outcomes {
    pub(crate) fn complete(&self) {
        self.completed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn fail(&self, code: Code) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        *failed.entry(code).or_default() += 1;
    }

    fn failed(&self) -> BTreeMap<Code, u64> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.clone()
    }
}
