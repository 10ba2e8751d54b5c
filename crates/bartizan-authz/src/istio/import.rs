//! Which policies count, and what they come to together.

use std::fmt;

use bartizan_source::yaml;

use super::error::{IstioError, IstioErrorKind};
use super::read::Terms;
use super::tree::Place;
use crate::policy::Policy;
use crate::rule::{Effect, Rule};

/// The annotation that names a rule of ours in a policy that was exported.
pub(super) const NAME: &str = "bartizan.rs/rule";
/// The annotation of a rule of ours that other spellings do not get around.
pub(super) const SPELLINGS: &str = "bartizan.rs/every-spelling";
const DRY_RUN: &str = "istio.io/dry-run";

/// What becomes of requests that no policy of Istio speaks of.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Unmatched {
    /// They pass, as under Istio where no policy has the action ALLOW.
    Allowed,
    /// They are refused, as under Istio where one has.
    Denied,
}

/// Reads `AuthorizationPolicy` documents of Istio (`security.istio.io/v1`) into one policy.
///
/// What is read decides as Istio does: denials first, exact comparison, `*` at the beginning or
/// end of texts, the templates of paths. What Istio knows and this crate does not (`CUSTOM`,
/// filter metadata) is an error that names document, line and member; so is every member that is
/// not known. Nothing is left out in silence: [`Imported::notes`] tells the rest.
///
/// | Istio | here |
/// |---|---|
/// | `principals`, `namespaces`, `serviceAccounts`, `trustDomains` | the peer's SPIFFE ID |
/// | `requestPrincipals`, `request.auth.principal` | the principal's issuer and subject |
/// | `request.auth.presenter`, `claims[azp]` · `claims[iss]` · `claims[sub]` · `claims[scope]` | its client · issuer · subject · scopes |
/// | `request.auth.audiences` and other claims | [claims](crate::AuthzConfigBuilder::with_claims) |
/// | `ipBlocks`, `source.ip` · `remoteIpBlocks`, `remote.ip` | far end of the connection · client behind trusted proxies |
/// | `ports`, `destination.*` | what was connected to, not what the client writes; told by the listener, or by [`with_destination`](crate::AuthzConfigBuilder::with_destination) |
/// | `hosts` | the authority as it was written |
///
/// ```
/// use bartizan_authz::{Facts, IstioImport, Ruling, Unmatched};
///
/// let text = r#"
/// apiVersion: security.istio.io/v1
/// kind: AuthorizationPolicy
/// metadata: { name: no-admin, namespace: shop }
/// spec:
///   action: DENY
///   rules:
///   - to: [{ operation: { paths: ["/admin/*"] } }]
///     from: [{ source: { notNamespaces: ["ops"] } }]
/// "#;
/// // Under Istio everything else passes here. Whether it is to be so is not guessed.
/// let error = IstioImport::new().read(text).expect_err("it is not said");
/// assert!(error.to_string().contains("no policy allows anything"), "{error}");
///
/// let imported = IstioImport::new().allow_unmatched().read(text)?;
/// assert_eq!(imported.unmatched, Unmatched::Allowed);
/// let denied = imported.policy.decide(&Facts::new("GET", "/admin/users"), &mut |_| {});
/// assert_eq!(denied, Ruling::Denied(Some("shop/no-admin[0]".into())));
/// # Ok::<(), bartizan_authz::IstioError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "policies are read by `read`"]
pub struct IstioImport {
    workload: Option<Workload>,
    any_workload: bool,
    root_namespace: String,
    unmatched: Option<Unmatched>,
    terms: Terms,
}

#[derive(Clone, Debug)]
struct Workload {
    namespace: String,
    labels: Vec<(String, String)>,
    service: Option<String>,
}

/// What was read.
#[derive(Debug)]
#[non_exhaustive]
pub struct Imported {
    /// The policy.
    pub policy: Policy,
    /// What becomes of requests that no policy speaks of.
    pub unmatched: Unmatched,
    /// What was left out or is meant in another way, in the order of the documents.
    pub notes: Vec<Note>,
}

/// Something about a document that whoever imports it should know.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Note {
    /// The document within the text, counted from 1; 0 if it is about all of them.
    pub document: usize,
    /// The line within the text, counted from 1; 0 if it is about no single one.
    pub line: usize,
    /// What there is to know.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.document {
            0 => f.write_str(&self.text),
            number => write!(f, "document {number}, line {}: {}", self.line, self.text),
        }
    }
}

impl Default for IstioImport {
    fn default() -> Self {
        Self::new()
    }
}

impl IstioImport {
    /// Takes policies of whole namespaces, and no others.
    pub fn new() -> Self {
        Self {
            workload: None,
            any_workload: false,
            root_namespace: "istio-system".to_owned(),
            unmatched: None,
            terms: Terms::default(),
        }
    }

    /// Takes the policies that are about this workload: those of its namespace and of the root
    /// namespace that select its labels. Others are left out, and noted.
    pub fn for_workload<K: Into<String>, V: Into<String>>(
        mut self,
        namespace: &str,
        labels: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let labels = labels
            .into_iter()
            .map(|(key, value)| (key.into(), value.into()));
        self.workload = Some(Workload {
            namespace: namespace.to_owned(),
            labels: labels.collect(),
            service: None,
        });
        self
    }

    /// Also those that name this service in `targetRefs`, for a
    /// [workload](Self::for_workload).
    pub fn for_service(mut self, service: &str) -> Self {
        if let Some(workload) = &mut self.workload {
            workload.service = Some(service.to_owned());
        }
        self
    }

    /// Takes every policy, whichever workloads it is about.
    pub fn for_any_workload(mut self) -> Self {
        self.any_workload = true;
        self
    }

    /// Sets the namespace whose policies are about every other, `istio-system` unless said.
    pub fn with_root_namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.root_namespace);
        self
    }

    /// Sets the trust domain of the mesh and its aliases: principals of one are of all of them.
    pub fn with_trust_domains<'t>(mut self, domains: impl IntoIterator<Item = &'t str>) -> Self {
        self.terms.trust_domains = domains.into_iter().map(str::to_owned).collect();
        self
    }

    /// Sets which claim roles are in, `roles` unless said. Conditions on it are about
    /// [roles](bartizan_core::Principal::roles).
    pub fn with_roles_claim<'p>(mut self, path: impl IntoIterator<Item = &'p str>) -> Self {
        self.terms.roles = path.into_iter().map(str::to_owned).collect();
        self
    }

    /// Allows what no policy speaks of where no policy has the action ALLOW, as Istio does.
    pub fn allow_unmatched(mut self) -> Self {
        self.unmatched = Some(Unmatched::Allowed);
        self
    }

    /// Denies what no policy speaks of, also where Istio would allow it.
    pub fn deny_unmatched(mut self) -> Self {
        self.unmatched = Some(Unmatched::Denied);
        self
    }

    /// Lets denials count for other spellings of a path as well, which Istio's do not: see
    /// [`PathPattern`](crate::PathPattern).
    pub fn in_every_spelling(mut self) -> Self {
        self.terms.every_spelling = true;
        self
    }

    /// Reads all documents of this text.
    ///
    /// # Errors
    ///
    /// [`IstioError`] says where and what.
    pub fn read(&self, text: &str) -> Result<Imported, IstioError> {
        let documents = yaml::parse(text)?;
        let mut reading = Reading {
            terms: &self.terms,
            rules: Vec::new(),
            notes: Vec::new(),
            allows: false,
        };
        for (at, node) in documents.iter().enumerate() {
            let root = Place::root(at + 1, node);
            if root.text("kind").is_ok_and(|kind| kind == Some("List")) {
                for item in root.items("items")? {
                    self.read_policy(&item, &mut reading)?;
                }
            } else if !root.is_nothing() {
                self.read_policy(&root, &mut reading)?;
            }
        }
        self.finish(reading)
    }

    fn read_policy(&self, root: &Place<'_>, reading: &mut Reading<'_>) -> Result<(), IstioError> {
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

    fn finish(&self, mut reading: Reading<'_>) -> Result<Imported, IstioError> {
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
struct Reading<'t> {
    terms: &'t Terms,
    rules: Vec<Rule>,
    notes: Vec<Note>,
    /// Whether a policy has the action ALLOW, with rules or not.
    allows: bool,
}

impl Reading<'_> {
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
