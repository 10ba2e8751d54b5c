//! The registry's file. What is not known in it is an error.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use bartizan::core::{SpiffeId, SpiffePattern, TrustDomain};
use serde::{Deserialize, Deserializer};

/// Everything that `registry.toml` says. See the README for one with a comment on each line.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Our certificate chain, PEM.
    pub certificate: PathBuf,
    /// Our key, PEM.
    pub key: PathBuf,
    /// Our trust domain: whose workloads may ask at all.
    #[serde(deserialize_with = "parsed")]
    pub trust_domain: TrustDomain,
    /// The authorities of our trust domain, PEM.
    pub bundle: PathBuf,
    /// The folder of the log in which each change stands.
    pub audit: PathBuf,
    /// How long an instance is listed after its last sign of life. Thirty seconds unless said: two
    /// heartbeats may be lost.
    #[serde(
        rename = "lease_seconds",
        default = "lease",
        deserialize_with = "seconds"
    )]
    pub lease: Duration,
    /// How much is kept.
    #[serde(default)]
    pub limits: Limits,
    /// The services that there may be.
    #[serde(rename = "service", default)]
    pub services: Vec<Service>,
}

/// How much is kept, so that nobody can use it up for everybody.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Instances of one identity, of all its services together.
    pub instances_of_one: usize,
    /// Instances in all.
    pub instances: usize,
    /// Who waits for changes, of one identity.
    pub watchers_of_one: usize,
    /// Who waits for changes, in all.
    pub watchers: usize,
    /// Requests a second of one identity.
    pub per_second: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            instances_of_one: 256,
            instances: 10_000,
            watchers_of_one: 64,
            watchers: 5_000,
            per_second: 100,
        }
    }
}

/// A service that there may be: whose name it is, and who may know where it is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The one identity that may register under this name.
    #[serde(deserialize_with = "parsed")]
    pub owner: SpiffeId,
    /// Who may look it up, beside the owner.
    #[serde(default, deserialize_with = "parsed_list")]
    pub readers: Vec<SpiffePattern>,
}

impl Config {
    /// Reads a file. Relative paths in it start at its folder.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or does not hold.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file);
        let text = text.with_context(|| format!("cannot read {}", file.display()))?;
        let mut config: Self =
            toml::from_str(&text).with_context(|| format!("in {}", file.display()))?;
        let folder = file.parent().unwrap_or(Path::new("."));
        let Self {
            certificate,
            key,
            bundle,
            audit,
            ..
        } = &mut config;
        for path in [certificate, key, bundle, audit] {
            *path = folder.join(&*path);
        }
        let mut names = BTreeSet::new();
        for service in &config.services {
            let name = &service.name;
            let plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            anyhow::ensure!(
                (1..=63).contains(&name.len()) && name.bytes().all(plain),
                "service {name:?}: a name is 1 to 63 lower-case letters, digits and hyphens"
            );
            anyhow::ensure!(names.insert(name), "service {name:?} is there twice");
            anyhow::ensure!(
                config.trust_domain.contains(&service.owner),
                "service {name:?}: its owner {} could never connect",
                service.owner
            );
        }
        Ok(config)
    }
}

fn lease() -> Duration {
    Duration::from_secs(30)
}

/// A text that is parsed as the type itself parses it.
fn parsed<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let text = String::deserialize(from)?;
    text.parse().map_err(serde::de::Error::custom)
}

fn parsed_list<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let texts = Vec::<String>::deserialize(from)?;
    let parsed = texts.into_iter().map(|text| text.parse());
    parsed
        .collect::<Result<_, _>>()
        .map_err(serde::de::Error::custom)
}

/// A number of seconds, more than none and at most a day.
fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let number = f64::deserialize(from)?;
    if number > 0.0 && number <= 86_400.0 {
        return Ok(Duration::from_secs_f64(number));
    }
    Err(serde::de::Error::custom("between 0 and 86400 seconds"))
}
