//! What the layers add to a request, over a service that does nothing.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that fails may panic"
)]

mod support;

use bartizan_benches::Comparison;
use bartizan_core::{Duty, GuardLayer};
use bartizan_testkit::SigningAlgorithm;
use tower::Layer as _;

use support::{Bare, Open, chain, connection, jwt, mint, mtls, request, send, token};

fn main() {
    let mint = mint(SigningAlgorithm::Rs256);
    let token = format!("Bearer {}", token(&mint)).parse().unwrap();
    let connection = connection();
    let ready = || request(&token, &connection);

    let mut bare = Bare;
    let mut open = GuardLayer::new(Open(Duty::new("open"))).layer(Bare);
    let mut peer = mtls().layer(Bare);
    let mut jwt = jwt(&mint).layer(Bare);
    let mut both = GuardLayer::new(chain(&mint)).layer(Bare);
    assert_eq!(send(&mut peer, ready()).status(), 200);
    assert_eq!(send(&mut both, ready()).status(), 200);

    let mut comparison = Comparison::new("Layers over a bare tower service, one request each");
    comparison.case("bare service", || send(&mut bare, ready()).status());
    comparison.case("context, decision, no rule", || {
        send(&mut open, ready()).status()
    });
    comparison.case("context, MtlsLayer", || send(&mut peer, ready()).status());
    comparison.case("context, JwtLayer (RS256, uncached)", || {
        send(&mut jwt, ready()).status()
    });
    comparison.case("context, peer and JWT in one chain", || {
        send(&mut both, ready()).status()
    });
    comparison.run();
}
