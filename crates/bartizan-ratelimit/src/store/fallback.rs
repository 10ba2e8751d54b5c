//! What holds while the store does not answer.

use crate::policy::Policy;
use crate::rate::Rate;

/// What holds of a policy while the store that shares it does not answer.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Fallback {
    /// Requests are refused with `ratelimit.store_unavailable` (503, UNAVAILABLE).
    Closed,
    /// Each instance grants its share of the limit by itself. The default.
    #[default]
    Local,
    /// The policy refuses nobody.
    Open,
}

impl Policy {
    /// The policy of one instance among many that cannot ask one another: the same limit over a
    /// period that is so many times as long, and its part of the burst, at least one cell.
    pub(super) fn share(&self, instances: u32) -> Self {
        let mut policy = self.clone();
        policy.set_rate(share(self.rate(), instances));
        policy
    }
}

/// The share of one instance.
pub(super) fn share(rate: Rate, instances: u32) -> Rate {
    let period = rate.period().saturating_mul(instances);
    let burst = (rate.burst() / u64::from(instances)).max(1);
    Rate::new(rate.limit(), period).with_burst(burst)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn shares_add_up_to_the_limit() {
        let check = |rate: Rate, expected: Rate| assert_eq!(share(rate, 4), expected);
        let whole = Duration::from_secs(4);
        check(Rate::per_second(100), Rate::new(100, whole).with_burst(25));
        check(Rate::per_second(2), Rate::new(2, whole).with_burst(1));
    }
}
