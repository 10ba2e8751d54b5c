//! What a layer is made of: where the keys are, how they look, and how it behaves.

mod keys;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Clock, Duty, Enforcement, Observe, SystemClock};
use http::HeaderName;

pub(crate) use self::keys::Origin;
use crate::error::{ConfigError, Refusals};
use crate::format::KeyFormat;
use crate::guard::Behaviour;
use crate::hash::Peppers;
use crate::record::KeyRecord;
use crate::source::KeySource;
use crate::table::TableRules;
use crate::usage::UsesFile;

/// A checked configuration of an [`ApiKeyLayer`](crate::ApiKeyLayer).
///
/// | setting | default | reason |
/// |---|---|---|
/// | format | `brt_live_...` | |
/// | field | `x-api-key`, and `Authorization: ApiKey ...` | what clients know; exactly one of them |
/// | pepper | none | a key has 256 random bits; with a pepper, who can write to the store cannot make keys |
/// | most keys | 100,000 | about 100 MiB when they are all there |
/// | key lifetime | 5 s | a key that is revoked in the source is refused after that; asking whether something changed is cheap |
/// | stale limit | 1 h | how long a store may be down; nobody learns of revocations meanwhile |
/// | cool-down | 1 s | made-up keys cost the store one question a second |
/// | patience | 2 s | how long a request with an unknown key waits for the store |
/// | uses | told every 60 s | |
///
/// A file is looked at every ten seconds.
///
/// ```
/// use bartizan_apikey::{ApiKeyConfig, ConfigError};
///
/// let config = ApiKeyConfig::builder("orders-keys").with_key_file("/etc/orders/keys.json").build()?;
/// # let _ = config;
/// let nowhere = ApiKeyConfig::builder("orders-keys").build();
/// assert!(matches!(nowhere, Err(ConfigError::NoKeys)));
/// # Ok::<(), ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ApiKeyConfig {
    pub(crate) origin: Origin,
    pub(crate) rules: TableRules,
    pub(crate) duty: Duty,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) behaviour: Behaviour,
    pub(crate) uses_file: Option<UsesFile>,
    pub(crate) uses_interval: Duration,
}

/// Describes an [`ApiKeyConfig`]; made by [`ApiKeyConfig::builder`].
#[derive(Clone)]
#[must_use = "call build to get the configuration"]
pub struct ApiKeyConfigBuilder {
    issuer: String,
    records: Option<Vec<KeyRecord>>,
    file: Option<PathBuf>,
    source: Option<Arc<dyn KeySource>>,
    format: KeyFormat,
    peppers: Peppers,
    max_keys: usize,
    max_lifetime: Option<Duration>,
    key_lifetime: Duration,
    stale_limit: Duration,
    cool_down: Duration,
    patience: Duration,
    uses_file: Option<UsesFile>,
    uses_interval: Duration,
    header: HeaderName,
    allows_bearer: bool,
    allows_anonymous: bool,
    allows_forwarding: bool,
    ends_streams: bool,
    realm: Option<String>,
    enforcement: Enforcement,
    observer: Option<Arc<dyn Observe>>,
    clock: Arc<dyn Clock>,
}

impl ApiKeyConfig {
    /// Begins the configuration of a layer that admits the keys of this store. `issuer` is the
    /// name of the store, and the issuer of the principals that its keys name: a subject means
    /// nothing outside of it.
    pub fn builder(issuer: &str) -> ApiKeyConfigBuilder {
        ApiKeyConfigBuilder {
            issuer: issuer.to_owned(),
            records: None,
            file: None,
            source: None,
            format: KeyFormat::live(),
            peppers: Peppers::none(),
            max_keys: 100_000,
            max_lifetime: None,
            key_lifetime: Duration::from_secs(5),
            stale_limit: Duration::from_secs(3600),
            cool_down: Duration::from_secs(1),
            patience: Duration::from_secs(2),
            uses_file: None,
            uses_interval: Duration::from_secs(60),
            header: HeaderName::from_static("x-api-key"),
            allows_bearer: false,
            allows_anonymous: false,
            allows_forwarding: false,
            ends_streams: true,
            realm: None,
            enforcement: Enforcement::Enforce,
            observer: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// How keys are written.
    pub fn format(&self) -> &KeyFormat {
        &self.behaviour.format
    }
}

impl ApiKeyConfigBuilder {
    /// Reads the keys from this file, a [`KeyFile`](crate::KeyFile), and again when it changes. A
    /// version that cannot be used leaves the last good one in force.
    pub fn with_key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Reads the keys from this source, such as `PostgresKeys` (feature `postgres`), and again
    /// every few seconds. Goes before a file.
    pub fn with_source(mut self, source: impl KeySource) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Takes these keys, once and for all: for tests, and for the few that never change. Goes
    /// before a source.
    pub fn with_keys(mut self, records: impl IntoIterator<Item = KeyRecord>) -> Self {
        self.records = Some(records.into_iter().collect());
        self
    }

    /// Replaces how keys are written. Keys of another product or environment are refused.
    pub fn with_format(mut self, format: KeyFormat) -> Self {
        self.format = format;
        self
    }

    /// Replaces the peppers that keys are hashed under.
    pub fn with_peppers(mut self, peppers: Peppers) -> Self {
        self.peppers = peppers;
        self
    }

    /// Replaces how many keys there may be: 1 to 10,000,000. A source or file with more is refused
    /// as a whole, and the last good version stays.
    pub fn with_max_keys(mut self, count: usize) -> Self {
        self.max_keys = count;
        self
    }

    /// Refuses keys that were made for longer than this, and those without an end.
    pub fn require_max_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_lifetime = Some(lifetime);
        self
    }

    /// Replaces how long what a source said counts as fresh: 100 ms to a day. It is asked again
    /// before that.
    pub fn with_key_lifetime(mut self, lifetime: Duration) -> Self {
        self.key_lifetime = lifetime;
        self
    }

    /// Replaces how long keys are accepted while their source does not answer; then requests are
    /// answered 503. At least the lifetime of keys, at most 30 days.
    pub fn with_stale_limit(mut self, limit: Duration) -> Self {
        self.stale_limit = limit;
        self
    }

    /// Replaces how long after a question for an unknown key the next such question may be asked:
    /// 100 ms to a day.
    pub fn with_cool_down(mut self, span: Duration) -> Self {
        self.cool_down = span;
        self
    }

    /// Replaces how long a request with an unknown key waits for the source: up to 30 s. Requests
    /// whose key is known never wait.
    pub fn with_patience(mut self, span: Duration) -> Self {
        self.patience = span;
        self
    }

    /// Writes into this file when keys were last used. For keys of a file; a source is told
    /// itself.
    pub fn with_uses_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.uses_file = Some(UsesFile::new(path));
        self
    }

    /// Replaces how often it is written when keys were last used: 1 s to a day.
    pub fn with_uses_interval(mut self, interval: Duration) -> Self {
        self.uses_interval = interval;
        self
    }

    /// Replaces the field that keys are taken from, beside `Authorization: ApiKey`.
    pub fn with_header(mut self, name: HeaderName) -> Self {
        self.header = name;
        self
    }

    /// Takes keys from `Authorization: Bearer` as well, for clients that can send nothing else.
    /// They are told from tokens by the word for their product.
    pub fn allow_bearer(mut self) -> Self {
        self.allows_bearer = true;
        self
    }

    /// Lets requests without any key pass, as nobody: without a principal. A key that is there
    /// must still hold.
    pub fn allow_anonymous(mut self) -> Self {
        self.allows_anonymous = true;
        self
    }

    /// Leaves the key in the request, marked as sensitive, for a handler that passes it on. By
    /// default it is taken out.
    pub fn allow_forwarding(mut self) -> Self {
        self.allows_forwarding = true;
        self
    }

    /// Lets a response go on after its key has expired or was revoked. By default it ends with the
    /// key, also in the middle.
    pub fn allow_streams_past_expiry(mut self) -> Self {
        self.ends_streams = false;
        self
    }

    /// Replaces the realm that challenges name; the name of the store by default.
    pub fn with_realm(mut self, realm: &str) -> Self {
        self.realm = Some(realm.to_owned());
        self
    }

    /// Sets whether a refusal reaches the client.
    pub fn with_enforcement(mut self, enforcement: Enforcement) -> Self {
        self.enforcement = enforcement;
        self
    }

    /// Sets who is told of decisions, of keys that leaked, and of how the source fares.
    pub fn with_observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Replaces the clock.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Checks the configuration.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], naming the first setting that cannot work.
    pub fn build(self) -> Result<ApiKeyConfig, ConfigError> {
        let printable = !self.issuer.chars().any(char::is_control);
        if !printable || !(1..=256).contains(&self.issuer.len()) {
            return Err(ConfigError::InvalidIssuer(self.issuer));
        }
        let (setting, value, most) = ("the most keys", self.max_keys, 10_000_000);
        if !(1..=most).contains(&value) {
            return Err(ConfigError::CountOutOfRange {
                setting,
                value,
                least: 1,
                most,
            });
        }
        let (tick, day) = (Duration::from_millis(100), Duration::from_secs(24 * 3600));
        let second = Duration::from_secs(1);
        within("patience", self.patience, Duration::ZERO, second * 30)?;
        within("key lifetime", self.key_lifetime, tick, day)?;
        within("stale limit", self.stale_limit, self.key_lifetime, day * 30)?;
        within("cool-down", self.cool_down, tick, day)?;
        within("interval of uses", self.uses_interval, second, day)?;
        if let Some(lifetime) = self.max_lifetime {
            within("most lifetime", lifetime, second, Duration::MAX)?;
        }
        let mut duty = Duty::new("apikey").with_enforcement(self.enforcement);
        if let Some(observer) = &self.observer {
            duty = duty.with_observer(Arc::clone(observer));
        }
        let behaviour = Behaviour {
            refusals: Refusals {
                realm: self.realm.as_deref().unwrap_or(&self.issuer).into(),
                header: self.header.as_str().into(),
            },
            format: self.format.clone(),
            header: self.header.clone(),
            patience: self.patience,
            allows_bearer: self.allows_bearer,
            allows_anonymous: self.allows_anonymous,
            allows_forwarding: self.allows_forwarding,
            ends_streams: self.ends_streams,
        };
        let rules = TableRules {
            issuer: self.issuer.as_str().into(),
            peppers: self.peppers.clone(),
            max_keys: self.max_keys,
            max_lifetime: self.max_lifetime,
        };
        Ok(ApiKeyConfig {
            rules,
            duty,
            clock: Arc::clone(&self.clock),
            behaviour,
            uses_file: self.uses_file.clone(),
            uses_interval: self.uses_interval,
            origin: self.origin()?,
        })
    }
}

fn within(
    setting: &'static str,
    value: Duration,
    least: Duration,
    most: Duration,
) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(ConfigError::OutOfRange {
            setting,
            value,
            least,
            most,
        })
    }
}

impl fmt::Debug for ApiKeyConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyConfigBuilder")
            .field("issuer", &self.issuer)
            .field("file", &self.file)
            .field("source", &self.source)
            .field("format", &self.format)
            .field("peppers", &self.peppers)
            .field("enforcement", &self.enforcement)
            .finish_non_exhaustive()
    }
}
