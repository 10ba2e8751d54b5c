//! Servers of others, found, started and stopped.

use std::env;
use std::path::PathBuf;

/// The first of these files that is there. If none is, the test says so and is over; unless
/// `BARTIZAN_REQUIRE_SERVERS` is set, then it fails.
#[expect(clippy::print_stdout, reason = "whoever runs the test is to know")]
pub(crate) fn require(
    name: &str,
    candidates: impl IntoIterator<Item = PathBuf>,
) -> Option<PathBuf> {
    let found = candidates.into_iter().find(|path| path.is_file());
    if found.is_none() {
        let required = env::var_os("BARTIZAN_REQUIRE_SERVERS").is_some_and(|value| value == "1");
        assert!(!required, "{name} is required and not installed");
        println!("{name} is not installed: nothing was tested");
    }
    found
}

/// Where a program of this name may be.
pub(crate) fn in_path(name: &str) -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .collect()
}
