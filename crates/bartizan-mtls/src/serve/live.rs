//! What a connection lives on, and when that is gone.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Clock, Code, WallTime};
use bartizan_source::{Changes, Published, random, spread};
use rustls_pki_types::CertificateDer;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::ending::{CONNECTION_AGED, EndConnection};
use crate::material::Material;
use crate::proof::Proof;
use crate::serve::limits::Limits;

/// A connection that had to end did not finish within the drain limit.
pub const CONNECTION_CUT: Code = Code::new("mtls.connection_cut");
/// How often a wait for a moment of wall time looks at the clock again, which may have been set.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
const LEAST_WAIT: Duration = Duration::from_millis(10);

/// Why a connection has to end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    /// What is told; nothing when the server stops.
    pub(super) code: Option<Code>,
    pub(super) end: EndConnection,
    /// Whether what is under way may take as long as it likes.
    pub(super) patient: bool,
}

/// Everything that one connection lives on. Each reason to end is given once.
pub(super) struct Life {
    stopping: watch::Receiver<bool>,
    stopped: bool,
    ages_at: Option<Instant>,
    expiry: Option<(WallTime, Code)>,
    on_expiry: EndConnection,
    belief: Option<Belief>,
    on_revocation: EndConnection,
    clock: Arc<dyn Clock>,
}

/// What is verified again when the trust changes.
struct Belief {
    chain: Vec<CertificateDer<'static>>,
    proof: Proof,
    material: Published<Material>,
    changes: Changes,
}

impl Life {
    pub(super) fn new(
        limits: &Limits,
        clock: &Arc<dyn Clock>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let age = limits.max_connection_age;
        Self {
            stopping,
            stopped: false,
            ages_at: age.and_then(|age| Instant::now().checked_add(spread(age, random()))),
            expiry: None,
            on_expiry: limits.on_expiry,
            belief: None,
            on_revocation: limits.on_revocation,
            clock: Arc::clone(clock),
        }
    }

    /// Adds the last second of what it rests on, and what is told when that is over.
    pub(super) fn expires_after(&mut self, last: WallTime, code: Code) {
        if self.on_expiry != EndConnection::Never {
            self.expiry = Some((last, code));
        }
    }

    /// Adds what the peer was believed by.
    pub(super) fn rests_on(
        &mut self,
        chain: Vec<CertificateDer<'static>>,
        proof: Proof,
        material: &Published<Material>,
    ) {
        if self.on_revocation != EndConnection::Never {
            self.belief = Some(Belief {
                chain,
                proof,
                material: material.clone(),
                changes: material.subscribe(),
            });
        }
    }

    /// Waits for the next reason to end. Cancel safe; never completes when there is none left.
    pub(super) async fn ending(&mut self) -> Ending {
        // A version that was published between handshake and subscription.
        if let Some(ending) = self.revoked() {
            return ending;
        }
        loop {
            tokio::select! {
                () = stops(&mut self.stopping), if !self.stopped => {
                    self.stopped = true;
                    return Ending { code: None, end: EndConnection::Gracefully, patient: false };
                }
                () = ages(self.ages_at) => {
                    self.ages_at = None;
                    let code = Some(CONNECTION_AGED);
                    return Ending { code, end: EndConnection::Gracefully, patient: true };
                }
                () = expires(&*self.clock, self.expiry.map(|(last, _)| last)) => {
                    let code = self.expiry.take().map(|(_, code)| code);
                    return Ending { code, end: self.on_expiry, patient: false };
                }
                () = changes(self.belief.as_mut()) => {
                    if let Some(ending) = self.revoked() {
                        return ending;
                    }
                }
            }
        }
    }

    fn revoked(&mut self) -> Option<Ending> {
        let code = self.belief.as_mut()?.ask_again().err()?;
        self.belief = None;
        Some(Ending {
            code: Some(code),
            end: self.on_revocation,
            patient: false,
        })
    }
}

impl Belief {
    fn ask_again(&mut self) -> Result<(), Code> {
        match self.material.load() {
            Some(version) => self.proof.ask_again(version.value(), &self.chain),
            None => Ok(()),
        }
    }
}

async fn stops(stopping: &mut watch::Receiver<bool>) {
    if stopping.wait_for(|stop| *stop).await.is_err() {
        // The server was dropped, and this task with it.
        pending::<()>().await;
    }
}

async fn ages(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

async fn changes(belief: Option<&mut Belief>) {
    match belief {
        Some(belief) => {
            if belief.changes.next().await.is_none() {
                pending::<()>().await;
            }
        }
        None => pending().await,
    }
}

/// Waits until the second `not_after` is over, by a clock that may jump.
async fn expires(clock: &dyn Clock, not_after: Option<WallTime>) {
    let Some(not_after) = not_after else {
        return pending().await;
    };
    loop {
        let now = clock.wall();
        if now.unix_seconds() > not_after.unix_seconds() {
            return;
        }
        let left = (not_after + Duration::from_secs(1)).saturating_since(now);
        sleep(left.clamp(LEAST_WAIT, LOOK_AGAIN)).await;
    }
}
