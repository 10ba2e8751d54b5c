//! Rates as they stand in configurations.
#![no_main]

use bartizan_ratelimit::{Gcra, Limiter, Policy, Rate};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
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
});
