//! `[tokens]`: whose tokens are accepted.

use std::sync::Arc;
use std::time::Duration;

use bartizan_jwt::{
    AlgorithmSet, Dpop, JwtConfig, JwtConfigBuilder, JwtLayer, MemoryReplayStore, RevocationList,
};

use crate::config::issuer::{AlgorithmWord, TokenIssuer, algorithms};
use crate::config::problem::Problem;
use crate::config::requests::attended;
use crate::config::secret::Secret;
use crate::config::section::section;
use crate::config::setting::{Mode, Url};
use crate::config::surroundings::Surroundings;

section! {
    /// Which tokens are accepted: bearer, DPoP and certificate-bound, of trusted issuers.
    Tokens {
        /// Issuers that are trusted; one at least.
        issuer: Vec<TokenIssuer>,
        /// Proofs of possession (RFC 9449). Without it, tokens that are bound to a key are refused.
        dpop: Option<DpopEntry>,
        /// Refuses tokens that are bound to nothing, and so could have been stolen.
        require_binding: bool = "false",
        /// How many revoked tokens, sessions and subjects are kept; the service revokes by the
        /// handle that it gets from the configuration. 0 keeps none.
        revocations: usize = "0",
        /// How long a request whose key is unknown waits for newer keys: up to 30s.
        patience: Duration = "2s",
        /// How many verified tokens are remembered: up to 1048576. 0 remembers none.
        cached_tokens: usize = "16384",
        /// How long a verified token is remembered at most: 1s to 300s.
        cache_lifetime: Duration = "60s",
        /// The realm that challenges name. The first audience by default.
        realm: Option<String>,
        /// The URL of this service's metadata (RFC 9728), for challenges. That of `[metadata]` by
        /// default.
        resource_metadata: Option<Url>,
        /// Ways of authentication (`acr`), of which a token must name one.
        require_authentication_context: Vec<String>,
        /// How long ago a token's user may have authenticated at most.
        require_authentication_within: Option<Duration>,
        /// Takes the token from the cookie of this name as well. Guard against requests that
        /// another site caused before.
        allow_cookie: Option<String>,
        /// Takes the token from `Sec-WebSocket-Protocol` as well, where it follows this marker.
        allow_websocket_protocol: Option<String>,
        /// Lets requests without any token pass, as nobody. A token that is there must hold.
        allow_anonymous: bool = "false",
        /// Keeps the token beside the request, for calls that pass it on or exchange it.
        allow_forwarding: bool = "false",
        /// Lets a response go on after its token has expired.
        allow_streams_past_expiry: bool = "false",
        /// Begins to serve before the issuers' keys are there, and answers 503 until then.
        allow_late_keys: bool = "false",
        /// Whether refusals reach the client.
        mode: Mode = "enforce",
    }
}

section! {
    /// Proofs of possession.
    DpopEntry {
        /// Scheme, host and port of this service as its clients know it; one at least.
        origins: Vec<Url>,
        /// How proofs may be signed. Every algorithm of public keys by default.
        algorithms: Vec<AlgorithmWord>,
        /// How old a proof may be: 1s to 300s.
        max_age: Duration = "60s",
        /// Asks clients for a nonce of this service in their proofs.
        require_nonce: bool = "false",
        /// The key of nonces, 32 bytes, that the replicas of a service share. A random key of this
        /// process by default.
        nonce_key: Option<Secret>,
        /// How many proofs are remembered, so that none is used twice.
        replay_capacity: usize = "100000",
    }
}

/// What the layer has to remember, also when another takes its place: what is revoked, and the
/// proofs that were used.
#[derive(Clone, Default)]
pub(crate) struct Remembered {
    pub(crate) revocations: Option<RevocationList>,
    replays: Option<Arc<MemoryReplayStore>>,
}

impl Tokens {
    /// What was remembered before, as far as it is to hold as much as then, and else nothing yet.
    pub(crate) fn remembered(&self, before: Option<(&Self, &Remembered)>) -> Remembered {
        let list = (self.revocations > 0).then(|| match before {
            Some((before, it)) if before.revocations == self.revocations => it.revocations.clone(),
            _ => None,
        });
        let replays = self.dpop.as_ref().map(|dpop| {
            let kept = before.and_then(|(before, it)| {
                let same = before.dpop.as_ref()?.replay_capacity == dpop.replay_capacity;
                it.replays.clone().filter(|_| same)
            });
            kept.unwrap_or_else(|| Arc::new(MemoryReplayStore::new(dpop.replay_capacity)))
        });
        Remembered {
            revocations: list
                .map(|kept| kept.unwrap_or_else(|| RevocationList::new(self.revocations))),
            replays,
        }
    }

    /// The configuration of the layer.
    pub(crate) fn config(
        &self,
        with: &Surroundings,
        remembered: &Remembered,
    ) -> Result<JwtConfig, Problem> {
        let Some((first, others)) = self.issuer.split_first() else {
            return Err(self.wrong("tokens", "trusts no issuer: add [[tokens.issuer]]"));
        };
        let several = self.issuer.iter().filter(|it| it.introspection.is_some());
        if several.count() > 1 {
            return Err(self.wrong("tokens", "two issuers with [tokens.issuer.introspection]"));
        }
        let mut config = first.begin(with)?;
        for other in others {
            let path = "tokens.issuer";
            if let Some(introspection) = &other.introspection {
                config = config.with_introspection(introspection.build(other.rules()?, with)?);
            }
            let other_config = other.keys(JwtConfig::builder(other.rules()?), with)?;
            let other_config = other_config.build();
            config = config.add_issuer(other_config.map_err(|error| other.refuse(path, &error))?);
        }
        config = self.behaviour(config)?.with_clock(with.clock.clone());
        if let (Some(dpop), Some(replays)) = (&self.dpop, &remembered.replays) {
            config = config.with_dpop(dpop.build(replays)?);
        }
        if let Some(revocations) = &remembered.revocations {
            config = config.with_revocations(revocations.clone());
        }
        let config = attended!(config, self.mode, with).build();
        config.map_err(|error| self.refuse("tokens", &error))
    }

    /// The layer, once the keys are there.
    pub(crate) async fn build(
        &self,
        with: &Surroundings,
        remembered: Remembered,
    ) -> Result<(JwtLayer, Remembered), Problem> {
        let config = self.config(with, &remembered)?;
        let layer = if self.allow_late_keys {
            JwtLayer::start(config)
        } else {
            JwtLayer::load(config).await
        };
        let layer = layer.map_err(|error| self.refuse("tokens", &error))?;
        Ok((layer, remembered))
    }

    /// Reads the issuers' key files once.
    pub(crate) fn check_files(&self, with: &Surroundings) -> Vec<Problem> {
        let checked = self.issuer.iter().map(|issuer| issuer.check_file(with));
        checked.filter_map(Result::err).collect()
    }

    fn behaviour(&self, mut config: JwtConfigBuilder) -> Result<JwtConfigBuilder, Problem> {
        config = config
            .with_patience(self.patience)
            .with_cached_tokens(self.cached_tokens)
            .with_cache_lifetime(self.cache_lifetime);
        if let Some(realm) = &self.realm {
            config = config.with_realm(realm);
        }
        if let Some(Url(url)) = &self.resource_metadata {
            config = config.with_resource_metadata(url);
        }
        if !self.require_authentication_context.is_empty() {
            let contexts = self.require_authentication_context.iter();
            config = config.require_authentication_context(contexts.map(String::as_str));
        }
        if let Some(span) = self.require_authentication_within {
            config = config.require_authentication_within(span);
        }
        if let Some(name) = &self.allow_cookie {
            config = config.allow_cookie(name);
        }
        if let Some(marker) = &self.allow_websocket_protocol {
            config = config.allow_websocket_protocol(marker);
        }
        for (asked, verb) in [
            (
                self.require_binding,
                JwtConfigBuilder::require_binding as Verb,
            ),
            (self.allow_anonymous, JwtConfigBuilder::allow_anonymous),
            (self.allow_forwarding, JwtConfigBuilder::allow_forwarding),
            (
                self.allow_streams_past_expiry,
                JwtConfigBuilder::allow_streams_past_expiry,
            ),
        ] {
            if asked {
                config = verb(config);
            }
        }
        Ok(config)
    }

    fn wrong(&self, path: &str, message: &str) -> Problem {
        Problem::new(self.stands.0, path, message)
    }
}

type Verb = fn(JwtConfigBuilder) -> JwtConfigBuilder;

impl DpopEntry {
    pub(crate) fn build(&self, replays: &Arc<MemoryReplayStore>) -> Result<Dpop, Problem> {
        let path = "tokens.dpop";
        let wrong = |message: &str| Err(Problem::new(self.stands.0, path, message));
        let Some((Url(first), others)) = self.origins.split_first() else {
            return wrong("takes one of `origins` at least");
        };
        let mut dpop = Dpop::builder(first)
            .with_max_age(self.max_age)
            .with_replay_store(Arc::clone(replays) as _);
        for Url(origin) in others {
            dpop = dpop.add_origin(origin);
        }
        if let Some(algorithms) = algorithms(&self.algorithms) {
            let algorithms: AlgorithmSet = algorithms;
            dpop = dpop.with_algorithms(algorithms);
        }
        dpop = match (self.require_nonce, &self.nonce_key) {
            (false, None) => dpop,
            (true, None) => dpop.require_nonce(),
            (true, Some(key)) => match key.expose().try_into() {
                Ok(key) => dpop.require_nonce_with_key(key),
                Err(_) => return wrong("`nonce_key` has another length than 32 bytes"),
            },
            (false, Some(_)) => return wrong("`nonce_key` is for `require_nonce = true`"),
        };
        dpop.build().map_err(|error| self.refuse(path, &error))
    }
}
