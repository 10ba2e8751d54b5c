//! The seam between the layer and what decides.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::facts::Facts;
use crate::policy::Policy;

/// What became of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Ruling {
    /// Allowed by this rule.
    Allowed(Arc<str>),
    /// Denied by this rule, or because none allows it.
    Denied(Option<Arc<str>>),
    /// There is no policy to ask yet, which is for later and no denial.
    NoPolicy,
    /// Not allowed to nobody in particular; some principal may.
    Unauthenticated,
}

/// Decides requests: [`Policy`] is one, other languages can be others.
///
/// Called for each request, on the task that serves it: it must not wait for anything.
pub trait PolicyEngine: fmt::Debug + Send + Sync + 'static {
    /// Decides on a request. `shadow` is to be called with each rule that would have denied it,
    /// was it not in shadow.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if the engine cannot decide, which is a denial.
    fn decide(
        &self,
        facts: &Facts<'_>,
        shadow: &mut dyn FnMut(&Arc<str>),
    ) -> Result<Ruling, EngineError>;

    /// Whether it may ask for claims of tokens.
    fn asks_claims(&self) -> bool {
        false
    }

    /// Whether it may ask for claims inside of others.
    fn asks_nested_claims(&self) -> bool {
        false
    }
}

/// Why an engine could not decide; for logs, not for clients.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct EngineError(pub Arc<str>);

/// A policy that can be replaced while requests are served. Clones share it.
///
/// ```
/// use bartizan_authz::{LivePolicy, Policy, Rule};
///
/// let live = LivePolicy::new(Policy::builder().add(Rule::allow("all")).build()?);
/// live.replace(Policy::builder().add(Rule::allow("other")).build()?);
/// assert_eq!(live.current().rules().next().map(|rule| rule.name()), Some("other"));
/// # Ok::<(), bartizan_authz::PolicyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct LivePolicy(Arc<ArcSwap<Policy>>);

impl LivePolicy {
    /// Begins with this policy.
    pub fn new(policy: Policy) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(policy)))
    }

    /// Decides by this policy from now on; requests that are being decided finish with the old.
    pub fn replace(&self, policy: Policy) {
        self.0.store(Arc::new(policy));
    }

    /// The policy in use.
    pub fn current(&self) -> Arc<Policy> {
        self.0.load_full()
    }
}

impl PolicyEngine for LivePolicy {
    fn decide(
        &self,
        facts: &Facts<'_>,
        shadow: &mut dyn FnMut(&Arc<str>),
    ) -> Result<Ruling, EngineError> {
        PolicyEngine::decide(&**self.0.load(), facts, shadow)
    }

    fn asks_claims(&self) -> bool {
        self.0.load().asks_claims()
    }

    fn asks_nested_claims(&self) -> bool {
        self.0.load().asks_nested_claims()
    }
}
