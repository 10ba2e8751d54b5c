//! Rules, compiled: what is denied, what is allowed, and nothing else.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use crate::condition::Fact;
use crate::engine::{EngineError, PolicyEngine, Ruling};
use crate::error::PolicyError;
use crate::facts::Facts;
use crate::index::{CallerIndex, Clause, PathIndex};
use crate::rule::{Effect, Rule};

/// A set of rules that decides requests.
///
/// 1. If a rule that denies applies, the request is refused.
/// 2. If one that allows applies, it passes.
/// 3. Anything else is refused.
///
/// The order of rules makes no difference. Rules are found by path and by caller, in one pass and
/// without an allocation; [`Facts::path`] is what paths are compared with.
///
/// ```
/// use bartizan_authz::{Callers, Policy, Rule, Targets};
///
/// let web = Callers::peer("spiffe://example.org/web".parse()?);
/// let policy = Policy::builder()
///     .add(Rule::allow("web").from(web).to(Targets::any_method("/orders/{*rest}")))
///     .add(Rule::deny("no audit").to(Targets::any_method("/orders/audit")))
///     .build()?;
/// assert_eq!(policy.rules().count(), 2);
/// // A policy under which nothing can pass is a mistake.
/// assert!(Policy::builder().build().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Policy {
    rules: Box<[Rule]>,
    deny: Half,
    /// Denials of what is spelled exactly so.
    deny_exactly: Half,
    allow: Half,
    asks: Asks,
    allows_nothing: bool,
}

/// What rules ask for that a layer has to be told how to find.
#[derive(Clone, Copy, Debug, Default)]
struct Asks {
    claims: bool,
    nested_claims: bool,
    /// Which is no matter of finding it, but of finding it once.
    namespaces: bool,
}

/// The rules of one effect.
#[derive(Debug)]
struct Half {
    paths: PathIndex,
    callers: CallerIndex,
    is_empty: bool,
}

/// Collects the rules of a [`Policy`]; made by [`Policy::builder`].
#[derive(Clone, Debug, Default)]
#[must_use = "call build to get the policy"]
pub struct PolicyBuilder {
    rules: Vec<Rule>,
    allows_nothing: bool,
}

impl PolicyBuilder {
    /// Adds a rule.
    #[expect(clippy::should_implement_trait, reason = "it adds to a list")]
    pub fn add(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Takes a policy under which nothing can pass: to close a service. Without, one is taken for
    /// a mistake.
    pub fn allow_nothing(mut self) -> Self {
        self.allows_nothing = true;
        self
    }

    /// Compiles the rules.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] names the rule that cannot be meant.
    pub fn build(self) -> Result<Policy, PolicyError> {
        let rules = self.rules;
        let mut names = HashSet::new();
        for rule in &rules {
            rule.check()?;
            if !names.insert(rule.name()) {
                return Err(PolicyError::DuplicateRule(rule.name().to_owned()));
            }
        }
        let allows = rules.iter().any(|rule| rule.effect() == Effect::Allow);
        if !allows && !self.allows_nothing {
            return Err(PolicyError::NothingAllowed);
        }
        let (mut deny, mut deny_exactly) = (Half::new(true), Half::new(false));
        let mut allow = Half::new(false);
        let mut asks = Asks::default();
        for (at, rule) in rules.iter().enumerate() {
            let at = u16::try_from(at).map_err(|_| PolicyError::TooManyRules(rules.len()))?;
            match rule.effect() {
                Effect::Deny if rule.exact => deny_exactly.add(at, rule)?,
                Effect::Deny => deny.add(at, rule)?,
                Effect::Allow => allow.add(at, rule)?,
            }
            asks.claims |= rule.from.iter().any(crate::callers::Callers::ask_claims);
            rule.visit_conditions(&mut |condition| {
                asks.namespaces |= condition.fact == Fact::Namespace;
                if let Fact::Claim(path) = &condition.fact {
                    asks.claims = true;
                    asks.nested_claims |= path.len() > 1;
                }
            });
        }
        Ok(Policy {
            rules: rules.into(),
            deny,
            deny_exactly,
            allow,
            asks,
            allows_nothing: self.allows_nothing,
        })
    }
}

impl Half {
    fn new(loosely: bool) -> Self {
        Self {
            paths: PathIndex::new(loosely),
            callers: CallerIndex::default(),
            is_empty: true,
        }
    }

    fn add(&mut self, at: u16, rule: &Rule) -> Result<(), PolicyError> {
        let clause = |targets| Clause { rule: at, targets };
        self.is_empty = false;
        if rule.to.is_empty() {
            self.callers.add(&rule.from, clause(None));
        }
        for (number, targets) in rule.to.iter().enumerate() {
            let number = u16::try_from(number).map_err(|_| PolicyError::Rule {
                rule: rule.name.to_string(),
                problem: "is about more than 65536 sets of requests",
            })?;
            let clause = clause(Some(number));
            if targets.paths.is_empty() {
                self.callers.add(&rule.from, clause);
            }
            for pattern in &targets.paths {
                self.paths.add(pattern, clause);
            }
        }
        Ok(())
    }

    /// The first clause that this is true of, among those that may apply.
    fn find(&self, facts: &Facts<'_>, mut is: impl FnMut(Clause) -> bool) -> bool {
        self.paths.find(facts.path, &mut is) || self.callers.find(facts, is)
    }
}

impl Policy {
    /// Begins a policy without rules, which would refuse every request.
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder::default()
    }

    /// The rules, in the order they were added.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// Whether a rule asks for a claim.
    pub fn asks_claims(&self) -> bool {
        self.asks.claims
    }

    /// Whether a rule asks for a claim inside of others.
    pub fn asks_nested_claims(&self) -> bool {
        self.asks.nested_claims
    }

    /// Whether nothing may be allowed under it, because that was said.
    pub fn allows_nothing(&self) -> bool {
        self.allows_nothing
    }

    fn rule(&self, clause: Clause) -> Option<&Rule> {
        self.rules.get(usize::from(clause.rule))
    }

    /// The rule of this clause, if it applies.
    fn applying(&self, clause: Clause, facts: &Facts<'_>) -> Option<&Rule> {
        let rule = self.rule(clause)?;
        let applies = rule.includes_beside_path(clause, facts) && rule.includes_caller(facts);
        applies.then_some(rule)
    }

    /// Decides on a request. `shadow` is called with each rule that would have denied it, was it
    /// not in shadow.
    pub fn decide(&self, facts: &Facts<'_>, shadow: &mut dyn FnMut(&Arc<str>)) -> Ruling {
        let with_namespace;
        let facts = if self.asks.namespaces {
            with_namespace = facts.with_namespace();
            &with_namespace
        } else {
            facts
        };
        let (mut denied, mut last) = (None, None);
        let mut denies = |clause: Clause| {
            let Some(rule) = self.applying(clause, facts) else {
                return false;
            };
            if rule.shadow {
                // A rule may apply in several ways, one after the other.
                if last.replace(clause.rule) != Some(clause.rule) {
                    shadow(&rule.name);
                }
                return false;
            }
            denied = Some(Arc::clone(&rule.name));
            true
        };
        if !self.deny.find(facts, &mut denies) && !self.deny_exactly.is_empty {
            self.deny_exactly.find(facts, &mut denies);
        }
        if denied.is_some() {
            return Ruling::Denied(denied);
        }
        let mut allowed = None;
        self.allow.find(facts, |clause| {
            allowed = self
                .applying(clause, facts)
                .map(|rule| Arc::clone(&rule.name));
            allowed.is_some()
        });
        match allowed {
            Some(rule) => Ruling::Allowed(rule),
            None if facts.principal.is_none() && self.takes_principal(facts) => {
                Ruling::Unauthenticated
            }
            None => Ruling::Denied(None),
        }
    }

    /// Whether the request would be allowed to some principal.
    fn takes_principal(&self, facts: &Facts<'_>) -> bool {
        let takes = |clause: Clause| {
            let Some(rule) = self.rule(clause) else {
                return false;
            };
            rule.includes_beside_path(clause, facts) && rule.waits_for_principal(facts)
        };
        self.allow.paths.find(facts.path, takes) || self.allow.callers.all().any(takes)
    }
}

impl PolicyEngine for Policy {
    fn decide(
        &self,
        facts: &Facts<'_>,
        shadow: &mut dyn FnMut(&Arc<str>),
    ) -> Result<Ruling, EngineError> {
        facts.can_tell(self.asks.claims, self.asks.nested_claims)?;
        Ok(Self::decide(self, facts, shadow))
    }

    fn asks_claims(&self) -> bool {
        self.asks.claims
    }

    fn asks_nested_claims(&self) -> bool {
        self.asks.nested_claims
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("rules", &self.rules.len())
            .finish_non_exhaustive()
    }
}
