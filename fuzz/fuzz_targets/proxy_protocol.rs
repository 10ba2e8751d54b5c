//! The header that a load balancer sends before a connection's first byte.
#![no_main]

use bartizan_mtls::{ProxyHeader, ProxyHeaderProgress};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|stream: &[u8]| {
    let whole = ProxyHeader::read(stream);
    // As a listener reads it: piece by piece, and never a byte of what follows.
    let mut taken = 0;
    while let Some(bytes) = stream.get(..taken) {
        match ProxyHeader::read(bytes) {
            Ok(ProxyHeaderProgress::Complete(header)) => {
                assert!(taken <= 16 + 4096);
                if taken == stream.len() {
                    assert_eq!(whole, Ok(ProxyHeaderProgress::Complete(header)));
                }
                return;
            }
            Ok(ProxyHeaderProgress::Needs(more)) => {
                assert!((1..=4096).contains(&more));
                taken += more;
            }
            Err(_) => return,
        }
    }
});
