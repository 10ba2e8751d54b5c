//! `[rules]`: who may call what.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bartizan_authz::{
    AuthzLayer, EngineError, Facts, Policy, PolicyEngine, PolicyFile, ReadClaims, Ruling,
};
use bartizan_core::{Challenge, SecurityContext};
use bartizan_jwt::VerifiedClaims;
use serde_json::{Map, Value};

use crate::config::cedar::CedarEntry;
use crate::config::problem::Problem;
use crate::config::requests::attended;
use crate::config::rule::RuleEntry;
use crate::config::section::section;
use crate::config::setting::Mode;
use crate::config::surroundings::Surroundings;

section! {
    /// Who may call what. What no rule allows is refused; without this table, everything is.
    Rules {
        /// A policy in a file of its own (TOML), read again when it changes. Not beside `rule`.
        file: Option<PathBuf>,
        /// Policies in Cedar, in files of their own. Not beside `file` and `rule`.
        cedar: Option<CedarEntry>,
        /// How often these files are looked at.
        reload_interval: Duration = "10s",
        /// The rules themselves. Not beside `file`.
        rule: Vec<RuleEntry>,
        /// Takes rules of which none allows anything: with `mode = "shadow"`, to see who calls.
        allow_nothing: bool = "false",
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
        let inline = !self.rule.is_empty() || self.allow_nothing;
        let ways = [
            self.file.is_some(),
            self.cedar.is_some(),
            inline,
            self.insecure_allow_everything,
        ];
        match ways.iter().filter(|way| **way).count() {
            1 => {}
            0 => return Err(self.wrong("has no rules: add [[rules.rule]], or name a `file`")),
            _ => {
                let message =
                    "takes one of `file`, `cedar`, `rule` and `insecure_allow_everything`";
                return Err(self.wrong(message));
            }
        }
        if let Some(cedar) = &self.cedar {
            for (is_set, option) in [
                (self.challenge_realm.is_some(), "challenge_realm"),
                (self.destination.is_some(), "destination"),
            ] {
                if is_set {
                    return Err(self.wrong(&format!("policies in Cedar know no `{option}`")));
                }
            }
            return cedar.check().map(|()| None);
        }
        if !inline {
            return Ok(None);
        }
        let mut policy = Policy::builder();
        if self.allow_nothing {
            policy = policy.allow_nothing();
        }
        for rule in &self.rule {
            policy = policy.add(rule.build()?);
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

    /// Reads the files once.
    pub(crate) fn check_files(
        &self,
        routes: &[String],
        with: &Surroundings,
    ) -> Result<(), Problem> {
        if let Some(cedar) = &self.cedar {
            return cedar.check_files(routes, with);
        }
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

    /// The layer, for a service with these routes; `None` if everything is allowed.
    pub(crate) fn build(
        &self,
        routes: &[String],
        with: &Surroundings,
    ) -> Result<Option<AuthzLayer>, Problem> {
        let inline = self.check()?;
        let builder = AuthzLayer::builder();
        let builder = match (inline, &self.file, &self.cedar) {
            (Some(policy), ..) => builder.with_policy(policy),
            (None, Some(path), _) => {
                let file = self.policy_file(path, with).load();
                let file = file.map_err(|error| self.refuse("rules.file", &error))?;
                builder.with_policy(file.published())
            }
            (None, None, Some(cedar)) => cedar.decides(builder, self, routes, with)?,
            (None, None, None) => return Ok(None),
        };
        let builder = builder.with_claims(TokenClaims);
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

/// The members of the caller's token.
struct TokenClaims;

impl ReadClaims for TokenClaims {
    fn read(&self, context: &SecurityContext, name: &str, tell: &mut dyn FnMut(&str)) {
        if let Some(members) = members(context) {
            tell_texts(members.get(name), tell);
        }
    }

    fn read_within(&self, context: &SecurityContext, path: &[String], tell: &mut dyn FnMut(&str)) {
        let (Some(members), Some((first, rest))) = (members(context), path.split_first()) else {
            return;
        };
        let found = rest
            .iter()
            .try_fold(members.get(first), |value, name| Some(value?.get(name)));
        tell_texts(found.flatten(), tell);
    }

    fn reads_within(&self) -> bool {
        true
    }
}

fn members(context: &SecurityContext) -> Option<Map<String, Value>> {
    context.claims::<VerifiedClaims>()?.deserialize().ok()
}

/// The text itself, or those among the items.
fn tell_texts(value: Option<&Value>, tell: &mut dyn FnMut(&str)) {
    match value {
        Some(Value::String(text)) => tell(text),
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).for_each(tell),
        _ => {}
    }
}
