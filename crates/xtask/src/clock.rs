//! The one place where this tool reads the time: to say how long a step took.

use std::time::{Duration, Instant};

/// Runs `work` and tells how long it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    #[expect(
        clippy::disallowed_methods,
        reason = "a tool reports elapsed time; no test depends on it"
    )]
    let start = Instant::now();
    let outcome = work();
    (outcome, start.elapsed())
}

/// A duration as a person reads it: `4.2 s`, `3 min 07 s`.
#[must_use]
pub fn readable(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_readable() {
        assert_eq!(readable(Duration::from_millis(4_200)), "4.2 s");
        assert_eq!(readable(Duration::from_secs(187)), "3 min 07 s");
    }
}
