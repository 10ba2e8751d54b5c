//! Where the keys are: a file, or a database.

use std::collections::HashMap;
#[cfg(feature = "postgres")]
use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::{Context, bail};
use bartizan::apikey::{KeyFile, KeyFileError, KeyId, KeyRecord, RecordError, Rotation, UsesFile};
#[cfg(feature = "postgres")]
use bartizan::apikey::{KeyRead, KeySource as _, PostgresKeys};
use bartizan::core::WallTime;
use clap::Args;

#[cfg(feature = "postgres")]
use crate::keys::printable;

/// How often a key is read again that somebody changed while it was to be rotated.
#[cfg(feature = "postgres")]
const ATTEMPTS: usize = 5;

/// Where the keys are: exactly one of these.
#[derive(Args, Debug)]
pub(crate) struct StoreArguments {
    /// The file with the keys
    #[arg(long, value_name = "FILE", env = "BARTIZAN_APIKEYS", global = true)]
    file: Option<PathBuf>,
    /// The file in which the service notes when keys were last used
    #[arg(long, value_name = "FILE", global = true)]
    uses_file: Option<PathBuf>,
    #[cfg(feature = "postgres")]
    #[command(flatten)]
    database: Database,
}

#[cfg(feature = "postgres")]
#[derive(Args, Debug)]
struct Database {
    /// The name of an environment variable with the URL of a PostgreSQL: a password on a command
    /// line is there for everybody on the machine
    #[arg(long, value_name = "VARIABLE", conflicts_with = "file", global = true)]
    postgres_env: Option<String>,
    /// A file with the certificates that the database is believed by
    #[arg(long, value_name = "FILE", requires = "postgres_env", global = true)]
    postgres_roots: Option<PathBuf>,
    /// Speak plaintext to a database on this machine
    #[arg(long, requires = "postgres_env", global = true)]
    postgres_plaintext_loopback: bool,
}

pub(super) enum Store {
    File(KeyFile, Option<UsesFile>),
    #[cfg(feature = "postgres")]
    Postgres(PostgresKeys),
}

impl StoreArguments {
    pub(super) fn open(&self) -> anyhow::Result<Store> {
        #[cfg(feature = "postgres")]
        if let Some(variable) = &self.database.postgres_env {
            return self.database.open(variable);
        }
        let Some(file) = &self.file else {
            bail!("where are the keys? Say --file (or a database, where that is built in)");
        };
        let uses = self.uses_file.as_ref().map(UsesFile::new);
        Ok(Store::File(KeyFile::new(file), uses))
    }
}

#[cfg(feature = "postgres")]
impl Database {
    fn open(&self, variable: &str) -> anyhow::Result<Store> {
        let url = std::env::var(variable).map(zeroize::Zeroizing::new);
        let url = url.with_context(|| format!("the environment has no {variable}"))?;
        let mut builder = PostgresKeys::builder(&url);
        if let Some(path) = &self.postgres_roots {
            let pem = std::fs::read(path);
            let pem = pem.with_context(|| format!("cannot read {}", path.display()))?;
            builder = builder.with_root_pem(&pem);
        }
        if self.postgres_plaintext_loopback {
            builder = builder.allow_plaintext_loopback();
        }
        Ok(Store::Postgres(builder.build()?))
    }
}

impl Store {
    /// Makes what is to hold the keys, and says what it made.
    pub(super) async fn init(&self) -> anyhow::Result<String> {
        match self {
            Self::File(file, _) => {
                file.create()?;
                Ok(file.path().display().to_string())
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(keys) => {
                keys.migrate().await?;
                Ok("the tables of the keys".to_owned())
            }
        }
    }

    pub(super) async fn records(&self) -> anyhow::Result<Vec<KeyRecord>> {
        match self {
            Self::File(file, uses) => {
                let about = || format!("cannot read {}", file.path().display());
                let records = file.read().with_context(about)?;
                let Some(uses) = uses else {
                    return Ok(records);
                };
                let about = || format!("cannot read {}", uses.path().display());
                let uses = uses.read().with_context(about)?;
                let uses: HashMap<_, _> = uses.map(|used| (used.id, used.at)).collect();
                let with_use = |record: KeyRecord| match uses.get(&record.id()) {
                    Some(at) => record.used_at(*at),
                    None => record,
                };
                Ok(records.into_iter().map(with_use).collect())
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(keys) => Ok(match keys.read(None).await? {
                KeyRead::Records { records, .. } => records,
                KeyRead::Partial {
                    records, ignored, ..
                } => {
                    for key in ignored {
                        let reason = printable(&key.reason.to_string());
                        // With standard error closed there is nobody to tell.
                        let _ = writeln!(io::stderr(), "left out, and refused: {reason}");
                    }
                    records
                }
                _ => Vec::new(),
            }),
        }
    }

    pub(super) async fn add(&self, record: &KeyRecord) -> anyhow::Result<()> {
        match self {
            Self::File(file, _) => Ok(file.add(record.clone())?),
            #[cfg(feature = "postgres")]
            Self::Postgres(keys) => {
                anyhow::ensure!(keys.add(record).await?, "the key is there already");
                Ok(())
            }
        }
    }

    pub(super) async fn revoke(&self, id: KeyId, now: WallTime) -> anyhow::Result<()> {
        let there = match self {
            Self::File(file, _) => file.change(|records| {
                let found = records.iter_mut().find(|record| record.id() == id);
                Ok::<_, KeyFileError>(found.map(|record| *record = record.revoked_at(now)))
            })?,
            #[cfg(feature = "postgres")]
            Self::Postgres(keys) => keys.revoke(id, now).await?.then_some(()),
        };
        there.with_context(|| format!("there is no key {id}"))
    }

    /// Replaces a key, by the rights that it has at that moment and not by those that it had when
    /// somebody looked.
    pub(super) async fn rotate(
        &self,
        id: KeyId,
        rotate: impl Fn(&KeyRecord) -> Result<Rotation, RecordError>,
    ) -> anyhow::Result<Rotation> {
        let missing = || format!("there is no key {id}");
        match self {
            Self::File(file, _) => file.change(|records| {
                let record = records.iter_mut().find(|record| record.id() == id);
                let record = record.with_context(missing)?;
                let rotation = rotate(record)?;
                *record = rotation.old.clone();
                records.push(rotation.new.clone());
                Ok(rotation)
            }),
            #[cfg(feature = "postgres")]
            Self::Postgres(keys) => {
                for _ in 0..ATTEMPTS {
                    let records = keys.records().await?;
                    let record = records.iter().find(|record| record.id() == id);
                    let rotation = rotate(record.with_context(missing)?)?;
                    if keys.rotate(&rotation).await? {
                        return Ok(rotation);
                    }
                }
                bail!("the key {id} is being changed: try again")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bartizan::apikey::{KeyFormat, NewKey, Peppers};

    use super::*;

    #[tokio::test]
    async fn nobody_changes_a_key_between_its_reading_and_its_rotation() {
        let name = format!("bartizan-cli-rotate-{}.json", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&path);
        let file = KeyFile::new(&path);
        file.create().unwrap();
        let new_key = || NewKey::generate(&KeyFormat::live()).unwrap();
        let (old, new) = (new_key(), new_key());
        let now = WallTime::from_unix_seconds(1_800_000_000);
        let record = KeyRecord::builder(&old, &Peppers::none(), "reports", now);
        file.add(record.with_scopes(["orders:read"]).build().unwrap())
            .unwrap();
        let store = Store::File(file.clone(), None);
        let rotate = |record: &KeyRecord| {
            let change = |_: &mut Vec<KeyRecord>| Ok::<_, KeyFileError>(());
            assert!(matches!(file.change(change), Err(KeyFileError::Locked(_))));
            record.rotated(&new, &Peppers::none(), now, Duration::from_secs(60))
        };
        let rotation = store.rotate(old.id(), rotate).await.unwrap();
        assert_eq!(file.read().unwrap(), [rotation.old, rotation.new]);
        std::fs::remove_file(path).unwrap();
    }
}
