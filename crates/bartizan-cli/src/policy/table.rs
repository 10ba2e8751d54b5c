//! `bartizan policy test`: expected decisions, held against a policy.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use bartizan::authz::Policy;
use bartizan::source::yaml::{Node, Value as Yaml, parse};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::query::Query;
use super::{read, told};
use crate::output::{Output, Text};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(rename = "case")]
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    expect: Expectation,
    /// The rule that is to decide it.
    rule: Option<String>,
    request: Query,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Expectation {
    Allow,
    Deny,
    Unauthenticated,
}

impl Expectation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Unauthenticated => "unauthenticated",
        }
    }
}

pub(super) fn run(policy: &Policy, path: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let table = load(path).with_context(|| format!("{} is no table of cases", path.display()))?;
    if table.cases.is_empty() {
        bail!("{} has no cases", path.display());
    }
    let (mut lines, mut cases, mut wrong) = (Vec::new(), Vec::new(), 0);
    for case in &table.cases {
        let explanation = case.request.ask(|facts| policy.explain(facts));
        let explanation = explanation.with_context(|| format!("case {:?}", case.name))?;
        let (got, rule) = told(&explanation.ruling);
        // Whoever proved nothing is refused, whatever else it is called.
        let same = got == case.expect.as_str()
            || (case.expect == Expectation::Deny && got == "unauthenticated");
        let passed = same && (case.rule.is_none() || case.rule.as_deref() == rule);
        cases.push(json!({
            "name": case.name, "passed": passed, "expected": case.expect.as_str(),
            "expected_rule": case.rule, "got": got, "rule": rule,
        }));
        if passed {
            continue;
        }
        wrong += 1;
        let by = |rule: Option<&str>| rule.map(|it| format!(" by {it:?}")).unwrap_or_default();
        lines.push(format!("{}: {}", case.name, case.request.told()));
        lines.push(format!(
            "  - {}{}",
            case.expect.as_str(),
            by(case.rule.as_deref())
        ));
        lines.push(format!("  + {got}{}", by(rule)));
        // What is nearest to the expected decision is what one wants to look at.
        for tried in &explanation.rules {
            let is_wanted = case.rule.as_deref().is_some_and(|it| *it == *tried.rule);
            if is_wanted && !tried.applies() {
                lines.push(format!(
                    "    {:?} lacks {}",
                    tried.rule,
                    tried.misses.join("; ")
                ));
            }
        }
    }
    let all = table.cases.len();
    lines.push(match wrong {
        0 => format!("all {all} cases are decided as expected"),
        _ => format!("{wrong} of {all} cases are decided otherwise"),
    });
    let output = Output {
        text: Text::Lines(lines),
        json: json!({"passed": all - wrong, "failed": wrong, "cases": cases}),
    };
    output.print(json)?;
    Ok(ExitCode::from(u8::from(wrong > 0)))
}

fn load(path: &Path) -> anyhow::Result<Table> {
    let text = read(path)?;
    let is_yaml = path
        .extension()
        .is_some_and(|it| it == "yaml" || it == "yml");
    if !is_yaml {
        return Ok(toml::from_str(&text)?);
    }
    match parse(&text)?.as_slice() {
        [document] => Ok(serde_json::from_value(value(document))?),
        documents => bail!("it has {} documents, and should have one", documents.len()),
    }
}

/// YAML as JSON, which it is a way of writing.
fn value(node: &Node) -> Value {
    match &node.value {
        Yaml::Null => Value::Null,
        Yaml::Boolean(value) => (*value).into(),
        Yaml::Integer(value) => (*value).into(),
        Yaml::Float(value) => (*value).into(),
        Yaml::Text(value) => value.as_str().into(),
        Yaml::List(list) => list.iter().map(value).collect(),
        Yaml::Map(members) => {
            let members = members.iter().map(|it| (it.name.clone(), value(&it.node)));
            Value::Object(members.collect::<Map<_, _>>())
        }
    }
}
