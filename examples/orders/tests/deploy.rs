//! The files of `deploy/` promise what their README says, and fit the flags of orders.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected should panic"
)]

use std::path::{Path, PathBuf};

use bartizan_source::yaml::{Node, Value, parse};
use clap::{CommandFactory as _, Parser as _};
use orders::Config;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

/// All manifests, one behind the other.
fn manifests() -> String {
    let mut files: Vec<_> = std::fs::read_dir(folder().join("kubernetes"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let texts = files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap());
    texts.collect::<Vec<_>>().join("---\n")
}

/// What is at a path of member names and numbers, such as `spec/containers/0`.
fn at<'n>(node: &'n Node, path: &str) -> Option<&'n Node> {
    path.split('/')
        .try_fold(node, |node, step| match &node.value {
            Value::List(items) => items.get(step.parse::<usize>().ok()?),
            _ => node.member(step),
        })
}

fn text(node: &Node, path: &str) -> String {
    match at(node, path).map(|node| &node.value) {
        Some(Value::Text(text)) => text.clone(),
        Some(Value::Integer(number)) => number.to_string(),
        Some(Value::Boolean(boolean)) => boolean.to_string(),
        Some(Value::List(items)) => {
            let items = items.iter().map(|item| match &item.value {
                Value::Text(text) => text.as_str(),
                _ => "?",
            });
            format!("[{}]", items.collect::<Vec<_>>().join(", "))
        }
        Some(other) => other.kind().to_owned(),
        None => "absent".to_owned(),
    }
}

fn of_kind<'d>(documents: &'d [Node], kind: &str) -> Vec<&'d Node> {
    let of_kind = documents.iter().filter(|node| text(node, "kind") == kind);
    of_kind.collect()
}

const POD: &str = "spec/template/spec";
const CONTAINER: &str = "spec/template/spec/containers/0";

/// What the deployment must say, word for word.
const DEPLOYMENT: [(&str, &str, &str); 23] = [
    (POD, "automountServiceAccountToken", "false"),
    (POD, "hostNetwork", "false"),
    (POD, "hostPID", "false"),
    (POD, "hostIPC", "false"),
    (POD, "serviceAccountName", "orders"),
    (POD, "securityContext/runAsNonRoot", "true"),
    (POD, "securityContext/runAsUser", "65532"),
    (POD, "securityContext/runAsGroup", "65532"),
    (POD, "securityContext/seccompProfile/type", "RuntimeDefault"),
    (POD, "containers/1", "absent"),
    (POD, "initContainers", "absent"),
    (
        CONTAINER,
        "securityContext/allowPrivilegeEscalation",
        "false",
    ),
    (CONTAINER, "securityContext/privileged", "false"),
    (CONTAINER, "securityContext/readOnlyRootFilesystem", "true"),
    (CONTAINER, "securityContext/capabilities/drop", "[ALL]"),
    (CONTAINER, "securityContext/capabilities/add", "absent"),
    (CONTAINER, "resources/requests/cpu", "100m"),
    (CONTAINER, "resources/requests/memory", "64Mi"),
    (CONTAINER, "resources/limits/memory", "128Mi"),
    (CONTAINER, "startupProbe/tcpSocket/port", "https"),
    (CONTAINER, "readinessProbe/tcpSocket/port", "https"),
    (CONTAINER, "livenessProbe/tcpSocket/port", "https"),
    (CONTAINER, "command", "absent"),
];

/// What is wrong with these manifests.
fn problems(manifests: &str) -> Vec<String> {
    let documents = match parse(manifests) {
        Ok(documents) => documents,
        Err(error) => return vec![error.to_string()],
    };
    let mut problems = Vec::new();
    let mut expect = |what: &str, found: String, expected: &str| {
        if found != expected {
            problems.push(format!("{what} is {found}, not {expected}"));
        }
    };
    let kinds = documents.iter().map(|node| text(node, "kind"));
    let mut kinds: Vec<_> = kinds.collect();
    kinds.sort();
    let expected = "ConfigMap ConfigMap Deployment Namespace NetworkPolicy NetworkPolicy \
                    PodDisruptionBudget Role RoleBinding Service ServiceAccount";
    expect("what is there", kinds.join(" "), expected);
    for node in &documents {
        if text(node, "kind") != "Namespace" {
            expect("a namespace", text(node, "metadata/namespace"), "shop");
        }
    }
    let only = |kind: &str| of_kind(&documents, kind).first().copied();

    let Some(deployment) = only("Deployment") else {
        return vec!["there is no deployment".to_owned()];
    };
    for (place, name, expected) in DEPLOYMENT {
        let path = format!("{place}/{name}");
        expect(&path, text(deployment, &path), expected);
    }
    // Volumes are secrets of the node's, and no path of the node is among them.
    let volumes = at(deployment, &format!("{POD}/volumes"));
    let Some(Value::List(volumes)) = volumes.map(|node| &node.value) else {
        return vec!["there are no volumes".to_owned()];
    };
    for volume in volumes {
        let name = text(volume, "name");
        expect(
            &format!("a path of the node in {name}"),
            text(volume, "hostPath"),
            "absent",
        );
    }
    let mounts = at(deployment, &format!("{CONTAINER}/volumeMounts"));
    if let Some(Value::List(mounts)) = mounts.map(|node| &node.value) {
        for mount in mounts {
            expect(&text(mount, "mountPath"), text(mount, "readOnly"), "true");
        }
    }
    let image = text(deployment, &format!("{CONTAINER}/image"));
    let digest = image.split_once("@sha256:").map(|(_, digest)| digest.len());
    expect("the image's digest", format!("{digest:?}"), "Some(64)");

    if let Some(account) = only("ServiceAccount") {
        let token = text(account, "automountServiceAccountToken");
        expect("the account's token", token, "false");
    }
    if let Some(namespace) = only("Namespace") {
        let labels = at(namespace, "metadata/labels").expect("labels");
        let level = labels.member("pod-security.kubernetes.io/enforce");
        let level = level.map(|node| node.value.clone());
        let expected = Some(Value::Text("restricted".to_owned()));
        expect(
            "the namespace's level",
            format!("{level:?}"),
            &format!("{expected:?}"),
        );
    }
    let selects = |node: &Node| text(node, "spec/podSelector/matchLabels/app");
    let policies = of_kind(&documents, "NetworkPolicy");
    let closed = policies.iter().find(|node| selects(node) == "absent");
    let closed = closed.map(|node| {
        let rules = [text(node, "spec/ingress"), text(node, "spec/egress")].join(" ");
        format!("{} {rules}", text(node, "spec/policyTypes"))
    });
    let expected = "[Ingress, Egress] absent absent";
    expect("the default", closed.unwrap_or_default(), expected);
    let own = policies.iter().find(|node| selects(node) == "orders");
    if let Some(own) = own {
        expect(
            "both ways",
            text(own, "spec/policyTypes"),
            "[Ingress, Egress]",
        );
        let from = text(own, "spec/ingress/0/from/0/podSelector/matchLabels/app");
        expect("who may come", from, "web");
        expect(
            "and nobody else",
            text(own, "spec/ingress/0/from/1"),
            "absent",
        );
        expect("and no further rule", text(own, "spec/ingress/1"), "absent");
        let port = text(own, "spec/ingress/0/ports/0/port");
        expect(
            "where",
            port,
            &text(deployment, &format!("{CONTAINER}/ports/0/containerPort")),
        );
        for (number, port) in ["8444", "443", "53"].into_iter().enumerate() {
            let rule = format!("spec/egress/{number}");
            expect(&rule, text(own, &format!("{rule}/ports/0/port")), port);
            let to = at(own, &format!("{rule}/to/0")).is_some();
            expect(&format!("a goal of {rule}"), to.to_string(), "true");
        }
        expect("a fourth way out", text(own, "spec/egress/3"), "absent");
    }
    problems
}

#[test]
fn the_manifests_keep_what_their_readme_promises() {
    assert_eq!(problems(&manifests()), Vec::<String>::new());
}

#[test]
fn a_manifest_that_gives_something_up_is_noticed() {
    let good = manifests();
    for (from, to) in [
        ("runAsNonRoot: true", "runAsNonRoot: false"),
        ("        runAsNonRoot: true\n", ""),
        ("runAsUser: 65532", "runAsUser: 0"),
        ("type: RuntimeDefault", "type: Unconfined"),
        (
            "readOnlyRootFilesystem: true",
            "readOnlyRootFilesystem: false",
        ),
        ("drop: [ALL]", "drop: [NET_RAW]"),
        ("drop: [ALL]", "drop: [ALL]\n              add: [SYS_ADMIN]"),
        (
            "allowPrivilegeEscalation: false",
            "allowPrivilegeEscalation: true",
        ),
        (
            "automountServiceAccountToken: false\n      host",
            "automountServiceAccountToken: true\n      host",
        ),
        ("hostNetwork: false", "hostNetwork: true"),
        ("memory: 128Mi", "memory: 128Gi"),
        (
            "configMap:\n            name: orders-issuer",
            "hostPath:\n            path: /",
        ),
        ("@sha256:0000", ":latest"),
        (
            "readOnly: true\n          resources",
            "readOnly: false\n          resources",
        ),
        ("enforce: restricted", "enforce: baseline"),
        (
            "podSelector: {}\n  policyTypes: [Ingress, Egress]",
            "podSelector: {}\n  policyTypes: [Ingress]",
        ),
        ("app: web\n", "app: anybody\n"),
        (
            "- podSelector:\n            matchLabels:\n              app: web",
            "- podSelector: {}",
        ),
        ("    # Names\n    - to:", "    - {}\n    # Names\n    - to:"),
        ("kind: PodDisruptionBudget", "kind: Job"),
        (
            "  namespace: shop\nspec:\n  selector:\n    app",
            "spec:\n  selector:\n    app",
        ),
    ] {
        assert!(good.contains(from), "{from}");
        let bad = good.replacen(from, to, 1);
        assert_ne!(problems(&bad), Vec::<String>::new(), "{to}");
    }
}

#[test]
fn orders_understands_what_it_is_told() {
    let documents = parse(&manifests()).unwrap();
    let deployment = of_kind(&documents, "Deployment")[0];
    let mut settings = Vec::new();
    for map in of_kind(&documents, "ConfigMap") {
        let Value::Map(members) = &at(map, "data").unwrap().value else {
            panic!("no settings");
        };
        for member in members
            .iter()
            .filter(|member| member.name.starts_with("ORDERS_"))
        {
            settings.push((
                member.name.clone(),
                text(map, &format!("data/{}", member.name)),
            ));
        }
    }
    let variables = at(deployment, &format!("{CONTAINER}/env")).unwrap();
    let Value::List(variables) = &variables.value else {
        panic!("no variables");
    };
    for variable in variables {
        settings.push((text(variable, "name"), text(variable, "value")));
    }

    let command = Config::command();
    let mut arguments = vec!["orders".to_owned()];
    for (name, value) in &settings {
        let flag = command.get_arguments().find(|flag| {
            let variable = flag.get_env();
            variable.is_some_and(|variable| variable.to_str() == Some(name))
        });
        let flag = flag.unwrap_or_else(|| panic!("orders does not know {name}"));
        let value = value.replace("$(PAYMENTS_SERVICE_HOST)", "10.96.0.7");
        let value = value.replace("$(PAYMENTS_SERVICE_PORT)", "8444");
        arguments.push(format!("--{}={value}", flag.get_long().unwrap()));
    }
    let config = Config::try_parse_from(arguments).unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:8443");
    assert_eq!(config.payments.to_string(), "10.96.0.7:8444");
    // Every path is below something that is mounted.
    let mounts = ["/run/spiffe/", "/run/issuer/"];
    for path in [
        config.certificate,
        config.key,
        config.bundle,
        config.issuer_bundle,
    ] {
        let path = path.to_str().unwrap().to_owned();
        assert!(mounts.iter().any(|mount| path.starts_with(mount)), "{path}");
    }
    // Nothing that a developer's machine has is left to a default.
    for flag in command.get_arguments() {
        let defaults = flag.get_default_values().iter();
        let local = |value: &std::ffi::OsStr| {
            let value = value.to_string_lossy();
            value.contains("target/demo") || value.contains("127.0.0.1")
        };
        let is_local = defaults.map(std::ops::Deref::deref).any(local);
        let Some(variable) = flag.get_env().and_then(|name| name.to_str()) else {
            continue;
        };
        // Without Redis there is no secret to share.
        if is_local && variable != "ORDERS_FLEET_SECRET" {
            let told = settings.iter().any(|(name, _)| name == variable);
            assert!(told, "{variable} is left to its default");
        }
    }
}

#[test]
fn the_image_has_nothing_but_the_binary_and_is_not_root() {
    let text = std::fs::read_to_string(folder().join("Dockerfile")).unwrap();
    let lines = text.lines().map(str::trim);
    let lines: Vec<_> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let last = lines
        .iter()
        .rposition(|line| line.starts_with("FROM "))
        .unwrap();
    assert_eq!(
        lines[last..],
        [
            "FROM scratch",
            "COPY --from=build /image/ /",
            "USER 65532:65532",
            "EXPOSE 8443",
            "STOPSIGNAL SIGTERM",
            "ENTRYPOINT [\"/orders\"]",
        ]
    );
    for line in &lines[..last] {
        let word = line.split_whitespace().next().unwrap();
        assert_ne!(word, "ADD", "it fetches and unpacks: {line}");
        assert!(!line.contains("curl") && !line.contains("| sh"), "{line}");
        if word == "FROM" {
            assert!(line.contains(':') && !line.contains(":latest"), "{line}");
        }
    }
    assert!(
        lines
            .iter()
            .any(|line| line.contains("cargo build --locked --release"))
    );
    // What the build is for, the install takes.
    let target = "$(uname -m)-unknown-linux-musl";
    let for_it = lines.iter().filter(|line| line.contains(target));
    assert_eq!(for_it.count(), 3, "added, built for, installed from");
    let user = manifests().contains("runAsUser: 65532");
    assert!(user, "image and manifests speak of the same user");

    let ignored = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.dockerignore");
    let ignored = std::fs::read_to_string(ignored).unwrap();
    let mut rules = ignored.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(rules.next(), Some("*"), "what is not named stays outside");
    let rules: Vec<_> = rules.collect();
    for rule in ["!Cargo.lock", "!crates", "**/target", "**/*.pem"] {
        assert!(rules.contains(&rule), "{rule}");
    }
    assert!(!rules.contains(&"!.git"));
    // Cargo wants the manifest of every member, even of those that are not built.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let root = std::fs::read_to_string(root).unwrap();
    let members = root.lines().find(|line| line.starts_with("members = "));
    let members: Vec<_> = members.unwrap().split('"').skip(1).step_by(2).collect();
    assert!(members.contains(&"crates/*"), "{members:?}");
    for member in members {
        let member = member.trim_end_matches("/*");
        let is_there = |rule: &&str| {
            let rule = rule.strip_prefix('!');
            rule.is_some_and(|rule| Path::new(member).starts_with(rule))
        };
        assert!(rules.iter().any(is_there), "{member} stays outside");
    }
}
