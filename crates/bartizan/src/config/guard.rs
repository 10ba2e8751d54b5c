//! The guards of a configuration as one, which can be replaced while requests are served.

use std::fmt;
use std::sync::Arc;

use bartizan_core::{Check, Duty, Guard, Inspection, OptionalInquiry, OptionalPass};
use bartizan_mtls::MtlsLayer;
use http::Method;

use crate::StackGuard;
use crate::config::configured::Live;
use crate::config::entrance::{Exempt, ExemptMethods};

/// The guards of a [`Configured`](crate::config::Configured) stack, in their order, as one.
///
/// Each request meets the guards that are in force when it comes; a reload changes nothing for
/// those that are under way. Clones share them, and keep the file followed.
#[derive(Clone)]
pub struct ConfiguredGuard(pub(crate) Arc<Live>);

/// What is in force.
pub(crate) struct Placed {
    pub(crate) guard: Option<StackGuard>,
    /// For calls of the witness, who says itself who may speak of which log, and for what clients
    /// are told that have no token.
    pub(crate) before_tokens: Option<StackGuard>,
    pub(crate) exempt: Option<Exempt>,
    /// For exempt requests: what proxies say is not believed where nobody checks who says it.
    pub(crate) peers: Option<MtlsLayer>,
}

/// Lets pass, and leaves no decision.
const NOBODY: Option<StackGuard> = None;

impl Guard for ConfiguredGuard {
    type Pass = OptionalPass<<StackGuard as Guard>::Pass>;
    type Inquiry = OptionalInquiry<StackGuard>;

    fn duty(&self) -> Option<&Duty> {
        None
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Check<Self::Pass, Self::Inquiry> {
        let placed = self.0.placed.load();
        if placed
            .exempt
            .as_ref()
            .is_some_and(|exempt| exempt.has(inspection))
        {
            if let Some(peers) = &placed.peers {
                peers.guard().disbelieve(&mut inspection.parts.headers);
            }
            return NOBODY.check(inspection);
        }
        if self.0.fixed.own.takes_no_token(inspection) {
            return placed.before_tokens.check(inspection);
        }
        placed.guard.check(inspection)
    }
}

impl Exempt {
    /// Whether nothing decides about this request. Its path must be listed letter by letter, as it
    /// was received: a router may take another spelling for another path.
    fn has(&self, inspection: &Inspection<'_>) -> bool {
        let method = &inspection.parts.method;
        let reads = *method == Method::GET || *method == Method::HEAD;
        let posts = self.methods == ExemptMethods::ReadAndPost && *method == Method::POST;
        let path = inspection.context.uri().path();
        (reads || posts) && self.paths.iter().any(|exempt| exempt == path)
    }
}

impl fmt::Debug for ConfiguredGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConfiguredGuard")
    }
}
