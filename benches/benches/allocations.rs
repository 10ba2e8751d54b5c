//! Allocations of an accepted request, layer by layer. Exits with an error past its bounds.
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench prints, and may panic"
)]

mod support;

use std::convert::Infallible;
use std::process::ExitCode;

use bartizan_core::{Duty, GuardLayer};
use bartizan_ratelimit::{Key, Policy, Rate, RateLimitConfig, RateLimitLayer};
use bartizan_testkit::{SigningAlgorithm, TokenMint};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use tower::{Layer as _, Service};

use support::{Bare, Open, chain, connection, jwt, jwt_cached, mint, mtls, request, send, token};

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

/// Allocations of ring itself for one RS256 signature: nothing around it can make them fewer.
fn ring_rs256(token: &str, mint: &TokenMint) -> u64 {
    let jwk = mint.signing_key().public_jwk();
    let member = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let key = RsaPublicKeyComponents {
        n: member("n"),
        e: member("e"),
    };
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let verify = || key.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature);
    assert!(verify().is_ok());
    let measured = allocation_counter::measure(|| assert!(verify().is_ok()));
    measured.count_total
}

fn main() -> ExitCode {
    let connection = connection();
    let ready = |token: &http::HeaderValue| request(token, &connection);
    let bearer = |token: &str| {
        format!("Bearer {token}")
            .parse::<http::HeaderValue>()
            .unwrap()
    };

    let es256 = mint(SigningAlgorithm::Es256);
    let token = bearer(&token(&es256));
    let request = || ready(&token);
    let bare = count(&mut Bare, request);
    let open = GuardLayer::new(Open(Duty::new("open")));
    let context = count(&mut open.layer(Bare), request) - bare;
    let peer = count(&mut mtls().layer(Bare), request) - bare;
    let jwt_es256 = count(&mut jwt(&es256).layer(Bare), request) - bare;
    let cached = count(&mut jwt_cached(&es256).layer(Bare), request) - bare;
    let limits = RateLimitConfig::builder(Key::address())
        .add_policy(Policy::new("burst", Rate::per_second(1_000_000)))
        .add_policy(Policy::new("daily", Rate::per_day(1_000_000)));
    let limits = RateLimitLayer::new(limits.build().unwrap());
    let limited = count(&mut limits.layer(Bare), request) - bare - context;
    let both_es256 = count(&mut GuardLayer::new(chain(&es256)).layer(Bare), request) - bare;

    let rs256 = mint(SigningAlgorithm::Rs256);
    let text = support::token(&rs256);
    let token = bearer(&text);
    let both_rs256 = count(&mut GuardLayer::new(chain(&rs256)).layer(Bare), || {
        ready(&token)
    }) - bare;
    let ring = ring_rs256(&text, &rs256);

    let ours = both_es256 - context;
    println!("\n### Allocations of an accepted request\n");
    println!("| what | allocations | at most |\n|---|---:|---:|");
    println!("| the context, with the host's entry there | {context} | 3 |");
    println!("| MtlsLayer, beyond the context | {} | |", peer - context);
    println!(
        "| JwtLayer (ES256, uncached), beyond the context | {} | |",
        jwt_es256 - context
    );
    println!(
        "| JwtLayer, cached, beyond the context | {} | 2 |",
        cached - context
    );
    println!("| JwtLayer, cached, alone | {cached} | 6 |");
    println!("| both in one chain (ES256), beyond the context | {ours} | 5 |");
    println!(
        "| both in one chain (RS256), beyond the context | {} | |",
        both_rs256 - context
    );
    println!("| of which ring's own RSA | {ring} | |");
    println!("| RateLimitLayer, two policies, beyond the context | {limited} | 0 |");
    if limited == 0 && context <= 3 && ours <= 5 && cached - context <= 2 && cached <= 6 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
