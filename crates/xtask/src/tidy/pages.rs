//! What the pages of the documentation name is there: tests, types, files, codes, alerts, sections.

use std::collections::BTreeSet;

use super::codes;
use super::{Tree, Violation};
use crate::mask::words;
use crate::source::Source;

/// The pages that promise to name nothing that is not there.
pub const PAGES: [&str; 7] = [
    ".github/SECURITY.md",
    "docs/COMPLIANCE.md",
    "docs/MIGRATION.md",
    "docs/OPERATIONS.md",
    "docs/README.md",
    "docs/SUPPLY-CHAIN.md",
    "docs/THREAT-MODEL.md",
];

/// Files that those name things of.
const ALERTS: &str = "docs/grafana/alerts.yml";

/// Types of others.
const FOREIGN: [&str; 9] = [
    "AuthorizationPolicy",
    "AuthenticationPrincipal",
    "Cargo",
    "Debug",
    "DestinationRule",
    "NetworkPolicy",
    "PeerAuthentication",
    "RequestAuthentication",
    "Retry",
];

/// Folders that a path in the text begins with.
const FOLDERS: [&str; 7] = [
    ".ci/",
    ".github/",
    "benches/",
    "crates/",
    "docs/",
    "examples/",
    "fuzz/",
];

/// One page.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where it is, relative to the root.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// What there is to be named.
#[derive(Debug, Default)]
struct Known {
    functions: BTreeSet<String>,
    types: BTreeSet<String>,
    codes: BTreeSet<String>,
    alerts: String,
}

/// Finds what the pages name and is not there, and requirements without a proof.
#[must_use]
pub fn check(tree: &Tree) -> Vec<Violation> {
    let mut known = Known::of(&tree.sources);
    let list = tree.codes.as_deref().unwrap_or_default();
    known.codes = codes::in_list(list).into_keys().collect();
    let read = |path: &str| std::fs::read_to_string(tree.workspace.root.join(path)).ok();
    known.alerts = read(ALERTS).unwrap_or_default();
    let exists = |path: &str| tree.workspace.root.join(path).exists();
    let mut violations = Vec::new();
    for path in PAGES {
        match tree.pages.iter().find(|page| page.path == path) {
            Some(page) => violations.extend(check_page(page, &known, &exists, &read)),
            None => violations.push(Violation::new(path, "the page is missing")),
        }
    }
    violations
}

fn check_page(
    page: &Page,
    known: &Known,
    exists: &dyn Fn(&str) -> bool,
    read: &dyn Fn(&str) -> Option<String>,
) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut in_fence = false;
    let mut needs_proof = false;
    for (index, line) in page.text.lines().enumerate() {
        if line.starts_with("```") {
            in_fence = !in_fence;
        }
        if in_fence {
            continue;
        }
        let named = spans(line).filter_map(|span| known.fault(span, exists));
        let linked = links(line).filter_map(|link| broken(page, link, exists, read));
        let mut faults: Vec<String> = named.chain(linked).collect();
        if !line.starts_with('|') {
            needs_proof = false;
        } else if line.starts_with("| requirement |") {
            needs_proof = true;
        } else if needs_proof && !line.starts_with("|---") && !is_proven(line) {
            faults.push("a requirement has neither a proof nor `yours`".to_owned());
        }
        let place = format!("{}:{}", page.path, index + 1);
        violations.extend(faults.into_iter().map(|it| Violation::new(&place, it)));
    }
    violations
}

/// Whether a row names a test or a file, or says that the requirement is not ours.
fn is_proven(row: &str) -> bool {
    let mut cells = row.trim_matches('|').split('|').map(str::trim);
    let (how, proof) = (cells.nth(1).unwrap_or_default(), cells.next());
    let proof = proof.unwrap_or_default();
    how.starts_with("yours") || spans(proof).any(|span| is_test_name(span) || is_path(span))
}

impl Known {
    fn of(sources: &[Source]) -> Self {
        let mut known = Self::default();
        for source in sources {
            let mut previous = "";
            for (_, word) in words(&source.masked.bare) {
                match previous {
                    "fn" => known.functions.insert(word.to_owned()),
                    "struct" | "enum" | "trait" | "type" => known.types.insert(word.to_owned()),
                    _ => false,
                };
                previous = word;
            }
        }
        known
    }

    /// What is wrong with a word in backticks.
    fn fault(&self, span: &str, exists: &dyn Fn(&str) -> bool) -> Option<String> {
        if is_path(span) {
            return (!exists(span)).then(|| format!("there is no file {span}"));
        }
        if is_test_name(span) {
            return (!self.functions.contains(span)).then(|| format!("there is no test {span}"));
        }
        if let Some((prefix, rest)) = span.split_once('.') {
            let is_code = is_snake(prefix) && is_snake(rest) && self.has_codes_of(prefix);
            let is_unknown = is_code && !self.codes.contains(span);
            return is_unknown.then(|| format!("there is no code {span}"));
        }
        let name = span.split("::").next().unwrap_or(span);
        if !is_type_name(name) || FOREIGN.contains(&name) {
            return None;
        }
        let is_alert = self.alerts.contains(&format!("alert: {name}\n"));
        let is_known = is_alert || self.types.contains(name);
        (!is_known).then(|| format!("there is no type or alert {name}"))
    }

    fn has_codes_of(&self, layer: &str) -> bool {
        let prefix = format!("{layer}.");
        self.codes.iter().any(|code| code.starts_with(&prefix))
    }
}

/// What stands in backticks.
fn spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The targets of links.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1);
    targets.filter_map(|rest| rest.split(')').next())
}

/// What is wrong with a link, if it is one within the repository.
fn broken(
    page: &Page,
    link: &str,
    exists: &dyn Fn(&str) -> bool,
    read: &dyn Fn(&str) -> Option<String>,
) -> Option<String> {
    if link.contains("://") {
        return None;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match file {
        "" => page.path.clone(),
        _ => resolve(&page.path, file),
    };
    if !exists(&target) {
        return Some(format!("the link leads to no file: {link}"));
    }
    let has_section = |text: String| {
        text.lines()
            .any(|line| section(line) == Some(anchor.into()))
    };
    let is_there = anchor.is_empty() || read(&target).is_some_and(has_section);
    (!is_there).then(|| format!("the link leads to no section: {link}"))
}

/// A path relative to a page, as one relative to the root.
fn resolve(page: &str, link: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            ".." => {
                parts.pop();
            }
            "." | "" => {}
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// The anchor that forges give a heading.
fn section(line: &str) -> Option<String> {
    let title = line.strip_prefix('#')?.trim_start_matches('#');
    let title = title.trim().to_lowercase();
    let kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
    Some(
        title
            .chars()
            .filter(kept)
            .collect::<String>()
            .replace(' ', "-"),
    )
}

fn is_path(span: &str) -> bool {
    FOLDERS.iter().any(|folder| span.starts_with(folder)) && !span.contains([' ', '*', '{'])
}

/// Tests are named by sentences of four words or more; metrics begin with the family's name.
fn is_test_name(span: &str) -> bool {
    is_snake(span) && span.matches('_').count() >= 3 && !span.starts_with("bartizan_")
}

fn is_snake(span: &str) -> bool {
    let snake = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    !span.is_empty() && span.bytes().all(snake)
}

fn is_type_name(span: &str) -> bool {
    let mut bytes = span.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_uppercase())
        && span.bytes().any(|b| b.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let code = "fn rejects_what_is_not_good() {} struct Good; type Kind = u8;";
        let mut known = Known::of(&[Source::new("crates/a/src/lib.rs", code)]);
        known.codes.insert("jwt.expired".to_owned());
        known.alerts = "  - alert: BartizanDown\n".to_owned();
        let page = Page {
            path: "docs/A.md".to_owned(),
            text: text.to_owned(),
        };
        let exists = |path: &str| ["docs/A.md", "docs/B.md", "README.md"].contains(&path);
        let read = |path: &str| (path == "docs/B.md").then(|| "## One, two: *three*\n".to_owned());
        let violations = check_page(&page, &known, &exists, &read);
        violations.into_iter().map(|it| it.message).collect()
    }

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(found(text), expected, "{text}");
    }

    #[test]
    fn what_is_there_may_be_named() {
        check(
            "`rejects_what_is_not_good` of `Good`, `Kind::Other`, `BartizanDown`",
            &[],
        );
        check(
            "`jwt.expired`, `docs/B.md`, `bartizan_some_metric_total`",
            &[],
        );
        check(
            "[b](B.md), [up](../README.md), [s](B.md#one-two-three), [w](https://x.test)",
            &[],
        );
        check(
            "`three_words_only`, `log.vkey`, `503`, `NetworkPolicy`",
            &[],
        );
        check("```sh\n`no_such_test_at_all`\n```", &[]);
    }

    #[test]
    fn what_is_not_there_is_found() {
        check(
            "`no_such_test_at_all`",
            &["there is no test no_such_test_at_all"],
        );
        check(
            "`Bad` and `Bad::new`",
            &["there is no type or alert Bad"; 2],
        );
        check("`BartizanUp`", &["there is no type or alert BartizanUp"]);
        check("`jwt.exspired`", &["there is no code jwt.exspired"]);
        check("`crates/a/b.rs`", &["there is no file crates/a/b.rs"]);
        check("[c](C.md)", &["the link leads to no file: C.md"]);
        check(
            "[c](B.md#four)",
            &["the link leads to no section: B.md#four"],
        );
        check("[c](#four)", &["the link leads to no section: #four"]);
    }

    #[test]
    fn a_requirement_without_a_proof_is_found() {
        let table = |row: &str| format!("| requirement | how | proof |\n|---|---|---|\n{row}\n");
        check(&table("| 1 | so | `rejects_what_is_not_good` |"), &[]);
        check(&table("| 1 | so | `docs/B.md` |"), &[]);
        check(&table("| 1 | yours: all of it | |"), &[]);
        let fault = ["a requirement has neither a proof nor `yours`"];
        check(&table("| 1 | so | |"), &fault);
        check(&table("| 1 | so | it is obvious |"), &fault);
        check("| what | how |\n|---|---|\n| 1 | so |", &[]);
    }
}
