//! Everything that a soak needs besides its load: the service in a process of its own, and what it
//! depends on.

mod authority;
mod disk;
mod issuer;
mod redis;
mod service;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;

pub(crate) use self::authority::{Authority, Identity};
pub(crate) use self::disk::Disk;
pub(crate) use self::issuer::Issuer;
pub(crate) use self::redis::Redis;
pub(crate) use self::service::Service;
use crate::serve::Config;

/// What is running.
#[derive(Debug)]
pub(crate) struct Scene {
    /// Certificates.
    pub(crate) authority: Arc<Authority>,
    /// Tokens.
    pub(crate) issuer: Issuer,
    /// The store that limits are shared through.
    pub(crate) redis: Redis,
    /// Where the ledger is.
    pub(crate) disk: Disk,
    /// The service.
    pub(crate) service: Service,
    /// Goes last.
    _folder: Folder,
}

/// A folder that goes when the soak does.
#[derive(Debug)]
struct Folder(PathBuf);

impl Scene {
    /// Starts everything; the ledger's disk has so many bytes.
    ///
    /// # Errors
    ///
    /// If something does not start.
    pub(crate) async fn start(disk_bytes: u64) -> anyhow::Result<Self> {
        let folder = Folder::new()?;
        let identity = folder.0.join("identity");
        std::fs::create_dir_all(&identity)?;
        let authority = Arc::new(Authority::new(&identity)?);
        let issuer = Issuer::start(&folder.0).await?;
        let redis = Redis::start().await?;
        let disk = Disk::new(&folder.0.join("disk"), disk_bytes)?;
        let config = Config {
            identity,
            issuer: issuer.url(),
            issuer_roots: folder.0.join("issuer.pem"),
            redis: redis.address(),
            ledger: disk.folder().join("ledger"),
        };
        let service = Service::start(&config).await;
        let service = service.context("the service does not start")?;
        Ok(Self {
            authority,
            issuer,
            redis,
            disk,
            service,
            _folder: folder,
        })
    }

    /// Where the ledger is.
    pub(crate) fn ledger(&self) -> PathBuf {
        self.disk.folder().join("ledger")
    }
}

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let name = format!("bartizan-soak-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
