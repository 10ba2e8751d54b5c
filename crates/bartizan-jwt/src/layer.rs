//! The layer.

use std::sync::Arc;

use bartizan_core::{Entrance, GuardLayer, Guarded};
use tower_layer::Layer;

use crate::cache::TokenCache;
use crate::config::{Introspecting, JwtConfig, Keys};
use crate::error::ConfigError;
use crate::guard::{JwtGuard, State};
use crate::introspection::Introspector;
use crate::key_source::KeySource;
use crate::verifier::{Verifier, Verifiers};

/// Admits only requests that carry a token which fulfils its rules.
///
/// Works unchanged in front of axum, tonic and plain hyper services. With axum, call `.layer`
/// after the last `.route`: routes that are added later are not guarded.
///
/// See the [crate documentation](crate) for how it decides.
#[derive(Clone, Debug)]
#[must_use = "a layer guards nothing until it is put in front of a service"]
pub struct JwtLayer(GuardLayer<JwtGuard>);

/// A service behind a [`JwtLayer`].
pub type Jwt<S> = Guarded<S, JwtGuard>;

impl JwtLayer {
    /// Makes the layer once the issuer's keys were fetched: for a service that must not begin to
    /// answer before it can check tokens.
    ///
    /// # Errors
    ///
    /// [`ConfigError::KeysNotLoaded`] if the keys could not be fetched.
    pub async fn load(config: JwtConfig) -> Result<Self, ConfigError> {
        let mut verifiers = Vec::new();
        for (rules, keys) in config.issuers.clone() {
            let keys = match keys {
                Keys::Fixed(keys) => KeySource::Fixed(Arc::new(keys)),
                Keys::Remote(loader, refresh) => loader
                    .load(refresh)
                    .await
                    .map_err(|error| ConfigError::KeysNotLoaded(error.into()))?,
                Keys::Watched(watcher) => watcher
                    .load()
                    .map_err(|error| ConfigError::KeysNotLoaded(error.into()))?,
            };
            verifiers.push(Verifier::new(rules, keys));
        }
        Ok(Self::with_verifiers(config, verifiers))
    }

    /// Makes the layer at once, and fetches the issuer's keys in the background: for a service
    /// that may start before its issuer. Until the keys are there, requests with a token wait a
    /// little and are then answered 503 (`UNAVAILABLE`) with `Retry-After`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::KeysNotLoaded`] if keys are to be fetched and there is no tokio runtime.
    pub fn start(config: JwtConfig) -> Result<Self, ConfigError> {
        let mut verifiers = Vec::new();
        for (rules, keys) in config.issuers.clone() {
            let keys = match keys {
                Keys::Fixed(keys) => KeySource::Fixed(Arc::new(keys)),
                Keys::Remote(loader, refresh) => loader
                    .start(refresh)
                    .map_err(|error| ConfigError::KeysNotLoaded(error.into()))?,
                Keys::Watched(watcher) => watcher
                    .start()
                    .map_err(|error| ConfigError::KeysNotLoaded(error.into()))?,
            };
            verifiers.push(Verifier::new(rules, keys));
        }
        Ok(Self::with_verifiers(config, verifiers))
    }

    fn with_verifiers(config: JwtConfig, verifiers: Vec<Verifier>) -> Self {
        let JwtConfig {
            issuers: _,
            duty,
            clock,
            behaviour,
            introspection,
            cached_tokens,
            cache_lifetime,
        } = config;
        // Made here and not with the configuration, so that two layers made of one configuration
        // share nothing.
        let cache = (cached_tokens > 0).then(|| TokenCache::new(cached_tokens, cache_lifetime));
        let introspector = introspection.map(|introspection| {
            let Introspecting {
                settings,
                asks_about_all,
                observer,
            } = introspection;
            Introspector::new(settings, asks_about_all, Arc::clone(&clock), observer)
        });
        let state = State {
            verifiers: Verifiers::new(verifiers, cache),
            introspector,
            clock,
            duty,
            behaviour,
        };
        Self(GuardLayer::new(JwtGuard::new(state)))
    }

    /// Sets what is known of the outside: used where this layer is the outermost of the family.
    pub fn with_entrance(self, entrance: Entrance) -> Self {
        Self(self.0.with_entrance(entrance))
    }

    /// The guard, to be chained with others, and to be asked how the keys fare.
    pub fn guard(&self) -> &JwtGuard {
        self.0.guard()
    }
}

impl<S> Layer<S> for JwtLayer {
    type Service = Jwt<S>;

    fn layer(&self, inner: S) -> Jwt<S> {
        self.0.layer(inner)
    }
}
