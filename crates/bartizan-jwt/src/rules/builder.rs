//! What makes rules stricter or looser, and whether they can work.

use std::time::Duration;

use super::{MAX_LEEWAY, Rules, RulesBuilder, Trusted, within, without_prefix};
use crate::algorithm::AlgorithmSet;
use crate::error::ConfigError;
use crate::issuer::Issuer;

impl RulesBuilder {
    /// Accepts tokens that are meant for `audience` as well: for a service of more than one name.
    pub fn add_audience(mut self, audience: &str) -> Self {
        self.wanted.audiences.push(audience.into());
        self
    }

    /// Replaces the allowed algorithms. The default is every one of public keys, since a key can
    /// only be used with its own; those of a [`SharedSecret`](crate::SharedSecret) have to be
    /// named, and cannot be allowed beside others.
    pub fn with_algorithms(mut self, algorithms: impl Into<AlgorithmSet>) -> Self {
        self.wanted.algorithms = algorithms.into();
        self
    }

    /// Replaces how far the clocks of issuer and service may differ: zero to 300 seconds, by
    /// default 30. A token counts as expired from `exp` plus this.
    pub fn with_leeway(mut self, leeway: Duration) -> Self {
        self.wanted.leeway = leeway;
        self
    }

    /// Replaces the longest token that is looked at, in bytes: 256 to 65536, by default 8192.
    pub fn with_max_token_bytes(mut self, limit: usize) -> Self {
        self.wanted.max_token = limit;
        self
    }

    /// Refuses tokens that are valid for longer than `lifetime`, from `iat` (or, where that may
    /// be missing and is, from now) to `exp`. There is no limit by default.
    pub fn require_max_lifetime(mut self, lifetime: Duration) -> Self {
        self.wanted.max_lifetime = Some(lifetime);
        self
    }

    /// Accepts a further `typ`, such as `JWT` from issuers that do not follow RFC 9068.
    ///
    /// An ID token is then told from an access token by its audience alone.
    pub fn allow_type(mut self, token_type: &str) -> Self {
        self.wanted.types.push(without_prefix(token_type).into());
        self
    }

    /// Accepts tokens without `typ`.
    pub fn allow_missing_type(mut self) -> Self {
        self.wanted.needs_type = false;
        self
    }

    /// Accepts tokens without `iat`.
    pub fn allow_missing_issued_at(mut self) -> Self {
        self.wanted.needs_issued_at = false;
        self
    }

    /// Accepts tokens without `jti`, which then cannot be revoked one by one.
    pub fn allow_missing_token_id(mut self) -> Self {
        self.wanted.needs_token_id = false;
        self
    }

    /// Accepts tokens of this client, and of others only if they are named as well. The client is
    /// `client_id`, or else `azp`. Without it, every client of the issuer is accepted.
    pub fn require_client(mut self, client: &str) -> Self {
        self.wanted.clients.push(client.into());
        self
    }

    /// Accepts tokens without `client_id`.
    pub fn allow_missing_client(mut self) -> Self {
        self.wanted.needs_client = false;
        self
    }

    /// Checks the rules.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], naming the first setting that cannot work.
    pub fn build(self) -> Result<Rules, ConfigError> {
        let wanted = self.wanted;
        if wanted.audiences.iter().any(|audience| audience.is_empty()) {
            return Err(ConfigError::EmptyAudience);
        }
        if wanted.algorithms.is_empty() {
            return Err(ConfigError::NoAlgorithm);
        }
        let symmetric = wanted.algorithms.intersection(AlgorithmSet::SYMMETRIC);
        if !symmetric.is_empty() && symmetric != wanted.algorithms {
            return Err(ConfigError::MixedAlgorithms);
        }
        let is_media_type =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        if let Some(bad) = wanted.types.iter().find(|text| !is_media_type(text)) {
            return Err(ConfigError::InvalidTokenType(bad.to_string()));
        }
        within("leeway", wanted.leeway, Duration::ZERO, MAX_LEEWAY)?;
        if let Some(lifetime) = wanted.max_lifetime {
            within(
                "max_lifetime",
                lifetime,
                Duration::from_secs(1),
                Duration::MAX,
            )?;
        }
        let (setting, value, least, most) = ("max_token_bytes", wanted.max_token, 256, 65_536);
        if !(least..=most).contains(&value) {
            return Err(ConfigError::SizeOutOfRange {
                setting,
                value,
                least,
                most,
            });
        }
        Ok(Rules {
            issuer: match &self.issuer {
                Trusted::Issuer(issuer) => Issuer::new(issuer)?,
                Trusted::TrustDomain(domain) => Issuer::trust_domain(domain),
            },
            wanted,
        })
    }
}
