//! The layer of API keys in front of a service that does nothing, beside the hash that it cannot do
//! without. Exits with an error past its bound on allocations.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench prints, and may panic"
)]

mod support;

use std::cell::Cell;
use std::hint::black_box;
use std::process::ExitCode;

use bartizan_apikey::{ApiKeyConfig, ApiKeyLayer, KeyFormat, KeyRecord, NewKey, Pepper, Peppers};
use bartizan_benches::Comparison;
use bartizan_core::{Clock as _, Connection, Duty, GuardLayer, SystemClock};
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::Empty;
use ring::hmac;
use tower::{Layer as _, Service};

use support::{Bare, Open, connection, send};

const KEYS: usize = 100_000;

fn request(key: &HeaderValue, connection: &Connection) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = http::Uri::from_static("/orders/7");
    request.headers_mut().insert("x-api-key", key.clone());
    request.extensions_mut().insert(connection.clone());
    request
}

fn keys(count: usize) -> Vec<NewKey> {
    let format = KeyFormat::live();
    (0..count)
        .map(|_| NewKey::generate(&format).unwrap())
        .collect()
}

fn values(keys: &[NewKey]) -> Vec<HeaderValue> {
    let value = |key: &NewKey| HeaderValue::try_from(key.expose()).unwrap();
    keys.iter().map(value).collect()
}

fn layer(keys: &[NewKey], peppers: &Peppers) -> ApiKeyLayer {
    let now = SystemClock.wall();
    let record = |key| {
        KeyRecord::builder(key, peppers, "reports", now)
            .with_client("nightly")
            .with_scopes(["orders:read", "orders:write"])
            .build()
            .unwrap()
    };
    let config = ApiKeyConfig::builder("orders-keys")
        .with_keys(keys.iter().map(record))
        .with_peppers(peppers.clone());
    ApiKeyLayer::start(config.build().unwrap()).unwrap()
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

/// Allocations between the request as the host hands it over and the end of its response.
fn count<S, B>(service: &mut S, request: impl Fn() -> Request<Empty<Bytes>>) -> u64
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = std::convert::Infallible>,
{
    assert_eq!(send(service, request()).status(), 200);
    let made = allocation_counter::measure(|| drop(request()));
    let all = allocation_counter::measure(|| drop(send(service, request())));
    all.count_total - made.count_total
}

fn main() -> ExitCode {
    let connection = connection();
    let request = |key: &HeaderValue| request(key, &connection);
    let peppers = Peppers::new(Pepper::new("2027", &[7; 32]).unwrap());
    let all = keys(KEYS);
    let sent = values(&all);
    let mut bare = Bare;
    let mut open = GuardLayer::new(Open(Duty::new("open"))).layer(Bare);
    let mut one = layer(&all[..1], &peppers).layer(Bare);
    let mut plain = layer(&all[..1], &Peppers::none()).layer(Bare);
    let many_layer = layer(&all, &peppers);
    let mut many = many_layer.layer(Bare);
    assert_eq!(many_layer.guard().keys(), KEYS);

    let bare_count = count(&mut bare, || request(&sent[0]));
    let context = count(&mut open, || request(&sent[0])) - bare_count;
    let beyond = count(&mut many, || request(&sent[0])) - bare_count - context;
    println!("\n### Allocations of an accepted request\n");
    println!("| what | allocations | at most |\n|---|---:|---:|");
    println!("| the context | {context} | 3 |");
    println!("| ApiKeyLayer, beyond the context | {beyond} | 0 |");

    let raw = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
    let text = &all[0].expose().as_bytes()[..65];
    let tag = hmac::sign(&raw, text);
    // As a host does that has just read it from its socket: what the layer compares with is in
    // memory, the key itself is near.
    let received = |key: &HeaderValue| {
        black_box(key.as_bytes().iter().fold(0_u8, |sum, byte| sum ^ byte));
        request(key)
    };
    let next = uniform(KEYS);
    let mut comparison = Comparison::new("API keys, an accepted request");
    comparison.case("context, decision, no rule", || {
        send(&mut open, received(&sent[0])).status()
    });
    comparison.case("context, ApiKeyLayer, one key", || {
        send(&mut one, received(&sent[0])).status()
    });
    comparison.case("context, ApiKeyLayer, one key without a pepper", || {
        send(&mut plain, received(&sent[0])).status()
    });
    comparison.case("raw ring: HMAC-SHA256 of 65 bytes alone", || {
        hmac::verify(&raw, text, tag.as_ref()).is_ok()
    });
    comparison.run();

    let mut comparison = Comparison::new("API keys, any of 100,000, an accepted request");
    comparison.case("context, decision, no rule", || {
        send(&mut open, received(&sent[next()])).status()
    });
    comparison.case("context, ApiKeyLayer", || {
        send(&mut many, received(&sent[next()])).status()
    });
    comparison.run();

    // The identifier of one key with the secret of another is told from no key by its time alone,
    // if at all: checksums are made by whoever makes keys up.
    let unknown = values(&keys(1000));
    let wrong: Vec<_> = all[..1000]
        .iter()
        .zip(keys(1000))
        .map(|(one, other)| {
            sealed(&format!(
                "{}{}",
                &one.expose()[..22],
                &other.expose()[22..65]
            ))
        })
        .collect();
    let (next, other) = (uniform(1000), uniform(1000));
    let mistyped = format!("{}000000", &all[0].expose()[..65]);
    let mistyped = HeaderValue::try_from(mistyped).unwrap();
    let [mut first, mut second, mut third] = [(); 3].map(|()| many_layer.layer(Bare));
    let mut comparison = Comparison::new("API keys, refused");
    comparison.case("unknown key", || {
        send(&mut first, request(&unknown[next()])).status()
    });
    comparison.case("wrong secret", || {
        send(&mut second, request(&wrong[other()])).status()
    });
    comparison.case("mistyped key", || {
        send(&mut third, request(&mistyped)).status()
    });
    comparison.run();

    if beyond == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// A key of this text, with its checksum: CRC-32 in base 62, as documented.
fn sealed(text: &str) -> HeaderValue {
    const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut crc = u32::MAX;
    for byte in text.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 * (crc & 1));
        }
    }
    let (mut rest, mut sum) = (!crc as usize, [0; 6]);
    for digit in sum.iter_mut().rev() {
        *digit = DIGITS[rest % 62];
        rest /= 62;
    }
    HeaderValue::try_from(format!("{text}{}", String::from_utf8_lossy(&sum))).unwrap()
}
