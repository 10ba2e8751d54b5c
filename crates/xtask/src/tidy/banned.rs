//! Words that shipped code does not contain.

use super::Violation;
use crate::mask::{behind_bracket, words};
use crate::source::Source;

/// Macros that mark unfinished work.
const MACROS: [&str; 3] = ["dbg", "todo", "unimplemented"];

/// Finds unfinished work in any file, tests included.
#[must_use]
pub fn check_unfinished(sources: &[Source]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for source in sources {
        let bare = &source.masked.bare;
        for (at, word) in words(bare) {
            let called = bare
                .get(at + word.len()..)
                .is_some_and(|it| it.starts_with('!'))
                && !bare
                    .get(at + word.len()..)
                    .is_some_and(|it| it.starts_with("!="));
            if called && MACROS.contains(&word) {
                violations.push(Violation::new(
                    source.place(at),
                    format!("`{word}!` stands here"),
                ));
            }
        }
    }
    violations
}

/// Finds lints that are switched off without a reason, in any file that a person wrote.
#[must_use]
pub fn check_allow(sources: &[Source]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for source in sources.iter().filter(|source| !source.is_generated()) {
        let bare = &source.masked.bare;
        for (at, word) in words(bare) {
            let rest = bare.get(at + word.len()..).unwrap_or_default();
            // `.expect(` and a function of that name are calls; these stand in an attribute.
            let before = bare.get(..at).unwrap_or_default().trim_end();
            let attribute = before.ends_with('[') || in_cfg_attr(before);
            if !["allow", "expect"].contains(&word) || !rest.starts_with('(') || !attribute {
                continue;
            }
            let open = at + word.len();
            let inside = bare
                .get(open..behind_bracket(bare, open))
                .unwrap_or_default();
            if !words(inside).any(|(_, word)| word == "reason") {
                violations.push(Violation::new(
                    source.place(at),
                    format!("`{word}` without `reason = \"...\"`"),
                ));
            }
        }
    }
    violations
}

/// Whether the text ends inside of `#[cfg_attr(condition, `.
fn in_cfg_attr(before: &str) -> bool {
    before.ends_with(',')
        && before.rfind('[').is_some_and(|open| {
            let attribute = before.get(open + 1..).unwrap_or_default().trim_start();
            attribute.starts_with("cfg_attr(")
        })
}

/// Finds the time read outside of `clock.rs`. Tokio's instants belong to its timers and stand
/// still with them, so a file that imports those may ask for them.
#[must_use]
pub fn check_clock(sources: &[Source]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for source in sources {
        let Some((_, path)) = source.room() else {
            continue;
        };
        if source.is_test() || path == "clock.rs" {
            continue;
        }
        let bare = &source.masked.shipped_bare;
        let tokio = imports_tokio_instant(bare);
        for call in ["SystemTime::now", "Instant::now"] {
            for (at, _) in bare.match_indices(call) {
                let before = bare.get(..at).unwrap_or_default();
                let timer = call == "Instant::now"
                    && (before.ends_with("tokio::time::") || (tokio && !before.ends_with("::")));
                if !timer {
                    violations.push(Violation::new(
                        source.place(at),
                        format!("`{call}` outside of clock.rs; take `now` or a `Clock`"),
                    ));
                }
            }
        }
    }
    violations
}

fn imports_tokio_instant(bare: &str) -> bool {
    bare.split("use tokio::time::").skip(1).any(|rest| {
        let import = rest.split(';').next().unwrap_or_default();
        words(import).any(|(_, word)| word == "Instant")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "crates/a/src/b.rs";

    fn check(rule: fn(&[Source]) -> Vec<Violation>, path: &str, text: &str, expected: usize) {
        assert_eq!(
            rule(&[Source::new(path, text)]).len(),
            expected,
            "{path}: {text}"
        );
    }

    #[test]
    fn unfinished_work_is_found() {
        check(check_unfinished, PATH, "fn f() { todo!() }", 1);
        check(
            check_unfinished,
            PATH,
            "fn f() { unimplemented!(\"x\"); dbg!(1); }",
            2,
        );
        check(check_unfinished, "crates/a/tests/it/main.rs", "dbg!(1);", 1);
        check(
            check_unfinished,
            PATH,
            "// todo!()\nlet a = \"dbg!(1)\"; if todo != 1 {}",
            0,
        );
        check(check_unfinished, PATH, "if todo!=1 {}", 0);
    }

    #[test]
    fn a_lint_off_without_a_reason_is_found() {
        check(check_allow, PATH, "#[allow(dead_code)] fn f() {}", 1);
        check(check_allow, PATH, "#![allow(dead_code)]", 1);
        check(
            check_allow,
            "examples/a/src/generated/b.rs",
            "#![allow(dead_code)]",
            0,
        );
        check(
            check_allow,
            PATH,
            "#[expect(clippy::expect_used)] fn f() {}",
            1,
        );
        check(
            check_allow,
            PATH,
            "#[cfg_attr(test, allow(dead_code))] fn f() {}",
            1,
        );
        check(
            check_allow,
            PATH,
            "#[allow(dead_code, reason = \"why\")] fn f() {}",
            0,
        );
        check(
            check_allow,
            PATH,
            "#[expect(\n  dead_code,\n  reason = \"why\"\n)] fn f() {}",
            0,
        );
        check(
            check_allow,
            PATH,
            "f().expect(\"x\"); allow(x); f(a, expect(\"x\"));",
            0,
        );
    }

    #[test]
    fn the_time_read_elsewhere_is_found() {
        check(check_clock, PATH, "let a = SystemTime::now();", 1);
        check(check_clock, PATH, "let a = std::time::Instant::now();", 1);
        check(
            check_clock,
            PATH,
            "use std::time::Instant;\nlet a = Instant::now();",
            1,
        );
        check(
            check_clock,
            PATH,
            "use tokio::time::{Instant, sleep};\nlet a = Instant::now();",
            0,
        );
        check(
            check_clock,
            PATH,
            "use tokio::time::Instant;\nlet a = std::time::Instant::now();",
            1,
        );
        check(
            check_clock,
            PATH,
            "use tokio::time::Instant;\nlet a = SystemTime::now();",
            1,
        );
        check(check_clock, PATH, "let a = tokio::time::Instant::now();", 0);
        check(
            check_clock,
            "crates/a/src/clock.rs",
            "let a = Instant::now();",
            0,
        );
        check(
            check_clock,
            "crates/a/tests/it/main.rs",
            "let a = Instant::now();",
            0,
        );
    }
}
