//! The guard: who is at the other end, and may they come in?

use std::fmt;
use std::sync::Arc;

use bartizan_core::{
    Check, Clock, Duty, Enforcement, Guard, Inspection, Never, Rejection, SecurityContext,
};

use crate::allowed::AllowedPeers;
use crate::error::MtlsError;
use crate::forwarded::ProxyGrants;

/// The guard of [`MtlsLayer`](crate::MtlsLayer), for chaining with others.
#[derive(Clone)]
pub struct MtlsGuard(Arc<Config>);

pub(crate) struct Config {
    pub(crate) duty: Duty,
    pub(crate) allowed: AllowedPeers,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) proxies: ProxyGrants,
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

    /// Records what a trusted proxy says of its client, and removes what anybody else says.
    fn hear_proxy(&self, inspection: &mut Inspection<'_>) -> Result<(), Rejection> {
        let (context, headers) = (inspection.context, &mut inspection.parts.headers);
        if let Some(peer) = context.peer() {
            let forwarded = self.0.proxies.read(peer, headers);
            let forwarded =
                forwarded.map_err(|cause| MtlsError::forwarded(peer, cause).into_rejection())?;
            if let Some(forwarded) = forwarded {
                context.set_forwarded(forwarded)?;
            }
        }
        // Shadow mode leaves requests as they are.
        if self.0.duty.enforcement() == Enforcement::Enforce {
            self.0.proxies.strip(context.peer(), headers);
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
                .map_err(MtlsError::into_rejection)
                .and_then(|()| self.hear_proxy(inspection)),
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
