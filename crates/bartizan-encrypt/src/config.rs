//! What a layer is made of: fields, keys, and where requests say whose fields they are.

use std::fmt;
use std::sync::Arc;

use bartizan_core::{Clock, Duty, Enforcement, Observe, SecurityContext, SystemClock};
use http::request::Parts;

use crate::context::Place;
use crate::error::ConfigError;
use crate::form::Selection;
use crate::json::Paths;
use crate::keyring::Keyring;
use crate::rules::{FieldRule, PlaintextPolicy};
use crate::transform::{Fields, MOST_VALUES};

/// Says whose fields a request is about; `None` refuses the request.
///
/// A closure of the same arguments is one. The tenant belongs into what was authenticated, such
/// as the principal's issuer, and never into what a client just claims.
pub trait Locate: Send + Sync + 'static {
    /// The place of the request's fields.
    fn locate(&self, parts: &Parts, context: &SecurityContext) -> Option<Place>;
}

impl<L> Locate for L
where
    L: Fn(&Parts, &SecurityContext) -> Option<Place> + Send + Sync + 'static,
{
    fn locate(&self, parts: &Parts, context: &SecurityContext) -> Option<Place> {
        self(parts, context)
    }
}

/// A checked configuration of an [`EncryptLayer`](crate::EncryptLayer).
///
/// | setting | default | reason |
/// |---|---|---|
/// | largest body | 1 MiB | a body is held until it has been looked at as a whole |
/// | values | 10,000 | a sealed value takes some 120 bytes more than a plain one |
/// | plaintext | refused | a value that is not sealed is a mistake, unless a migration goes on |
#[derive(Clone)]
pub struct EncryptConfig(pub(crate) Arc<Settings>);

pub(crate) struct Settings {
    pub(crate) keyring: Keyring,
    pub(crate) fields: Fields,
    pub(crate) locate: Box<dyn Locate>,
    pub(crate) max_body: usize,
    pub(crate) duty: Duty,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Describes an [`EncryptConfig`]; made by [`EncryptConfig::builder`].
#[must_use = "call build to get the configuration"]
pub struct EncryptConfigBuilder {
    keyring: Keyring,
    collection: String,
    locate: Box<dyn Locate>,
    rules: Vec<FieldRule>,
    plaintext: PlaintextPolicy,
    max_body: usize,
    max_values: usize,
    enforcement: Enforcement,
    observer: Option<Arc<dyn Observe>>,
    clock: Arc<dyn Clock>,
}

impl EncryptConfig {
    /// Begins the configuration of a layer for bodies of this collection, whose fields belong
    /// where `locate` says.
    pub fn builder(
        keyring: Keyring,
        collection: &str,
        locate: impl Locate,
    ) -> EncryptConfigBuilder {
        EncryptConfigBuilder {
            keyring,
            collection: collection.to_owned(),
            locate: Box::new(locate),
            rules: Vec::new(),
            plaintext: PlaintextPolicy::default(),
            max_body: 1024 * 1024,
            max_values: MOST_VALUES,
            enforcement: Enforcement::Enforce,
            observer: None,
            clock: Arc::new(SystemClock),
        }
    }
}

impl EncryptConfigBuilder {
    /// Adds a field.
    pub fn add_field(mut self, rule: FieldRule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Replaces what is done about values that were stored before they were sealed.
    pub fn with_plaintext(mut self, policy: PlaintextPolicy) -> Self {
        self.plaintext = policy;
        self
    }

    /// Replaces how large a body may be, in bytes.
    pub fn with_max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Replaces how many values of a body are sealed or shown.
    pub fn with_max_values(mut self, values: usize) -> Self {
        self.max_values = values;
        self
    }

    /// Sets whether bodies are changed and requests refused. In shadow mode everything passes as
    /// it is, and decisions tell which fields would have been changed how: nothing is ever
    /// revealed by it. Values that are not sealed yet are counted, whatever the policy says.
    pub fn with_enforcement(mut self, enforcement: Enforcement) -> Self {
        self.enforcement = enforcement;
        self
    }

    /// Sets who is told of decisions.
    pub fn with_observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Replaces the clock.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Checks the configuration.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], naming the first setting that cannot work.
    pub fn build(self) -> Result<EncryptConfig, ConfigError> {
        if self.max_body == 0 {
            return Err(ConfigError::Zero("body bytes"));
        }
        let fields = Fields {
            selection: Selection::Json(Paths::new(self.rules.iter().map(|rule| &*rule.path))?),
            collection: self.collection.into(),
            rules: self.rules,
            plaintext: self.plaintext,
            max_values: self.max_values,
        };
        fields.check()?;
        let mut duty = Duty::new("encrypt").with_enforcement(self.enforcement);
        if let Some(observer) = self.observer {
            duty = duty.with_observer(observer);
        }
        Ok(EncryptConfig(Arc::new(Settings {
            fields,
            keyring: self.keyring,
            locate: self.locate,
            max_body: self.max_body,
            duty,
            clock: self.clock,
        })))
    }
}

impl fmt::Debug for EncryptConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptConfig")
            .field("keyring", &self.0.keyring)
            .field("fields", &self.0.fields)
            .field("duty", &self.0.duty)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EncryptConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptConfigBuilder")
            .field("collection", &self.collection)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
