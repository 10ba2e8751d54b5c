//! Writes policies as the text that they are read from.

use std::fmt::Write as _;

use crate::callers::{Authentication, Callers};
use crate::condition::{Condition, Fact, Matcher};
use crate::policy::Policy;
use crate::rule::{Effect, Rule};
use crate::targets::Targets;

impl Policy {
    /// Writes the policy as TOML, which reads back as one that decides the same.
    ///
    /// ```
    /// use bartizan_authz::{Policy, Rule, Targets};
    ///
    /// let rule = Rule::allow("read").to(Targets::method("GET").path("/orders/{id}"));
    /// let text = Policy::builder().add(rule).build()?.to_toml();
    /// assert!(text.contains(r#"{ methods = ["GET"], paths = ["/orders/{id}"] }"#), "{text}");
    /// assert_eq!(Policy::from_toml(&text)?.to_toml(), text);
    /// # Ok::<(), bartizan_authz::PolicyError>(())
    /// ```
    pub fn to_toml(&self) -> String {
        let mut text = String::from("version = 1\n");
        if self.allows_nothing() {
            text.push_str("allow_nothing = true\n");
        }
        for rule in self.rules() {
            text.push('\n');
            text.push_str(&rule.to_toml());
        }
        text
    }
}

impl Rule {
    /// The rule as it stands in a policy that is [written as TOML](Policy::to_toml).
    pub fn to_toml(&self) -> String {
        let effect = match self.effect {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
        };
        let mut out = format!("[[rule]]\nname = {}\n", quoted(&self.name));
        // Writing to a text does not fail.
        let _ = writeln!(out, "effect = \"{effect}\"");
        if self.shadow {
            out.push_str("shadow = true\n");
        }
        if self.exact {
            out.push_str("exact = true\n");
        }
        for (name, tables) in [
            ("from", self.from.iter().map(callers).collect::<Vec<_>>()),
            ("to", self.to.iter().map(targets).collect()),
            ("when", self.when.iter().map(condition).collect()),
        ] {
            if !tables.is_empty() {
                let _ = writeln!(out, "{name} = [");
                for table in tables {
                    let _ = writeln!(out, "  {table},");
                }
                out.push_str("]\n");
            }
        }
        out
    }
}

/// An inline table.
#[derive(Default)]
struct Table(Vec<String>);

impl Table {
    fn texts<'t>(&mut self, name: &str, texts: impl IntoIterator<Item = &'t str>) {
        self.values(name, texts.into_iter().map(quoted));
    }

    fn values(&mut self, name: &str, values: impl Iterator<Item = String>) {
        let values: Vec<_> = values.collect();
        if !values.is_empty() {
            self.0.push(format!("{name} = [{}]", values.join(", ")));
        }
    }

    fn end(self) -> String {
        match self.0.as_slice() {
            [] => "{}".to_owned(),
            members => format!("{{ {} }}", members.join(", ")),
        }
    }
}

fn callers(callers: &Callers) -> String {
    let boxed = |texts: &'_ [Box<str>]| texts.iter().map(|text| text.to_string()).collect();
    let mut table = Table::default();
    table.texts("peers", callers.peers.iter().map(|peer| peer.as_str()));
    table.texts(
        "trust_domains",
        callers.trust_domains.iter().map(|it| it.as_str()),
    );
    for (name, texts) in [
        ("issuers", &callers.issuers),
        ("clients", &callers.clients),
        ("scopes", &callers.all_scopes),
        ("any_scope", &callers.any_scope),
        ("roles", &callers.roles),
    ] {
        let texts: Vec<String> = boxed(texts);
        table.texts(name, texts.iter().map(String::as_str));
    }
    table.values(
        "subjects",
        callers.subjects.iter().map(|(issuer, subject)| {
            let (issuer, subject) = (quoted(issuer), quoted(subject));
            format!("{{ issuer = {issuer}, subject = {subject} }}")
        }),
    );
    table.values(
        "claims",
        callers.claims.iter().map(|claim| {
            let values: Vec<_> = claim.values.iter().map(|value| quoted(value)).collect();
            let name = quoted(&claim.name);
            format!("{{ name = {name}, values = [{}] }}", values.join(", "))
        }),
    );
    let networks: Vec<_> = callers.networks.iter().map(ToString::to_string).collect();
    table.texts("networks", networks.iter().map(String::as_str));
    if let Some(authentication) = callers.authentication {
        let authenticated = authentication == Authentication::Authenticated;
        table.0.push(format!("authenticated = {authenticated}"));
    }
    table.values("when", callers.when.iter().map(condition));
    table.values("except", callers.except.iter().map(self::callers));
    table.end()
}

fn targets(targets: &Targets) -> String {
    let mut table = Table::default();
    table.texts("methods", targets.methods.iter().map(|method| &**method));
    table.texts("paths", targets.paths.iter().map(|path| path.as_str()));
    table.texts(
        "except_paths",
        targets.except_paths.iter().map(|path| path.as_str()),
    );
    let hosts: Vec<_> = targets.hosts.iter().map(ToString::to_string).collect();
    table.texts("hosts", hosts.iter().map(String::as_str));
    table.values("ports", targets.ports.iter().map(ToString::to_string));
    table.values("when", targets.when.iter().map(condition));
    table.end()
}

fn condition(condition: &Condition) -> String {
    let mut table = Table::default();
    match &condition.fact {
        Fact::Header(name) => table.0.push(format!("header = {}", quoted(name))),
        Fact::Claim(path) => table.texts("claim", path.iter().map(String::as_str)),
        fact => table.0.push(format!("fact = {}", quoted(fact.word()))),
    }
    table.texts("one_of", condition.one_of.iter().map(Matcher::as_str));
    table.texts("none_of", condition.none_of.iter().map(Matcher::as_str));
    table.end()
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
