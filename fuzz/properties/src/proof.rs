//! Proofs of possession: whatever is read of one, none is of the key that the token is bound to.

use bartizan_core::WallTime;
use bartizan_jwt::Dpop;

use crate::input::{Input, text};

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (path, proof) = (text(input.line()), text(input.rest()));
    let dpop = Dpop::builder("https://orders.example")
        .build()
        .expect("dpop");
    let now = WallTime::from_unix_seconds(1_800_000_000);
    assert!(
        dpop.check_proof(proof, "GET", path, "a.b.c", [0; 32], now)
            .is_err()
    );
}
