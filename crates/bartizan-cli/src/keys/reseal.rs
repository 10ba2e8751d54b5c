//! `bartizan keys reseal`: keys under another key-encryption key, or records under other keys.

mod records;

use std::path::PathBuf;

use anyhow::Context;
use bartizan::encrypt::{KeyStore, LocalKek};
use clap::Args;
use serde_json::json;

use crate::keys::reseal::records::Records;
use crate::keys::{Keys, keyring};
use crate::output::Output;

#[derive(Args, Debug)]
pub(super) struct Reseal {
    /// A file with the key that wrapped before; needed no more afterwards, but for backups
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present_any = ["previous_kek_env", "records"],
        conflicts_with = "records"
    )]
    previous_kek_file: Vec<PathBuf>,
    /// The name of a variable with the key that wrapped before
    #[arg(long, value_name = "VARIABLE", conflicts_with = "records")]
    previous_kek_env: Vec<String>,
    #[command(flatten)]
    records: Option<Records>,
}

impl Reseal {
    pub(super) async fn run(&self, keys: &Keys) -> anyhow::Result<Output> {
        match &self.records {
            Some(records) => records.run(keys).await,
            None => self.wrap(keys).await,
        }
    }

    async fn wrap(&self, keys: &Keys) -> anyhow::Result<Output> {
        let files = self.previous_kek_file.iter();
        let files = files.map(|path| LocalKek::from_file(path));
        let variables = self.previous_kek_env.iter();
        let variables = variables.map(|variable| LocalKek::from_env(variable));
        let previous = files.chain(variables).collect::<Result<Vec<_>, _>>()?;
        let (file, kek) = keys.kek.open(&keys.file, &previous)?;
        // The file itself is sealed anew too, also where it holds no key to wrap.
        file.apply(Vec::new()).await?;
        let keyring = keyring("bartizan", file, kek, &previous)?;
        let done = keyring.rewrap().await?;
        // Without the previous keys, as it will be opened from now on.
        let opened = keys.records().await;
        let (_, records) = opened.context("it does not open without the previous keys")?;
        Ok(Output::line(
            format!(
                "{} keys wrapped anew, {} were current, {} left",
                done.rewrapped, done.current, done.left
            ),
            json!({
                "rewrapped": done.rewrapped,
                "current": done.current,
                "left": done.left,
                "keys": records.len(),
            }),
        ))
    }
}
