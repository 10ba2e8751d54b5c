//! One document after the other: whom it is about, and what it adds.

use std::fmt;

use super::{Imported, IstioImport, Note, Unmatched};
use crate::istio::error::{IstioError, IstioErrorKind};
use crate::istio::read::Terms;
use crate::istio::tree::Place;
use crate::policy::Policy;
use crate::rule::{Effect, Rule};

/// The annotation that names a rule of ours in a policy that was exported.
pub(crate) const NAME: &str = "bartizan.rs/rule";
/// The annotation of a rule of ours that other spellings do not get around.
pub(crate) const SPELLINGS: &str = "bartizan.rs/every-spelling";
const DRY_RUN: &str = "istio.io/dry-run";

impl IstioImport {
    pub(super) fn read_policy(
        &self,
        root: &Place<'_>,
        reading: &mut Reading<'_>,
    ) -> Result<(), IstioError> {
        let kind = root
            .text("kind")
            .ok()
            .flatten()
            .unwrap_or("nothing that names its kind");
        let version = root.text("apiVersion").ok().flatten().unwrap_or_default();
        let known = ["security.istio.io/v1", "security.istio.io/v1beta1"];
        if kind != "AuthorizationPolicy" || !known.contains(&version) {
            let found = match version {
                "" => kind.to_owned(),
                version => format!("{kind} of {version}"),
            };
            return Err(root.error(IstioErrorKind::NotAPolicy(found)));
        }
        root.only(&["apiVersion", "kind", "metadata", "spec", "status"])?;
        let policy = Header::read(root)?;
        let Some(spec) = root.member("spec") else {
            return self.add(&policy, root, reading);
        };
        let known = [
            "action",
            "provider",
            "rules",
            "selector",
            "targetRef",
            "targetRefs",
        ];
        spec.only(&known)?;
        if !self.is_about(&policy, &spec, reading)? {
            return Ok(());
        }
        self.add(&policy, &spec, reading)
    }

    /// Whether a policy is about the workload.
    fn is_about(
        &self,
        policy: &Header,
        spec: &Place<'_>,
        reading: &mut Reading<'_>,
    ) -> Result<bool, IstioError> {
        let selector = spec.member("selector").filter(|it| !it.is_nothing());
        let mut targets = spec.items("targetRefs")?;
        targets.extend(spec.member("targetRef"));
        if self.any_workload {
            return Ok(true);
        }
        let place = selector.as_ref().or(targets.first());
        let Some(workload) = &self.workload else {
            return match place {
                Some(place) => Err(place.error(IstioErrorKind::Workload)),
                None => Ok(true),
            };
        };
        let mut about = policy.namespace == workload.namespace;
        about |= policy.namespace == self.root_namespace && targets.is_empty();
        if let Some(selector) = &selector {
            selector.only(&["matchLabels"])?;
            let labels = selector.member("matchLabels");
            let labels = labels.map(|it| it.members()).transpose()?;
            for label in labels.unwrap_or_default() {
                let key = label
                    .path
                    .strip_prefix(&format!("{}.matchLabels.", selector.path));
                let value = label.as_text()?;
                let has = |(known, is): &(String, String)| key == Some(known) && value == *is;
                about &= workload.labels.iter().any(has);
            }
        }
        if !targets.is_empty() {
            let mut named = false;
            for target in &targets {
                target.only(&["group", "kind", "name", "namespace"])?;
                if target.text("kind")? == Some("Service") {
                    let service = workload.service.as_deref();
                    let service = service.ok_or_else(|| target.error(IstioErrorKind::Workload))?;
                    named |= target.text("name")? == Some(service);
                }
            }
            about &= named;
        }
        if !about {
            reading.note(spec, format!("{policy} is about other workloads: left out"));
        }
        Ok(about)
    }

    fn add(
        &self,
        policy: &Header,
        spec: &Place<'_>,
        reading: &mut Reading<'_>,
    ) -> Result<(), IstioError> {
        let rules = spec.items("rules")?;
        let action = spec.text("action")?.unwrap_or("ALLOW");
        let effect = match action {
            "ALLOW" => Effect::Allow,
            "DENY" => Effect::Deny,
            "AUDIT" => {
                reading.note(
                    spec,
                    format!("{policy} is of action AUDIT, which decides nothing"),
                );
                return Ok(());
            }
            "CUSTOM" => {
                let custom = "action CUSTOM, which asks a service elsewhere";
                return Err(spec.error(IstioErrorKind::Unsupported(custom)));
            }
            other => return Err(spec.invalid(format!("action {other:?} is not known"))),
        };
        if policy.is_dry_run && effect == Effect::Allow {
            let text = format!("{policy} is a dry run, which allows nothing: left out");
            reading.note(spec, text);
            return Ok(());
        }
        reading.allows |= effect == Effect::Allow;
        if rules.is_empty() {
            let text = match effect {
                Effect::Allow => format!("{policy} has no rules: it allows nothing"),
                Effect::Deny => format!("{policy} has no rules: it denies nothing"),
            };
            reading.note(spec, text);
        }
        for (at, place) in rules.iter().enumerate() {
            let name = match &policy.rule {
                Some(name) if at == 0 => name.clone(),
                Some(name) => format!("{name}[{at}]"),
                None => format!("{policy}[{at}]"),
            };
            let rule = match effect {
                Effect::Allow => Rule::allow(&name),
                Effect::Deny => Rule::deny(&name),
            };
            let rule = if policy.is_dry_run {
                rule.in_shadow()
            } else {
                rule
            };
            let every = policy.every_spelling || self.terms.every_spelling;
            let rule = if every { rule } else { rule.exactly() };
            let read =
                reading
                    .terms
                    .read_rule(rule, place, &policy.namespace, &mut reading.notes)?;
            if let Some(rule) = read {
                let checked = rule.check();
                checked.map_err(|error| place.error(IstioErrorKind::Policy(error)))?;
                reading.rules.push(rule);
            }
        }
        Ok(())
    }

    pub(super) fn finish(&self, mut reading: Reading<'_>) -> Result<Imported, IstioError> {
        let nowhere = |kind| IstioError {
            document: 0,
            line: 0,
            path: String::new(),
            kind,
        };
        let mut policy = Policy::builder();
        let unmatched = match (reading.allows, self.unmatched) {
            (true, _) => Unmatched::Denied,
            (false, Some(unmatched)) => unmatched,
            (false, None) => return Err(nowhere(IstioErrorKind::NoAllowPolicy)),
        };
        let mut note = |text: &str| {
            reading.notes.push(Note {
                document: 0,
                line: 0,
                text: text.to_owned(),
            });
        };
        if unmatched == Unmatched::Allowed {
            note("no policy has the action ALLOW: whatever is not denied is allowed, as by Istio");
            let name = "istio: no policy allows, so what is not denied is allowed";
            policy = policy.add(Rule::allow(name));
        } else if !reading
            .rules
            .iter()
            .any(|rule| rule.effect() == Effect::Allow)
        {
            note("nothing is allowed: every request will be refused");
            policy = policy.allow_nothing();
        }
        for rule in reading.rules {
            policy = policy.add(rule);
        }
        let policy = policy.build();
        Ok(Imported {
            policy: policy.map_err(|error| nowhere(IstioErrorKind::Policy(error)))?,
            unmatched,
            notes: reading.notes,
        })
    }
}

/// What has been read so far.
pub(super) struct Reading<'t> {
    terms: &'t Terms,
    rules: Vec<Rule>,
    notes: Vec<Note>,
    /// Whether a policy has the action ALLOW, with rules or not.
    allows: bool,
}

impl<'t> Reading<'t> {
    pub(super) const fn new(terms: &'t Terms) -> Self {
        Self {
            terms,
            rules: Vec::new(),
            notes: Vec::new(),
            allows: false,
        }
    }

    fn note(&mut self, place: &Place<'_>, text: String) {
        self.notes.push(Note {
            document: place.document,
            line: place.line,
            text,
        });
    }
}

/// What stands in front of a policy's rules.
struct Header {
    namespace: String,
    name: String,
    rule: Option<String>,
    is_dry_run: bool,
    every_spelling: bool,
}

impl Header {
    fn read(root: &Place<'_>) -> Result<Self, IstioError> {
        let metadata = root.member("metadata");
        let text = |name: &str| match &metadata {
            Some(metadata) => metadata.text(name),
            None => Ok(None),
        };
        let annotations = metadata.as_ref().and_then(|it| it.member("annotations"));
        let annotation = |name: &str| match &annotations {
            Some(annotations) => annotations.text(name),
            None => Ok(None),
        };
        let is = |value: Option<&str>| value.is_some_and(|it| it.eq_ignore_ascii_case("true"));
        let name = text("name")?.ok_or_else(|| root.invalid("metadata.name is missing"))?;
        Ok(Self {
            namespace: text("namespace")?.unwrap_or("default").to_owned(),
            name: name.to_owned(),
            rule: annotation(NAME)?.map(str::to_owned),
            is_dry_run: is(annotation(DRY_RUN)?),
            every_spelling: is(annotation(SPELLINGS)?),
        })
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
