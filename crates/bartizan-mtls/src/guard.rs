//! The guard: who is at the other end, and may they come in?

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{
    Check, Clock, Connection, Duty, Enforcement, Guard, Inspection, Never, Peer, Rejection,
    SecurityContext,
};

use crate::allowed::AllowedPeers;
use crate::error::MtlsError;
use crate::forwarded::ProxyGrants;
use crate::pass::MtlsPass;

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

    fn decide<'c>(&self, context: &'c SecurityContext) -> Result<&'c Peer, MtlsError> {
        let peer = context.peer().ok_or_else(MtlsError::no_peer)?;
        self.time_left(peer)?;
        if !self.0.allowed.admits(peer.identity()) {
            return Err(MtlsError::not_allowed(peer));
        }
        Ok(peer)
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

    /// A connection outlives the certificate that it began with; what it proves does not.
    pub(crate) fn time_left(&self, peer: &Peer) -> Result<Duration, MtlsError> {
        let (now, not_after) = (self.0.clock.wall(), peer.not_after());
        if now.unix_seconds() > not_after.unix_seconds() {
            return Err(MtlsError::expired(peer, now));
        }
        // The last second belongs to it as a whole.
        Ok((not_after + Duration::from_secs(1)).saturating_since(now))
    }
}

impl Guard for MtlsGuard {
    type Pass = MtlsPass;
    type Inquiry = Never;

    fn duty(&self) -> Option<&Duty> {
        Some(&self.0.duty)
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Check<MtlsPass, Never> {
        // Without a peer it matters whether there is none or nobody said so: the first is the
        // client's doing, the second a fault of the service's set-up.
        let unknown = inspection.context.peer().is_none()
            && Connection::of(&inspection.parts.extensions).is_none();
        let decided = match unknown {
            true => Err(MtlsError::no_connection()),
            false => self.decide(inspection.context),
        };
        Check::Now(decided.map_err(MtlsError::into_rejection).and_then(|peer| {
            self.hear_proxy(inspection)?;
            Ok(MtlsPass::new(self.clone(), peer.clone()))
        }))
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
