//! Targets of ours, as operations of Istio.

use crate::istio::lower::plain;
use crate::istio::write::Operation;
use crate::pattern::{PathPattern, Segment};
use crate::rule::{Effect, Rule};
use crate::targets::Targets;

/// The operations of which a request is one if it is one of these targets.
pub(super) fn operations(rule: &Rule, targets: &Targets) -> Result<Vec<Operation>, String> {
    let loosely = rule.reading().is_loose();
    let mut base = Operation::default();
    for method in &targets.methods {
        base.methods.push(plain(method)?);
        // Istio compares them as they are written, and it is this way that they are sent.
        let upper = method.to_ascii_uppercase();
        if loosely && *upper != **method {
            base.methods.push(upper);
        }
    }
    // A denial of one is one of both.
    let mut methods = targets.methods.iter();
    if loosely && methods.any(|method| method.eq_ignore_ascii_case("GET")) {
        base.methods.push("HEAD".to_owned());
    }
    hosts(targets, &mut base)?;
    let mut further = Vec::new();
    for pattern in &targets.except_paths {
        // Exceptions from what is allowed count for every spelling, those from denials do not.
        if rule.effect == Effect::Allow && !rule.exact {
            base.not_paths.extend(loose(pattern));
            continue;
        }
        let (path, short) = strict(pattern);
        base.not_paths.push(path);
        // What is just short of the exception is none.
        if let Some(short) = short {
            further.push(short);
        }
    }
    let mut all = Vec::new();
    for short in further {
        if short.contains('{') {
            return Err(format!(
                "an exception in front of {short:?} cannot be said there"
            ));
        }
        let except = |pattern: &PathPattern| pattern.matches(&short, false);
        let is_target = targets.paths.is_empty()
            || targets
                .paths
                .iter()
                .any(|pattern| pattern.matches(&short, loosely));
        if is_target && !targets.except_paths.iter().any(except) {
            all.push(Operation {
                paths: vec![short],
                not_paths: Vec::new(),
                ..base.clone()
            });
        }
    }
    let mut together = base.clone();
    for pattern in &targets.paths {
        if loosely {
            together.paths.extend(loose(pattern));
            continue;
        }
        match strict(pattern) {
            (path, None) => together.paths.push(path),
            (path, Some(short)) => {
                let mut alone = base.clone();
                alone.paths.push(path);
                alone.not_paths.push(short);
                all.push(alone);
            }
        }
    }
    if !together.paths.is_empty() || targets.paths.is_empty() {
        all.insert(0, together);
    }
    Ok(all)
}

/// What is in front of a pattern's rest, and whether it has one.
fn head(pattern: &PathPattern) -> (String, bool) {
    let mut head = String::new();
    let mut open = false;
    for segment in pattern.segments() {
        match segment {
            Segment::Literal(text) => {
                head.push('/');
                head.push_str(text);
            }
            Segment::One => head.push_str("/{*}"),
            Segment::Rest => open = true,
        }
    }
    (head, open)
}

/// A path that anything may follow.
fn open(head: &str) -> String {
    match head.contains('{') {
        true => format!("{head}/{{**}}"),
        false => format!("{head}/*"),
    }
}

/// A pattern as it is written. A rest of nothing is none for us and is one for Istio: what that
/// would be comes second.
fn strict(pattern: &PathPattern) -> (String, Option<String>) {
    match head(pattern) {
        (head, false) => (head, None),
        (head, true) => (open(&head), Some(format!("{head}/"))),
    }
}

/// Every spelling of a pattern but for case.
fn loose(pattern: &PathPattern) -> Vec<String> {
    let (head, is_open) = head(pattern);
    let head = head.strip_suffix('/').unwrap_or(&head);
    let mut all = vec![format!("{head}/")];
    if !head.is_empty() {
        all.push(head.to_owned());
    }
    if is_open {
        all.push(open(head));
    }
    all
}

/// Hosts and ports as clients write them, which Istio compares together.
fn hosts(targets: &Targets, operation: &mut Operation) -> Result<(), String> {
    if targets.hosts.is_empty() {
        let ports = targets.ports.iter().map(|port| format!("*:{port}"));
        operation.hosts.extend(ports);
        return Ok(());
    }
    for pattern in &targets.hosts {
        let name = pattern.to_string();
        let name = name.strip_prefix('*').unwrap_or(&name);
        let below = name.starts_with('.');
        if below && targets.ports.is_empty() {
            return Err(format!(
                "hosts \"*{name}\" without ports: there a host is compared together with its port"
            ));
        }
        let star = if below { "*" } else { "" };
        // A name may end with the dot of the root.
        for name in [name.to_owned(), format!("{name}.")] {
            if targets.ports.is_empty() {
                operation.hosts.extend([name.clone(), format!("{name}:*")]);
            }
            for port in &targets.ports {
                operation.hosts.push(format!("{star}{name}:{port}"));
                if below {
                    operation.not_hosts.push(format!("{name}:{port}"));
                }
            }
        }
    }
    Ok(())
}
