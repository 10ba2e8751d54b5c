//! What good requests feel of a flood of tokens whose keys are unknown: their 99th percentile in
//! turns, without and with ten thousand of them, and what the issuer feels of it. Beside it stands
//! what they feel of the same flood when it goes to another layer, with which theirs shares
//! nothing but the machine.
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
        "| good requests | quiet p50 / p99, ns | another layer flooded | this one flooded \
         | p99 to quiet | p99 to the other | fetches |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for (name, cached) in [("verified each time", 0), ("cached", 16_384)] {
        let load = || runtime.block_on(JwtLayer::load(config(cached))).unwrap();
        let (layer, other) = (load(), load());
        let mut service = layer.layer(Bare);
        let begun = Instant::now();
        let fetched = issuer.requests(Endpoint::Jwks);
        let (mut quiet, mut elsewhere, mut flooded) = (Vec::new(), Vec::new(), Vec::new());
        let (elsewhere_flood, flood) = (Flood::default(), Flood::default());
        thread::scope(|scope| {
            for (flood, layer) in [(&elsewhere_flood, other), (&flood, layer.clone())] {
                let (issuer, connection, runtime) = (&issuer, &connection, &runtime);
                scope.spawn(move || flood.run(&layer, issuer, connection, runtime));
            }
            for _ in 0..TURNS {
                let mut measure = || measure(&mut service, &good, &connection);
                measure();
                quiet.push(measure());
                elsewhere.push(elsewhere_flood.beside(&mut measure));
                flooded.push(flood.beside(&mut measure));
            }
            elsewhere_flood.end();
            flood.end();
        });
        let ratio = |to: &[(f64, f64)]| {
            let ratios = to.iter().zip(&flooded);
            median(ratios.map(|(to, flooded)| flooded.1 / to.1).collect())
        };
        let column = |of: &[(f64, f64)]| {
            let p50 = median(of.iter().map(|it| it.0).collect());
            let p99 = median(of.iter().map(|it| it.1).collect());
            format!("{p50:.0} / {p99:.0}")
        };
        println!(
            "| {name} | {} | {} | {} | {:.3} | {:.3} | {} in {} s |",
            column(&quiet),
            column(&elsewhere),
            column(&flooded),
            ratio(&quiet),
            ratio(&elsewhere),
            issuer.requests(Endpoint::Jwks) - fetched,
            begun.elapsed().as_secs(),
        );
    }
}

/// Ten thousand tokens with unknown keys, sent once each time it is begun.
#[derive(Default)]
struct Flood {
    begin: AtomicBool,
    sent: AtomicUsize,
    over: AtomicBool,
}

impl Flood {
    fn run(&self, layer: &JwtLayer, issuer: &TokenIssuer, from: &Connection, runtime: &Runtime) {
        let tokens: Vec<_> = (0..FLOOD).map(|number| unknown(issuer, number)).collect();
        let service = layer.layer(Bare);
        while !self.over.load(Ordering::Relaxed) {
            if !self.begin.swap(false, Ordering::Relaxed) {
                thread::park_timeout(Duration::from_millis(1));
                continue;
            }
            for token in &tokens {
                let call = service.clone().oneshot(request(token, from));
                let status = runtime.block_on(call).unwrap().status();
                assert!([401, 503].contains(&status.as_u16()));
            }
            self.sent.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Measures while it goes on.
    fn beside(&self, mut measure: impl FnMut() -> (f64, f64)) -> (f64, f64) {
        let before = self.sent.load(Ordering::Relaxed);
        self.begin.store(true, Ordering::Relaxed);
        let mut parts = Vec::new();
        while self.sent.load(Ordering::Relaxed) == before {
            parts.push(measure());
        }
        let part = |get: fn(&(f64, f64)) -> f64| median(parts.iter().map(get).collect());
        (part(|it| it.0), part(|it| it.1))
    }

    fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
