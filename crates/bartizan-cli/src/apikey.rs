//! `bartizan apikey`: the life of API keys, in a file or a database.

mod shown;
mod span;
mod store;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use bartizan::apikey::{KeyFormat, KeyId, KeyRecord, KeyState, NewKey, Pepper, Peppers};
use bartizan::core::{Clock, IpNetwork, SystemClock, WallTime};
use clap::{Args, Subcommand};
use serde_json::json;
use zeroize::Zeroizing;

use crate::apikey::shown::{HEADING, row, shown};
use crate::apikey::store::{Store, StoreArguments};
use crate::output::{Output, Text};

#[derive(Args, Debug)]
pub(crate) struct ApiKeys {
    #[command(flatten)]
    store: StoreArguments,
    /// The word for the product, which keys begin with
    #[arg(long, default_value = "brt", global = true)]
    product: String,
    /// The word for the environment, which follows it
    #[arg(long, default_value = "live", global = true)]
    environment: String,
    /// A file with the pepper that keys are hashed under: 32 bytes or more, or their base64url
    #[arg(long, value_name = "FILE", requires = "pepper_name", global = true)]
    pepper_file: Option<PathBuf>,
    /// The name of the pepper, as the service has it
    #[arg(long, value_name = "NAME", requires = "pepper_file", global = true)]
    pepper_name: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the file or the tables, without keys
    Init,
    /// Make a key, and print it: it is shown this once
    Create(Box<Create>),
    /// Show the keys: everything but the keys
    List {
        /// Also those that are revoked or have expired
        #[arg(long)]
        all: bool,
    },
    /// Take a key out of use for good
    Revoke {
        /// The key, as `list` names it
        key: KeyId,
    },
    /// Make a key that takes the place of another, and print it; both live for a while
    Rotate {
        /// The key, as `list` names it
        key: KeyId,
        /// How long the old one may still be used, such as 7d
        #[arg(long, value_name = "SPAN", default_value = "1d", value_parser = span::parse)]
        overlap: Duration,
    },
    /// Print the regular expression by which secret scanners find such keys
    Pattern,
}

/// What a key is for.
#[derive(Args, Debug)]
struct Create {
    /// Whoever requests with the key act for
    #[arg(long)]
    subject: String,
    /// What people call the key
    #[arg(long)]
    name: Option<String>,
    /// The client that gets it
    #[arg(long)]
    client: Option<String>,
    /// The tenant that it belongs to
    #[arg(long)]
    tenant: Option<String>,
    /// What it may be used for; repeat for more
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// A role of whoever has it; repeat for more
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// From where it may be used, such as 10.0.0.0/8; repeat for more; from everywhere unless said
    #[arg(long = "network", value_name = "NETWORK")]
    networks: Vec<IpNetwork>,
    #[command(flatten)]
    end: End,
    /// When it may be used for the first time, from now, such as 12h
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    not_before: Option<Duration>,
}

/// A key has an end, or somebody says that it has none.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct End {
    /// How long it lives, such as 90d (s, m, h, d, w)
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    expires_in: Option<Duration>,
    /// It lives until it is revoked
    #[arg(long)]
    never_expires: bool,
}

impl ApiKeys {
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(self.work(json))?;
        Ok(ExitCode::SUCCESS)
    }

    async fn work(&self, json: bool) -> anyhow::Result<()> {
        let format = KeyFormat::new(&self.product, &self.environment)?;
        let now = SystemClock.wall();
        let output = match &self.command {
            Command::Pattern => {
                let pattern = format.pattern();
                Output::line(&*pattern, json!({"pattern": pattern}))
            }
            Command::Init => {
                let made = self.store.open()?.init().await?;
                Output::line(format!("made {made}"), json!({"made": made}))
            }
            Command::List { all } => self.list(*all, now).await?,
            Command::Revoke { key } => {
                self.store.open()?.revoke(*key, now).await?;
                Output::line(
                    format!("key {key} is revoked"),
                    json!({"id": key.to_string(), "is": "revoked"}),
                )
            }
            Command::Create(create) => {
                let key = NewKey::generate(&format)?;
                let record = create.record(&key, &self.peppers()?, now)?;
                self.store.open()?.add(&record).await?;
                return show_once(&key, &record, None, json);
            }
            Command::Rotate { key, overlap } => {
                let store = self.store.open()?;
                return self
                    .rotate(&store, *key, &format, *overlap, now, json)
                    .await;
            }
        };
        output.print(json)
    }

    async fn list(&self, all: bool, now: WallTime) -> anyhow::Result<Output> {
        let mut records = self.store.open()?.records().await?;
        records.retain(|record| {
            let state = record.state(now);
            all || !matches!(state, KeyState::Expired | KeyState::Revoked)
        });
        records.sort_by_key(|record| (record.created(), record.id()));
        let shown: Vec<_> = records.iter().map(|record| shown(record, now)).collect();
        let mut table = vec![HEADING.map(str::to_owned).to_vec()];
        table.extend(records.iter().map(|record| row(record, now)));
        Ok(Output {
            text: Text::Table(table),
            json: json!({"keys": shown}),
        })
    }

    async fn rotate(
        &self,
        store: &Store,
        id: KeyId,
        format: &KeyFormat,
        overlap: Duration,
        now: WallTime,
        json: bool,
    ) -> anyhow::Result<()> {
        let (key, peppers) = (NewKey::generate(format)?, self.peppers()?);
        let rotate = |record: &KeyRecord| record.rotated(&key, &peppers, now, overlap);
        let rotation = store.rotate(id, rotate).await?;
        show_once(&key, &rotation.new, Some(&rotation.old), json)
    }

    fn peppers(&self) -> anyhow::Result<Peppers> {
        let (Some(file), Some(name)) = (&self.pepper_file, &self.pepper_name) else {
            return Ok(Peppers::none());
        };
        let pepper = Pepper::from_file(name, file);
        Ok(Peppers::new(pepper.context("cannot use the pepper")?))
    }
}

impl Create {
    fn record(&self, key: &NewKey, peppers: &Peppers, now: WallTime) -> anyhow::Result<KeyRecord> {
        let mut record = KeyRecord::builder(key, peppers, &self.subject, now)
            .with_scopes(&self.scopes)
            .with_roles(&self.roles)
            .with_networks(self.networks.iter().copied());
        if let Some(name) = &self.name {
            record = record.with_name(name);
        }
        if let Some(client) = &self.client {
            record = record.with_client(client);
        }
        if let Some(tenant) = &self.tenant {
            record = record.with_tenant(tenant);
        }
        let begin = self.not_before.map(|span| now + span);
        if let Some(begin) = begin {
            record = record.with_not_before(begin);
        }
        if let Some(span) = self.end.expires_in {
            record = record.with_expires(begin.unwrap_or(now) + span);
        }
        Ok(record.build()?)
    }
}

/// Prints a key that was just made: the key alone to standard output, what else there is to say to
/// standard error; or all of it as JSON.
fn show_once(
    key: &NewKey,
    record: &KeyRecord,
    replaced: Option<&KeyRecord>,
    json: bool,
) -> anyhow::Result<()> {
    let seconds = |at: Option<WallTime>| at.map(WallTime::unix_seconds);
    let mut text = Zeroizing::new(String::with_capacity(1024));
    if json {
        let rest = json!({
            "id": key.id().to_string(),
            "expires": seconds(record.expires()),
            "replaces": replaced.map(|old| old.id().to_string()),
            "replaced_expires": replaced.and_then(|old| seconds(old.expires())),
        });
        let rest = format!("{rest:#}");
        // A key is letters, digits and underscores: nothing in it has a meaning in JSON.
        text.push_str("{\n  \"key\": \"");
        text.push_str(key.expose());
        text.push_str("\",");
        text.push_str(rest.strip_prefix('{').unwrap_or_default());
    } else {
        text.push_str(key.expose());
        let id = key.id();
        // With standard error closed there is nobody to tell.
        let _ = writeln!(io::stderr(), "key {id}: shown this once, and kept nowhere");
        if let Some(old) = replaced {
            let end = old.expires().map_or_else(String::new, shown::moment);
            let _ = writeln!(io::stderr(), "key {} may be used until {end}", old.id());
        }
    }
    text.push('\n');
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
