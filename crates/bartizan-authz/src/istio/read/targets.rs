//! What an operation of Istio is about, as targets of ours.

use super::{Terms, told};
use crate::condition::{Condition, Fact};
use crate::istio::error::IstioError;
use crate::istio::import::Note;
use crate::istio::tree::Place;
use crate::pattern::PathPattern;
use crate::targets::Targets;

/// The requests of an operation; none if no request is one.
pub(super) fn targets(
    operation: &Place<'_>,
    notes: &mut Vec<Note>,
) -> Result<Option<Targets>, IstioError> {
    let terms = Terms::default();
    let mut targets = Targets::anything();
    let methods = operation.texts("methods")?;
    let is_exact = methods.iter().all(|(_, method)| !method.contains('*'));
    if is_exact {
        for (_, method) in &methods {
            targets = targets.or_method(method);
        }
    }
    for (fact, names) in [
        (
            Fact::Method,
            [if is_exact { "" } else { "methods" }, "notMethods"],
        ),
        (Fact::Authority, ["hosts", "notHosts"]),
        (Fact::DestinationPort, ["ports", "notPorts"]),
    ] {
        if let Some(condition) = terms.condition(fact, operation, names, "")? {
            targets = targets.when(condition);
        }
    }
    let paths = operation.texts("paths")?;
    let (said, is_said) = (paths.len(), !paths.is_empty());
    let paths = absolute(paths, notes);
    if is_said && paths.is_empty() {
        return Ok(None);
    }
    let is_any = said > 0 && paths.iter().any(|(_, path)| *path == "*");
    match patterns(&paths) {
        _ if is_any || !is_said => {}
        Some(patterns) => {
            for pattern in patterns {
                targets = targets.path(&pattern);
            }
        }
        None => targets = targets.when(path_condition(&paths, true)?),
    }
    let others = absolute(operation.texts("notPaths")?, notes);
    match patterns(&others) {
        Some(patterns) => {
            for pattern in patterns {
                targets = targets.except_path(&pattern);
            }
        }
        None => targets = targets.when(path_condition(&others, false)?),
    }
    Ok(Some(targets))
}

type Texts<'d> = Vec<(Place<'d>, &'d str)>;

/// Paths without those that no request has, under Istio either.
fn absolute<'d>(mut paths: Texts<'d>, notes: &mut Vec<Note>) -> Texts<'d> {
    paths.retain(|(place, path)| {
        let can_be = path.starts_with(['/', '*']);
        if !can_be {
            notes.push(Note {
                document: place.document,
                line: place.line,
                text: format!("no path is {path:?}, which does not begin with a slash: left out"),
            });
        }
        can_be
    });
    paths
}

/// The patterns that are the same as these texts, if there are some for all of them.
fn patterns(paths: &Texts<'_>) -> Option<Vec<String>> {
    let mut patterns = Vec::new();
    for (_, path) in paths {
        let open = path.strip_suffix("/*").or(path.strip_suffix("/{**}"));
        let path = open.unwrap_or(path);
        // What is left are templates of another kind, or braces that stand for themselves.
        if path.replace("{*}", "").contains(['*', '{', '}']) {
            return None;
        }
        let path = path.replace("{*}", "{segment}");
        if open.is_some() {
            patterns.push(format!("{path}/"));
            patterns.push(format!("{path}/{{*rest}}"));
        } else {
            patterns.push(path);
        }
    }
    let all = patterns
        .iter()
        .all(|pattern| PathPattern::parse(pattern).is_ok());
    all.then_some(patterns)
}

fn path_condition(paths: &Texts<'_>, positive: bool) -> Result<Condition, IstioError> {
    let mut condition = Condition::on(Fact::Path);
    for (place, path) in paths {
        condition = match positive {
            true => condition.one_of([*path]),
            false => condition.none_of([*path]),
        };
        told(&condition, place)?;
    }
    Ok(condition)
}
