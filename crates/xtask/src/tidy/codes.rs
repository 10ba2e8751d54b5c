//! The stable codes: one list in the docs, equal to what the code can answer.

use std::collections::BTreeMap;

use super::Violation;
use crate::source::Source;

/// Where the list is.
pub const LIST: &str = "docs/CODES.md";

/// Packages whose codes no client of a user ever sees.
const NOT_SHIPPED: [&str; 3] = ["bartizan-testkit", "conformance", "xtask"];

/// Each code with the places that make it, in alphabetical order.
pub type Codes = BTreeMap<String, Vec<String>>;

/// The codes made in the sources.
#[must_use]
pub fn in_sources(sources: &[Source]) -> Codes {
    let mut codes = Codes::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        if source
            .room()
            .is_none_or(|(name, _)| NOT_SHIPPED.contains(&name))
        {
            continue;
        }
        let shipped = &source.masked.shipped;
        for (at, call) in shipped.match_indices("Code::new(") {
            let own = !shipped
                .get(..at)
                .is_some_and(|before| before.ends_with(|c: char| c.is_alphanumeric() || c == '_'));
            let argument = shipped
                .get(at + call.len()..)
                .unwrap_or_default()
                .trim_start();
            let code = argument
                .strip_prefix('"')
                .and_then(|text| text.split('"').next());
            if let (true, Some(code)) = (own, code) {
                codes
                    .entry(code.to_owned())
                    .or_default()
                    .push(source.place(at));
            }
        }
    }
    codes
}

/// The codes in the rows of the list: the first cell, in backticks.
#[must_use]
pub fn in_list(list: &str) -> Codes {
    let mut codes = Codes::new();
    for (index, line) in list.lines().enumerate() {
        let cell = line
            .trim()
            .strip_prefix('|')
            .and_then(|row| row.split('|').next());
        let code = cell
            .map(str::trim)
            .and_then(|cell| cell.strip_prefix('`')?.strip_suffix('`'));
        if let Some(code) = code {
            codes
                .entry(code.to_owned())
                .or_default()
                .push(format!("{LIST}:{}", index + 1));
        }
    }
    codes
}

/// Finds codes that are made and not listed, listed and not made, or listed twice.
#[must_use]
pub fn check(sources: &[Source], list: Option<&str>) -> Vec<Violation> {
    let made = in_sources(sources);
    let Some(list) = list else {
        let all: Vec<&str> = made.keys().map(String::as_str).collect();
        return vec![Violation::new(
            LIST,
            format!("does not exist; it would list {}", all.join(", ")),
        )];
    };
    let listed = in_list(list);
    let mut violations = Vec::new();
    for (code, places) in &made {
        if !listed.contains_key(code) {
            for place in places {
                violations.push(Violation::new(place, format!("`{code}` is not in {LIST}")));
            }
        }
    }
    for (code, places) in &listed {
        for (index, place) in places.iter().enumerate() {
            if !made.contains_key(code) {
                violations.push(Violation::new(place, format!("nothing makes `{code}`")));
            } else if index > 0 {
                violations.push(Violation::new(place, format!("`{code}` is listed twice")));
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_codes(text: &str, list: Option<&str>, expected: &[&str]) {
        let found: Vec<String> = check(&[Source::new("crates/bartizan-a/src/b.rs", text)], list)
            .into_iter()
            .map(|violation| violation.to_string())
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    const MADE: &str = "const A: Code = Code::new(\n    \"a.one\",\n);";
    const ROW: &str = "| code | status |\n|---|---|\n| `a.one` | 401 | text `a.other` |\n";

    #[test]
    fn equal_lists_pass() {
        check_codes(MADE, Some(ROW), &[]);
    }

    #[test]
    fn an_unlisted_code_is_found() {
        check_codes(
            MADE,
            Some("| `a.two`"),
            &[
                "crates/bartizan-a/src/b.rs:1: `a.one` is not in docs/CODES.md",
                "docs/CODES.md:1: nothing makes `a.two`",
            ],
        );
    }

    #[test]
    fn a_code_listed_twice_is_found() {
        check_codes(
            MADE,
            Some("| `a.one` | 1 |\n| `a.one` | 2 |"),
            &["docs/CODES.md:2: `a.one` is listed twice"],
        );
    }

    #[test]
    fn an_absent_list_is_found_and_dictated() {
        check_codes(
            MADE,
            None,
            &["docs/CODES.md: does not exist; it would list a.one"],
        );
    }

    #[test]
    fn docs_tests_and_other_types_make_no_codes() {
        check_codes("/// Code::new(\"a.two\")\nfn f() {}", Some(""), &[]);
        check_codes(
            "#[cfg(test)]\nmod t { const A: Code = Code::new(\"a.two\"); }",
            Some(""),
            &[],
        );
        check_codes("const A: X = ZipCode::new(\"a.two\");", Some(""), &[]);
        let kit = Source::new("crates/bartizan-testkit/src/b.rs", MADE);
        assert_eq!(check(&[kit], Some("")), []);
    }
}
