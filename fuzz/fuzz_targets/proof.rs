//! Proofs of possession: whatever is read of one, none is of the key that the token is bound to.
#![no_main]

use bartizan_core::WallTime;
use bartizan_jwt::Dpop;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (proof, path) = input;
    let dpop = Dpop::builder("https://orders.example")
        .build()
        .expect("dpop");
    let now = WallTime::from_unix_seconds(1_800_000_000);
    assert!(
        dpop.check_proof(proof, "GET", path, "a.b.c", [0; 32], now)
            .is_err()
    );
});
