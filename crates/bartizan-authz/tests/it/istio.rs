//! Policies of Istio, read.

mod export;
mod mutations;
mod tables;
mod vectors;

use bartizan_authz::{Imported, IstioError, IstioErrorKind, IstioImport, Unmatched};

/// A policy with this specification, in YAML that is indented by two.
pub(crate) fn document(spec: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata:\n  name: p\n  \
         namespace: shop\nspec:\n{spec}\n"
    )
}

pub(crate) fn read(spec: &str) -> Result<Imported, IstioError> {
    IstioImport::new().deny_unmatched().read(&document(spec))
}

fn refused(spec: &str) -> IstioError {
    read(spec).unwrap_err()
}

#[test]
fn what_is_not_known_is_an_error_with_document_line_and_member() {
    let mut wrong = Vec::new();
    let mut check = |spec: &str, expected: &str| {
        let error = refused(spec).to_string();
        if !error.contains(expected) {
            wrong.push(format!("{spec}\n{error}"));
        }
    };
    check(
        "  acton: DENY",
        "document 1, line 7, spec.acton: unknown member",
    );
    check(
        "  action: BLOCK",
        "line 6, spec: action \"BLOCK\" is not known",
    );
    check(
        "  action: CUSTOM\n  provider: {name: x}",
        "not supported: action CUSTOM",
    );
    check("  rules: {}", "spec.rules: a map where a list should be");
    check(
        "  rules:\n  - form: []",
        "line 8, spec.rules[0].form: unknown member; known here are from, to, when",
    );
    check("  rules:\n  - from: [{}]", "`source` has to say something");
    check(
        "  rules:\n  - from: [{source: {}}]",
        "`source` has to say something",
    );
    check(
        "  rules:\n  - from: [{source: {principals: []}}]",
        "`source` has to say something",
    );
    check(
        "  rules:\n  - to: [{operation: {paths: [], methods: }}]",
        "`operation` has to say something",
    );
    check(
        "  rules:\n  - to: [{operation: {}}]",
        "`operation` has to say something",
    );
    check(
        "  rules:\n  - from: [{source: {principal: [a]}}]",
        "spec.rules[0].from[0].source.principal: unknown",
    );
    check(
        "  rules:\n  - to: [{operation: {ports: [80]}}]",
        "operation.ports[0]: a number where a text",
    );
    check(
        "  rules:\n  - to: [{operation: {ports: ['x']}}]",
        "operation.ports[0]: \"x\": not a port number",
    );
    check(
        "  rules:\n  - to: [{operation: {paths: ['/a/{*}.txt']}}]",
        "paths[0]: \"/a/{*}.txt\": a template",
    );
    check(
        "  rules:\n  - to: [{operation: {paths: ['/a/{x}']}}]",
        "paths[0]: \"/a/{x}\": a template",
    );
    check(
        "  rules:\n  - to: [{operation: {paths: ['/a/../b']}}]",
        "no canonical path",
    );
    check(
        "  rules:\n  - to: [{operation: {notPaths: ['/a//b']}}]",
        "no canonical path",
    );
    check(
        "  rules:\n  - from: [{source: {ipBlocks: ['10.0.0.0/99']}}]",
        "ipBlocks[0]",
    );
    check(
        "  rules:\n  - when: [{values: [a]}]",
        "a condition has a `key`",
    );
    check(
        "  rules:\n  - when: [{key: source.ip}]",
        "has `values` or `notValues`",
    );
    check(
        "  rules:\n  - when: [{key: source.up, values: [a]}]",
        "when[0].key: the key \"source.up\" is not known",
    );
    check(
        "  rules:\n  - when: [{key: 'experimental.envoy.filters.a[b]', values: [a]}]",
        "metadata of Envoy",
    );
    check(
        "  rules:\n  - when: [{key: 'request.headers[:path]', values: [a]}]",
        "pseudo header",
    );
    check(
        "  rules:\n  - when: [{key: 'request.headers[host]', values: [a]}]",
        "pseudo header",
    );
    check(
        "  rules:\n  - when: [{key: request.headers, values: [a]}]",
        "`request.headers[name]`",
    );
    check(
        "  rules:\n  - when: [{key: 'request.auth.claims', values: [a]}]",
        "`request.auth.claims[name]`",
    );
    check(
        "  rules:\n  - when: [{key: 'request.headers[a b]', values: [a]}]",
        "is no name",
    );
    check(
        "  action: DENY\n  action: ALLOW",
        "line 8, `action` is there already",
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));

    let other = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n";
    let two = format!("{}---\n{other}", document("  rules: [{}]"));
    let error = IstioImport::new().read(&two).unwrap_err();
    assert_eq!((error.document, error.line), (2, 9));
    assert!(matches!(error.kind, IstioErrorKind::NotAPolicy(_)));
}

#[test]
fn a_policy_of_some_workloads_is_read_for_one_of_them() {
    let bound = document("  selector:\n    matchLabels: {app: orders}\n  rules: [{}]");
    let open = document("  rules: [{}]").replace("name: p", "name: q");
    let target = "  targetRefs: [{kind: Service, group: \"\", name: orders}]\n  rules: [{}]";
    let target = document(target).replace("name: p", "name: t");
    let root = document("  rules: [{}]")
        .replace("name: p", "name: r")
        .replace("namespace: shop", "namespace: istio-system");
    let all = format!("{bound}---\n{open}---\n{target}---\n{root}");
    let error = IstioImport::new().read(&all).unwrap_err();
    assert_eq!(error.kind, IstioErrorKind::Workload);
    assert_eq!(error.path, "spec.selector");

    let names = |import: IstioImport| {
        let imported = import.deny_unmatched().read(&all).unwrap();
        let names: Vec<_> = imported
            .policy
            .rules()
            .map(|it| it.name().to_owned())
            .collect();
        (names.join(" "), imported.notes.len())
    };
    let orders = || IstioImport::new().for_workload("shop", [("app", "orders"), ("v", "1")]);
    let (found, notes) = names(orders().for_service("orders"));
    assert_eq!(
        (&*found, notes),
        ("shop/p[0] shop/q[0] shop/t[0] istio-system/r[0]", 0)
    );
    let (found, _) = names(orders().for_service("payments"));
    assert_eq!(found, "shop/p[0] shop/q[0] istio-system/r[0]");
    let other = IstioImport::new()
        .for_workload("shop", [("app", "web")])
        .for_service("web");
    let (found, notes) = names(other);
    assert_eq!((&*found, notes), ("shop/q[0] istio-system/r[0]", 2));
    let elsewhere = IstioImport::new().for_workload("bank", [("app", "orders")]);
    let (found, _) = names(
        elsewhere
            .for_service("orders")
            .with_root_namespace("istio-system"),
    );
    assert_eq!(found, "istio-system/r[0]");
    let (found, notes) = names(IstioImport::new().for_any_workload());
    assert_eq!((found.split(' ').count(), notes), (4, 0));
    // Whether a service is meant cannot be told where it was not said.
    let error = orders().read(&all).unwrap_err();
    assert_eq!((error.kind, error.document), (IstioErrorKind::Workload, 3));
}

#[test]
fn what_no_policy_speaks_of_is_decided_by_whoever_imports() {
    let denial = document("  action: DENY\n  rules: [{to: [{operation: {methods: [PUT]}}]}]");
    let error = IstioImport::new().read(&denial).unwrap_err();
    assert_eq!(error.kind, IstioErrorKind::NoAllowPolicy);
    let facts = bartizan_authz::Facts::new("GET", "/");
    let decide = |imported: &Imported| {
        let ruling = imported.policy.decide(&facts, &mut |_| {});
        (
            imported.unmatched,
            matches!(ruling, bartizan_authz::Ruling::Allowed(_)),
        )
    };
    let open = IstioImport::new().allow_unmatched().read(&denial).unwrap();
    assert_eq!(decide(&open), (Unmatched::Allowed, true));
    assert!(
        open.notes[0]
            .to_string()
            .contains("whatever is not denied is allowed")
    );
    let closed = IstioImport::new().deny_unmatched().read(&denial).unwrap();
    assert_eq!(decide(&closed), (Unmatched::Denied, false));
    assert!(
        closed.notes[0]
            .to_string()
            .contains("every request will be refused")
    );

    // One policy that allows closes the rest, whatever was said, also if it allows nothing.
    for spec in [
        "",
        "  action: ALLOW",
        "  rules: [{to: [{operation: {methods: [PUT]}}]}]",
    ] {
        let both = format!(
            "{denial}---\n{}",
            document(spec).replace("name: p", "name: q")
        );
        let imported = IstioImport::new().allow_unmatched().read(&both).unwrap();
        assert_eq!(decide(&imported), (Unmatched::Denied, false), "{spec}");
    }
}

#[test]
fn what_does_not_decide_is_noted() {
    let check = |spec: &str, annotations: &str, rules: usize, expected: &str| {
        let text = document(spec);
        let text = text.replace("spec:", &format!("  annotations: {annotations}\nspec:"));
        let imported = IstioImport::new().deny_unmatched().read(&text).unwrap();
        assert_eq!(imported.policy.rules().count(), rules, "{spec}");
        let notes: Vec<_> = imported.notes.iter().map(ToString::to_string).collect();
        assert!(notes.concat().contains(expected), "{spec}: {notes:?}");
    };
    check(
        "  action: AUDIT\n  rules: [{}]",
        "{}",
        0,
        "AUDIT, which decides nothing",
    );
    let dry = "{istio.io/dry-run: 'true'}";
    check(
        "  rules: [{}]",
        dry,
        0,
        "is a dry run, which allows nothing",
    );
    check("  action: DENY\n  rules: [{}]", dry, 1, "");
    check(
        "  rules:\n  - to: [{operation: {paths: [orders]}}]",
        "{}",
        0,
        "does not begin with a slash",
    );
    check("  action: DENY", "{}", 0, "it denies nothing");
}

#[test]
fn a_dry_run_of_a_denial_is_one_in_shadow() {
    let text = document("  action: DENY\n  rules: [{}]");
    let text = text.replace("spec:", "  annotations: {istio.io/dry-run: 'true'}\nspec:");
    let imported = IstioImport::new().allow_unmatched().read(&text).unwrap();
    let mut seen = Vec::new();
    let facts = bartizan_authz::Facts::new("GET", "/");
    let ruling = imported
        .policy
        .decide(&facts, &mut |rule| seen.push(rule.to_string()));
    assert!(matches!(ruling, bartizan_authz::Ruling::Allowed(_)));
    assert_eq!(seen, ["shop/p[0]"]);
}

#[test]
fn lists_of_kubectl_are_read_and_empty_documents_are_none() {
    let item = document("  rules: [{}]").replace('\n', "\n  ");
    let list = format!("---\n---\nkind: List\napiVersion: v1\nitems:\n- {item}\n");
    let imported = IstioImport::new().read(&list).unwrap();
    assert_eq!(imported.policy.rules().count(), 1);
}
