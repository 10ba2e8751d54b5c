//! What a layer is made of: a ledger, a policy, and what may be known of people.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::ConfigError;
use crate::ledger::Ledger;
use crate::policy::{Policy, Rule};
use crate::privacy::Privacy;

/// A checked configuration of an [`AuditLayer`](crate::AuditLayer).
///
/// | setting | default | reason |
/// |---|---|---|
/// | rules | metadata of everything, buffered | what no rule is about is recorded, not forgotten |
/// | durable wait | 5 s | a disk that takes longer has failed; the client should ask elsewhere |
/// | address prefix | the whole address | who it was is what the log is for |
/// | largest tapped body | 64 KiB | a body is held until its fields have been read |
#[derive(Clone)]
pub struct AuditConfig(pub(crate) Arc<Settings>);

pub(crate) struct Settings {
    pub(crate) ledger: Ledger,
    pub(crate) policy: Policy,
    pub(crate) request_headers: Vec<String>,
    pub(crate) taps: bool,
    pub(crate) largest_tap: usize,
    pub(crate) durable_wait: Duration,
    pub(crate) address_bits: (u8, u8),
    pub(crate) privacy: Option<Privacy>,
}

/// Describes an [`AuditConfig`]; made by [`AuditConfig::builder`].
#[derive(Clone, Debug)]
#[must_use = "call build to get the configuration"]
pub struct AuditConfigBuilder {
    ledger: Ledger,
    rules: Vec<Rule>,
    largest_tap: usize,
    durable_wait: Duration,
    address_bits: (u8, u8),
    privacy: Option<Privacy>,
}

impl AuditConfig {
    /// Begins the configuration of a layer that writes to this ledger.
    pub fn builder(ledger: Ledger) -> AuditConfigBuilder {
        AuditConfigBuilder {
            ledger,
            rules: Vec::new(),
            largest_tap: 64 * 1024,
            durable_wait: Duration::from_secs(5),
            address_bits: (32, 128),
            privacy: None,
        }
    }
}

impl AuditConfigBuilder {
    /// Adds a rule behind the others. The first that matches a request decides.
    pub fn add_rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Replaces how long an answer waits at most for its record to be durable.
    pub fn with_durable_wait(mut self, limit: Duration) -> Self {
        self.durable_wait = limit;
        self
    }

    /// Replaces how many bits of IPv4 and IPv6 addresses are recorded.
    pub fn with_address_prefix(mut self, v4: u8, v6: u8) -> Self {
        self.address_bits = (v4, v6);
        self
    }

    /// Seals what is recorded about principals.
    pub fn with_privacy(mut self, privacy: Privacy) -> Self {
        self.privacy = Some(privacy);
        self
    }

    /// Replaces up to how many bytes of a body fields are read. Of a larger one none are, and the
    /// record says so.
    pub fn with_largest_tap(mut self, bytes: usize) -> Self {
        self.largest_tap = bytes;
        self
    }

    /// Checks the configuration.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], naming the first setting that cannot work or would let a secret in.
    pub fn build(self) -> Result<AuditConfig, ConfigError> {
        if self.durable_wait.is_zero() {
            return Err(ConfigError::Zero("durable wait"));
        }
        if self.largest_tap == 0 {
            return Err(ConfigError::Zero("largest tap"));
        }
        let policy = Policy::new(self.rules)?;
        let taps = policy
            .rules()
            .iter()
            .any(|rule| !rule.request_fields().is_empty() || !rule.response_fields().is_empty());
        Ok(AuditConfig(Arc::new(Settings {
            ledger: self.ledger,
            request_headers: policy.all_request_headers(),
            policy,
            taps,
            largest_tap: self.largest_tap,
            durable_wait: self.durable_wait,
            address_bits: self.address_bits,
            privacy: self.privacy,
        })))
    }
}

impl fmt::Debug for AuditConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditConfig")
            .field("ledger", &self.0.ledger)
            .field("policy", &self.0.policy)
            .field("privacy", &self.0.privacy)
            .finish_non_exhaustive()
    }
}
