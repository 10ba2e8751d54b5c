//! What makes a configuration one that works.

use std::sync::Arc;
use std::time::Duration;

use bartizan_core::Duty;

use super::{Introspecting, JwtConfig, JwtConfigBuilder};
use crate::error::{ConfigError, Refusals};
use crate::guard::Behaviour;
use crate::issuer;
use crate::rules::within;

impl JwtConfigBuilder {
    /// Checks the configuration.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], naming the first setting that cannot work.
    pub fn build(self) -> Result<JwtConfig, ConfigError> {
        within(
            "patience",
            self.patience,
            Duration::ZERO,
            Duration::from_secs(30),
        )?;
        let (setting, value, most) = ("cached tokens", self.cached_tokens, 1 << 20);
        if value > most {
            return Err(ConfigError::CountOutOfRange {
                setting,
                value,
                most,
            });
        }
        within(
            "cache lifetime",
            self.cache_lifetime,
            Duration::from_secs(1),
            Duration::from_secs(300),
        )?;
        if let Some(location) = &self.metadata
            && let Some(problem) = issuer::check(location)
        {
            return Err(ConfigError::InvalidLocation {
                location: location.clone(),
                problem,
            });
        }
        if self.step_up.contexts.as_ref().is_some_and(Vec::is_empty) {
            return Err(ConfigError::NoAuthenticationContext);
        }
        for name in [&self.cookie, &self.protocol].into_iter().flatten() {
            if name.is_empty() || !name.bytes().all(is_token_char) {
                return Err(ConfigError::InvalidName(name.clone()));
            }
        }
        let realm = match &self.realm {
            Some(realm) => realm.as_str().into(),
            None => self.rules.audiences().next().unwrap_or_default().into(),
        };
        let proof_algorithms = self.dpop.as_ref().map(|dpop| dpop.algorithm_names().into());
        let behaviour = Behaviour {
            refusals: Refusals {
                realm,
                proof_algorithms,
                metadata: self.metadata.as_deref().map(Box::from),
                step_up: self.step_up.clone(),
            },
            revocations: self.revocations.clone(),
            dpop: self.dpop.clone(),
            requires_binding: self.requires_binding,
            patience: self.patience,
            cookie: self.cookie.as_deref().map(Box::from),
            protocol: self.protocol.as_deref().map(Box::from),
            allows_anonymous: self.allows_anonymous,
            allows_forwarding: self.allows_forwarding,
            ends_streams: self.ends_streams,
        };
        let mut duty = Duty::new("jwt").with_enforcement(self.enforcement);
        if let Some(observer) = &self.observer {
            duty = duty.with_observer(Arc::clone(observer));
        }
        let (clock, rules) = (Arc::clone(&self.clock), self.rules.clone());
        let (cached_tokens, cache_lifetime) = (self.cached_tokens, self.cache_lifetime);
        let others = self.others.clone();
        let introspection = self.introspection.clone().map(|settings| Introspecting {
            settings,
            asks_about_all: self.asks_about_all,
            observer: self.observer.clone(),
        });
        let mut issuers = if self.asks_about_all {
            Vec::new()
        } else {
            vec![(rules, self.keys()?)]
        };
        if issuers.is_empty() && !others.is_empty() {
            return Err(ConfigError::IntrospectsAll);
        }
        for (rules, keys) in others {
            let issuer = rules.issuer();
            if issuers.iter().any(|(known, _)| known.issuer() == issuer) {
                return Err(ConfigError::IssuerTwice(issuer.to_string()));
            }
            issuers.push((rules, keys));
        }
        Ok(JwtConfig {
            issuers,
            duty,
            clock,
            behaviour,
            introspection,
            cached_tokens,
            cache_lifetime,
        })
    }
}

/// A character of a token as HTTP has it, which names of cookies and protocols are.
fn is_token_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
