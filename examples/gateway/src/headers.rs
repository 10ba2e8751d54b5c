//! What of a message's head is for the next hop, and what is between two of them.

use std::fmt::Write as _;
use std::net::IpAddr;

use bartizan::core::{Principal, SecurityContext};
use http::header::{AUTHORIZATION, CONNECTION, EXPECT, FORWARDED, HOST, TE, UPGRADE, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

/// What begins so is the gateway's to say.
const OURS: &str = "x-bartizan-";

const PEER: HeaderName = HeaderName::from_static("x-bartizan-peer");
const ISSUER: HeaderName = HeaderName::from_static("x-bartizan-issuer");
const SUBJECT: HeaderName = HeaderName::from_static("x-bartizan-subject");
const CLIENT: HeaderName = HeaderName::from_static("x-bartizan-client");
const SCOPES: HeaderName = HeaderName::from_static("x-bartizan-scopes");
const ROLES: HeaderName = HeaderName::from_static("x-bartizan-roles");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

//= RFC 9110 §7.6.1: removed whether or not `Connection` names them.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// What a client says about itself, its address or another method or path than the one that was
/// decided on. A framework behind would believe it.
const FROM_NOBODY: [&str; 14] = [
    "client-cert",
    "client-cert-chain",
    "expect",
    "forwarded",
    // Behind CGI it is `HTTP_PROXY`, which clients there take for their proxy.
    "proxy",
    "x-client-ip",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
    "true-client-ip",
    "cf-connecting-ip",
];

/// What `Connection` may not name: it concerns the end of the way, and a hop that took it away
/// would change what the request means.
const END_TO_END: [&str; 7] = [
    "authorization",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "origin",
    "via",
];

/// The names in the `Connection` fields.
fn connection_options(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(CONNECTION).into_iter();
    let options = lines.filter_map(|line| line.to_str().ok());
    options.flat_map(|line| line.split(',')).map(str::trim)
}

/// Whether `Connection` names what is not the connection's.
pub(crate) fn connection_is_abused(headers: &HeaderMap) -> bool {
    let unreadable = |line: &HeaderValue| line.to_str().is_err();
    headers.get_all(CONNECTION).into_iter().any(unreadable)
        || connection_options(headers).any(|name| {
            let name = dashed(name);
            END_TO_END.contains(&name.as_str()) || is_reserved(&name)
        })
}

/// Whether the client asks for a WebSocket. Nothing else is upgraded to: `h2c` would open a way
/// past everything that was decided.
pub(crate) fn asks_for_websocket(method: &Method, version: Version, headers: &HeaderMap) -> bool {
    let mut protocols = headers.get_all(UPGRADE).into_iter();
    let websocket = match (protocols.next(), protocols.next()) {
        (Some(one), None) => one.as_bytes().eq_ignore_ascii_case(b"websocket"),
        _ => false,
    };
    websocket
        && method == Method::GET
        && version == Version::HTTP_11
        && connection_options(headers).any(|name| name.eq_ignore_ascii_case("upgrade"))
}

/// Removes what is between two hops.
//= RFC 9110 §7.6.1: remove Connection and what it names before the message is forwarded.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = connection_options(headers)
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        .filter(|name| !END_TO_END.contains(&name.as_str()))
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Removes what only the gateway says, in every spelling that somebody behind could take for it.
pub(crate) fn remove_reserved(headers: &mut HeaderMap) {
    let reserved: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            let dashed = dashed(name.as_str());
            is_reserved(&dashed)
                || dashed != name.as_str()
                    && (END_TO_END.contains(&dashed.as_str())
                        || HOP_BY_HOP.contains(&dashed.as_str()))
        })
        .cloned()
        .collect();
    for name in reserved {
        headers.remove(name);
    }
}

/// A name as it is compared: a CGI-like framework behind makes one character of all that are
/// neither letters nor digits, and tells such names apart no more.
//= RFC 3875 §4.1.18: the names of meta-variables have `_` where those of fields have `-`.
fn dashed(name: &str) -> String {
    let dashed = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte.to_ascii_lowercase()),
        false => '-',
    };
    name.bytes().map(dashed).collect()
}

fn is_reserved(name: &str) -> bool {
    name.starts_with(OURS) || name.starts_with("x-forwarded-") || FROM_NOBODY.contains(&name)
}

/// What is taken out of trailers: everything that would mean something in a head.
pub(crate) fn clean_trailers(trailers: &mut HeaderMap) {
    remove_hop_by_hop(trailers);
    remove_reserved(trailers);
    for name in END_TO_END {
        trailers.remove(name);
    }
}

/// Whether a line of `Via` names this gateway.
pub(crate) fn came_through(headers: &HeaderMap, name: &str) -> bool {
    let lines = headers.get_all(VIA).into_iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .any(|hop| {
            let mut words = hop.split_whitespace().skip(1);
            words.next() == Some(name)
        })
}

//= RFC 9110 §7.6.3: a proxy must send Via in each message that it forwards.
pub(crate) fn add_via(headers: &mut HeaderMap, version: Version, name: &str) {
    let protocol = match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    };
    if let Ok(hop) = HeaderValue::try_from(format!("{protocol} {name}")) {
        headers.append(VIA, hop);
    }
}

/// How a request reached the gateway.
pub(crate) struct Arrival<'a> {
    pub(crate) client: Option<IpAddr>,
    pub(crate) host: &'a str,
    pub(crate) scheme: &'static str,
    pub(crate) version: Version,
}

/// Makes the head of a request that of one to the upstream: what is between hops and what only the
/// gateway says is removed, and then said.
pub(crate) fn prepare(
    headers: &mut HeaderMap,
    arrival: &Arrival<'_>,
    context: &SecurityContext,
    name: &str,
    forward_token: bool,
) {
    let trailers = headers
        .get(TE)
        .is_some_and(|value| value.as_bytes() == b"trailers");
    remove_hop_by_hop(headers);
    remove_reserved(headers);
    headers.remove(EXPECT);
    headers.remove(HOST);
    if !forward_token {
        headers.remove(AUTHORIZATION);
    }
    if trailers {
        // The one thing that may be said in it of a whole way (RFC 9110 §10.1.4); gRPC insists.
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    add_via(headers, arrival.version, name);
    add_forwarded(headers, arrival);
    add_identity(headers, context);
}

/// Says who the client is, as we believe it: one element, whatever others said before.
fn add_forwarded(headers: &mut HeaderMap, arrival: &Arrival<'_>) {
    let mut forwarded = String::new();
    match arrival.client {
        Some(IpAddr::V6(client)) => {
            let _ = write!(forwarded, "for=\"[{client}]\";");
        }
        Some(IpAddr::V4(client)) => {
            let _ = write!(forwarded, "for={client};");
        }
        None => {}
    }
    let (host, scheme) = (arrival.host, arrival.scheme);
    let _ = write!(forwarded, "host=\"{host}\";proto={scheme}");
    set(headers, FORWARDED, &forwarded);
    if let Some(client) = arrival.client {
        set(headers, FORWARDED_FOR, &client.to_string());
    }
    set(headers, FORWARDED_HOST, host);
    set(headers, FORWARDED_PROTO, scheme);
}

/// Says who was proven to ask, and for whom.
fn add_identity(headers: &mut HeaderMap, context: &SecurityContext) {
    if let Some(peer) = context.peer() {
        set(headers, PEER, &encoded(&peer.to_string()));
    }
    if let Some(principal) = context.principal() {
        add_principal(headers, principal);
    }
}

fn add_principal(headers: &mut HeaderMap, principal: &Principal) {
    let all = |texts: &mut dyn Iterator<Item = &str>| {
        let texts: Vec<_> = texts.map(encoded).collect();
        texts.join(" ")
    };
    set(headers, ISSUER, &encoded(principal.issuer()));
    set(headers, SUBJECT, &encoded(principal.subject()));
    if let Some(client) = principal.client() {
        set(headers, CLIENT, &encoded(client));
    }
    set(headers, SCOPES, &all(&mut principal.scopes()));
    set(headers, ROLES, &all(&mut principal.roles()));
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Percent-encodes whatever could be taken for the end of a value: a subject is any text.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !b"%,;\"\\".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
