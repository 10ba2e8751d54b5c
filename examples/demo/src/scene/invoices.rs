//! The service whose security is one file, and the keys that programs call it with.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bartizan_apikey::{KeyFile, KeyFormat, KeyRecord, NewKey, Peppers};
use bartizan_core::{Clock as _, SystemClock};

use super::service::start;

/// The file as it stands beside the service.
const FILE: &str = include_str!("../../../invoices/invoices.toml");

/// Where invoices listens, and what opens it.
pub(crate) struct Invoices {
    /// The file, as it was written for this run.
    pub(crate) file: PathBuf,
    pub(crate) address: SocketAddr,
    /// The key of the program `reports`.
    pub(crate) key: String,
    /// One that was taken back.
    pub(crate) revoked: String,
}

impl Invoices {
    /// Writes the file and the keys, and starts the service by them.
    pub(super) async fn start(folder: &Path, issuer: &str) -> anyhow::Result<Self> {
        let _ = std::fs::remove_dir_all(folder.join("invoices-audit"));
        let keys = folder.join("invoices-apikeys.json");
        let _ = std::fs::remove_file(&keys);
        let keys = KeyFile::new(keys);
        keys.create()?;
        let now = SystemClock.wall();
        let mut made = Vec::new();
        for revoked in [false, true] {
            let key = NewKey::generate(&KeyFormat::live())?;
            let record = KeyRecord::builder(&key, &Peppers::none(), "reports", now)
                .with_scopes(["invoices:read"]);
            let record = match revoked {
                true => record.with_revoked(now),
                false => record,
            };
            keys.add(record.build()?)?;
            made.push(key.expose().to_owned());
        }
        let revoked = made.pop().unwrap_or_default();
        let key = made.pop().unwrap_or_default();

        let file = folder.join("invoices.toml");
        let text = FILE
            .replace("127.0.0.1:8447", "127.0.0.1:0")
            .replace("https://127.0.0.1:8445", issuer)
            // Looked at more often than people would wait.
            .replace("[listener]", "reload_interval = \"200ms\"\n\n[listener]");
        std::fs::write(&file, text)?;
        let read = file.clone();
        let address =
            start(|ready| async move { invoices::run(&read, ready, std::future::pending()).await });
        let address = address.await.context("invoices did not start")?;
        Ok(Self {
            file,
            address,
            key,
            revoked,
        })
    }
}
