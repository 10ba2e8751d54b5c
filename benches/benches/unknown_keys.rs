//! What good requests feel of a flood of tokens whose keys are unknown: their 99th percentile in
//! turns, without and with ten thousand of them, and what the issuer feels of it.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a bench that fails may panic, measures time and prints its report"
)]

mod support;

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bartizan_core::Connection;
use bartizan_jwt::{JwtConfig, JwtLayer, Roots, Rules};
use bartizan_testkit::{DevelopmentCa, Endpoint, SigningAlgorithm, TokenIssuer};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::Empty;
use serde_json::json;
use tokio::runtime::Runtime;
use tower::{Layer as _, Service, ServiceExt as _};

use support::{Bare, connection, request, send};

/// Good requests in a turn.
const GOOD: usize = 2_000;

/// Unknown keys in a turn.
const FLOOD: usize = 10_000;

const TURNS: usize = 40;

/// A good token but for its signature and the name of its key.
fn unknown(issuer: &TokenIssuer, number: usize) -> HeaderValue {
    let kid = format!("random-{number}");
    let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": kid }).to_string();
    let token = issuer.token().audience("orders");
    let claims = json!(token.claims()).to_string();
    let parts = [header.as_bytes(), claims.as_bytes(), &[1; 64]];
    let token = parts.map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    HeaderValue::try_from(format!("Bearer {token}")).unwrap()
}

/// The 50th and the 99th percentile of what good requests take, in nanoseconds.
fn measure<S, B>(service: &mut S, tokens: &[HeaderValue], connection: &Connection) -> (f64, f64)
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible>,
{
    let mut took: Vec<_> = tokens
        .iter()
        .cycle()
        .take(GOOD)
        .map(|token| {
            let request = request(token, connection);
            let begun = Instant::now();
            assert_eq!(send(service, request).status(), 200);
            begun.elapsed().as_nanos() as f64
        })
        .collect();
    took.sort_by(f64::total_cmp);
    let at = |part: usize| took.get(took.len() * part / 100).copied().unwrap();
    (at(50), at(99))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap()
}

fn main() {
    let runtime = Runtime::new().unwrap();
    let ca = DevelopmentCa::new("example.org").unwrap();
    let issuer = runtime
        .block_on(TokenIssuer::start(&ca, SigningAlgorithm::Es256))
        .unwrap();
    let config = |cached: usize| {
        let rules = Rules::builder(issuer.issuer(), "orders").build().unwrap();
        JwtConfig::builder(rules)
            .with_roots(Roots::from_pem(ca.certificate_pem().as_bytes()).unwrap())
            .with_cool_down(Duration::from_secs(1))
            .with_cached_tokens(cached)
            .build()
            .unwrap()
    };
    let connection = connection();
    let good: Vec<HeaderValue> = (0..100)
        .map(|_| {
            let lifetime = Duration::from_secs(86_400);
            let token = issuer.token().audience("orders").expires_in(lifetime);
            format!("Bearer {}", token.sign().unwrap()).parse().unwrap()
        })
        .collect();
    println!("\n### A flood of unknown keys\n");
    println!(
        "| good requests | quiet p50 / p99, ns | flooded p50 / p99, ns | p99 ratio | fetches |"
    );
    println!("|---|---:|---:|---:|---:|");
    for (name, cached) in [("verified each time", 0), ("cached", 16_384)] {
        let layer = runtime.block_on(JwtLayer::load(config(cached))).unwrap();
        let mut service = layer.layer(Bare);
        let (begin, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
        let (done, begun) = (AtomicBool::new(false), Instant::now());
        let fetched = issuer.requests(Endpoint::Jwks);
        let (mut quiet, mut flooded) = (Vec::new(), Vec::new());
        thread::scope(|scope| {
            let (layer, issuer, connection) = (layer.clone(), &issuer, &connection);
            let (begin, sent, done, runtime) = (&begin, &sent, &done, &runtime);
            scope.spawn(move || {
                let tokens: Vec<_> = (0..FLOOD).map(|number| unknown(issuer, number)).collect();
                let service = layer.layer(Bare);
                while !done.load(Ordering::Relaxed) {
                    if !begin.swap(false, Ordering::Relaxed) {
                        thread::park_timeout(Duration::from_millis(1));
                        continue;
                    }
                    for token in &tokens {
                        let call = service.clone().oneshot(request(token, connection));
                        let status = runtime.block_on(call).unwrap().status();
                        assert!([401, 503].contains(&status.as_u16()));
                    }
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
            for turn in 1..=TURNS {
                measure(&mut service, &good, connection);
                quiet.push(measure(&mut service, &good, connection));
                begin.store(true, Ordering::Relaxed);
                let mut parts = Vec::new();
                while sent.load(Ordering::Relaxed) < turn {
                    parts.push(measure(&mut service, &good, connection));
                }
                let part = |get: fn(&(f64, f64)) -> f64| median(parts.iter().map(get).collect());
                flooded.push((part(|it| it.0), part(|it| it.1)));
            }
            done.store(true, Ordering::Relaxed);
        });
        let ratios = quiet
            .iter()
            .zip(&flooded)
            .map(|(quiet, flooded)| flooded.1 / quiet.1);
        let column = |of: &[(f64, f64)]| {
            let p50 = median(of.iter().map(|it| it.0).collect());
            let p99 = median(of.iter().map(|it| it.1).collect());
            format!("{p50:.0} / {p99:.0}")
        };
        println!(
            "| {name} | {} | {} | {:.3} | {} in {} s |",
            column(&quiet),
            column(&flooded),
            median(ratios.collect()),
            issuer.requests(Endpoint::Jwks) - fetched,
            begun.elapsed().as_secs(),
        );
    }
}
