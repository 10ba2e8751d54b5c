//! Policies of Istio as YAML.

use std::fmt::Write as _;

use super::import::{NAME, SPELLINGS};
use super::lower::Literal;
use crate::condition::Fact;
use crate::rule::{Effect, Rule};

/// One `AuthorizationPolicy`; without a rule of ours, one that allows nothing.
pub(super) struct Document<'r> {
    pub(super) name: String,
    pub(super) rule: Option<&'r Rule>,
    pub(super) rules: Vec<Terms>,
}

/// One rule of Istio.
pub(super) struct Terms {
    pub(super) callers: Vec<Literal>,
    pub(super) operations: Vec<Operation>,
}

/// An operation, of which each list is a condition.
#[derive(Clone, Debug, Default)]
pub(super) struct Operation {
    pub(super) methods: Vec<String>,
    pub(super) not_methods: Vec<String>,
    pub(super) hosts: Vec<String>,
    pub(super) not_hosts: Vec<String>,
    pub(super) ports: Vec<String>,
    pub(super) not_ports: Vec<String>,
    pub(super) paths: Vec<String>,
    pub(super) not_paths: Vec<String>,
}

impl Operation {
    /// Adds a condition, if there is room for it.
    pub(super) fn add(&mut self, literal: &Literal) -> Result<(), String> {
        let (list, name) = match (&literal.fact, literal.negated) {
            (Fact::Method, false) => (&mut self.methods, "methods"),
            (Fact::Method, true) => (&mut self.not_methods, ""),
            (Fact::Authority, false) => (&mut self.hosts, "hosts"),
            (Fact::Authority, true) => (&mut self.not_hosts, ""),
            (Fact::DestinationPort, false) => (&mut self.ports, "ports"),
            (Fact::DestinationPort, true) => (&mut self.not_ports, ""),
            (_, false) => (&mut self.paths, "paths"),
            (_, true) => (&mut self.not_paths, ""),
        };
        if !name.is_empty() && !list.is_empty() {
            return Err(format!(
                "two conditions on {name} cannot be said there together"
            ));
        }
        list.extend_from_slice(&literal.values);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lists().iter().all(|(_, values)| values.is_empty())
    }

    fn lists(&self) -> [(&'static str, &[String]); 8] {
        [
            ("methods", &self.methods),
            ("notMethods", &self.not_methods),
            ("hosts", &self.hosts),
            ("notHosts", &self.not_hosts),
            ("ports", &self.ports),
            ("notPorts", &self.not_ports),
            ("paths", &self.paths),
            ("notPaths", &self.not_paths),
        ]
    }
}

/// A text in double quotes, which is the same in JSON and YAML.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            // Writing to a text does not fail.
            c if c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}') => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn list(texts: &[String]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// Writes all of them. The notes come first, as comments.
pub(super) fn write(
    namespace: &str,
    labels: &[(String, String)],
    roles: &[String],
    documents: &[Document<'_>],
    notes: &[String],
) -> String {
    let mut out = Lines::default();
    for note in notes {
        out.line(0, &format!("# {note}"));
    }
    for document in documents {
        out.line(0, "---");
        out.line(0, "apiVersion: security.istio.io/v1");
        out.line(0, "kind: AuthorizationPolicy");
        out.line(0, "metadata:");
        out.line(2, &format!("name: {}", quoted(&document.name)));
        out.line(2, &format!("namespace: {}", quoted(namespace)));
        let mut effect = Effect::Allow;
        if let Some(rule) = document.rule {
            effect = rule.effect;
            out.line(2, "annotations:");
            out.line(4, &format!("{NAME}: {}", quoted(&rule.name)));
            if !rule.exact {
                out.line(4, &format!("{SPELLINGS}: \"true\""));
            }
            if rule.shadow {
                out.line(4, "istio.io/dry-run: \"true\"");
            }
        }
        out.line(0, "spec:");
        if !labels.is_empty() {
            out.line(2, "selector:");
            out.line(4, "matchLabels:");
            for (key, value) in labels {
                out.line(6, &format!("{}: {}", quoted(key), quoted(value)));
            }
        }
        match effect {
            Effect::Allow => out.line(2, "action: ALLOW"),
            Effect::Deny => out.line(2, "action: DENY"),
        }
        if !document.rules.is_empty() {
            out.line(2, "rules:");
        }
        for terms in &document.rules {
            terms.write(&mut out, roles);
        }
    }
    out.0
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn line(&mut self, indent: usize, text: &str) {
        let _ = writeln!(self.0, "{:indent$}{text}", "");
    }
}

impl Terms {
    fn write(&self, out: &mut Lines, roles: &[String]) {
        let (mut source, mut when) = (Vec::<(&str, Vec<String>)>::new(), Vec::new());
        for literal in &self.callers {
            let Some(field) = literal.field() else {
                when.push(literal);
                continue;
            };
            match source.iter_mut().find(|(known, _)| *known == field) {
                // None of either is none of both.
                Some((_, values)) if literal.negated => values.extend_from_slice(&literal.values),
                Some(_) => when.push(literal),
                None => source.push((field, literal.values.clone())),
            }
        }
        if source.is_empty() && when.is_empty() && self.operations.is_empty() {
            out.line(2, "- {}");
            return;
        }
        let mut first = "- ";
        if !source.is_empty() {
            out.line(2, &format!("{first}from:"));
            first = "  ";
            out.line(4, "- source:");
            for (field, values) in &source {
                out.line(8, &format!("{field}: {}", list(values)));
            }
        }
        if !self.operations.is_empty() {
            out.line(2, &format!("{first}to:"));
            first = "  ";
        }
        for operation in &self.operations {
            out.line(4, "- operation:");
            for (name, values) in operation.lists() {
                if !values.is_empty() {
                    out.line(8, &format!("{name}: {}", list(values)));
                }
            }
        }
        if !when.is_empty() {
            out.line(2, &format!("{first}when:"));
        }
        for literal in when {
            let values = if literal.negated {
                "notValues"
            } else {
                "values"
            };
            out.line(4, &format!("- key: {}", quoted(&literal.key(roles))));
            out.line(4, &format!("  {values}: {}", list(&literal.values)));
        }
    }
}

impl Literal {
    /// The member of a source that says it.
    fn field(&self) -> Option<&'static str> {
        Some(match (&self.fact, self.negated) {
            (Fact::ClientAddress, false) => "remoteIpBlocks",
            (Fact::ClientAddress, true) => "notRemoteIpBlocks",
            (Fact::Namespace, false) => "namespaces",
            (Fact::Namespace, true) => "notNamespaces",
            (Fact::Peer, false) => "principals",
            (Fact::Peer, true) => "notPrincipals",
            (Fact::Principal, false) => "requestPrincipals",
            (Fact::Principal, true) => "notRequestPrincipals",
            (Fact::ServiceAccount, false) => "serviceAccounts",
            (Fact::ServiceAccount, true) => "notServiceAccounts",
            (Fact::SourceAddress, false) => "ipBlocks",
            (Fact::SourceAddress, true) => "notIpBlocks",
            (Fact::TrustDomain, false) => "trustDomains",
            (Fact::TrustDomain, true) => "notTrustDomains",
            _ => return None,
        })
    }

    /// The key of a condition that says it.
    fn key(&self, roles: &[String]) -> String {
        let claim = |path: &[String]| {
            let names: String = path.iter().map(|name| format!("[{name}]")).collect();
            format!("request.auth.claims{names}")
        };
        match &self.fact {
            Fact::Claim(path) if path == &["aud"] => "request.auth.audiences".to_owned(),
            Fact::Claim(path) => claim(path),
            Fact::Client => "request.auth.presenter".to_owned(),
            Fact::ClientAddress => "remote.ip".to_owned(),
            Fact::DestinationAddress => "destination.ip".to_owned(),
            Fact::Header(name) => format!("request.headers[{name}]"),
            Fact::Issuer => claim(&["iss".to_owned()]),
            Fact::Namespace => "source.namespace".to_owned(),
            Fact::Peer => "source.principal".to_owned(),
            Fact::Principal => "request.auth.principal".to_owned(),
            Fact::Role => claim(roles),
            Fact::Scope => claim(&["scope".to_owned()]),
            Fact::ServerName => "connection.sni".to_owned(),
            Fact::ServiceAccount => "source.serviceAccount".to_owned(),
            Fact::SourceAddress => "source.ip".to_owned(),
            Fact::Subject => claim(&["sub".to_owned()]),
            Fact::TrustDomain => "source.trustDomain".to_owned(),
            // Operations say these.
            Fact::Authority | Fact::DestinationPort | Fact::Method | Fact::Path => String::new(),
        }
    }
}
