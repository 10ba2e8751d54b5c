//! Rates as they stand in configurations.

use bartizan_ratelimit::{Gcra, Limiter, Policy, Rate};

use crate::input::text;

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let text = text(bytes);
    let Ok(rate) = text.parse::<Rate>() else {
        return;
    };
    let again = rate.to_string().parse::<Rate>();
    assert!(
        again.is_ok_and(|again| again == rate),
        "{text:?} became {rate}"
    );
    // Whatever can be read is counted, or refused.
    if Gcra::new(rate).is_ok() {
        let policy = Policy::new("fuzz", rate).with_keys(1);
        let limiter = Limiter::builder().add_policy(policy).build();
        assert!(
            limiter
                .expect("the rate was accepted")
                .check("key")
                .is_allowed()
        );
    }
}
