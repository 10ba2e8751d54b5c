//! What things take in memory, beside what was set or said; and that floods take no more than what
//! tables were built for. Exits with an error past a bound.
//!
//! Bytes are counted by the allocator of the thread that the service runs on; clients are threads
//! of their own.
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench prints, and may panic"
)]

#[path = "support/idle.rs"]
mod idle;
#[path = "support/pki.rs"]
mod pki;
mod support;

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use allocation_counter::measure;
use bartizan_audit::{AuditConfig, AuditLayer, Ledger, LedgerBuilder, LedgerReader, Record};
use bartizan_core::Connection;
use bartizan_jwt::{JwtConfig, JwtLayer};
use bartizan_mtls::MtlsLayer;
use bartizan_ratelimit::{Limiter, Policy, Rate};
use bartizan_testkit::{SigningAlgorithm, TokenMint};
use http::HeaderValue;
use tower::Layer as _;

use support::{Bare, connection, keys, mint, request, rules, send};

/// How many keys a policy remembers unless told otherwise.
const KEYS: usize = 1 << 16;
/// How many more distinct keys a flood has.
const FLOOD_OF_KEYS: usize = 3_000_000;
/// How many tokens the cache of this bench has room for.
const TOKENS: usize = 1_024;
/// What one of them may take: 40 MiB for 16,384, as the documentation of `JwtConfig` says.
const TOKEN: i64 = (40 << 20) / 16_384;
/// The length of an access token with eight claims, signed with RSA.
const LENGTH: usize = 787;
/// What a flood may leave behind on the heap beyond full tables: a map that doubled.
const SLACK: i64 = 64 * 1024;
/// What a flood may leave behind in resident memory: pages that an allocator keeps, as in the soak.
const RESIDENT_SLACK: i64 = 4 << 20;

static EXCEEDED: AtomicBool = AtomicBool::new(false);

/// A row with a bound, which may be exceeded.
fn held(what: &str, bytes: i64, most: i64) {
    let verdict = if bytes > most { ", **exceeded**" } else { "" };
    EXCEEDED.fetch_or(bytes > most, Ordering::Relaxed);
    println!("| {what} | {bytes} | {most}{verdict} |");
}

fn stated(what: &str, bytes: i64) {
    println!("| {what} | {bytes} | |");
}

fn head(title: &str) {
    println!("\n### {title}\n\n| what | bytes | at most |\n|---|---:|---:|");
}

/// What is made, and the bytes that it takes.
fn made<T>(make: impl FnOnce() -> T) -> (T, i64) {
    let mut made = None;
    let measured = measure(|| made = Some(make()));
    (made.unwrap(), measured.bytes_current)
}

/// Resident memory of this process, in bytes.
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"));
    let kilobytes = line.unwrap().trim().strip_suffix(" kB").unwrap();
    kilobytes.parse::<i64>().unwrap() * 1024
}

fn limited_keys() {
    head("A limited key");
    let limiter = |keys: usize| {
        let policy = Policy::new("burst", Rate::per_hour(100)).with_keys(keys);
        Limiter::builder().add_policy(policy).build().unwrap()
    };
    let slots = i64::try_from(KEYS).unwrap();
    let first = resident();
    let many = limiter(64 * KEYS);
    for key in 0..64 * KEYS {
        let _ = black_box(many.check(&key));
    }
    let by_resident = (resident() - first) / (64 * slots);
    drop(many);
    let (limiter, built) = made(|| limiter(KEYS));
    // 18.3, as the documentation of `Policy` says.
    held("a slot, of 65,536", (built + slots - 1) / slots, 19);
    stated("a slot, of 4,194,304, by resident memory", by_resident);
    (0..KEYS / 2).for_each(|key| assert!(limiter.check(&key).is_allowed()));
    let before = limiter.occupancy().remove(0);
    let live = i64::try_from(before.live).unwrap();
    held("a live key, with half of the slots taken", built / live, 40);
    let first = resident();
    let flooded = measure(|| {
        for key in 0..FLOOD_OF_KEYS {
            let _ = black_box(limiter.check(&(key, "flood")));
        }
    });
    let after = limiter.occupancy().remove(0);
    assert!(
        after.live > before.live && after.live <= after.slots,
        "{after:?}"
    );
    assert_eq!(after.bytes, before.bytes, "it is taken at build");
    let allocated = i64::try_from(flooded.bytes_total).unwrap();
    held("allocated by 3,000,000 made-up keys", allocated, 0);
    held("resident, after them", resident() - first, RESIDENT_SLACK);
}

fn tokens(mint: &TokenMint, numbers: std::ops::Range<usize>) -> Vec<HeaderValue> {
    let token = |fill: usize, number: usize| {
        let token = mint
            .token()
            .audience("orders")
            .scope("orders:read orders:write")
            .subject(&format!("user-{number:06}"))
            .token_id(format!("token-{number:06}"))
            .claim("fill", "x".repeat(fill))
            .expires_in(Duration::from_secs(86_400));
        token.sign().unwrap()
    };
    let fits = |fill: &usize| token(*fill, 0).len() >= LENGTH;
    let fill = (0..LENGTH).find(fits).unwrap();
    let bearer = |number| format!("Bearer {}", token(fill, number)).parse().unwrap();
    shared(numbers.map(bearer).collect())
}

/// The same, cloned once: what clones of a value share is made with the first of them.
fn shared(values: Vec<HeaderValue>) -> Vec<HeaderValue> {
    for value in &values {
        drop(black_box(value.clone()));
    }
    values
}

/// The same tokens, with a character of each signature changed.
fn forged(tokens: &[HeaderValue]) -> Vec<HeaderValue> {
    let forge = |token: &HeaderValue| {
        let mut bytes = token.as_bytes().to_vec();
        let at = bytes.len() - 10;
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        HeaderValue::from_bytes(&bytes).unwrap()
    };
    shared(tokens.iter().map(forge).collect())
}

fn cached_tokens(connection: &Connection) {
    head("A cached token of 787 bytes, with what it says");
    let mint = mint(SigningAlgorithm::Es256);
    let layer = |count: usize| {
        let config = JwtConfig::builder(rules()).with_keys(keys(&mint));
        let config = config
            .with_cached_tokens(count)
            .with_cache_lifetime(Duration::from_secs(300));
        JwtLayer::start(config.build().unwrap()).unwrap()
    };
    let ask = |layer: &JwtLayer, tokens: &[HeaderValue], status: u16| {
        let mut service = layer.layer(Bare);
        for token in tokens {
            let answer = send(&mut service, request(token, connection));
            assert_eq!(answer.status(), status);
        }
    };
    let filled = |count: usize, tokens: &[HeaderValue]| {
        made(|| {
            let layer = layer(count);
            ask(&layer, tokens, 200);
            layer
        })
    };
    let remembered = |layer: &JwtLayer| i64::try_from(layer.guard().cached_tokens()).unwrap();

    let many = tokens(&mint, 0..10_000);
    let first = resident();
    let (large, bytes) = filled(16_384, &many);
    let (grown, cached) = (resident() - first, remembered(&large));
    assert!(cached >= 9_990, "{cached}");
    held("one of 10,000", bytes / cached, TOKEN);
    stated("one of 10,000, by resident memory", grown / cached);
    drop((large, many));

    let fill = tokens(&mint, 0..TOKENS);
    let (small, bytes) = filled(TOKENS, &fill);
    stated("the whole of a cache for 1,024", bytes);
    let others = tokens(&mint, TOKENS..9 * TOKENS);
    let forged = forged(&others);
    let first = resident();
    let flooded = measure(|| ask(&small, &others, 200));
    assert!(small.guard().cached_tokens() <= TOKENS);
    // Its parts fill unevenly at first: what is there then may be what was not.
    let room = (i64::try_from(TOKENS).unwrap() * TOKEN - bytes).max(0);
    held(
        "kept of 8,192 more good ones",
        flooded.bytes_current,
        room + SLACK,
    );
    let flooded = measure(|| ask(&small, &forged, 401));
    held(
        "kept of 8,192 that nobody signed",
        flooded.bytes_current,
        SLACK,
    );
    held(
        "resident, after both",
        resident() - first,
        room + RESIDENT_SLACK,
    );
}

/// A folder that is not there any more in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("bartizan-memory-{name}-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn builder(&self) -> LedgerBuilder {
        Ledger::builder(&self.0, "bench.example/audit")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A service that records each request of a peer, and refuses strangers.
fn audited(ledger: &Ledger) -> impl FnMut(&Connection) {
    let config = AuditConfig::builder(ledger.clone()).build().unwrap();
    let peers = MtlsLayer::builder().allow_trust_domain("example.org".parse().unwrap());
    let guarded = peers.build().unwrap().layer(Bare);
    let mut service = AuditLayer::new(config).layer(guarded);
    let token = HeaderValue::from_static("Bearer none");
    move |connection| drop(send(&mut service, request(&token, connection)))
}

fn buffered_events(connection: &Connection) {
    head("A buffered audit event");
    let (each, stored) = (in_buffer(connection), in_ledger(connection));
    // 16 MiB for 100 ms of half a million a second, as the documentation of `LedgerBuilder` says.
    held("one, of a request by a peer", each, (16 << 20) / 50_000);
    stated("of which are stored", stored);

    let folder = Folder::new("flood");
    let ledger = folder.builder().open().unwrap();
    let mut ask = audited(&ledger);
    (0..1_000).for_each(|_| ask(connection));
    let first = resident();
    let asked = measure(|| (0..2_000_000).for_each(|_| ask(connection)));
    held(
        "kept on the heap by 2,000,000 requests",
        asked.bytes_current,
        0,
    );
    // Two buffers, of which one is written out while the other fills: their pages come in as they
    // are needed, when the writer is late. Of a segment whose tiles are written, a piece.
    let most = ((2 * 16 + 1) << 20) + RESIDENT_SLACK;
    held("resident, after them", resident() - first, most);
    // Once all of these pages are there, it stays as it is.
    let mut grown = i64::MAX;
    for _ in 0..8 {
        let before = resident();
        (0..1_000_000).for_each(|_| ask(connection));
        grown = resident() - before;
        if grown <= RESIDENT_SLACK {
            break;
        }
    }
    held(
        "resident, by the last 1,000,000 more",
        grown,
        RESIDENT_SLACK,
    );
    held("resident, in all", resident() - first, most);
    // Somebody unknown from everywhere: counted together, with a bound on how many apart.
    let strangers = measure(|| {
        for number in 0..100_000_u32 {
            let address = Ipv4Addr::from(number << 8);
            ask(&Connection::from_remote((address, 4000).into()));
        }
    });
    // A table of 2,048 places, of 80 bytes and some.
    held(
        "kept of 100,000 strangers, each from a network of its own",
        strangers.bytes_current,
        256 * 1024,
    );
    drop(ask);
    let _ = ledger.shutdown_blocking(Duration::from_secs(60));
}

/// Bytes of the buffer for each event: as many as there are until it is full, while nobody takes
/// any out.
fn in_buffer(connection: &Connection) -> i64 {
    /// So small that it is full before the writer is woken.
    const BUFFER: usize = 256 * 1024;
    let folder = Folder::new("full");
    let hour = Duration::from_secs(3_600);
    let builder = folder.builder().with_buffer_bytes(BUFFER);
    let builder = builder.with_flush_interval(hour).with_heartbeat(hour);
    let ledger = builder.open().unwrap();
    let mut ask = audited(&ledger);
    while ledger.totals().lost == 0 {
        ask(connection);
    }
    let taken = ledger.totals().accepted - ledger.totals().lost;
    drop(ask);
    let _ = ledger.shutdown_blocking(Duration::from_secs(60));
    i64::try_from(BUFFER).unwrap() / i64::try_from(taken).unwrap()
}

/// Bytes of the same events as they are read back.
fn in_ledger(connection: &Connection) -> i64 {
    let folder = Folder::new("stored");
    let ledger = folder.builder().open().unwrap();
    let mut ask = audited(&ledger);
    (0..1_000).for_each(|_| ask(connection));
    drop(ask);
    let _ = ledger.shutdown_blocking(Duration::from_secs(60));
    let entries = LedgerReader::open(&folder.0).unwrap().next_batch().unwrap();
    let requests = entries
        .iter()
        .filter(|it| matches!(it.record().unwrap(), Record::Request(_)));
    let bytes: Vec<usize> = requests.map(|it| it.bytes.len()).collect();
    i64::try_from(bytes.iter().sum::<usize>() / bytes.len()).unwrap()
}

fn main() -> ExitCode {
    let connection = connection();
    limited_keys();
    cached_tokens(&connection);
    buffered_events(&connection);
    head("A connection, at the server");
    idle::rows();
    ExitCode::from(u8::from(EXCEEDED.load(Ordering::Relaxed)))
}
