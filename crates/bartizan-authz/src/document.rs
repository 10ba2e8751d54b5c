//! Policies as text.

mod condition;
mod list;
mod write;

use bartizan_core::{IpNetwork, SpiffePattern, TrustDomain};
use serde::Deserialize;

use self::condition::ConditionText;
use self::list::List;
use crate::callers::Callers;
use crate::error::PolicyError;
use crate::policy::Policy;
use crate::rule::{Effect, Rule};
use crate::targets::Targets;

/// Rules take memory; a policy of this size has some ten thousand of them.
const MAX_BYTES: usize = 4 * 1024 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    #[serde(default)]
    allow_nothing: bool,
    #[serde(default, rename = "rule")]
    rules: Vec<RuleText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    name: String,
    effect: EffectText,
    #[serde(default)]
    shadow: bool,
    #[serde(default)]
    from: List<CallersText>,
    #[serde(default)]
    to: List<TargetsText>,
    #[serde(default)]
    when: List<ConditionText>,
    #[serde(default)]
    exact: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum EffectText {
    Allow,
    Deny,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct CallersText {
    peers: List<String>,
    trust_domains: List<String>,
    issuers: List<String>,
    subjects: List<SubjectText>,
    clients: List<String>,
    any_scope: List<String>,
    scopes: List<String>,
    roles: List<String>,
    claims: List<ClaimText>,
    networks: List<String>,
    authenticated: Option<bool>,
    when: List<ConditionText>,
    except: List<Self>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubjectText {
    issuer: String,
    subject: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClaimText {
    name: String,
    values: List<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct TargetsText {
    methods: List<String>,
    paths: List<String>,
    except_paths: List<String>,
    grpc: List<GrpcText>,
    hosts: List<String>,
    ports: List<u16>,
    when: List<ConditionText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GrpcText {
    service: String,
    method: Option<String>,
}

impl Policy {
    /// Reads a policy from TOML. Members that are not known are an error, as is everything else
    /// that would leave a rule another meaning than the one that was written down.
    ///
    /// A list that is written has something in it: what is left out is any, and a list that was
    /// emptied would be the same.
    ///
    /// | member | is |
    /// |---|---|
    /// | `version` | 1 |
    /// | `allow_nothing` | takes a policy that allows [nothing](crate::PolicyBuilder::allow_nothing) |
    /// | `[[rule]]` `name`, `effect` | its name, and `allow` or `deny` |
    /// | `shadow`, `exact` | [`in_shadow`](Rule::in_shadow), [`exactly`](Rule::exactly); false unless said |
    /// | `from` | who: `peers`, `trust_domains`, `issuers`, `subjects`, `clients`, `scopes` (all), `any_scope`, `roles`, `claims`, `networks`, `authenticated`, `when`, `except` |
    /// | `to` | what: `methods`, `paths`, `except_paths`, `grpc`, `hosts`, `ports`, `when` |
    /// | `when` | [conditions](crate::Condition): `header`, `claim` (the names that lead to it) or `fact` (such as `namespace`), with `one_of` and `none_of` |
    ///
    /// ```
    /// use bartizan_authz::Policy;
    ///
    /// let policy = Policy::from_toml(r#"
    ///     version = 1
    ///
    ///     [[rule]]
    ///     name = "web reads orders"
    ///     effect = "allow"
    ///     from = [{ peers = ["spiffe://example.org/web"], scopes = ["orders:read"] }]
    ///     to = [{ methods = ["GET"], paths = ["/orders/{id}"] }]
    /// "#)?;
    /// assert_eq!(policy.rules().count(), 1);
    ///
    /// let wrong = Policy::from_toml(r#"
    ///     version = 1
    ///
    ///     [[rule]]
    ///     name = "web reads orders"
    ///     effect = "allow"
    ///     form = [{ peers = ["spiffe://example.org/web"] }]
    /// "#);
    /// let message = wrong.expect_err("`form` is not `from`").to_string();
    /// assert!(message.contains("line 7") && message.contains("form"), "{message}");
    /// # Ok::<(), bartizan_authz::PolicyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`PolicyError`], with the line where the text is none.
    pub fn from_toml(text: &str) -> Result<Self, PolicyError> {
        if text.len() > MAX_BYTES {
            return Err(PolicyError::Document(format!(
                "more than {MAX_BYTES} bytes"
            )));
        }
        let document: Document =
            toml::from_str(text).map_err(|error| PolicyError::Document(error.to_string()))?;
        if document.version != 1 {
            let version = document.version;
            return Err(PolicyError::Document(format!("version {version} is not 1")));
        }
        let mut policy = Self::builder();
        if document.allow_nothing {
            policy = policy.allow_nothing();
        }
        for rule in document.rules {
            policy = policy.add(rule.read()?);
        }
        policy.build()
    }
}

impl RuleText {
    fn read(self) -> Result<Rule, PolicyError> {
        let effect = match self.effect {
            EffectText::Allow => Effect::Allow,
            EffectText::Deny => Effect::Deny,
        };
        let mut rule = Rule::new(&self.name, effect);
        for callers in self.from {
            rule = rule.from(callers.read(&self.name)?);
        }
        for targets in self.to {
            rule = rule.to(targets.read(&self.name)?);
        }
        for condition in self.when {
            rule = rule.when(condition.read(&self.name)?);
        }
        let rule = if self.exact { rule.exactly() } else { rule };
        Ok(if self.shadow { rule.in_shadow() } else { rule })
    }
}

impl CallersText {
    fn read(self, rule: &str) -> Result<Callers, PolicyError> {
        let mut callers = match self.authenticated {
            None => Callers::anybody(),
            Some(true) => Callers::authenticated(),
            Some(false) => Callers::anonymous(),
        };
        for text in self.peers {
            let pattern = SpiffePattern::parse(&text);
            callers = callers.or_peer(pattern.map_err(|error| wrong(rule, &text, &error))?);
        }
        for text in self.trust_domains {
            let domain = TrustDomain::parse(&text);
            callers = callers.or_trust_domain(domain.map_err(|error| wrong(rule, &text, &error))?);
        }
        for text in self.networks {
            let network: Result<IpNetwork, _> = text.parse();
            callers = callers.network(network.map_err(|error| wrong(rule, &text, &error))?);
        }
        for issuer in self.issuers.iter() {
            callers = callers.issuer(issuer);
        }
        for SubjectText { issuer, subject } in self.subjects.iter() {
            callers = callers.subject(issuer, subject);
        }
        for client in self.clients.iter() {
            callers = callers.client(client);
        }
        for scope in self.scopes.iter() {
            callers = callers.scope(scope);
        }
        for role in self.roles.iter() {
            callers = callers.role(role);
        }
        for ClaimText { name, values } in self.claims.iter() {
            callers = callers.claim(name, values.iter().map(String::as_str));
        }
        if !self.any_scope.is_empty() {
            callers = callers.any_scope(self.any_scope.iter().map(String::as_str));
        }
        for condition in self.when {
            callers = callers.when(condition.read(rule)?);
        }
        for others in self.except {
            callers = callers.except(others.read(rule)?);
        }
        Ok(callers)
    }
}

impl TargetsText {
    fn read(self, rule: &str) -> Result<Targets, PolicyError> {
        let mut targets = Targets::anything();
        for method in self.methods.iter() {
            targets = targets.or_method(method);
        }
        for path in self.paths.iter() {
            targets = targets.path(path);
        }
        for path in self.except_paths.iter() {
            targets = targets.except_path(path);
        }
        for GrpcText { service, method } in self.grpc.iter() {
            targets = targets.or_grpc(service, method.as_deref());
        }
        for host in self.hosts.iter() {
            targets = targets.host(host);
        }
        for port in self.ports {
            targets = targets.port(port);
        }
        for condition in self.when {
            targets = targets.when(condition.read(rule)?);
        }
        Ok(targets)
    }
}

fn wrong(rule: &str, text: &str, error: &dyn std::fmt::Display) -> PolicyError {
    PolicyError::Document(format!("rule {rule:?}: {text:?}: {error}"))
}
