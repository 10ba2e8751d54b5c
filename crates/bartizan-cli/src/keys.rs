//! `bartizan keys`: the life of the keys in a keyset file.

mod reseal;
mod shown;

use std::path::PathBuf;

use anyhow::bail;
use bartizan::core::Subject;
use bartizan::encrypt::{
    KeyFile, KeyId, KeyPurpose, KeyRecord, KeyScope, KeyStage, KeyStore, Keyring, LocalKek,
};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::kek::KekSource;
use crate::keys::reseal::Reseal;
use crate::keys::shown::{row, shown};
use crate::output::{Output, Text};

pub(crate) use crate::keys::shown::{date, printable};

#[derive(Args, Debug)]
pub(crate) struct Keys {
    /// The keyset file
    #[arg(long, value_name = "FILE", env = "BARTIZAN_KEYS")]
    file: PathBuf,
    #[command(flatten)]
    kek: KekSource,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a new, empty keyset file
    Init {
        /// Make the key-encryption key too, in the file that --kek-file names
        #[arg(long)]
        new_kek: bool,
    },
    /// Show the keys
    List {
        /// Only this tenant's
        #[arg(long)]
        tenant: Option<String>,
        /// Say whose the personal keys are, which is hidden otherwise
        #[arg(long)]
        show_subjects: bool,
    },
    /// Count the keys by what they may do
    Status,
    /// Make a new key that seals from now on; the old ones still open
    Rotate {
        #[command(flatten)]
        scope: Scope,
        /// Make one that only opens yet; `activate` it when every instance knows it
        #[arg(long)]
        introduce: bool,
    },
    /// Let a key seal from now on, in place of the one that does
    Activate(One),
    /// Let a disabled key open again
    Enable(One),
    /// Take a key out of use, until it is enabled again
    Disable(One),
    /// Destroy a key for good, or with --forget everything about a person
    Destroy {
        #[command(flatten)]
        scope: Scope,
        /// The key, as `list` names it
        #[arg(required_unless_present = "forget")]
        key: Option<KeyId>,
        /// Destroy every key of --subject: nothing about them can be read again
        #[arg(long, requires = "subject", conflicts_with_all = ["key", "purpose"])]
        forget: bool,
        /// It cannot be undone, and is done only with this
        #[arg(long)]
        yes: bool,
    },
    /// Wrap every key anew under the present key-encryption key, or seal records anew
    ///
    /// With a previous key-encryption key, every key is wrapped anew, and no data is touched. With
    /// --records, the fields of a file of records are sealed anew under the keys that seal now.
    /// Either may be cut short and repeated.
    Reseal(Box<Reseal>),
}

/// Whose keys.
#[derive(Args, Debug)]
struct Scope {
    /// The tenant
    #[arg(long)]
    tenant: String,
    /// One person of the tenant, who has keys of their own
    #[arg(long)]
    subject: Option<String>,
    /// What the keys are for
    #[arg(long, value_enum, default_value_t = Purpose::Fields)]
    purpose: Purpose,
}

/// One key.
#[derive(Args, Debug)]
struct One {
    #[command(flatten)]
    scope: Scope,
    /// The key, as `list` names it
    key: KeyId,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Purpose {
    /// Sealing fields
    Fields,
    /// Blind indexes
    Index,
    /// Pseudonyms
    Pseudonyms,
}

impl Scope {
    fn scope(&self) -> KeyScope {
        let scope = match &self.subject {
            Some(subject) => KeyScope::subject(&self.tenant, subject),
            None => KeyScope::tenant(&self.tenant),
        };
        scope.with_purpose(match self.purpose {
            Purpose::Fields => KeyPurpose::Fields,
            Purpose::Index => KeyPurpose::Index,
            Purpose::Pseudonyms => KeyPurpose::Pseudonyms,
        })
    }
}

impl Keys {
    pub(crate) fn run(&self) -> anyhow::Result<Output> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        runtime.block_on(self.work())
    }

    async fn work(&self) -> anyhow::Result<Output> {
        match &self.command {
            Command::Init { new_kek } => self.init(*new_kek),
            Command::List {
                tenant,
                show_subjects,
            } => self.list(tenant.as_deref(), *show_subjects).await,
            Command::Status => self.status().await,
            Command::Rotate { scope, introduce } => {
                let keyring = self.keyring(&[])?;
                let id = match introduce {
                    true => keyring.introduce(&scope.scope()).await?,
                    false => keyring.rotate(&scope.scope()).await?,
                };
                let done = if *introduce { "introduced" } else { "active" };
                Ok(changed(id, done))
            }
            Command::Activate(One { scope, key }) => {
                self.keyring(&[])?.activate(&scope.scope(), *key).await?;
                Ok(changed(*key, "active"))
            }
            Command::Enable(One { scope, key }) => {
                self.keyring(&[])?.enable(&scope.scope(), *key).await?;
                Ok(changed(*key, "enabled"))
            }
            Command::Disable(One { scope, key }) => {
                self.keyring(&[])?.disable(&scope.scope(), *key).await?;
                Ok(changed(*key, "disabled"))
            }
            Command::Destroy {
                scope, key, yes, ..
            } => self.destroy(scope, *key, *yes).await,
            Command::Reseal(reseal) => reseal.run(self).await,
        }
    }

    fn init(&self, new_kek: bool) -> anyhow::Result<Output> {
        let kek = self.kek.create(&self.file, new_kek)?;
        let kek = bartizan::encrypt::Kek::id(&kek);
        Ok(Output::line(
            format!("made {}, sealed under {kek}", self.file.display()),
            json!({"file": self.file, "kek": kek}),
        ))
    }

    async fn list(&self, tenant: Option<&str>, subjects: bool) -> anyhow::Result<Output> {
        let (_, records) = self.records().await?;
        let shown = records.iter().map(|record| shown(record, subjects));
        let shown = shown.collect::<anyhow::Result<Vec<_>>>()?;
        let wanted = |key: &serde_json::Value| {
            tenant.is_none_or(|tenant| key.get("tenant").is_some_and(|of| of == tenant))
        };
        let shown: Vec<_> = shown.into_iter().filter(wanted).collect();
        let heading = [
            "KEY", "TENANT", "SUBJECT", "PURPOSE", "VERSION", "STAGE", "CREATED",
        ];
        let mut table = vec![heading.map(str::to_owned).to_vec()];
        table.extend(shown.iter().map(row));
        Ok(Output {
            text: Text::Table(table),
            json: json!({"keys": shown}),
        })
    }

    async fn status(&self) -> anyhow::Result<Output> {
        let (kek, records) = self.records().await?;
        let kek = bartizan::encrypt::Kek::id(&kek);
        let count = |wanted: fn(&KeyStage) -> bool| {
            records
                .iter()
                .filter(|record| wanted(&record.stage))
                .count()
        };
        let counts = [
            ("pre-active", count(|stage| *stage == KeyStage::PreActive)),
            ("active", count(|stage| *stage == KeyStage::Active)),
            (
                "decrypt-only",
                count(|stage| *stage == KeyStage::DecryptOnly),
            ),
            ("disabled", count(|stage| *stage == KeyStage::Disabled)),
            (
                "destroyed",
                count(|stage| matches!(stage, KeyStage::Destroyed { .. })),
            ),
        ];
        let stale = |record: &&KeyRecord| !record.wrapped.is_empty() && record.kek != kek;
        let stale = records.iter().filter(stale).count();
        let mut table = vec![vec!["kek".to_owned(), kek.to_owned()]];
        let mut json = serde_json::Map::new();
        for (stage, count) in counts {
            table.push(vec![stage.to_owned(), count.to_string()]);
            json.insert(stage.replace('-', "_"), json!(count));
        }
        table.push(vec!["to reseal".to_owned(), stale.to_string()]);
        Ok(Output {
            text: Text::Table(table),
            json: json!({"kek": kek, "keys": json, "to_reseal": stale}),
        })
    }

    async fn destroy(
        &self,
        scope: &Scope,
        key: Option<KeyId>,
        yes: bool,
    ) -> anyhow::Result<Output> {
        if !yes {
            bail!("what it sealed is lost for good; say --yes if that is meant");
        }
        let keyring = self.keyring(&[])?;
        match (key, &scope.subject) {
            (Some(key), _) => {
                keyring.destroy(&scope.scope(), key).await?;
                Ok(changed(key, "destroyed"))
            }
            (None, Some(subject)) => {
                let subject = Subject::new(&scope.tenant, subject);
                let at = keyring.erase(&subject).await?.unix_seconds();
                Ok(Output::line(
                    "every key of the person is destroyed; backups of the file still hold them",
                    json!({"forgotten": true, "at": at}),
                ))
            }
            (None, None) => bail!("neither a key nor --forget with a --subject"),
        }
    }

    async fn records(&self) -> anyhow::Result<(LocalKek, Vec<KeyRecord>)> {
        let (file, kek) = self.kek.open(&self.file, &[])?;
        let mut records = file.read(None).await?;
        records.sort_by(|a, b| (&a.scope, a.version).cmp(&(&b.scope, b.version)));
        Ok((kek, records))
    }

    fn keyring(&self, previous: &[LocalKek]) -> anyhow::Result<Keyring> {
        let (file, kek) = self.kek.open(&self.file, previous)?;
        // The application's name matters for values alone, and none is sealed or opened here.
        keyring("bartizan", file, kek, previous)
    }
}

fn keyring(
    application: &str,
    file: KeyFile,
    kek: LocalKek,
    previous: &[LocalKek],
) -> anyhow::Result<Keyring> {
    let builder = Keyring::builder(application, file, kek);
    let builder = previous.iter().fold(builder, |builder, kek| {
        builder.add_previous_kek(kek.clone())
    });
    Ok(builder.build()?)
}

fn changed(id: KeyId, done: &str) -> Output {
    Output::line(
        format!("key {id} is {done}"),
        json!({"key": id.to_string(), "is": done}),
    )
}
