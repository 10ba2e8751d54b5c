//! `bartizan audit erase`: makes unreadable what the log holds about a person.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::ensure;
use bartizan::audit::Privacy;
use bartizan::core::Subject;
use bartizan::encrypt::Keyring;
use clap::Args;
use serde_json::json;

use super::repair::{close, open};
use crate::kek::KekSource;
use crate::output::Output;

#[derive(Args, Debug)]
pub(super) struct Erase {
    /// The keyset file that holds the keys of people
    #[arg(long, value_name = "FILE", env = "BARTIZAN_KEYS")]
    keys: PathBuf,
    #[command(flatten)]
    kek: KekSource,
    /// The tenant: of a principal of a token, its issuer
    #[arg(long)]
    tenant: String,
    /// The person
    #[arg(long)]
    subject: String,
    /// It cannot be undone, and is done only with this
    #[arg(long)]
    yes: bool,
}

impl Erase {
    pub(super) fn run(&self, folder: &Path) -> anyhow::Result<Output> {
        ensure!(
            self.yes,
            "what is known of the person is lost for good; say --yes if that is meant"
        );
        let (file, kek) = self.kek.open(&self.keys, &[])?;
        // The application's name matters for values alone, and none is sealed or opened here.
        let keyring = Keyring::builder("bartizan", file, kek).build()?;
        let ledger = open(folder, "bartizan audit erase")?;
        let subject = Subject::new(&self.tenant, &self.subject);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let privacy = Privacy::new(Arc::new(keyring));
        let forgotten = runtime.block_on(privacy.forget(&ledger, &subject));
        let report = close(ledger)?;
        forgotten?;
        Ok(Output::line(
            "the person's key is destroyed, and that is recorded; backups of the keyset file still hold it",
            json!({"erased": true, "entries": report.entries}),
        ))
    }
}
