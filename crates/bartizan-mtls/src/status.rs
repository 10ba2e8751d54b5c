//! How a listener fares: for health pages and metrics.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bartizan_core::{Code, WallTime};

use crate::acceptor::Acceptor;
use crate::handshake::{ANONYMOUS, HANDSHAKE_COMPLETED, HANDSHAKE_RESUMED, PLAINTEXT};

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
    /// Full handshakes that led to a connection with a peer.
    pub handshakes_completed: u64,
    /// Handshakes that led to a connection without one, where the listener takes clients without
    /// a certificate.
    pub handshakes_anonymous: u64,
    /// Handshakes in which a client took up a session again, where that is allowed.
    pub handshakes_resumed: u64,
    /// Handshakes that did not, by the code that observers were told: one of this crate's.
    pub handshakes_failed: BTreeMap<Code, u64>,
    /// Clients that have connected and are not let in yet: they are silent, in a handshake, or
    /// wait for the application to accept them.
    pub handshakes_under_way: usize,
    /// Connections in plaintext, where the listener takes them. [`Migration`](crate::Migration)
    /// counts the requests.
    pub plaintext_connections: u64,
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
            handshakes_completed: self.0.outcomes.completed(Entrance::Full),
            handshakes_resumed: self.0.outcomes.completed(Entrance::Resumed),
            handshakes_anonymous: self.0.outcomes.completed(Entrance::Anonymous),
            plaintext_connections: self.0.outcomes.completed(Entrance::Plaintext),
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

/// How a client was let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Entrance {
    Anonymous,
    Full,
    Plaintext,
    Resumed,
}

impl Entrance {
    pub(crate) fn code(self) -> Code {
        match self {
            Self::Anonymous => ANONYMOUS,
            Self::Full => HANDSHAKE_COMPLETED,
            Self::Plaintext => PLAINTEXT,
            Self::Resumed => HANDSHAKE_RESUMED,
        }
    }
}

/// Counts of what handshakes came to. As many entries as there are codes.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    anonymous: AtomicU64,
    full: AtomicU64,
    plaintext: AtomicU64,
    resumed: AtomicU64,
    failed: Mutex<BTreeMap<Code, u64>>,
}

impl Outcomes {
    pub(crate) fn complete(&self, entrance: Entrance) {
        self.counter(entrance).fetch_add(1, Ordering::Relaxed);
    }

    fn completed(&self, entrance: Entrance) -> u64 {
        self.counter(entrance).load(Ordering::Relaxed)
    }

    fn counter(&self, entrance: Entrance) -> &AtomicU64 {
        match entrance {
            Entrance::Anonymous => &self.anonymous,
            Entrance::Full => &self.full,
            Entrance::Plaintext => &self.plaintext,
            Entrance::Resumed => &self.resumed,
        }
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
