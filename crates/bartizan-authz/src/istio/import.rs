//! Which policies count, and what they come to together.

mod reading;

use std::fmt;

use bartizan_source::yaml;

use self::reading::Reading;
use super::error::IstioError;
use super::read::Terms;
use super::tree::Place;
use crate::policy::Policy;

pub(super) use self::reading::{NAME, SPELLINGS};

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
        let mut reading = Reading::new(&self.terms);
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
}
