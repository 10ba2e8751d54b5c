//! How an instance shares limits with the others.

use std::time::Duration;

use crate::error::ConfigError;

/// How an instance shares limits with the others of its fleet.
///
/// | setting | default | reason |
/// |---|---|---|
/// | deadline | 20 ms | a limit is not worth more of a request's time; the same as Envoy's |
/// | leases | on | more than 95 % of the checks of a busy caller need no round trip |
/// | largest lease | 1,000 cells | beyond, a round trip is not felt any more |
/// | leases at once | 65,536 | some 20 MB if all are in use |
///
/// ```
/// use std::time::Duration;
/// use bartizan_ratelimit::Sharing;
///
/// let sharing = Sharing::among(4).with_deadline(Duration::from_millis(10));
/// # let _ = sharing;
/// ```
#[derive(Clone, Debug)]
pub struct Sharing {
    pub(crate) instances: u32,
    pub(crate) deadline: Duration,
    pub(crate) largest: u64,
    pub(crate) leases: usize,
}

/// The longest deadline: what waits longer is no limit but a queue.
const LONGEST_DEADLINE: Duration = Duration::from_secs(10);

impl Sharing {
    /// Shares limits among about so many instances. The number bounds what one instance takes
    /// ahead, and is the share that each grants by itself while the store is away: with too small
    /// a number the fleet grants more then.
    #[must_use]
    pub fn among(instances: u32) -> Self {
        Self {
            instances,
            deadline: Duration::from_millis(20),
            largest: 1_000,
            leases: 1 << 16,
        }
    }

    /// Sets how long a request waits for the store, up to ten seconds.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets how many cells are charged ahead at most.
    #[must_use]
    pub fn with_largest_lease(mut self, cells: u64) -> Self {
        self.largest = cells;
        self
    }

    /// Sets for how many subjects cells may be charged ahead at once. Those beyond cost a round
    /// trip per request.
    #[must_use]
    pub fn with_leases(mut self, subjects: usize) -> Self {
        self.leases = subjects;
        self
    }

    /// Charges nothing ahead: each admission costs a round trip.
    #[must_use]
    pub fn without_leases(self) -> Self {
        self.with_largest_lease(0)
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.instances == 0 {
            return Err(ConfigError::Sharing("a fleet of no instances"));
        }
        if self.deadline.is_zero() || self.deadline > LONGEST_DEADLINE {
            return Err(ConfigError::Sharing(
                "the deadline is not within 0 and 10 s",
            ));
        }
        if self.leases > 1 << 24 {
            return Err(ConfigError::Sharing("more than 2^24 leases at once"));
        }
        Ok(())
    }
}
