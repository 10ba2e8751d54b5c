//! Makes things go wrong, one after the other, and sees to it that each passes.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use anyhow::bail;
use http::HeaderValue;
use rustls::ClientConfig;
use tokio::time::{Instant, sleep};

use crate::journal::{Got, Lane};
use crate::load::{Call, Load, Tokens, bearer};
use crate::plan::{Fault, Plan};
use crate::scene::Scene;

/// How long a fault may be felt beyond its end.
const RECOVERY: Duration = Duration::from_secs(40);

/// How long the disk stays full at least: longer than the ledger's buffer lasts.
const OUTAGE: Duration = Duration::from_secs(4);

/// What happened.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Injected {
    /// When, in seconds since the beginning.
    pub(crate) second: f64,
    /// What.
    pub(crate) fault: &'static str,
    /// How long until everything was as before, in seconds.
    pub(crate) took: f64,
    /// What was seen of it.
    pub(crate) seen: String,
}

/// Who makes things go wrong.
#[derive(Debug)]
pub(crate) struct Director<'s> {
    scene: &'s mut Scene,
    load: Arc<Load>,
    lane: Arc<Lane>,
    plan: Plan,
    next: AtomicU32,
}

impl<'s> Director<'s> {
    /// One for this scene.
    pub(crate) fn new(scene: &'s mut Scene, load: Arc<Load>, plan: Plan) -> Self {
        Self {
            scene,
            lane: load.journal.lane(),
            load,
            plan,
            next: AtomicU32::new(0),
        }
    }

    /// Follows the plan to its end, and says what happened.
    pub(crate) async fn direct(&mut self, began: Instant) -> Vec<Injected> {
        let mut injected = Vec::new();
        for fault in Plan::faults() {
            if began.elapsed() >= self.plan.length && injected.len() >= Plan::least() {
                break;
            }
            sleep(self.plan.pause).await;
            let at = began.elapsed();
            let seen = match self.inject(fault).await {
                Ok(seen) => seen,
                Err(error) => {
                    let seen = format!("{error:#}");
                    self.load.complain(format!("{}: {seen}", fault.name()));
                    seen
                }
            };
            injected.push(Injected {
                second: at.as_secs_f64(),
                fault: fault.name(),
                took: (began.elapsed() - at).as_secs_f64(),
                seen,
            });
        }
        injected
    }

    async fn inject(&mut self, fault: Fault) -> anyhow::Result<String> {
        let span = self.plan.span;
        match fault {
            Fault::AbsentIssuer => {
                self.scene.issuer.leave();
                self.scene.issuer.rotate()?;
                let seen = self.without_keys().await?;
                self.scene.issuer.come_back().await?;
                self.new_tokens().await.map(|()| seen)
            }
            Fault::FloodOfConnections => {
                let sent = self.load.flood_connections(span).await?;
                Ok(format!("{sent} connections"))
            }
            Fault::FloodOfKeys => {
                let sent = self.load.flood_keys(span, &self.next).await?;
                Ok(format!("{sent} requests"))
            }
            Fault::FloodOfTokens => {
                let flood = self.load.flood_tokens(&self.lane, span, &self.next);
                Ok(format!("{} requests", flood.await?))
            }
            Fault::FullDisk => self.full_disk().await,
            Fault::HungRedis => {
                self.scene.redis.set_hung(true)?;
                sleep(span).await;
                self.scene.redis.set_hung(false)?;
                self.is_well().await.map(|()| "nobody noticed".to_owned())
            }
            Fault::KilledRedis => {
                self.scene.redis.kill();
                sleep(span).await;
                self.scene.redis.restart().await?;
                self.is_well().await.map(|()| "nobody noticed".to_owned())
            }
            Fault::NewCertificates => self.new_certificates().await,
            Fault::NewSigningKey => {
                let old = bearer(&self.scene.issuer.token().scope("read"))?;
                self.scene.issuer.rotate()?;
                self.new_tokens().await?;
                let refused = |status| status == 401;
                self.until(&old, Call::Read, refused).await?;
                Ok("new key taken, old one refused".to_owned())
            }
            Fault::SlowIssuer => {
                self.scene.issuer.set_slow(true);
                self.scene.issuer.rotate()?;
                let seen = self.without_keys().await?;
                self.scene.issuer.set_slow(false);
                self.new_tokens().await.map(|()| seen)
            }
        }
    }

    /// While new keys cannot be had: their tokens are refused, and everybody else's go on.
    async fn without_keys(&self) -> anyhow::Result<String> {
        let token = bearer(&self.scene.issuer.token().scope("read"))?;
        let status = self
            .status(&self.load.client()?, Call::Read, &token)
            .await?;
        if !matches!(status, 401 | 503) {
            bail!("a token whose key nobody could know got {status}");
        }
        sleep(self.plan.span).await;
        Ok(format!("tokens of the unknown key got {status}"))
    }

    /// Waits until the newest key is known, gives everybody tokens of it, and withdraws the last.
    async fn new_tokens(&mut self) -> anyhow::Result<()> {
        let tokens = Tokens::new(&self.scene.issuer)?;
        self.is_well().await?;
        self.load.set_tokens(tokens);
        // What is under way with an old token comes to its end.
        sleep(Duration::from_millis(500)).await;
        self.scene.issuer.withdraw_old();
        Ok(())
    }

    /// A new authority beside the old, certificates of it, and the old one dropped; each is waited
    /// for.
    async fn new_certificates(&self) -> anyhow::Result<String> {
        let authority = &self.scene.authority;
        let token = bearer(&self.scene.issuer.token().scope("read"))?;
        let limit = Instant::now() + RECOVERY;
        authority.add()?;
        let newest = authority.probe()?;
        while self.got(&newest, Call::Read, &token).await?.0 == Got::Nothing {
            self.wait(limit, "the new authority is not believed")
                .await?;
        }
        let old = self.load.client()?;
        authority.reissue()?;
        while self.got(&newest, Call::Read, &token).await?.1 != authority.service() {
            self.wait(limit, "the new certificate is not shown").await?;
        }
        authority.drop_old()?;
        // Such a client believes both, and the service no longer believes it.
        while self.got(&old, Call::Read, &token).await?.0 != Got::Nothing {
            self.wait(limit, "the old authority is still believed")
                .await?;
        }
        self.is_well().await?;
        Ok(format!("generation {}, by serial", authority.generation()))
    }

    async fn full_disk(&self) -> anyhow::Result<String> {
        if !self.scene.disk.is_mounted() {
            return Ok("skipped: this user may not mount a file system".to_owned());
        }
        let token = bearer(&self.scene.issuer.token().scope("write"))?;
        self.load.set_resting(true);
        sleep(Duration::from_millis(500)).await;
        self.load.set_disk_is_full(true);
        self.scene.disk.fill()?;
        self.until(&token, Call::Pay, |status| status == 503)
            .await?;
        sleep(self.plan.span.max(OUTAGE)).await;
        self.scene.disk.free()?;
        self.until(&token, Call::Pay, |status| status == 200)
            .await?;
        self.load.set_disk_is_full(false);
        self.load.set_resting(false);
        Ok("payments were withheld, and everything else went on".to_owned())
    }

    /// Whether somebody with the newest token is answered.
    async fn is_well(&self) -> anyhow::Result<()> {
        let token = bearer(&self.scene.issuer.token().scope("read"))?;
        self.until(&token, Call::Read, |status| status == 200).await
    }

    async fn until(
        &self,
        token: &HeaderValue,
        call: Call,
        is_it: impl Fn(u16) -> bool,
    ) -> anyhow::Result<()> {
        let limit = Instant::now() + RECOVERY;
        loop {
            let status = self.status(&self.load.client()?, call, token).await?;
            if is_it(status) {
                return Ok(());
            }
            self.wait(limit, &format!("{call:?} still gets {status}"))
                .await?;
        }
    }

    async fn wait(&self, limit: Instant, otherwise: &str) -> anyhow::Result<()> {
        if Instant::now() >= limit {
            bail!("after {RECOVERY:?}, {otherwise}");
        }
        sleep(Duration::from_millis(100)).await;
        Ok(())
    }

    /// The status of an answer; 0 if there was none.
    async fn status(
        &self,
        config: &Arc<ClientConfig>,
        call: Call,
        token: &HeaderValue,
    ) -> anyhow::Result<u16> {
        Ok(match self.got(config, call, token).await?.0 {
            Got::Answer { status, .. } | Got::Head(status) => status,
            Got::Nothing => 0,
        })
    }

    async fn got(
        &self,
        config: &Arc<ClientConfig>,
        call: Call,
        token: &HeaderValue,
    ) -> anyhow::Result<(Got, Vec<u8>)> {
        self.load.probe(&self.lane, config, call, token).await
    }
}
