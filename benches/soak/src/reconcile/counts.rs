//! How often strangers were refused, as the strangers know it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// What all handshakes that failed are counted under: which of its reasons the service had is not
/// for a client to know that was made to leave for others.
pub(crate) const HANDSHAKES: &str = "handshakes";

/// Why a handshake can fail.
const OF_HANDSHAKES: [&str; 6] = [
    "mtls.alert_received",
    "mtls.handshake_failed",
    "mtls.handshake_shed",
    "mtls.handshake_timeout",
    "mtls.no_certificate",
    "mtls.unknown_authority",
];

/// How often something happened.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Serialize)]
pub(crate) struct Count {
    /// So often for certain.
    pub(crate) sure: u64,
    /// So often perhaps as well: the client never learned.
    pub(crate) unsure: u64,
}

/// Counts by code.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<BTreeMap<String, Count>>);

/// What a code is counted under.
pub(super) fn group(code: &str) -> String {
    let code = if OF_HANDSHAKES.contains(&code) {
        HANDSHAKES
    } else {
        code
    };
    code.to_owned()
}

impl Counts {
    /// Counts a refusal with this code.
    pub(crate) fn sure(&self, code: &str) {
        self.count(code, |count| count.sure += 1);
    }

    /// Counts one that may have happened.
    pub(crate) fn unsure(&self, code: &str) {
        self.count(code, |count| count.unsure += 1);
    }

    /// All counts.
    pub(crate) fn all(&self) -> BTreeMap<String, Count> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.clone()
    }

    fn count(&self, code: &str, add: impl FnOnce(&mut Count)) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        add(counts.entry(group(code)).or_default());
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unsure {
            0 => write!(f, "{} times", self.sure),
            unsure => write!(f, "{} to {} times", self.sure, self.sure + unsure),
        }
    }
}
