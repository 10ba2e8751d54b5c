//! Domain rooms import neither `http` nor `tower`, nor anything built on them.
//!
//! In a layer crate every room is a domain room unless the table names it as plumbing. The core
//! is plumbing by profession, so there the table names the domain rooms.
//!
//! It is what a room imports that makes it plumbing, not whom it speaks to: one that speaks to
//! PostgreSQL or Redis needs none of those crates and may have none of them, and counts as a
//! domain room when lines are measured. Its tests have a real server to speak to.

use super::Violation;
use super::directions::LAYERS;
use crate::mask::words;
use crate::source::Source;

/// Rooms of plumbing that every layer crate may have; a room is a file and the folder beside it.
/// That of the fuzz targets leads into all others.
const PLUMBING: [&str; 11] = [
    "lib", "config", "layer", "guard", "service", "future", "fuzzing", "body", "error", "axum",
    "tonic",
];

/// Further rooms of plumbing, by crate.
const MORE_PLUMBING: [(&str, &[&str]); 8] = [
    // Sinks that speak HTTP, and the client of witnesses.
    ("bartizan-audit", &["sink", "witnessing"]),
    // The layer of what one route requires.
    ("bartizan-authz", &["require"]),
    // Key services elsewhere, which are spoken to over HTTPS.
    ("bartizan-encrypt", &["aws", "remote", "vault"]),
    // What a handler writes in its signature, on either host; and the calls that the service makes
    // itself.
    (
        "bartizan-jwt",
        &["authorization_server", "extract", "outgoing"],
    ),
    // Accepting, serving and opening connections, the glue to the hosts that ask for them, the
    // headers of proxies, those that may not come in plaintext, and the gRPC of the Workload API.
    (
        "bartizan-mtls",
        &[
            "accept",
            "connector",
            "forwarded",
            "hosts",
            "listener",
            "migration",
            "serve",
            "stream",
            "workload_api",
        ],
    ),
    // What requests are counted by, which is in their heads; a client that speaks gRPC.
    ("bartizan-ratelimit", &["key", "envoy"]),
    // The one room that speaks HTTP to fetch what is published there.
    ("bartizan-source", &["lib", "https"]),
    // The span of a request, which begins with a header and ends with a body.
    ("bartizan-telemetry", &["span"]),
];

/// The core's domain rooms, each with what it may import all the same.
const CORE_DOMAIN: [(&str, &[&str]); 12] = [
    ("address", &[]),
    // A challenge is the value of one header.
    (
        "challenge",
        &["http::HeaderValue", "http::header::HeaderValue"],
    ),
    ("clock", &[]),
    ("code", &[]),
    ("decision", &[]),
    ("erasure", &[]),
    ("forwarded", &[]),
    ("peer", &[]),
    ("principal", &[]),
    ("route", &[]),
    ("spiffe_id", &[]),
    ("spiffe_pattern", &[]),
];

/// Crates that a domain room does not know.
const FOREIGN: [&str; 15] = [
    "axum",
    "axum_core",
    "h2",
    "http",
    "http_body",
    "http_body_util",
    "hyper",
    "hyper_rustls",
    "hyper_util",
    "reqwest",
    "tonic",
    "tower",
    "tower_http",
    "tower_layer",
    "tower_service",
];

/// Finds domain rooms that import what they should not know.
#[must_use]
pub fn check(sources: &[Source]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        let Some(permitted) = domain(source) else {
            continue;
        };
        for (at, path) in imports(&source.masked.shipped_bare) {
            if !permitted.contains(&path.as_str()) {
                violations.push(Violation::new(
                    source.place(at),
                    format!("imports {path} in a domain room; only plumbing rooms may"),
                ));
            }
        }
    }
    violations
}

/// Whether a file is a domain room.
#[must_use]
pub fn is_domain(source: &Source) -> bool {
    domain(source).is_some()
}

/// What a domain room may import all the same; `None` for any other file.
fn domain(source: &Source) -> Option<&'static [&'static str]> {
    let (name, path) = source.room()?;
    let room = path.split('/').next()?.trim_end_matches(".rs");
    if name == "bartizan-core" {
        let (_, permitted) = CORE_DOMAIN.iter().find(|(domain, _)| *domain == room)?;
        return Some(permitted);
    }
    let layer = LAYERS.contains(&name);
    let more = MORE_PLUMBING
        .iter()
        .find(|(package, _)| *package == name)
        .map(|(_, rooms)| *rooms);
    if !layer && more.is_none() {
        return None;
    }
    let plumbing = (layer && PLUMBING.contains(&room)) || more.is_some_and(|it| it.contains(&room));
    (!plumbing).then_some(&[])
}

/// The paths in `bare` code that begin with a foreign crate.
fn imports(bare: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut previous = "";
    for (at, word) in words(bare) {
        let before = bare.get(..at).unwrap_or_default().trim_end();
        let behind = bare.get(at + word.len()..).unwrap_or_default();
        if FOREIGN.contains(&word) && !is_inner_segment(before) {
            let imported = ["use", "crate"].contains(&previous) && !before.ends_with("::");
            if behind.trim_start().starts_with("::") || imported {
                found.push((at, path_from(bare, at)));
            }
        }
        previous = word;
    }
    found
}

/// Whether what follows is a segment inside of a path, such as `crate::axum`, or a member.
fn is_inner_segment(before: &str) -> bool {
    match before.strip_suffix("::") {
        Some(path) => {
            path.trim_end()
                .ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '>')
                && !["use", "as", "in", "dyn", "impl", "mut", "return"]
                    .iter()
                    .any(|keyword| path.ends_with(&format!("{keyword} ")))
        }
        None => before.ends_with('.') && !before.ends_with(".."),
    }
}

/// The whole path at `at`, up to what is no identifier.
fn path_from(bare: &str, at: usize) -> String {
    bare.get(at..)
        .unwrap_or_default()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':')
        .collect::<String>()
        .trim_end_matches(':')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_room(path: &str, text: &str, places: &[&str]) {
        let found: Vec<String> = check(&[Source::new(path, text)])
            .into_iter()
            .map(|violation| violation.place)
            .collect();
        assert_eq!(found, places, "{path}: {text}");
    }

    const ROOM: &str = "crates/bartizan-jwt/src/token.rs";
    const LINE_1: &[&str] = &["crates/bartizan-jwt/src/token.rs:1"];

    #[test]
    fn an_import_in_a_domain_room_is_found() {
        check_room(ROOM, "use http::HeaderMap;", LINE_1);
        check_room(ROOM, "use http;", LINE_1);
        check_room(ROOM, "use ::http::Uri;", LINE_1);
        check_room(ROOM, "use {std::fmt, tower::Layer};", LINE_1);
        check_room(ROOM, "extern crate tonic;", LINE_1);
        check_room(ROOM, "fn f(m: &http::HeaderMap) {}", LINE_1);
        check_room(ROOM, "fn f(m: &::hyper_util::X) {}", LINE_1);
        check_room(ROOM, "impl tower_service::Service<()> for X {}", LINE_1);
        check_room(
            "crates/bartizan-core/src/route/path.rs",
            "\n\nuse http::Uri;",
            &["crates/bartizan-core/src/route/path.rs:3"],
        );
        check_room(
            "crates/bartizan-source/src/files/read.rs",
            "use hyper::body::Body;",
            &["crates/bartizan-source/src/files/read.rs:1"],
        );
    }

    #[test]
    fn the_same_word_for_another_thing_is_none() {
        check_room(ROOM, "// use http::HeaderMap;", &[]);
        check_room(ROOM, "let a = \"http::HeaderMap\";", &[]);
        check_room(ROOM, "use crate::axum::Glue;", &[]);
        check_room(ROOM, "let http = 1; f(http); g(self.http);", &[]);
        check_room(ROOM, "use http2::X; use my_http::Y;", &[]);
        check_room(ROOM, "#[cfg(test)]\nmod tests { use http::Uri; }", &[]);
        check_room(
            "crates/bartizan-jwt/src/token/tests.rs",
            "use http::Uri;",
            &[],
        );
    }

    #[test]
    fn plumbing_may() {
        check_room("crates/bartizan-jwt/src/guard.rs", "use http::Uri;", &[]);
        check_room(
            "crates/bartizan-jwt/src/axum/extract.rs",
            "use axum::X;",
            &[],
        );
        check_room("crates/bartizan-mtls/src/listener.rs", "use axum::X;", &[]);
        check_room(
            "crates/bartizan-source/src/https/body.rs",
            "use hyper::X;",
            &[],
        );
        check_room("crates/bartizan-core/src/service.rs", "use http::Uri;", &[]);
        check_room("crates/conformance/src/jwt.rs", "use http::Uri;", &[]);
    }

    #[test]
    fn a_challenge_is_a_header_value_and_no_more() {
        let room = "crates/bartizan-core/src/challenge.rs";
        check_room(room, "use http::HeaderValue;", &[]);
        check_room(
            room,
            "use http::HeaderMap;",
            &["crates/bartizan-core/src/challenge.rs:1"],
        );
    }
}
