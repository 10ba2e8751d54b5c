//! Policies of ours, as policies of a network.

use bartizan_authz::{Callers, Condition, Fact, NetworkPolicyExport, Policy, Rule, Targets};

use crate::support::policy;

fn id(text: &str) -> Callers {
    Callers::peer(text.parse().unwrap())
}

fn export() -> NetworkPolicyExport {
    NetworkPolicyExport::new("bank", "orders", [8443, 9090]).with_labels([("app", "orders")])
}

#[test]
fn peers_that_are_allowed_something_may_connect() {
    let rules = [
        Rule::allow("web").from(id("spiffe://a.org/ns/shop/sa/web").scope("read")),
        Rule::allow("batch").from(id("spiffe://a.org/ns/jobs/sa/nightly")),
        Rule::allow("ops")
            .from(id("spiffe://a.org/ns/ops/**"))
            .to(Targets::method("GET")),
        Rule::allow("metrics")
            .from(Callers::anybody().when(Condition::on(Fact::Namespace).one_of(["monitoring"])))
            .when(Condition::on(Fact::DestinationPort).one_of(["9090"])),
        Rule::deny("nobody from the bank").from(id("spiffe://a.org/ns/bank/**")),
    ];
    let exported = export()
        .with_account_label("app")
        .with_account("jobs", "nightly", [("job", "nightly"), ("tier", "batch")])
        .write(&policy(rules))
        .unwrap();
    let expected = r#"# A network knows no tokens, routes and methods: this lets pass at least what the policy allows
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: "orders"
  namespace: "bank"
spec:
  podSelector: {matchLabels: {"app": "orders"}}
  policyTypes: ["Ingress"]
  ingress:
  - ports: [{protocol: TCP, port: 8443}, {protocol: TCP, port: 9090}]
    from:
    - namespaceSelector: {matchLabels: {"kubernetes.io/metadata.name": "jobs"}}
      podSelector: {matchLabels: {"job": "nightly", "tier": "batch"}}
    - namespaceSelector: {matchLabels: {"kubernetes.io/metadata.name": "ops"}}
    - namespaceSelector: {matchLabels: {"kubernetes.io/metadata.name": "shop"}}
      podSelector: {matchLabels: {"app": "web"}}
  - ports: [{protocol: TCP, port: 9090}]
    from:
    - namespaceSelector: {matchLabels: {"kubernetes.io/metadata.name": "monitoring"}}
"#;
    assert_eq!(exported.text, expected);
}

#[test]
fn what_is_no_pod_of_the_cluster_is_an_error_that_names_the_rule() {
    let elsewhere = || export().with_trust_domains(["a.org"]);
    for (export, callers, expected) in [
        (export(), Callers::anybody(), "whatever peer"),
        (export(), Callers::authenticated(), "whatever peer"),
        (
            export(),
            id("spiffe://a.org/web"),
            "not known to be of a namespace",
        ),
        (
            elsewhere(),
            id("spiffe://b.org/ns/shop/sa/web"),
            "not known to be of a namespace",
        ),
        (
            export(),
            Callers::anybody().when(Condition::on(Fact::Namespace).one_of(["sh*"])),
            "not known to be of a namespace",
        ),
        (
            export(),
            Callers::anybody().when(Condition::on(Fact::Peer).one_of(["*/sa/web"])),
            "not known to be of a namespace",
        ),
    ] {
        let error = export
            .write(&policy([Rule::allow("it").from(callers)]))
            .unwrap_err();
        assert_eq!(error.rule, "it");
        assert!(error.problem.contains(expected), "{error}");
    }
}

#[test]
fn a_network_is_as_open_as_was_said_and_closed_if_nothing_is_allowed() {
    let exported = export()
        .allow_everywhere()
        .write(&policy([Rule::allow("all")]))
        .unwrap();
    assert!(
        exported
            .text
            .ends_with("  - ports: [{protocol: TCP, port: 8443}, {protocol: TCP, port: 9090}]\n")
    );
    assert!(
        exported
            .notes
            .iter()
            .any(|note| note.contains("everybody may connect"))
    );
    let closed = Policy::builder().allow_nothing().build().unwrap();
    assert!(
        export()
            .write(&closed)
            .unwrap()
            .text
            .ends_with("  ingress: []\n")
    );
}
