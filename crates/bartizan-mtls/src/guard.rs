//! The guard: who is at the other end, and may they come in?

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{
    Check, Clock, Connection, Decision, Duty, Enforcement, Guard, Inspection, Never, Outcome, Peer,
    Rejection, Transport, WallTime,
};
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::allowed::AllowedPeers;
use crate::error::MtlsError;
use crate::forwarded::ProxyGrants;
use crate::handshake::PLAINTEXT;
use crate::migration::Migration;
use crate::pass::MtlsPass;

/// The guard of [`MtlsLayer`](crate::MtlsLayer), for chaining with others.
#[derive(Clone)]
pub struct MtlsGuard(Arc<Config>);

pub(crate) struct Config {
    pub(crate) duty: Duty,
    pub(crate) allowed: AllowedPeers,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) proxies: ProxyGrants,
    pub(crate) anonymous: bool,
    pub(crate) migration: Option<Migration>,
}

/// What a request that passes rests on.
#[derive(Clone, Debug)]
pub(crate) enum Basis {
    /// A client without a certificate, where that is allowed.
    Anonymous,
    Peer(Peer),
    /// A migration that ends then.
    Plaintext(WallTime),
}

impl MtlsGuard {
    pub(crate) fn new(config: Config) -> Self {
        Self(Arc::new(config))
    }

    fn decide(&self, peer: &Peer) -> Result<Basis, MtlsError> {
        self.peer_time_left(peer)?;
        if !self.0.allowed.admits(peer.identity()) {
            return Err(MtlsError::not_allowed(peer));
        }
        Ok(Basis::Peer(peer.clone()))
    }

    fn decide_without_peer(&self, inspection: &Inspection<'_>) -> Result<Basis, MtlsError> {
        // It matters whether there is no peer or nobody said so: the first is the client's doing,
        // the second a fault of the service's set-up.
        let connection = Connection::of(&inspection.parts.extensions);
        let connection = connection.ok_or_else(MtlsError::no_connection)?;
        match (connection.transport(), &self.0.migration) {
            (Transport::Tls, _) if self.0.anonymous => Ok(Basis::Anonymous),
            (Transport::Plaintext, Some(migration)) => {
                let basis = self.decide_plaintext(inspection, migration);
                migration.count(basis.is_ok());
                basis
            }
            _ => Err(MtlsError::no_peer()),
        }
    }

    fn decide_plaintext(
        &self,
        inspection: &Inspection<'_>,
        migration: &Migration,
    ) -> Result<Basis, MtlsError> {
        self.plaintext_time_left(migration.end())?;
        if !migration.lists(inspection.context) {
            return Err(MtlsError::plaintext_not_listed());
        }
        // Of whatever scheme: each is as good as a password to whoever reads it.
        let headers = &inspection.parts.headers;
        if headers.contains_key(AUTHORIZATION) && !migration.allows_tokens() {
            return Err(MtlsError::token_in_plaintext());
        }
        if migration.has_credential(headers) && !migration.allows_tokens() {
            return Err(MtlsError::credential_in_plaintext());
        }
        let decision = Decision::new(self.0.duty.layer(), Outcome::Allowed).with_code(PLAINTEXT);
        self.0.duty.record(inspection, decision);
        Ok(Basis::Plaintext(migration.end()))
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
        self.strip(context.peer(), headers);
        Ok(())
    }

    fn strip(&self, peer: Option<&Peer>, headers: &mut HeaderMap) {
        // Shadow mode leaves requests as they are.
        if self.0.duty.enforcement() == Enforcement::Enforce {
            self.0.proxies.strip(peer, headers);
        }
    }

    /// Removes what is said of a client in `X-Forwarded-Client-Cert`, `Client-Cert` and
    /// `Client-Cert-Chain`, for a request that this guard does not check: nobody is believed there.
    /// In shadow mode it does nothing.
    pub fn disbelieve(&self, headers: &mut HeaderMap) {
        self.strip(None, headers);
    }

    /// How long what a request rests on goes on; `None` if it has no end.
    pub(crate) fn time_left(&self, basis: &Basis) -> Result<Option<Duration>, MtlsError> {
        match basis {
            Basis::Anonymous => Ok(None),
            Basis::Peer(peer) => self.peer_time_left(peer).map(Some),
            Basis::Plaintext(end) => self.plaintext_time_left(*end).map(Some),
        }
    }

    /// A connection outlives the certificate that it began with; what it proves does not.
    fn peer_time_left(&self, peer: &Peer) -> Result<Duration, MtlsError> {
        let (now, not_after) = (self.0.clock.wall(), peer.not_after());
        if now.unix_seconds() > not_after.unix_seconds() {
            return Err(MtlsError::expired(peer, now));
        }
        // The last second belongs to it as a whole.
        Ok((not_after + Duration::from_secs(1)).saturating_since(now))
    }

    fn plaintext_time_left(&self, end: WallTime) -> Result<Duration, MtlsError> {
        let now = self.0.clock.wall();
        if now >= end {
            return Err(MtlsError::plaintext_ended(end, now));
        }
        Ok(end.saturating_since(now))
    }
}

impl Guard for MtlsGuard {
    type Pass = MtlsPass;
    type Inquiry = Never;

    fn duty(&self) -> Option<&Duty> {
        Some(&self.0.duty)
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Check<MtlsPass, Never> {
        let decided = match inspection.context.peer() {
            Some(peer) => self.decide(peer),
            None => self.decide_without_peer(inspection),
        };
        let decided = decided.map_err(MtlsError::into_rejection);
        Check::Now(decided.and_then(|basis| {
            self.hear_proxy(inspection)?;
            Ok(MtlsPass::new(self.clone(), basis))
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
