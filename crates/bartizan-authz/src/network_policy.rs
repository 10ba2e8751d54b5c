//! Which pods may connect, as a `NetworkPolicy` of Kubernetes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::callers::Callers;
use crate::condition::{Condition, Fact, Matcher};
use crate::istio::{ExportError, Exported, quoted};
use crate::policy::Policy;
use crate::rule::{Effect, Rule};

/// Writes the peers that a policy allows as a `NetworkPolicy`: who may connect to the service's
/// pods, and to which ports.
///
/// Networks know no tokens, routes or methods. What is written therefore lets pass at least what
/// the policy allows, and what it refuses has no peer that is allowed anything. Peers are told by
/// SPIFFE IDs of the form that Kubernetes meshes give, `spiffe://trust.domain/ns/NAMESPACE/sa/ACCOUNT`;
/// as networks select pods by label, it has to be said which labels the pods of an account carry.
///
/// ```
/// use bartizan_authz::{Callers, NetworkPolicyExport, Policy, Rule};
///
/// let web = Callers::peer("spiffe://cluster.local/ns/shop/sa/web".parse()?);
/// let policy = Policy::builder().add(Rule::allow("web").from(web)).build()?;
/// let exported = NetworkPolicyExport::new("bank", "orders", [8443])
///     .with_labels([("app", "orders")])
///     .with_account_label("app")
///     .write(&policy)?;
/// assert!(exported.text.contains("\"kubernetes.io/metadata.name\": \"shop\""));
///
/// // Where anybody may call, a network cannot be closed.
/// let open = Policy::builder().add(Rule::allow("all")).build()?;
/// assert!(NetworkPolicyExport::new("bank", "orders", [8443]).write(&open).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a policy is written by `write`"]
pub struct NetworkPolicyExport {
    namespace: String,
    name: String,
    ports: BTreeSet<u16>,
    labels: Labels,
    trust_domains: Vec<String>,
    account_label: Option<String>,
    accounts: Vec<((String, String), Labels)>,
    everywhere: bool,
}

type Labels = Vec<(String, String)>;

/// Pods that may connect: by namespace, by labels, or all of them.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Pods {
    namespace: Option<String>,
    labels: Labels,
}

fn labels<K: Into<String>, V: Into<String>>(labels: impl IntoIterator<Item = (K, V)>) -> Labels {
    let labels = labels.into_iter();
    labels
        .map(|(key, value)| (key.into(), value.into()))
        .collect()
}

impl NetworkPolicyExport {
    /// A policy of this name for pods of this namespace that listen on these ports.
    pub fn new(namespace: &str, name: &str, ports: impl IntoIterator<Item = u16>) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ports: ports.into_iter().collect(),
            labels: Vec::new(),
            trust_domains: Vec::new(),
            account_label: None,
            accounts: Vec::new(),
            everywhere: false,
        }
    }

    /// Sets the labels of the pods that it is about; all pods of the namespace unless said.
    pub fn with_labels<K: Into<String>, V: Into<String>>(
        mut self,
        labels: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.labels = self::labels(labels);
        self
    }

    /// Sets the trust domains whose peers are pods of this cluster; any unless said. Peers of others
    /// cannot be selected, and are an error.
    pub fn with_trust_domains<'t>(mut self, domains: impl IntoIterator<Item = &'t str>) -> Self {
        self.trust_domains = domains.into_iter().map(str::to_owned).collect();
        self
    }

    /// Sets the label that has the name of a pod's service account as its value. Unless said, and
    /// for accounts without labels of their own, every pod of the account's namespace is let in.
    pub fn with_account_label(mut self, label: &str) -> Self {
        self.account_label = Some(label.to_owned());
        self
    }

    /// Sets the labels of the pods of one service account.
    pub fn with_account<K: Into<String>, V: Into<String>>(
        mut self,
        namespace: &str,
        account: &str,
        labels: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let account = (namespace.to_owned(), account.to_owned());
        self.accounts.push((account, self::labels(labels)));
        self
    }

    /// Lets everybody connect where a rule allows callers whatever peer they are. Unless said that
    /// is an error.
    pub fn allow_everywhere(mut self) -> Self {
        self.everywhere = true;
        self
    }

    /// Writes the policy.
    ///
    /// # Errors
    ///
    /// [`ExportError`] names the rule whose peers are no pods.
    pub fn write(&self, policy: &Policy) -> Result<Exported, ExportError> {
        let mut notes = vec![
            "A network knows no tokens, routes and methods: this lets pass at least what the policy \
             allows"
                .to_owned(),
        ];
        let mut by_ports: BTreeMap<Vec<u16>, BTreeSet<Pods>> = BTreeMap::new();
        for rule in policy.rules().filter(|rule| rule.effect() == Effect::Allow) {
            let pods = self.pods_of(rule, &mut notes)?;
            by_ports
                .entry(self.ports_of(rule))
                .or_default()
                .extend(pods);
        }
        notes.dedup();
        Ok(Exported {
            text: self.yaml(&by_ports, &notes),
            notes,
        })
    }

    fn pods_of(&self, rule: &Rule, notes: &mut Vec<String>) -> Result<Vec<Pods>, ExportError> {
        let mut all = Vec::new();
        let everybody = [Callers::anybody()];
        let from = if rule.from.is_empty() {
            &everybody
        } else {
            rule.from.as_slice()
        };
        for callers in from {
            let conditions: Vec<&Condition> = callers.when.iter().chain(&rule.when).collect();
            match self.peers_of(rule, callers, &conditions)? {
                Some(pods) => all.extend(pods),
                None if self.everywhere => {
                    notes.push(format!(
                        "rule {:?} allows whatever peer: everybody may connect",
                        rule.name()
                    ));
                    all.push(Pods {
                        namespace: Some(String::new()),
                        labels: Vec::new(),
                    });
                }
                None => {
                    let problem = "it allows callers whatever peer they are, so that everybody would \
                                   have to be let in";
                    return Err(ExportError::new(rule, problem));
                }
            }
        }
        Ok(all)
    }

    /// The pods that these callers are; none if they may be any peer or have none.
    fn peers_of(
        &self,
        rule: &Rule,
        callers: &Callers,
        conditions: &[&Condition],
    ) -> Result<Option<Vec<Pods>>, ExportError> {
        let wrong = |id: &str| {
            let problem =
                format!("the peer {id:?} is not known to be of a namespace of this cluster");
            ExportError::new(rule, problem)
        };
        if !callers.peers.is_empty() || !callers.trust_domains.is_empty() {
            let domains = callers.trust_domains.iter();
            let ids = callers.peers.iter().map(|peer| peer.as_str().to_owned());
            let ids = ids.chain(domains.map(|domain| format!("spiffe://{domain}/**")));
            let pods = ids.map(|id| self.pods(&id).ok_or_else(|| wrong(&id)));
            return pods.collect::<Result<_, _>>().map(Some);
        }
        for condition in conditions.iter().filter(|it| !it.one_of.is_empty()) {
            let values = condition.one_of.iter().map(Matcher::as_str);
            let pods: Option<Vec<Pods>> = match condition.fact {
                Fact::Namespace => values
                    .map(|it| self.pods(&format!("spiffe://*/ns/{it}/**")))
                    .collect(),
                Fact::ServiceAccount => values
                    .map(|it| {
                        let (namespace, account) = it.split_once('/')?;
                        self.pods(&format!("spiffe://*/ns/{namespace}/sa/{account}"))
                    })
                    .collect(),
                Fact::Peer => values
                    .map(|it| match it.strip_suffix("/*") {
                        Some(id) => self.pods(&format!("spiffe://{id}/**")),
                        None => self.pods(&format!("spiffe://{it}")),
                    })
                    .collect(),
                _ => continue,
            };
            let first = condition.one_of.first().map(Matcher::as_str);
            return pods
                .map(Some)
                .ok_or_else(|| wrong(first.unwrap_or_default()));
        }
        Ok(None)
    }

    /// The pods whose ID a pattern matches, if they can be told by namespace and label.
    fn pods(&self, pattern: &str) -> Option<Pods> {
        let id = pattern.strip_prefix("spiffe://")?;
        let (domain, path) = id.split_once('/')?;
        let is_ours = |known: &String| known == domain;
        if domain != "*"
            && !self.trust_domains.is_empty()
            && !self.trust_domains.iter().any(is_ours)
        {
            return None;
        }
        let segments: Vec<_> = path.split('/').collect();
        let (namespace, account) = match segments.as_slice() {
            ["**"] | ["ns", "**"] => ("*", "*"),
            ["ns", namespace, "**"] | ["ns", namespace, "sa", "**"] => (*namespace, "*"),
            ["ns", namespace, "sa", account] => (*namespace, *account),
            _ => return None,
        };
        // A star beside other characters is no namespace that could be selected.
        let is_name = |text: &str| text == "*" || !text.contains('*');
        (is_name(namespace) && is_name(account)).then(|| Pods {
            namespace: (namespace != "*").then(|| namespace.to_owned()),
            labels: self.labels_of(namespace, account),
        })
    }

    fn labels_of(&self, namespace: &str, account: &str) -> Labels {
        let is_it =
            |(known, _): &&((String, String), Labels)| known.0 == namespace && known.1 == account;
        match (self.accounts.iter().find(is_it), &self.account_label) {
            (Some((_, labels)), _) => labels.clone(),
            (None, Some(label)) if account != "*" => vec![(label.clone(), account.to_owned())],
            _ => Vec::new(),
        }
    }

    /// The service's ports, or those of them that a rule is about.
    fn ports_of(&self, rule: &Rule) -> Vec<u16> {
        let about = |condition: &&Condition| {
            condition.fact == Fact::DestinationPort && !condition.one_of.is_empty()
        };
        let named = rule.when.iter().filter(about).flat_map(|it| &it.one_of);
        let named: Vec<u16> = named.filter_map(|it| it.as_str().parse().ok()).collect();
        let ports = self.ports.iter().copied();
        ports
            .filter(|port| named.is_empty() || named.contains(port))
            .collect()
    }

    fn yaml(&self, by_ports: &BTreeMap<Vec<u16>, BTreeSet<Pods>>, notes: &[String]) -> String {
        let mut out = String::new();
        // Writing to a text does not fail.
        for note in notes {
            let _ = writeln!(out, "# {}", note.replace(char::is_control, " "));
        }
        let _ = writeln!(
            out,
            "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: {}\n  \
             namespace: {}\nspec:\n  podSelector: {}\n  policyTypes: [\"Ingress\"]",
            quoted(&self.name),
            quoted(&self.namespace),
            selector(&self.labels),
        );
        let ingress = by_ports.iter().filter(|(ports, _)| !ports.is_empty());
        let ingress: Vec<_> = ingress.collect();
        out.push_str(if ingress.is_empty() {
            "  ingress: []\n"
        } else {
            "  ingress:\n"
        });
        for (ports, pods) in ingress {
            let everywhere = pods.iter().any(|it| it.namespace.as_deref() == Some(""));
            let ports: Vec<_> = ports
                .iter()
                .map(|it| format!("{{protocol: TCP, port: {it}}}"))
                .collect();
            let _ = writeln!(out, "  - ports: [{}]", ports.join(", "));
            if everywhere {
                continue;
            }
            out.push_str("    from:\n");
            for pods in pods {
                let namespace = pods.namespace.iter();
                let namespace =
                    namespace.map(|it| ("kubernetes.io/metadata.name".to_owned(), it.clone()));
                let _ = writeln!(
                    out,
                    "    - namespaceSelector: {}",
                    selector(&namespace.collect())
                );
                if !pods.labels.is_empty() {
                    let _ = writeln!(out, "      podSelector: {}", selector(&pods.labels));
                }
            }
        }
        out
    }
}

fn selector(labels: &Labels) -> String {
    if labels.is_empty() {
        return "{}".to_owned();
    }
    let labels = labels
        .iter()
        .map(|(key, value)| format!("{}: {}", quoted(key), quoted(value)));
    format!(
        "{{matchLabels: {{{}}}}}",
        labels.collect::<Vec<_>>().join(", ")
    )
}
