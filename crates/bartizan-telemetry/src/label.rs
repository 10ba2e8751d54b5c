//! What stands on labels for things that are no texts.

use bartizan_core::{Enforcement, LifecycleKind};

/// What was folded, because a limit was reached or it is not listed.
pub(crate) const OTHER: &str = "other";
/// What there is none of.
pub(crate) const NONE: &str = "none";

pub(crate) fn kind(kind: LifecycleKind) -> &'static str {
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
        _ => OTHER,
    }
}

pub(crate) fn mode(enforcement: Enforcement) -> &'static str {
    match enforcement {
        Enforcement::Enforce => "enforce",
        Enforcement::Shadow => "shadow",
    }
}
