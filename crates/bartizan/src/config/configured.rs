//! A configuration that was built: layers, listener, handles, and how it is reloaded.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bartizan_audit::{
    AuditLayer, AuditObserver, Delivery, Ledger, LedgerReport, Witness, Witnessing,
};
use bartizan_core::{Entrance, GuardLayer};
use bartizan_encrypt::{EncryptLayer, Keyring};
use bartizan_jwt::RevocationList;
use bartizan_mtls::{Material, Migration};
use bartizan_ratelimit::Bans;
use bartizan_source::Published;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::config::document::Config;
use crate::config::follow::Follower;
use crate::config::guard::{ConfiguredGuard, Placed};
use crate::config::layer::ConfiguredLayer;
use crate::config::listener::Listener;
use crate::config::meter::Meter;
use crate::config::own::Own;
use crate::config::peers::Plaintext;
use crate::config::places::Places;
use crate::config::problem::{ConfigError, Problem};
use crate::config::spans::Spanning;
use crate::config::surroundings::Surroundings;
use crate::config::telemetry::Watching;

/// A configuration that was built: the layer for a service, its listener, and handles.
///
/// Clones share everything. While one of them lives, or a service behind its
/// [layer](Self::layer), the file is followed.
#[derive(Clone)]
pub struct Configured(pub(crate) Arc<Live>);

pub(crate) struct Live {
    pub(crate) with: Surroundings,
    pub(crate) placed: ArcSwap<Placed>,
    pub(crate) fixed: Fixed,
    pub(crate) state: Mutex<State>,
    /// One reload at a time.
    pub(crate) turn: tokio::sync::Mutex<()>,
    pub(crate) follower: Mutex<Option<Follower>>,
}

/// What a reload does not touch.
pub(crate) struct Fixed {
    entrance: Entrance,
    pub(crate) ledger: Option<Ledger>,
    audit: Option<AuditLayer>,
    upload: Option<bartizan_ratelimit::UploadLayer>,
    keyring: Option<Keyring>,
    encryption: Option<EncryptLayer>,
    deliveries: Vec<Delivery>,
    witnessing: Option<Witnessing>,
    meter: Option<Meter>,
    spans: Option<Spanning>,
    pub(crate) own: Own,
    /// Identity and trust, once somebody took them.
    material: Mutex<Option<Published<Material>>>,
    pub(crate) migration: Option<Migration>,
    /// What `migration` was made of.
    pub(crate) plaintext_at_start: Option<Plaintext>,
}

/// What is in force.
pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) places: Places,
    /// How often others took the place of the first.
    pub(crate) reloads: u64,
}

impl Config {
    /// Builds everything: opens the audit log, fetches the issuers' keys, and makes the layers.
    /// From then on the file is followed, if it came from one.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if something cannot be built; also outside a tokio runtime.
    pub async fn build(self) -> Result<Configured, ConfigError> {
        let file = self.file.clone();
        let built = self.build_all().await;
        let built = built.map_err(|problem| ConfigError::one(problem).of_file(file.as_deref()))?;
        Follower::begin(&built);
        Ok(built)
    }

    async fn build_all(mut self) -> Result<Configured, Problem> {
        let root = &self.root;
        let watching = match &root.telemetry {
            Some(telemetry) => telemetry.build(&self.with).await?,
            None => Watching::default(),
        };
        self.with.observers.extend(watching.observers);
        let ledger = match &root.audit {
            Some(audit) => Some(audit.open(&self.with)?),
            None => None,
        };
        if let Some(ledger) = &ledger {
            let observer = AuditObserver::new(ledger.clone());
            self.with.observers.push(Arc::new(observer));
        }
        let with = &self.with;
        let mut material = None;
        let (mut deliveries, mut witnessing) = (Vec::new(), None);
        if let (Some(audit), Some(ledger)) = (&root.audit, &ledger) {
            deliveries = audit.deliver(ledger, with)?;
            if let Some(witnesses) = &audit.witnesses {
                if let (true, Some(listener)) = (witnesses.takes_identity(), &root.listener) {
                    material = Some(listener.material(with)?);
                }
                witnessing = Some(witnesses.start(ledger, material.as_ref(), with)?);
            }
        }
        let witness = match &root.witness {
            Some(witness) => Some((witness.path.as_str(), witness.open(with)?)),
            None => None,
        };
        let own = Own::new(witness, watching.scrape, root.document(with)?.as_ref());
        let entrance = match &root.entrance {
            Some(entrance) => entrance.build(&root.own_paths(), with)?,
            None => Entrance::new(),
        };
        let (keyring, encryption) = match &root.encryption {
            Some(encryption) => {
                encryption.prepare(with).await?;
                let keyring = encryption.keyring(with)?;
                (
                    Some(keyring.clone()),
                    Some(encryption.layer(keyring, with)?),
                )
            }
            None => (None, None),
        };
        let audit = match (&root.audit, &ledger) {
            (Some(audit), Some(ledger)) => {
                Some(audit.layer(ledger.clone(), keyring.as_ref(), &entrance)?)
            }
            _ => None,
        };
        let upload = match &root.upload {
            Some(upload) => Some(upload.build(with)?),
            None => None,
        };
        let migration = root.migration()?;
        let places = Places::build(root, migration.as_ref(), with).await?;
        let fixed = Fixed {
            entrance,
            ledger,
            audit,
            upload,
            keyring,
            encryption,
            deliveries,
            witnessing,
            meter: watching.meter,
            spans: watching.spans,
            own,
            material: Mutex::new(material),
            migration,
            plaintext_at_start: root.plaintext().cloned(),
        };
        Ok(Configured(Arc::new(Live {
            with: self.with.clone(),
            placed: ArcSwap::from_pointee(places.placed(root)),
            fixed,
            state: Mutex::new(State {
                config: self,
                places,
                reloads: 0,
            }),
            turn: tokio::sync::Mutex::new(()),
            follower: Mutex::new(None),
        })))
    }
}

impl Configured {
    /// The layers as one, for axum, tonic and hyper. On axum call `.layer` after the last route:
    /// routes that are added later are not guarded.
    pub fn layer(&self) -> ConfiguredLayer {
        let fixed = &self.0.fixed;
        let guards = GuardLayer::new(ConfiguredGuard(Arc::clone(&self.0)));
        let meter = GuardLayer::new(fixed.meter.clone());
        ConfiguredLayer {
            spans: fixed.spans.clone(),
            audit: fixed.audit.clone(),
            meter: meter.with_entrance(fixed.entrance.clone()),
            own: fixed.own.clone(),
            guards: guards.with_entrance(fixed.entrance.clone()),
            upload: fixed.upload.clone(),
            encryption: fixed.encryption.clone(),
        }
    }

    /// The audit log, if there is one. [Shut it down](Self::shutdown) when the server has ended.
    pub fn ledger(&self) -> Option<&Ledger> {
        self.0.fixed.ledger.as_ref()
    }

    /// What brings the audit log to its sinks, in the order of the file, to be asked how it fares.
    pub fn deliveries(&self) -> &[Delivery] {
        &self.0.fixed.deliveries
    }

    /// What has the audit log witnessed, if anybody does.
    pub fn witnessing(&self) -> Option<&Witnessing> {
        self.0.fixed.witnessing.as_ref()
    }

    /// The witness of other logs, if this service is one.
    pub fn witness(&self) -> Option<&Witness> {
        self.0.fixed.own.witness()
    }

    /// The address at which metrics are answered, if it is one of their own.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.0.fixed.own.scrape()?.local_addr()
    }

    /// Ends the audit log, has its end witnessed, and brings it to the sinks: each within
    /// `patience`. For whoever serves without [`serve`](Self::serve), which does it itself.
    /// `None` if there is no audit log.
    pub async fn shutdown(&self, patience: Duration) -> Option<LedgerReport> {
        let fixed = &self.0.fixed;
        let report = fixed.ledger.as_ref()?.shutdown(patience).await;
        if let Some(witnessing) = &fixed.witnessing {
            // Who could not be reached is in its status.
            let _ = timeout(patience, witnessing.submit()).await;
        }
        let mut ends = JoinSet::new();
        for delivery in &fixed.deliveries {
            let delivery = delivery.clone();
            ends.spawn(async move { delivery.shutdown(patience).await });
        }
        ends.join_all().await;
        Some(report)
    }

    /// The table of bans, if there is one. A reload that changes more of `[bans]` than its
    /// mode begins another.
    pub fn bans(&self) -> Option<Bans> {
        self.0.state().places.bans()
    }

    /// The list of revoked tokens, if `tokens.revocations` makes one. A reload that changes
    /// `tokens.revocations` begins another; otherwise it is kept.
    pub fn revocations(&self) -> Option<RevocationList> {
        self.0.state().places.revocations()
    }

    /// The keys of `[encryption]`, if there is one: for values that a handler seals or opens itself.
    pub fn keyring(&self) -> Option<&Keyring> {
        self.0.fixed.keyring.as_ref()
    }

    /// The plaintext that is taken, if it is.
    pub fn migration(&self) -> Option<&Migration> {
        self.0.fixed.migration.as_ref()
    }

    /// The configuration in force.
    pub fn config(&self) -> Config {
        self.0.state().config.clone()
    }
}

impl Live {
    /// Identity and trust of the listener: one for all who show it.
    pub(crate) fn material(&self, listener: &Listener) -> Result<Published<Material>, Problem> {
        let material = self.fixed.material.lock();
        let mut material = material.unwrap_or_else(PoisonError::into_inner);
        if let Some(material) = &*material {
            return Ok(material.clone());
        }
        let made = listener.material(&self.with)?;
        *material = Some(made.clone());
        Ok(made)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Configured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configured")
            .field("ledger", &self.ledger().is_some())
            .finish_non_exhaustive()
    }
}
