//! The guard: who is at the other end, and may they come in?

use std::fmt;
use std::sync::Arc;

use bartizan_core::{Check, Clock, Duty, Guard, Inspection, Never, SecurityContext};

use crate::allowed::AllowedPeers;
use crate::error::MtlsError;

/// The guard of [`MtlsLayer`](crate::MtlsLayer), for chaining with others.
#[derive(Clone)]
pub struct MtlsGuard(Arc<Config>);

pub(crate) struct Config {
    pub(crate) duty: Duty,
    pub(crate) allowed: AllowedPeers,
    pub(crate) clock: Arc<dyn Clock>,
}

impl MtlsGuard {
    pub(crate) fn new(config: Config) -> Self {
        Self(Arc::new(config))
    }

    fn decide(&self, context: &SecurityContext) -> Result<(), MtlsError> {
        let peer = context.peer().ok_or_else(MtlsError::no_peer)?;
        // A connection outlives the certificate that it began with; what it proves does not.
        let (now, not_after) = (self.0.clock.wall(), peer.not_after());
        if now.unix_seconds() > not_after.unix_seconds() {
            return Err(MtlsError::expired(peer, now));
        }
        if !self.0.allowed.admits(peer.identity()) {
            return Err(MtlsError::not_allowed(peer));
        }
        Ok(())
    }
}

impl Guard for MtlsGuard {
    type Pass = ();
    type Inquiry = Never;

    fn duty(&self) -> Option<&Duty> {
        Some(&self.0.duty)
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Check<(), Never> {
        Check::Now(
            self.decide(inspection.context)
                .map_err(MtlsError::into_rejection),
        )
    }
}

impl fmt::Debug for MtlsGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MtlsGuard")
            .field("duty", &self.0.duty)
            .field("allowed", &self.0.allowed)
            .finish_non_exhaustive()
    }
}
