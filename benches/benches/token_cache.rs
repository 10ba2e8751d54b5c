//! The whole layer in front of a service that does nothing, with tokens that it has verified
//! before, beside the verification that it saves.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that fails may panic"
)]

mod support;

use std::cell::Cell;
use std::hint::black_box;

use bartizan_benches::Comparison;
use bartizan_core::{Connection, Duty, GuardLayer};
use bartizan_jwt::{JwtConfig, JwtLayer};
use bartizan_testkit::{SigningAlgorithm, TokenMint};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderValue, Request};
use http_body_util::Empty;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use tower::Layer as _;

use support::{Bare, Open, connection, keys, mint, request, rules, send};

/// The length of an access token with eight claims, signed with RSA; here the rest is filled up.
const LENGTH: usize = 787;

fn tokens(mint: &TokenMint, count: usize) -> Vec<HeaderValue> {
    let token = |fill: usize, number: usize| {
        let token = mint
            .token()
            .audience("orders")
            .scope("orders:read orders:write")
            .token_id(format!("token-{number:06}"))
            .claim("fill", "x".repeat(fill))
            .expires_in(std::time::Duration::from_secs(86_400));
        token.sign().unwrap()
    };
    let fill = (0..LENGTH)
        .find(|fill| token(*fill, 0).len() >= LENGTH)
        .unwrap();
    (0..count)
        .map(|number| format!("Bearer {}", token(fill, number)).parse().unwrap())
        .collect()
}

/// Gives an index below `count`, each as often as any other, in no order.
fn uniform(count: usize) -> impl Fn() -> usize {
    let state = Cell::new(0x9e37_79b9_7f4a_7c15_u64);
    move || {
        let mut next = state.get();
        next ^= next << 13;
        next ^= next >> 7;
        next ^= next << 17;
        state.set(next);
        (next % count as u64) as usize
    }
}

/// A request whose token the host has just read from its socket, as one does: what the layer
/// compares with is in memory, the token itself is near.
fn received(token: &HeaderValue, connection: &Connection) -> Request<Empty<Bytes>> {
    let sum = token.as_bytes().iter().fold(0_u8, |sum, byte| sum ^ byte);
    black_box(sum);
    request(token, connection)
}

fn layer(mint: &TokenMint, cached: usize) -> JwtLayer {
    let config = JwtConfig::builder(rules())
        .with_keys(keys(mint))
        .with_cached_tokens(cached)
        .with_cache_lifetime(std::time::Duration::from_secs(300));
    JwtLayer::start(config.build().unwrap()).unwrap()
}

fn main() {
    let mint = mint(SigningAlgorithm::Es256);
    let connection = connection();
    let all = tokens(&mint, 10_000);
    assert!(all[0].len() - "Bearer ".len() >= LENGTH);

    for (title, count) in [
        ("Cache hit, 100 hot tokens of 787 bytes", 100),
        ("Cache hit, 10,000 live tokens of 787 bytes", 10_000),
    ] {
        let tokens = &all[..count];
        let next = uniform(count);
        let mut bare = Bare;
        let mut open = GuardLayer::new(Open(Duty::new("open"))).layer(Bare);
        let layer = layer(&mint, 16_384);
        let mut cached = layer.layer(Bare);
        let mut second = GuardLayer::new(Open(Duty::new("open"))).layer(layer.layer(Bare));
        for token in tokens {
            assert_eq!(send(&mut cached, request(token, &connection)).status(), 200);
        }
        assert_eq!(layer.guard().cached_tokens(), count);

        let mut comparison = Comparison::new(title);
        comparison.case("bare service", || {
            send(&mut bare, received(&tokens[next()], &connection)).status()
        });
        comparison.case("context, decision, no rule", || {
            send(&mut open, received(&tokens[next()], &connection)).status()
        });
        comparison.case("context, JwtLayer, all of them cached", || {
            send(&mut cached, received(&tokens[next()], &connection)).status()
        });
        comparison.case("context by a layer before it, then JwtLayer", || {
            send(&mut second, received(&tokens[next()], &connection)).status()
        });
        comparison.run();
        assert_eq!(layer.guard().cached_tokens(), count);
    }

    let token = all[0].to_str().unwrap().strip_prefix("Bearer ").unwrap();
    let jwk = mint.signing_key().public_jwk();
    let member = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let point = [&[4][..], &member("x"), &member("y")].concat();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut uncached = layer(&mint, 0).layer(Bare);
    let mut comparison = Comparison::new("The same token without a cache");
    comparison.case("raw ring: the signature alone (ES256)", || {
        key.verify(signed.as_bytes(), &signature).is_ok()
    });
    comparison.case("context, JwtLayer, uncached", || {
        send(&mut uncached, request(&all[0], &connection)).status()
    });
    comparison.run();
}
