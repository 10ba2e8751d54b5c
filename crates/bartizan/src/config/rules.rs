//! `[rules]`: who may call what.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bartizan_authz::{
    AuthzLayer, Callers, EngineError, Facts, Policy, PolicyEngine, PolicyFile, Rule, Ruling,
    Targets,
};
use bartizan_core::{Challenge, IpNetwork, SecurityContext, SpiffePattern, TrustDomain};
use bartizan_jwt::VerifiedClaims;

use crate::config::problem::Problem;
use crate::config::requests::attended;
use crate::config::section::section;
use crate::config::setting::{Mode, choice};
use crate::config::surroundings::Surroundings;

section! {
    /// Who may call what. What no rule allows is refused; without this table, everything is.
    Rules {
        /// A policy in a file of its own (TOML), read again when it changes. Not beside `rule`.
        file: Option<PathBuf>,
        /// How often the file is looked at.
        reload_interval: Duration = "10s",
        /// The rules themselves. Not beside `file`.
        rule: Vec<RuleEntry>,
        /// Answers 401 with a challenge for bearer tokens of this realm to whoever proved nothing,
        /// where some principal would be allowed. By default the answer is 403.
        challenge_realm: Option<String>,
        /// What the service listens on, for rules on the port where the server does not say it of
        /// each connection.
        destination: Option<SocketAddr>,
        /// Lets every caller call everything that the other layers let through. Not beside rules.
        insecure_allow_everything: bool = "false",
        /// Whether refusals reach the client.
        mode: Mode = "enforce",
    }
}

section! {
    /// One rule. It applies if one of `from` and one of `to` do.
    RuleEntry {
        /// What decisions are recorded under: 1 to 128 bytes.
        name: String,
        /// What follows if it applies. A rule that denies counts before every one that allows.
        effect: EffectWord,
        /// Records what a denial would have refused, and refuses nothing.
        shadow: bool = "false",
        /// Who it is about. Everybody by default, also who proved nothing.
        from: Vec<CallersEntry>,
        /// Which requests it is about. Every one by default.
        to: Vec<TargetsEntry>,
    }
}

section! {
    /// A set of callers: everything that is said of them must hold.
    CallersEntry {
        /// SPIFFE IDs or patterns, of which one matches the peer.
        peers: Vec<SpiffePattern>,
        /// Trust domains, of which one is the peer's.
        trust_domains: Vec<TrustDomain>,
        /// Issuers, of which one issued the principal's token.
        issuers: Vec<String>,
        /// Principals, by issuer and subject.
        subjects: Vec<SubjectEntry>,
        /// OAuth clients, of which one is the principal's.
        clients: Vec<String>,
        /// Scopes, of which the principal has one at least.
        any_scope: Vec<String>,
        /// Scopes, all of which the principal has.
        scopes: Vec<String>,
        /// Roles, of which the principal has one.
        roles: Vec<String>,
        /// Claims of the principal's token.
        claims: Vec<ClaimEntry>,
        /// Networks, of which one holds the client's address.
        networks: Vec<IpNetwork>,
        /// Whether there is a principal: `true` for some, `false` for none. Either by default.
        authenticated: Option<bool>,
        /// Callers that are not meant.
        except: Vec<CallersEntry>,
    }
}

section! {
    /// A principal.
    SubjectEntry {
        /// Who issued its token.
        issuer: String,
        /// Its name there.
        subject: String,
    }
}

section! {
    /// A claim of a token.
    ClaimEntry {
        /// The member of the token.
        name: String,
        /// Texts, of which one is its value or among its values.
        values: Vec<String>,
    }
}

section! {
    /// A set of requests: everything that is said of them must hold.
    TargetsEntry {
        /// Methods, of which one is the request's.
        methods: Vec<String>,
        /// Path patterns, such as `/orders/{id}`, of which one matches.
        paths: Vec<String>,
        /// Path patterns, of which none matches.
        except_paths: Vec<String>,
        /// gRPC services or methods.
        grpc: Vec<GrpcEntry>,
        /// Host patterns.
        hosts: Vec<String>,
        /// Ports.
        ports: Vec<u16>,
    }
}

section! {
    /// A gRPC service, or one of its methods.
    GrpcEntry {
        /// The service, such as `shop.Payments`.
        service: String,
        /// The method. All of them by default.
        method: Option<String>,
    }
}

choice! {
    /// What follows if a rule applies.
    EffectWord {
        /// The request may pass, unless another rule denies it.
        Allow = "allow",
        /// It is refused.
        Deny = "deny",
    }
}

/// Refuses everything: what holds without rules.
#[derive(Debug)]
struct NothingAllowed;

impl PolicyEngine for NothingAllowed {
    fn decide(&self, _: &Facts<'_>, _: &mut dyn FnMut(&Arc<str>)) -> Result<Ruling, EngineError> {
        Ok(Ruling::Denied(None))
    }
}

/// The layer that stands where no rules are said.
pub(crate) fn refuse_everything(with: &Surroundings) -> Result<AuthzLayer, Problem> {
    let layer = AuthzLayer::builder().with_policy(NothingAllowed);
    let layer = match with.observer() {
        Some(observer) => layer.with_observer(observer),
        None => layer,
    };
    let refused = |error: bartizan_authz::ConfigError| {
        Problem::new(Default::default(), "rules", error.to_string())
    };
    layer.build().map_err(refused)
}

impl Rules {
    /// What of the options goes together; the rules themselves, if they stand here.
    pub(crate) fn check(&self) -> Result<Option<Policy>, Problem> {
        let ways = [
            self.file.is_some(),
            !self.rule.is_empty(),
            self.insecure_allow_everything,
        ];
        match ways.iter().filter(|way| **way).count() {
            1 => {}
            0 => return Err(self.wrong("has no rules: add [[rules.rule]], or name a `file`")),
            _ => {
                let message = "takes one of `file`, `rule` and `insecure_allow_everything`";
                return Err(self.wrong(message));
            }
        }
        if self.rule.is_empty() {
            return Ok(None);
        }
        let mut policy = Policy::builder();
        for rule in &self.rule {
            let rule = rule.build();
            policy = policy.add(rule);
        }
        let policy = policy.build();
        Ok(Some(policy.map_err(|error| {
            let message = error.to_string();
            // The rule that is named is the one that is wrong.
            let mut rules = self.rule.iter().rev();
            let named = rules.find(|rule| message.contains(&format!("{:?}", rule.name)));
            let stands = named.map_or(self.stands, |rule| rule.stands);
            Problem::new(stands.0, "rules.rule", message)
        })?))
    }

    pub(crate) fn policy_file(&self, path: &Path, with: &Surroundings) -> PolicyFile {
        let file = PolicyFile::new(path)
            .with_interval(self.reload_interval)
            .with_clock(with.clock.clone());
        match with.observer() {
            Some(observer) => file.with_observer(observer),
            None => file,
        }
    }

    /// Reads the file once.
    pub(crate) fn check_file(&self, with: &Surroundings) -> Result<(), Problem> {
        let Some(path) = &self.file else {
            return Ok(());
        };
        let wrong = |message: String| Problem::new(self.stands.0, "rules.file", message);
        let bytes = with.read(path).map_err(wrong)?;
        let text = std::str::from_utf8(&bytes);
        let text = text.map_err(|error| wrong(format!("{}: {error}", path.display())))?;
        let policy = Policy::from_toml(text);
        let in_file = |error| wrong(format!("{}: {error}", path.display()).replace('\n', " "));
        policy.map(drop).map_err(in_file)
    }

    /// The layer; `None` if everything is allowed.
    pub(crate) fn build(&self, with: &Surroundings) -> Result<Option<AuthzLayer>, Problem> {
        let inline = self.check()?;
        let builder = AuthzLayer::builder();
        let builder = match (inline, &self.file) {
            (Some(policy), _) => builder.with_policy(policy),
            (None, Some(path)) => {
                let file = self.policy_file(path, with).load();
                let file = file.map_err(|error| self.refuse("rules.file", &error))?;
                builder.with_policy(file.published())
            }
            (None, None) => return Ok(None),
        };
        let builder = builder.with_claims(read_claims);
        let builder = match self.destination {
            Some(destination) => builder.with_destination(destination),
            None => builder,
        };
        let builder = match &self.challenge_realm {
            Some(realm) => {
                let challenge = Challenge::new("Bearer").with_param("realm", realm);
                builder.with_challenge(challenge)
            }
            None => builder,
        };
        let layer = attended!(builder, self.mode, with).build();
        Ok(Some(layer.map_err(|error| self.refuse("rules", &error))?))
    }

    fn wrong(&self, message: &str) -> Problem {
        Problem::new(self.stands.0, "rules", message)
    }
}

/// Texts of the token's member of this name: itself, or those among its items.
fn read_claims(context: &SecurityContext, name: &str, tell: &mut dyn FnMut(&str)) {
    use serde_json::{Map, Value};
    let Some(claims) = context.claims::<VerifiedClaims>() else {
        return;
    };
    let Ok(members) = claims.deserialize::<Map<String, Value>>() else {
        return;
    };
    match members.get(name) {
        Some(Value::String(text)) => tell(text),
        Some(Value::Array(items)) => {
            let texts = items.iter().filter_map(Value::as_str);
            texts.for_each(tell);
        }
        _ => {}
    }
}

impl RuleEntry {
    fn build(&self) -> Rule {
        let mut rule = match self.effect {
            EffectWord::Allow => Rule::allow(&self.name),
            EffectWord::Deny => Rule::deny(&self.name),
        };
        for callers in &self.from {
            rule = rule.from(callers.build());
        }
        for targets in &self.to {
            rule = rule.to(targets.build());
        }
        if self.shadow { rule.in_shadow() } else { rule }
    }
}

impl CallersEntry {
    fn build(&self) -> Callers {
        let mut callers = match self.authenticated {
            None => Callers::anybody(),
            Some(true) => Callers::authenticated(),
            Some(false) => Callers::anonymous(),
        };
        for pattern in &self.peers {
            callers = callers.or_peer(pattern.clone());
        }
        for domain in &self.trust_domains {
            callers = callers.or_trust_domain(domain.clone());
        }
        for network in &self.networks {
            callers = callers.network(*network);
        }
        for issuer in &self.issuers {
            callers = callers.issuer(issuer);
        }
        for SubjectEntry {
            issuer, subject, ..
        } in &self.subjects
        {
            callers = callers.subject(issuer, subject);
        }
        for client in &self.clients {
            callers = callers.client(client);
        }
        for scope in &self.scopes {
            callers = callers.scope(scope);
        }
        for role in &self.roles {
            callers = callers.role(role);
        }
        for ClaimEntry { name, values, .. } in &self.claims {
            callers = callers.claim(name, values.iter().map(String::as_str));
        }
        callers = callers.any_scope(self.any_scope.iter().map(String::as_str));
        for others in &self.except {
            callers = callers.except(others.build());
        }
        callers
    }
}

impl TargetsEntry {
    fn build(&self) -> Targets {
        let mut targets = Targets::anything();
        for method in &self.methods {
            targets = targets.or_method(method);
        }
        for path in &self.paths {
            targets = targets.path(path);
        }
        for path in &self.except_paths {
            targets = targets.except_path(path);
        }
        for GrpcEntry {
            service, method, ..
        } in &self.grpc
        {
            targets = targets.or_grpc(service, method.as_deref());
        }
        for host in &self.hosts {
            targets = targets.host(host);
        }
        for port in &self.ports {
            targets = targets.port(*port);
        }
        targets
    }
}
