//! Services that say what they saw: one for HTTP, one for gRPC.

mod grpc;
mod http;

use std::fmt::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::http::{Extensions, HeaderMap};
use bartizan_core::{Decision, PeerIdentity, SecurityContext};
use bytes::Bytes;
use serde_json::{Map, Value, json};

pub use self::grpc::{GrpcEcho, GrpcEchoClient};
pub use self::http::{EchoBody, HttpEcho, echo_router};

/// Headers whose values the echo does not repeat.
const SECRETS: [&str; 5] = [
    "authorization",
    "cookie",
    "dpop",
    "proxy-authorization",
    "x-api-key",
];

/// What a [`SecurityContext`] says, as JSON: members `peer`, `principal`, `address`, `template` and
/// `decisions`. `null` where the request has no context.
///
/// ```
/// use bartizan_testkit::context_json;
///
/// assert!(context_json(&http::Extensions::new()).is_null());
/// ```
pub fn context_json(extensions: &Extensions) -> Value {
    let Some(context) = SecurityContext::of(extensions) else {
        return Value::Null;
    };
    let decisions: Vec<Value> = context.decisions().iter().map(decision_json).collect();
    json!({
        "peer": context.peer().map(|peer| json!({
            "spiffe_id": peer.spiffe_id().map(ToString::to_string),
            "dns": match peer.identity() {
                PeerIdentity::Dns(names) => json!(names[..]),
                _ => Value::Null,
            },
            "certificate_sha256": hex(peer.certificate_sha256()),
            "serial": hex(peer.serial()),
        })),
        "principal": context.principal().map(|principal| json!({
            "scheme": principal.scheme().as_str(),
            "issuer": principal.issuer(),
            "subject": principal.subject(),
            "client": principal.client(),
            "scopes": principal.scopes().collect::<Vec<_>>(),
            "roles": principal.roles().collect::<Vec<_>>(),
        })),
        "address": context.address().map(|address| address.to_string()),
        "template": context.template(),
        "decisions": decisions,
    })
}

fn decision_json(decision: &Decision) -> Value {
    json!({
        "layer": decision.layer(),
        "outcome": decision.outcome().as_str(),
        "code": decision.code().map(|code| code.as_str()),
        "detail": decision.detail(),
    })
}

/// The answer of both services to a plain request.
fn seen_json(
    method: &str,
    path: &str,
    headers: &HeaderMap,
    seen: &Extensions,
    body: &[u8],
) -> Bytes {
    let mut names = Map::new();
    for name in headers.keys() {
        let values: Vec<String> = headers
            .get_all(name)
            .iter()
            .map(|value| match SECRETS.contains(&name.as_str()) {
                true => "redacted".to_owned(),
                false => String::from_utf8_lossy(value.as_bytes()).into_owned(),
            })
            .collect();
        names.insert(name.as_str().to_owned(), json!(values));
    }
    let answer = json!({
        "method": method,
        "path": path,
        "headers": names,
        "body": String::from_utf8_lossy(body),
        "context": context_json(seen),
    });
    Bytes::from(answer.to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The items of a streamed answer: `0`, `1`, … and then the end, or silence for as long as the
/// client stays.
#[derive(Clone, Copy, Debug)]
struct Countup {
    next: u32,
    count: u32,
    stays_open: bool,
}

impl Countup {
    /// Reads `3` or `3/open`.
    fn parse(text: &str) -> Option<Self> {
        let (count, stays_open) = match text.strip_suffix("/open") {
            Some(count) => (count, true),
            None => (text, false),
        };
        Some(Self {
            next: 0,
            count: count.parse().ok()?,
            stays_open,
        })
    }

    fn poll_item(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<u32>> {
        let item = self.next;
        if item < self.count {
            self.next += 1;
            return Poll::Ready(Some(item));
        }
        // No waker is kept: nothing but the client's departure ends this stream.
        if self.stays_open {
            Poll::Pending
        } else {
            Poll::Ready(None)
        }
    }
}
