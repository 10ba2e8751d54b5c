//! Where the keys of a configuration come from.

use std::sync::Arc;

use bartizan_source::{FileSourceBuilder, RefreshAheadBuilder};

use super::ApiKeyConfigBuilder;
use crate::error::ConfigError;
use crate::hash::Peppers;
use crate::origin::{Loader, Watcher};
use crate::record::KeyRecord;

/// How large a file of one key may be, with the names, scopes and networks of an ordinary one.
const BYTES_PER_KEY: usize = 4096;

#[derive(Clone, Debug)]
pub(crate) enum Origin {
    Fixed(Vec<KeyRecord>),
    Loaded(Loader),
    Watched(Watcher),
}

impl ApiKeyConfigBuilder {
    pub(super) fn origin(self) -> Result<Origin, ConfigError> {
        if let Some(records) = self.records {
            check(&records, &self.peppers)?;
            return Ok(Origin::Fixed(records));
        }
        let name = format!("apikey {}", self.issuer);
        if let Some(source) = self.source {
            let mut refresh = RefreshAheadBuilder::new(name)
                .with_ttl(self.key_lifetime)
                .with_stale_limit(self.stale_limit)
                .with_cool_down(self.cool_down)
                .with_clock(self.clock)
                .skip_unchanged();
            if let Some(observer) = &self.observer {
                refresh = refresh.with_observer(Arc::clone(observer));
            }
            return Ok(Origin::Loaded(Loader { source, refresh }));
        }
        let path = self.file.ok_or(ConfigError::NoKeys)?;
        let mut files = FileSourceBuilder::new(name)
            .add_file(&path)
            .with_file_limit(self.max_keys.saturating_mul(BYTES_PER_KEY).max(1 << 20))
            .with_clock(self.clock);
        if let Some(observer) = self.observer {
            files = files.with_observer(observer);
        }
        Ok(Origin::Watched(Watcher { path, files }))
    }
}

/// Keys that are given by hand are wrong now or never.
fn check(records: &[KeyRecord], peppers: &Peppers) -> Result<(), ConfigError> {
    match records
        .iter()
        .find(|record| peppers.of(&record.hash).is_none())
    {
        Some(record) => Err(ConfigError::UnknownPepper(record.id)),
        None => Ok(()),
    }
}
