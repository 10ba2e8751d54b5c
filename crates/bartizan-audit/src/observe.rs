//! Records what happens outside any request.

use bartizan_core::{Event, IpNetwork, LifecycleKind, Observe};

use crate::ledger::{Ends, Ledger};
use crate::record::{LifecycleRecord, Record};

/// Writes lifecycle events into a ledger: keys that rotate, policies that change, handshakes that
/// fail. Give it to every layer and listener that takes an observer.
///
/// Decisions are left to the [`AuditLayer`](crate::AuditLayer), which takes them from the
/// request's context. What strangers can cause as often as they like, such as failed handshakes,
/// is counted by address prefix, code and second instead of being recorded one by one.
#[derive(Clone, Debug)]
pub struct AuditObserver {
    ledger: Ledger,
}

impl AuditObserver {
    /// Writes into this ledger.
    #[must_use]
    pub fn new(ledger: Ledger) -> Self {
        Self { ledger }
    }
}

impl Observe for AuditObserver {
    fn observe(&self, event: &Event<'_>) {
        let Event::Lifecycle(event) = event else {
            return;
        };
        if event.kind() == LifecycleKind::HandshakeFailed {
            let code = event.code().as_str();
            let address = event.address();
            self.ledger
                .refuse(address, event.layer(), code, Ends::Nothing);
            return;
        }
        let detail = event.detail().map(ToString::to_string);
        let network = event.address().map(|it| IpNetwork::of_client(it, 32, 128));
        let record = LifecycleRecord {
            time: self.ledger.now(),
            kind: kind(event.kind()),
            layer: event.layer(),
            code: event.code().as_str(),
            network,
            subject: event.subject().unwrap_or_default(),
            detail: detail.as_deref().unwrap_or_default(),
        };
        // One that is not taken is counted.
        let _ = self.ledger.record(&Record::Lifecycle(record));
    }
}

fn kind(kind: LifecycleKind) -> &'static str {
    match kind {
        LifecycleKind::ConnectionEnded => "connection_ended",
        LifecycleKind::HandshakeCompleted => "handshake_completed",
        LifecycleKind::HandshakeFailed => "handshake_failed",
        LifecycleKind::KeyChanged => "key_changed",
        LifecycleKind::KeyLeaked => "key_leaked",
        LifecycleKind::PolicyChanged => "policy_changed",
        LifecycleKind::SourceFailed => "source_failed",
        LifecycleKind::SourceRefreshed => "source_refreshed",
        LifecycleKind::Started => "started",
        LifecycleKind::Stopped => "stopped",
        LifecycleKind::SubjectForgotten => "subject_forgotten",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_somebody_looks_for_have_names_of_their_own() {
        for (of, name) in [
            (LifecycleKind::ConnectionEnded, "connection_ended"),
            (LifecycleKind::HandshakeCompleted, "handshake_completed"),
            (LifecycleKind::HandshakeFailed, "handshake_failed"),
            (LifecycleKind::KeyChanged, "key_changed"),
            (LifecycleKind::KeyLeaked, "key_leaked"),
            (LifecycleKind::PolicyChanged, "policy_changed"),
            (LifecycleKind::SourceFailed, "source_failed"),
            (LifecycleKind::SourceRefreshed, "source_refreshed"),
            (LifecycleKind::Started, "started"),
            (LifecycleKind::Stopped, "stopped"),
            (LifecycleKind::SubjectForgotten, "subject_forgotten"),
        ] {
            assert_eq!(kind(of), name);
        }
    }
}
