//! Our rules, as policies of Istio.

mod operation;

use std::fmt;

use self::operation::operations;
use super::lower::{self, Conjunction, Literal};
use super::write::{Document, Operation, Terms, write};
use crate::condition::Fact;
use crate::policy::Policy;
use crate::rule::{Effect, Rule};

/// Writes a policy as `AuthorizationPolicy` documents of Istio, one for each rule.
///
/// What they say is what the rules say, and what [`IstioImport`](crate::IstioImport) reads from
/// them decides every request as the policy does. A rule that cannot be said is an error that names
/// it, never left out. Istio itself compares paths with regard to case, so that its denials are
/// easier to get around: that is noted, in the text and in [`Exported::notes`].
///
/// ```
/// use bartizan_authz::{Callers, IstioExport, Policy, Rule, Targets};
///
/// let web = Callers::peer("spiffe://cluster.local/ns/shop/sa/web".parse()?);
/// let policy = Policy::builder()
///     .add(Rule::allow("web reads").from(web).to(Targets::method("GET").path("/orders/{id}")))
///     .build()?;
/// let exported = IstioExport::new("shop", "orders").with_labels([("app", "orders")]).write(&policy)?;
/// assert!(exported.text.contains(r#"principals: ["cluster.local/ns/shop/sa/web"]"#));
/// assert!(exported.text.contains(r#"paths: ["/orders/{*}"]"#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "policies are written by `write`"]
pub struct IstioExport {
    namespace: String,
    name: String,
    labels: Vec<(String, String)>,
    roles: Vec<String>,
}

/// What was written.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Exported {
    /// The documents, as YAML.
    pub text: String,
    /// Where what reads them decides in another way than we do.
    pub notes: Vec<String>,
}

/// A rule that cannot be said in another language.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ExportError {
    /// The rule.
    pub rule: String,
    /// What cannot be said.
    pub problem: String,
}

impl ExportError {
    pub(crate) fn new(rule: &Rule, problem: impl Into<String>) -> Self {
        Self {
            rule: rule.name().to_owned(),
            problem: problem.into(),
        }
    }
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "rule {:?} cannot be exported: {}",
            self.rule, self.problem
        )
    }
}

impl std::error::Error for ExportError {}

const CASE: &str = "Istio compares paths with regard to case: what it is to deny or to except it \
                    does not where case differs";
const CLIENT: &str = "Istio knows the client of a token by its claim `azp` alone";

impl IstioExport {
    /// Policies in this namespace, whose names begin with this one.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            labels: Vec::new(),
            roles: vec!["roles".to_owned()],
        }
    }

    /// Sets the labels of the workloads that the policies are about; of the whole namespace unless
    /// said.
    pub fn with_labels<K: Into<String>, V: Into<String>>(
        mut self,
        labels: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let labels = labels.into_iter();
        self.labels = labels
            .map(|(key, value)| (key.into(), value.into()))
            .collect();
        self
    }

    /// Sets which claim roles are in, `roles` unless said.
    pub fn with_roles_claim<'p>(mut self, path: impl IntoIterator<Item = &'p str>) -> Self {
        self.roles = path.into_iter().map(str::to_owned).collect();
        self
    }

    /// Writes the policy.
    ///
    /// # Errors
    ///
    /// [`ExportError`] names the rule that cannot be said.
    pub fn write(&self, policy: &Policy) -> Result<Exported, ExportError> {
        let mut notes = Vec::new();
        let mut note = |text: &str| {
            if !notes.iter().any(|known| known == text) {
                notes.push(text.to_owned());
            }
        };
        let mut documents = Vec::new();
        for (at, rule) in policy.rules().enumerate() {
            let rules = self.alternatives(rule)?;
            let has_paths = |rule: &Rule| rule.to.iter().any(|to| !to.paths.is_empty());
            let excepts = rule.to.iter().any(|to| !to.except_paths.is_empty());
            if !rule.exact && ((rule.effect == Effect::Deny && has_paths(rule)) || excepts) {
                note(CASE);
            }
            let literals = rules.iter().flat_map(|terms| &terms.callers);
            if literals
                .into_iter()
                .any(|literal| literal.fact == Fact::Client)
            {
                note(CLIENT);
            }
            documents.push(Document {
                name: format!("{}-{at:03}{}", self.name, slug(rule.name())),
                rule: Some(rule),
                rules,
            });
        }
        if !policy.rules().any(|rule| rule.effect == Effect::Allow) {
            documents.push(Document {
                name: format!("{}-allow-nothing", self.name),
                rule: None,
                rules: Vec::new(),
            });
        }
        let text = write(
            &self.namespace,
            &self.labels,
            &self.roles,
            &documents,
            &notes,
        );
        Ok(Exported { text, notes })
    }

    /// The rules of Istio of which one has to apply for this one to.
    fn alternatives(&self, rule: &Rule) -> Result<Vec<Terms>, ExportError> {
        let wrong = |problem: String| ExportError::new(rule, problem);
        let mut from: Vec<Conjunction> = Vec::new();
        for callers in &rule.from {
            from.extend(lower::callers(callers).map_err(wrong)?);
        }
        if rule.from.is_empty() {
            from.push(Vec::new());
        }
        // Targets without conditions of their own share a rule.
        let mut groups: Vec<(Conjunction, Vec<Operation>)> = Vec::new();
        for targets in &rule.to {
            let when = lower::conditions(&targets.when);
            let found = operations(rule, targets).map_err(wrong)?;
            match groups.iter_mut().find(|(known, _)| *known == when) {
                Some((_, operations)) => operations.extend(found),
                None => groups.push((when, found)),
            }
        }
        if rule.to.is_empty() {
            groups.push((Vec::new(), Vec::new()));
        }
        let mut all = Vec::new();
        for callers in &from {
            for (when, operations) in &groups {
                let everywhere = lower::conditions(&rule.when);
                let literals = [callers.as_slice(), when, &everywhere].concat();
                all.push(self.terms(literals, operations.clone()).map_err(wrong)?);
            }
        }
        Ok(all)
    }

    /// Puts what is about the request into its operations.
    fn terms(&self, all: Vec<Literal>, operations: Vec<Operation>) -> Result<Terms, String> {
        let mut operations = operations;
        let mut callers = Vec::new();
        for literal in all {
            check(&literal)?;
            let of_operation = matches!(
                literal.fact,
                Fact::Authority | Fact::DestinationPort | Fact::Method | Fact::Path
            );
            if !of_operation {
                callers.push(literal);
                continue;
            }
            if operations.is_empty() {
                operations.push(Operation::default());
            }
            for operation in &mut operations {
                operation.add(&literal)?;
            }
        }
        // One that asks for nothing is every request.
        if operations.iter().any(Operation::is_empty) {
            operations.clear();
        }
        let has = |fact: Fact| callers.iter().any(|literal: &Literal| literal.fact == fact);
        if has(Fact::ServiceAccount) && (has(Fact::Peer) || has(Fact::Namespace)) {
            return Err(
                "service accounts cannot stand beside principals or namespaces there".into(),
            );
        }
        Ok(Terms {
            callers,
            operations,
        })
    }
}

/// Names that brackets would end.
fn check(literal: &Literal) -> Result<(), String> {
    let names = match &literal.fact {
        Fact::Claim(path) => path.as_slice(),
        Fact::Header(name) => std::slice::from_ref(name),
        _ => &[],
    };
    match names.iter().find(|name| name.contains(['[', ']'])) {
        Some(name) => Err(format!("the name {name:?} has brackets")),
        None => Ok(()),
    }
}

/// A name of a rule, as far as it may stand in the name of a resource.
fn slug(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars().take(64) {
        match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9') => out.push(c),
            _ if !out.is_empty() && !out.ends_with('-') => out.push('-'),
            _ => {}
        }
    }
    match out.trim_end_matches('-') {
        "" => String::new(),
        slug => format!("-{slug}"),
    }
}
