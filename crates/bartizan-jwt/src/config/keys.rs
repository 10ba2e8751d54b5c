//! Where the keys of a configuration come from.

use std::sync::Arc;
use std::time::Duration;

use bartizan_source::{FileSourceBuilder, HttpsFetcher, RefreshAheadBuilder, Roots};

use super::JwtConfigBuilder;
use crate::error::ConfigError;
use crate::issuer;
use crate::key::Purpose;
use crate::key_set::KeySet;
use crate::key_source::{Loader, SetCheck, Watcher};
use crate::rules::within;

#[derive(Clone, Debug)]
pub(crate) enum Keys {
    Fixed(KeySet),
    Remote(Loader, RefreshAheadBuilder<KeySet>),
    Watched(Watcher),
}

impl JwtConfigBuilder {
    pub(super) fn keys(self) -> Result<Keys, ConfigError> {
        if let Some(keys) = self.keys {
            return if keys.has_key_for(self.rules.algorithms()) {
                Ok(Keys::Fixed(keys))
            } else {
                Err(ConfigError::NoUsableKey {
                    ignored: keys.notices().len(),
                })
            };
        }
        if self.rules.needs_secret() {
            return Err(ConfigError::NoSecret);
        }
        let check = SetCheck {
            issuer: self.rules.issuer().clone(),
            algorithms: self.rules.algorithms(),
            purpose: self.rules.purpose(),
            observer: self.observer.clone(),
        };
        if let Some(path) = self.file {
            let name = format!("jwks {}", self.rules.issuer());
            let mut files = FileSourceBuilder::new(name)
                .add_file(&path)
                .with_clock(self.clock);
            if let Some(observer) = self.observer {
                files = files.with_observer(observer);
            }
            return Ok(Keys::Watched(Watcher { path, files, check }));
        }
        if let Some(location) = &self.location
            && let Some(problem) = issuer::check(location)
        {
            return Err(ConfigError::InvalidLocation {
                location: location.clone(),
                problem,
            });
        }
        if self.location.is_none() && self.rules.purpose() == Purpose::Svid {
            return Err(ConfigError::NoBundle(self.rules.issuer().to_string()));
        }
        let (least, day) = (Duration::from_secs(1), Duration::from_secs(24 * 3600));
        within("key lifetime", self.key_lifetime, least, day)?;
        within("stale limit", self.stale_limit, self.key_lifetime, day * 30)?;
        within("cool-down", self.cool_down, least, day)?;
        let issuer = self.rules.issuer().clone();
        let mut refresh = RefreshAheadBuilder::new(format!("jwks {issuer}"))
            .with_ttl(self.key_lifetime)
            .with_stale_limit(self.stale_limit)
            .with_cool_down(self.cool_down)
            .with_clock(self.clock)
            .skip_unchanged();
        if let Some(observer) = &self.observer {
            refresh = refresh.with_observer(Arc::clone(observer));
        }
        let location = self.location.map(String::into_boxed_str);
        let fetcher = match self.fetcher {
            Some(fetcher) => fetcher,
            None => fetcher(location.as_deref().unwrap_or(issuer.as_str()), self.roots)?,
        };
        Ok(Keys::Remote(
            Loader {
                fetcher,
                check,
                location,
            },
            refresh,
        ))
    }
}

/// Plain HTTP only where it is what was configured, which the check of issuers and locations
/// permits for loopback alone.
fn fetcher(entry: &str, roots: Option<Roots>) -> Result<HttpsFetcher, ConfigError> {
    let mut builder = HttpsFetcher::builder();
    if let Some(roots) = roots {
        builder = builder.with_roots(roots);
    }
    if entry.starts_with("http://") {
        builder = builder.allow_plaintext_loopback();
    }
    builder
        .build()
        .map_err(|error| ConfigError::Transport(error.into()))
}
