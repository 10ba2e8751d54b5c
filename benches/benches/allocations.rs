//! Allocations of an accepted request, layer by layer. Exits with an error past its bounds.
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a bench prints, and may panic"
)]

mod support;

use std::convert::Infallible;
use std::process::ExitCode;

use bartizan_core::{Duty, GuardLayer};
use bartizan_testkit::SigningAlgorithm;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use tower::{Layer as _, Service};

use support::{Bare, Open, chain, connection, jwt, mint, mtls, request, send, token};

/// Allocations between the request as the host hands it over and the end of its response.
fn count<S, B>(service: &mut S, request: impl Fn() -> Request<Empty<Bytes>>) -> u64
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible>,
{
    assert_eq!(send(service, request()).status(), 200);
    let made = allocation_counter::measure(|| drop(request()));
    let all = allocation_counter::measure(|| drop(send(service, request())));
    all.count_total - made.count_total
}

fn main() -> ExitCode {
    let mint = mint(SigningAlgorithm::Rs256);
    let token = format!("Bearer {}", token(&mint)).parse().unwrap();
    let connection = connection();
    let ready = || request(&token, &connection);

    let bare = count(&mut Bare, ready);
    let context = count(
        &mut GuardLayer::new(Open(Duty::new("open"))).layer(Bare),
        ready,
    ) - bare;
    let peer = count(&mut mtls().layer(Bare), ready) - bare;
    let jwt = count(&mut jwt(&mint).layer(Bare), ready) - bare;
    let both = count(&mut GuardLayer::new(chain(&mint)).layer(Bare), ready) - bare;

    println!("\n### Allocations of an accepted request\n");
    println!("| what | allocations | at most |\n|---|---:|---:|");
    println!("| the context, with the host's entry there | {context} | 3 |");
    println!("| MtlsLayer, beyond the context | {} | |", peer - context);
    println!(
        "| JwtLayer, beyond the context (uncached) | {} | |",
        jwt - context
    );
    println!(
        "| both in one chain, beyond the context | {} | 5 |",
        both - context
    );
    if context <= 3 && both - context <= 5 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
