//! A file is one idea, and ideas are short.

use super::Violation;
use crate::source::Source;

/// The lines of code that a file may have; comments and blank lines are free.
const LINES: usize = 400;

/// Finds files that are too long. Files of tests alone may be as long as their tables,
/// and nobody reads what a tool wrote.
#[must_use]
pub fn check(sources: &[Source]) -> Vec<Violation> {
    sources
        .iter()
        .filter(|source| !source.is_test() && !source.is_generated())
        .filter_map(|source| {
            let lines = lines_of_code(source);
            (lines > LINES).then(|| {
                Violation::new(
                    &source.path,
                    format!("has {lines} lines of code, at most {LINES} are allowed"),
                )
            })
        })
        .collect()
}

fn lines_of_code(source: &Source) -> usize {
    source
        .masked
        .commentless
        .lines()
        .filter(|line| !line.trim().is_empty())
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: String) -> usize {
        check(&[Source::new(path, text)]).len()
    }

    #[test]
    fn a_file_of_401_lines_is_found() {
        assert_eq!(found("crates/a/src/b.rs", "f();\n".repeat(400)), 0);
        assert_eq!(found("crates/a/src/b.rs", "f();\n".repeat(401)), 1);
        assert_eq!(found("examples/a/src/main.rs", "f();\n".repeat(401)), 1);
    }

    #[test]
    fn blank_lines_comments_and_test_files_are_free() {
        assert_eq!(
            found(
                "crates/a/src/b.rs",
                "f();\n\n/// g\n/* h\n */\n".repeat(400)
            ),
            0
        );
        assert_eq!(found("crates/a/src/b/tests.rs", "f();\n".repeat(401)), 0);
        assert_eq!(
            found("examples/a/src/generated/c.rs", "f();\n".repeat(401)),
            0
        );
        assert_eq!(found("crates/a/tests/it/c.rs", "f();\n".repeat(401)), 0);
    }
}
