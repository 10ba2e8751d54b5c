//! The dashboard and the alert rules of the repository name what is there, and leave nothing out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use bartizan_core::Outcome;
use bartizan_telemetry::{METRICS, Metric, MetricKind};

/// Metrics that are on no panel, with the reason: none.
const UNUSED: [&str; 0] = [];

/// Labels that Prometheus adds.
const FOREIGN: [&str; 3] = ["instance", "job", "le"];

const KINDS: [&str; 10] = [
    "connection_ended",
    "handshake_completed",
    "handshake_failed",
    "key_changed",
    "policy_changed",
    "source_failed",
    "source_refreshed",
    "started",
    "stopped",
    "subject_forgotten",
];

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

fn read(file: &str) -> String {
    std::fs::read_to_string(docs().join(file)).unwrap()
}

/// Everything that is asked of Prometheus on the dashboard.
fn dashboard() -> Vec<String> {
    fn collect(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(members) => {
                for (name, value) in members {
                    match value.as_str() {
                        Some(text) if name == "expr" => found.push(text.to_owned()),
                        Some(text) if name == "query" && text.contains("bartizan_") => {
                            found.push(text.to_owned());
                        }
                        _ => collect(value, found),
                    }
                }
            }
            serde_json::Value::Array(values) => values.iter().for_each(|it| collect(it, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    let parsed = serde_json::from_str(&read("grafana/dashboard.json")).unwrap();
    collect(&parsed, &mut found);
    found
}

/// The rules: each from its name to the next.
fn alerts() -> Vec<String> {
    let text = read("grafana/alerts.yml");
    let rules = text.split("- alert:").skip(1).map(str::to_owned);
    rules.collect()
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The metrics that a query names, with what stands in the braces behind each.
fn named(query: &str) -> Vec<(&str, &str)> {
    query
        .match_indices("bartizan_")
        .map(|(at, _)| {
            let rest = &query[at..];
            let (name, behind) = rest.split_at(rest.find(|c| !is_word(c)).unwrap_or(rest.len()));
            let labels = behind.strip_prefix('{').and_then(|it| it.split('}').next());
            (name, labels.unwrap_or_default())
        })
        .collect()
}

/// The labels in braces with the values that they are compared with.
fn labels(braces: &str) -> Vec<(&str, Vec<&str>)> {
    let parts = braces.split(", ").filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (label, value) = part.split_once(['=', '!']).unwrap();
            let value = value.trim_start_matches(['=', '~']).trim_matches('"');
            (label, value.split('|').collect())
        })
        .collect()
}

/// The labels that a query groups by.
fn grouped(query: &str) -> Vec<&str> {
    let groups = query.split(" by (").skip(1);
    groups
        .flat_map(|group| group.split(')').next().unwrap().split(", "))
        .collect()
}

fn metric(name: &str) -> Option<Metric> {
    let histogram = ["_bucket", "_sum", "_count"];
    let base = histogram.iter().find_map(|end| name.strip_suffix(end));
    METRICS.into_iter().find(|metric| {
        let is_histogram = metric.kind == MetricKind::Histogram;
        metric.name == name && !is_histogram || is_histogram && base == Some(metric.name)
    })
}

/// What is wrong with a query.
fn faults(query: &str, codes: &BTreeSet<String>) -> Vec<String> {
    let outcomes = [
        Outcome::Allowed,
        Outcome::CouldNotDecide,
        Outcome::Denied,
        Outcome::WouldHaveDenied,
    ];
    let mut faults = Vec::new();
    let mut of_metrics: Vec<&str> = FOREIGN.to_vec();
    for (name, braces) in named(query) {
        let Some(metric) = metric(name) else {
            faults.push(format!("there is no metric {name}"));
            continue;
        };
        of_metrics.extend(metric.labels);
        for (label, values) in labels(braces) {
            if !metric.labels.contains(&label) && !FOREIGN.contains(&label) {
                faults.push(format!("{name} has no label {label}"));
            }
            for value in values {
                let is_known = match label {
                    "code" => codes.contains(value),
                    "kind" => KINDS.contains(&value),
                    "mode" => ["enforce", "shadow"].contains(&value),
                    "outcome" => outcomes.iter().any(|it| it.as_str() == value),
                    _ => true,
                };
                if !is_known {
                    faults.push(format!("{label} is never {value}"));
                }
            }
        }
    }
    for label in grouped(query) {
        if !of_metrics.contains(&label) {
            faults.push(format!("nothing here has a label {label}"));
        }
    }
    faults
}

/// The codes of `docs/CODES.md`; `true` for those of events.
fn codes() -> Vec<(String, bool)> {
    let list = read("CODES.md");
    let rows = list.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|');
        let code = cells.next()?.trim().trim_end_matches('`').to_owned();
        Some((code, cells.next()?.trim() == "event"))
    });
    rows.collect()
}

fn code_names() -> BTreeSet<String> {
    codes().into_iter().map(|(code, _)| code).collect()
}

#[test]
fn every_query_names_what_there_is() {
    let codes = code_names();
    assert!(codes.len() > 100, "the list of codes is read");
    let queries: Vec<String> = dashboard().into_iter().chain(alerts()).collect();
    assert!(
        queries.len() > 40,
        "the queries are read: {}",
        queries.len()
    );
    for query in queries {
        assert_eq!(faults(&query, &codes), Vec::<String>::new(), "{query}");
    }
}

#[test]
fn a_query_that_names_what_there_is_not_is_found() {
    let codes = code_names();
    let check = |query: &str, expected: &str| {
        assert_eq!(faults(query, &codes), [expected], "{query}");
    };
    check(
        "rate(bartizan_decision_total[5m])",
        "there is no metric bartizan_decision_total",
    );
    check(
        "rate(bartizan_request_duration_seconds[5m])",
        "there is no metric bartizan_request_duration_seconds",
    );
    check(
        r#"bartizan_decisions_total{job="a", peer="b"}"#,
        "bartizan_decisions_total has no label peer",
    );
    check(
        r#"bartizan_decisions_total{code=~"jwt.expired|jwt.exspired"}"#,
        "code is never jwt.exspired",
    );
    check(
        r#"bartizan_decisions_total{outcome="refused"}"#,
        "outcome is never refused",
    );
    check(
        r#"bartizan_lifecycle_events_total{kind="began"}"#,
        "kind is never began",
    );
    check(
        "sum by (job, rout) (bartizan_decisions_total)",
        "nothing here has a label rout",
    );
}

#[test]
fn every_metric_is_on_a_panel() {
    let queries = dashboard();
    let shown: BTreeSet<&str> = queries
        .iter()
        .flat_map(|query| named(query))
        .filter_map(|(name, _)| metric(name))
        .map(|metric| metric.name)
        .collect();
    for metric in METRICS {
        let expected = !UNUSED.contains(&metric.name);
        assert_eq!(shown.contains(metric.name), expected, "{metric}");
    }
}

#[test]
fn every_kind_of_event_and_every_label_is_on_a_panel() {
    let queries = dashboard();
    for kind in KINDS {
        let asked = format!(r#"kind="{kind}""#);
        assert!(queries.iter().any(|query| query.contains(&asked)), "{kind}");
    }
    for metric in METRICS {
        for label in metric.labels {
            let is_grouped = |query: &&String| grouped(query).contains(label);
            let is_asked = |query: &&String| query.contains(&format!("{label}=\""));
            let mut of_metric = queries.iter().filter(|it| it.contains(metric.name));
            assert!(
                of_metric.any(|it| is_grouped(&it) || is_asked(&it)),
                "{metric}: {label}"
            );
        }
    }
}

/// `docs/OPERATIONS.md` says of each event what it means and what to do.
#[test]
fn every_event_is_explained_to_operators() {
    let page = read("OPERATIONS.md");
    for (code, is_event) in codes() {
        if is_event {
            let row = format!("`{code}`");
            assert!(
                page.contains(&row),
                "docs/OPERATIONS.md does not explain {code}"
            );
        }
    }
}

#[test]
fn every_alert_leads_to_a_section_that_exists() {
    let page = read("OPERATIONS.md");
    let anchors: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .map(|title| {
            let title = title.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| is_word(*c) || " -".contains(*c));
            kept.collect::<String>().replace(' ', "-")
        })
        .collect();
    let rules = alerts();
    assert!(rules.len() > 15, "the rules are read: {}", rules.len());
    for rule in rules {
        let name = rule.lines().next().unwrap().trim();
        let runbook = rule.split("runbook: docs/OPERATIONS.md#").nth(1);
        let anchor = runbook
            .and_then(|it| it.split_whitespace().next())
            .unwrap_or_default();
        assert!(
            anchors.contains(anchor),
            "{name}: no section #{anchor} in OPERATIONS.md"
        );
        assert!(
            rule.contains("severity: page") || rule.contains("severity: ticket"),
            "{name}"
        );
    }
}

/// Whether there is a promtool; a pipeline has to have one.
fn has_promtool() -> bool {
    let found = Command::new("promtool").arg("--version").output().is_ok();
    if !found {
        let required = std::env::var_os("BARTIZAN_REQUIRE_SERVERS").is_some();
        assert!(!required, "promtool is not installed (Debian: prometheus)");
        eprintln!("promtool is not installed: nothing is tried with it");
    }
    found
}

fn promtool(arguments: &[&str], folder: &Path) {
    let output = Command::new("promtool")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}{complained}");
}

#[test]
fn promtool_takes_the_rules_and_they_fire_when_they_should() {
    if has_promtool() {
        let folder = docs().join("grafana");
        promtool(&["check", "rules", "alerts.yml"], &folder);
        promtool(&["test", "rules", "alerts.test.yml"], &folder);
    }
}

#[test]
fn promtool_reads_every_query_of_the_dashboard() {
    if !has_promtool() {
        return;
    }
    let mut rules = "groups:\n- name: dashboard\n  rules:\n".to_owned();
    let queries = dashboard()
        .into_iter()
        .filter(|it| !it.starts_with("label_values"));
    for (number, query) in queries.enumerate() {
        let query = query
            .replace("$__rate_interval", "5m")
            .replace("$job", ".*");
        rules += &format!("  - record: panel:{number}\n    expr: |\n      {query}\n");
    }
    let folder = std::env::temp_dir();
    let file = format!("bartizan-dashboard-{}.yml", std::process::id());
    std::fs::write(folder.join(&file), rules).unwrap();
    promtool(&["check", "rules", &file], &folder);
    std::fs::remove_file(folder.join(&file)).unwrap();
}
