//! The layer.

use std::sync::Arc;

use bartizan_core::{Entrance, GuardLayer, Guarded};
use tower_layer::Layer;

use crate::config::{ApiKeyConfig, Origin};
use crate::error::ConfigError;
use crate::guard::{ApiKeyGuard, State};
use crate::origin::{Keys, Maker};
use crate::table::KeyTable;
use crate::usage::{Sink, Uses, write_behind};

/// Admits only requests that carry an API key which holds.
///
/// Works unchanged in front of axum, tonic and plain hyper services. With axum, call `.layer`
/// after the last `.route`: routes that are added later are not guarded.
///
/// See the [crate documentation](crate) for how it decides.
#[derive(Clone, Debug)]
#[must_use = "a layer guards nothing until it is put in front of a service"]
pub struct ApiKeyLayer(GuardLayer<ApiKeyGuard>);

/// A service behind an [`ApiKeyLayer`].
pub type ApiKey<S> = Guarded<S, ApiKeyGuard>;

impl ApiKeyLayer {
    /// Makes the layer once the keys were read: for a service that must not begin to answer before
    /// it can check keys.
    ///
    /// # Errors
    ///
    /// [`ConfigError::KeysNotLoaded`] if the keys could not be read; [`ConfigError::InvalidKeys`]
    /// for keys given by hand of which two are the same, or that are too many.
    pub async fn load(config: ApiKeyConfig) -> Result<Self, ConfigError> {
        let maker = Maker::of(&config);
        let failed = |error| ConfigError::KeysNotLoaded(Box::new(error));
        let keys = match config.origin.clone() {
            Origin::Fixed(records) => maker.fixed(records)?,
            Origin::Loaded(loader) => loader.load(maker.clone()).await.map_err(failed)?,
            Origin::Watched(watcher) => watcher.load(maker.clone()).map_err(failed)?,
        };
        Ok(Self::with_keys(config, keys, &maker.uses))
    }

    /// Makes the layer at once, and reads the keys in the background: for a service that may start
    /// before its store. Until the keys are there, requests with a key wait a little and are then
    /// answered 503 (`UNAVAILABLE`) with `Retry-After`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::KeysNotLoaded`] if keys are to be read and there is no tokio runtime;
    /// [`ConfigError::InvalidKeys`] as for [`load`](Self::load).
    pub fn start(config: ApiKeyConfig) -> Result<Self, ConfigError> {
        let maker = Maker::of(&config);
        let failed = |error| ConfigError::KeysNotLoaded(Box::new(error));
        let keys = match config.origin.clone() {
            Origin::Fixed(records) => maker.fixed(records)?,
            Origin::Loaded(loader) => loader.start(maker.clone()).map_err(failed)?,
            Origin::Watched(watcher) => watcher.start(maker.clone()).map_err(failed)?,
        };
        Ok(Self::with_keys(config, keys, &maker.uses))
    }

    fn with_keys(config: ApiKeyConfig, keys: Keys, uses: &Arc<Uses>) -> Self {
        let sink = match (&config.origin, config.uses_file) {
            (_, Some(file)) => Some(Sink::File(file)),
            (Origin::Loaded(loader), None) => Some(Sink::Source(Arc::clone(&loader.source))),
            _ => None,
        };
        // Keys that are read are read in a runtime; keys by hand may have none.
        if let (Some(sink), Ok(runtime)) = (sink, tokio::runtime::Handle::try_current()) {
            let (uses, observer) = (Arc::downgrade(uses), config.duty.observer().cloned());
            let issuer = Arc::clone(&config.rules.issuer);
            let interval = config.uses_interval;
            runtime.spawn(write_behind(uses, sink, interval, observer, issuer));
        }
        let state = State {
            keys,
            clock: config.clock,
            duty: config.duty,
            behaviour: config.behaviour,
            _uses: Arc::clone(uses),
        };
        Self(GuardLayer::new(ApiKeyGuard::new(state)))
    }

    /// Sets what is known of the outside: used where this layer is the outermost of the family.
    pub fn with_entrance(self, entrance: Entrance) -> Self {
        Self(self.0.with_entrance(entrance))
    }

    /// The guard, to be chained with others, and to be asked how the keys fare.
    pub fn guard(&self) -> &ApiKeyGuard {
        self.0.guard()
    }
}

impl Maker {
    fn of(config: &ApiKeyConfig) -> Self {
        Self {
            rules: config.rules.clone(),
            uses: Arc::new(Uses::default()),
            observer: config.duty.observer().cloned(),
        }
    }

    fn fixed(&self, records: Vec<crate::record::KeyRecord>) -> Result<Keys, ConfigError> {
        let table = KeyTable::new(&self.rules, records, &self.uses);
        let table = table.map_err(|error| ConfigError::InvalidKeys(error.to_string()))?;
        Ok(Keys::Fixed(table))
    }
}

impl<S> Layer<S> for ApiKeyLayer {
    type Service = ApiKey<S>;

    fn layer(&self, inner: S) -> ApiKey<S> {
        self.0.layer(inner)
    }
}
