//! How a source fares.

use std::sync::Arc;

use bartizan_core::WallTime;

/// How a source fares: for health pages, metrics and tests.
#[derive(Clone, Debug, Default)]
pub struct Status {
    generation: u64,
    last_success: Option<WallTime>,
    last_failure: Option<Failure>,
    consecutive_failures: u64,
    total_failures: u64,
}

/// A failed attempt.
#[derive(Clone, Debug)]
pub struct Failure {
    at: WallTime,
    message: Arc<str>,
}

impl Status {
    /// The generation in force; 0 as long as nothing was published.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// When the source last published or confirmed its value.
    pub fn last_success(&self) -> Option<WallTime> {
        self.last_success
    }

    /// The last failed attempt, even if a later one succeeded.
    pub fn last_failure(&self) -> Option<&Failure> {
        self.last_failure.as_ref()
    }

    /// Failed attempts since the last success.
    pub fn consecutive_failures(&self) -> u64 {
        self.consecutive_failures
    }

    /// Failed attempts since the source began.
    pub fn total_failures(&self) -> u64 {
        self.total_failures
    }

    /// Whether the last attempt failed.
    pub fn is_failing(&self) -> bool {
        self.consecutive_failures > 0
    }

    pub(crate) fn succeed(&mut self, generation: u64, now: WallTime) {
        self.generation = generation;
        self.last_success = Some(now);
        self.consecutive_failures = 0;
    }

    pub(crate) fn fail(&mut self, message: Arc<str>, now: WallTime) {
        self.last_failure = Some(Failure { at: now, message });
        self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        self.total_failures = self.total_failures.saturating_add(1);
    }
}

impl Failure {
    /// When it happened.
    pub fn at(&self) -> WallTime {
        self.at
    }

    /// What went wrong, in words without secrets.
    pub fn message(&self) -> &str {
        &self.message
    }
}
