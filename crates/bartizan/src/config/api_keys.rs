//! `[api_keys]`: whose API keys are accepted.

use std::path::PathBuf;
use std::time::Duration;

use bartizan_apikey::{
    ApiKeyConfig, ApiKeyConfigBuilder, ApiKeyLayer, KeyFile, KeyFormat, Pepper, Peppers,
};
use http::HeaderName;

use crate::config::api_key_database::ApiKeyDatabase;
use crate::config::problem::Problem;
use crate::config::requests::attended;
use crate::config::secret::Secret;
use crate::config::section::section;
use crate::config::setting::Mode;
use crate::config::surroundings::Surroundings;

section! {
    /// Which API keys are accepted. Beside `[tokens]`, a request carries the one or the other.
    ApiKeys {
        /// The name of the store, and the issuer of the principals that its keys name.
        issuer: String,
        /// The file with the hashes of keys, as `bartizan apikey` makes it. It is looked at every
        /// ten seconds. Or `postgres`.
        file: Option<PathBuf>,
        /// The database with the hashes of keys. Or `file`.
        postgres: Option<ApiKeyDatabase>,
        /// What keys begin with, in front of the environment: a product.
        product: String = "brt",
        /// The environment that keys are for, as their beginning says it.
        environment: String = "live",
        /// The secret under which keys are hashed. With it, whoever can write to the file cannot
        /// make keys.
        pepper: Option<PepperEntry>,
        /// Secrets under which keys were hashed before.
        previous_pepper: Vec<PepperEntry>,
        /// With a pepper, accepts keys that were hashed before there was one as well.
        allow_unpeppered: bool = "false",
        /// The most keys that are kept: up to 10000000.
        max_keys: usize = "100000",
        /// How long a key may be valid in all. Any time by default.
        max_lifetime: Option<Duration>,
        /// With `postgres`, how long what was read counts as fresh: 100ms to 24h. A key that is
        /// revoked is refused after that.
        key_lifetime: Duration = "5s",
        /// With `postgres`, how long keys are accepted while the database does not answer: up to
        /// 30 days.
        stale_limit: Duration = "1h",
        /// With `postgres`, how long after a question for an unknown key the next such question
        /// may be asked: 100ms to 24h.
        cool_down: Duration = "1s",
        /// How long a request with an unknown key waits for newer keys: up to 30s.
        patience: Duration = "2s",
        /// Where it is written when each key was used last, in place of the database. By default a
        /// database is told, and nothing is written of a file's keys.
        uses_file: Option<PathBuf>,
        /// How often that is written: 1s to 24h.
        uses_interval: Duration = "60s",
        /// The field that keys are in, besides `Authorization: ApiKey ...`.
        header: HeaderName = "x-api-key",
        /// Takes keys from `Authorization: Bearer ...` as well.
        allow_bearer: bool = "false",
        /// Lets requests without any key pass, as nobody. A key that is there must hold.
        allow_anonymous: bool = "false",
        /// Leaves the field with the key in the request for services further in.
        allow_forwarding: bool = "false",
        /// Lets a response go on after its key has expired.
        allow_streams_past_expiry: bool = "false",
        /// The realm that challenges name. The issuer by default.
        realm: Option<String>,
        /// Begins to serve before the file is there, and answers 503 until then.
        allow_late_keys: bool = "false",
        /// Whether refusals reach the client.
        mode: Mode = "enforce",
    }
}

section! {
    /// A secret under which keys are hashed.
    PepperEntry {
        /// Its name, which hashes carry.
        name: String,
        /// At least 32 random bytes, or base64url of them, as `bartizan apikey` reads them. 32
        /// hexadecimal digits, which are 16 bytes, are too few.
        secret: Secret,
    }
}

impl ApiKeys {
    pub(crate) fn config(&self, with: &Surroundings) -> Result<ApiKeyConfig, Problem> {
        let format = KeyFormat::new(&self.product, &self.environment);
        let format = format.map_err(|error| self.refused(&error))?;
        let config = ApiKeyConfig::builder(&self.issuer);
        let config = match (&self.file, &self.postgres) {
            (Some(file), None) => config.with_key_file(file),
            (None, Some(database)) => database.source(config, with)?,
            _ => {
                let message = "takes one of `file` and `postgres`";
                return Err(Problem::new(self.stands.0, "api_keys", message));
            }
        };
        let mut config = config
            .with_key_lifetime(self.key_lifetime)
            .with_stale_limit(self.stale_limit)
            .with_cool_down(self.cool_down)
            .with_format(format)
            .with_peppers(self.peppers()?)
            .with_max_keys(self.max_keys)
            .with_patience(self.patience)
            .with_uses_interval(self.uses_interval)
            .with_header(self.header.clone())
            .with_clock(with.clock.clone());
        if let Some(lifetime) = self.max_lifetime {
            config = config.require_max_lifetime(lifetime);
        }
        if let Some(path) = &self.uses_file {
            config = config.with_uses_file(path);
        }
        if let Some(realm) = &self.realm {
            config = config.with_realm(realm);
        }
        for (asked, verb) in [
            (self.allow_bearer, ApiKeyConfigBuilder::allow_bearer as Verb),
            (self.allow_anonymous, ApiKeyConfigBuilder::allow_anonymous),
            (self.allow_forwarding, ApiKeyConfigBuilder::allow_forwarding),
            (
                self.allow_streams_past_expiry,
                ApiKeyConfigBuilder::allow_streams_past_expiry,
            ),
        ] {
            if asked {
                config = verb(config);
            }
        }
        let config = attended!(config, self.mode, with).build();
        config.map_err(|error| self.refused(&error))
    }

    /// The layer, once the keys are there.
    pub(crate) async fn build(&self, with: &Surroundings) -> Result<ApiKeyLayer, Problem> {
        let config = self.config(with)?;
        if let Some(database) = &self.postgres {
            database.prepare(with).await?;
        }
        let layer = if self.allow_late_keys {
            ApiKeyLayer::start(config)
        } else {
            ApiKeyLayer::load(config).await
        };
        layer.map_err(|error| self.refused(&error))
    }

    /// Reads the file once.
    pub(crate) fn check_file(&self) -> Result<(), Problem> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let records = KeyFile::new(file).read();
        let refused = |error| self.refuse("api_keys.file", &error);
        records.map(drop).map_err(refused)
    }

    fn peppers(&self) -> Result<Peppers, Problem> {
        let Some(pepper) = &self.pepper else {
            if !self.previous_pepper.is_empty() || self.allow_unpeppered {
                let message = "`previous_pepper` and `allow_unpeppered` go with a `pepper`";
                return Err(Problem::new(self.stands.0, "api_keys", message));
            }
            return Ok(Peppers::none());
        };
        let mut peppers = Peppers::new(pepper.build()?);
        for pepper in &self.previous_pepper {
            peppers = peppers.add_previous(pepper.build()?);
        }
        Ok(match self.allow_unpeppered {
            true => peppers.allow_unpeppered(),
            false => peppers,
        })
    }

    fn refused(&self, error: &dyn std::error::Error) -> Problem {
        self.refuse("api_keys", error)
    }
}

type Verb = fn(ApiKeyConfigBuilder) -> ApiKeyConfigBuilder;

impl PepperEntry {
    fn build(&self) -> Result<Pepper, Problem> {
        let pepper = Pepper::from_text(&self.name, self.secret.expose());
        pepper.map_err(|error| self.refuse("api_keys.pepper", &error))
    }
}
