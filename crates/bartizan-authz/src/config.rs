//! The configuration of the layer, validated when it is built.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use bartizan_core::{Challenge, Duty, Enforcement, Observe};

use crate::engine::PolicyEngine;
use crate::facts::ReadClaims;
use crate::guard::{AuthzGuard, Rules};
use crate::layer::AuthzLayer;

/// The name under which the layer decides.
pub(crate) const LAYER: &str = "authz";

/// A configuration that cannot work.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A rule asks for a claim, and nobody said how claims are read, so that it would never apply.
    #[error("a rule asks for a claim: say how to read them with `with_claims`")]
    ClaimsUnread,
    /// A rule asks for a claim inside of others, and the reader of claims knows none.
    #[error("a rule asks for a claim inside of others, which the reader of claims does not read")]
    NestedClaimsUnread,
    /// No policy was given: everything would be refused.
    #[error("no policy: give one with `with_policy`")]
    NoPolicy,
}

/// Describes an [`AuthzLayer`]; made by [`AuthzLayer::builder`].
#[must_use = "a layer is made by `build`"]
pub struct AuthzConfigBuilder {
    engine: Option<Arc<dyn PolicyEngine>>,
    claims: Option<Box<dyn ReadClaims>>,
    challenge: Option<Challenge>,
    destination: Option<SocketAddr>,
    enforcement: Enforcement,
    observer: Option<Arc<dyn Observe>>,
}

impl AuthzConfigBuilder {
    pub(crate) fn new() -> Self {
        Self {
            engine: None,
            claims: None,
            challenge: None,
            destination: None,
            enforcement: Enforcement::Enforce,
            observer: None,
        }
    }

    /// Sets what decides: a [`Policy`](crate::Policy), one that can be
    /// [replaced](crate::LivePolicy), one that is read from a file, or another engine.
    pub fn with_policy(mut self, engine: impl PolicyEngine) -> Self {
        self.engine = Some(Arc::new(engine));
        self
    }

    /// Sets how rules read the claims of the caller's token.
    pub fn with_claims(mut self, read: impl ReadClaims) -> Self {
        self.claims = Some(Box::new(read));
        self
    }

    /// Answers whoever proved nothing with 401 and this challenge, where some principal would be
    /// allowed. Without, the answer is 403: a 401 has to say how to authenticate
    /// ([RFC 9110 §15.5.2](https://www.rfc-editor.org/rfc/rfc9110#section-15.5.2)).
    pub fn with_challenge(mut self, challenge: Challenge) -> Self {
        self.challenge = Some(challenge);
        self
    }

    /// Sets what the service listens on, for rules on the destination's address and port, where
    /// the listener does not say it of each connection.
    pub fn with_destination(mut self, destination: SocketAddr) -> Self {
        self.destination = Some(destination);
        self
    }

    /// Sets whether a refusal reaches the client. It does unless said.
    pub fn with_enforcement(mut self, enforcement: Enforcement) -> Self {
        self.enforcement = enforcement;
        self
    }

    /// Sets who is told of each decision.
    pub fn with_observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Makes the layer.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]: without a policy, or if rules ask for claims that nobody reads.
    pub fn build(self) -> Result<AuthzLayer, ConfigError> {
        let engine = self.engine.ok_or(ConfigError::NoPolicy)?;
        if engine.asks_claims() && self.claims.is_none() {
            return Err(ConfigError::ClaimsUnread);
        }
        let reads_within = self.claims.as_ref().is_some_and(|it| it.reads_within());
        if engine.asks_nested_claims() && !reads_within {
            return Err(ConfigError::NestedClaimsUnread);
        }
        let duty = Duty::new(LAYER).with_enforcement(self.enforcement);
        Ok(AuthzLayer::new(AuthzGuard::new(Rules {
            duty: match self.observer {
                Some(observer) => duty.with_observer(observer),
                None => duty,
            },
            engine,
            claims: self.claims,
            challenge: self.challenge,
            destination: self.destination,
        })))
    }
}

impl fmt::Debug for AuthzConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthzConfigBuilder")
            .field("engine", &self.engine)
            .field("enforcement", &self.enforcement)
            .finish_non_exhaustive()
    }
}
