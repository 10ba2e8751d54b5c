//! What responses tell of limits.

use bartizan_core::{Protocol, Rejection};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Decided;
use crate::config::Fields;
use crate::limiter::Active;
use crate::verdict::Denial;

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEGACY_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const LEGACY_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const LEGACY_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// How a server tells a gRPC client when to retry (gRFC A6); a negative number is "do not".
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// Adds to a response how the caller stands. What a limit further in has said of itself stays.
pub(super) fn write_standing(
    headers: &mut HeaderMap,
    fields: Fields,
    active: &Active,
    decided: &Decided,
) {
    for (name, value) in standard(fields, active, decided, None) {
        // Lists: each layer appends its own.
        headers.append(name, value);
    }
    for (name, value) in legacy(fields, active, decided) {
        headers.entry(name).or_insert(value);
    }
}

/// Adds to a refusal how the caller stands, and for gRPC when to retry.
pub(super) fn write_refusal(
    mut rejection: Rejection,
    protocol: Protocol,
    fields: Fields,
    active: &Active,
    decided: &Decided,
    denial: &Denial,
) -> Rejection {
    if protocol != Protocol::Http {
        rejection = rejection.with_header(PUSHBACK, pushback(denial));
    }
    let standard = standard(fields, active, decided, Some(denial));
    for (name, value) in standard.chain(legacy(fields, active, decided)) {
        rejection = rejection.with_header(name, value);
    }
    rejection
}

fn pushback(denial: &Denial) -> HeaderValue {
    match denial.wait() {
        Some(wait) => {
            let millis = wait.as_nanos().div_ceil(1_000_000);
            // The largest wait that clients can read: 24 days.
            HeaderValue::from(i32::try_from(millis).unwrap_or(i32::MAX))
        }
        None => HeaderValue::from_static("-1"),
    }
}

fn standard(
    fields: Fields,
    active: &Active,
    decided: &Decided,
    denial: Option<&Denial>,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let texts = fields.has_standard().then(|| {
        let policies = active.policy_field(&decided.report);
        let standing = active.standing_field(decided.now, &decided.report, denial);
        [
            (RATELIMIT_POLICY, HeaderValue::from_maybe_shared(policies)),
            (RATELIMIT, HeaderValue::from_str(&standing)),
        ]
    });
    texts
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name, value.ok()?)))
        // Empty if every policy is in shadow, and then there is nothing to tell.
        .filter(|(_, value)| !value.is_empty())
}

fn legacy(
    fields: Fields,
    active: &Active,
    decided: &Decided,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let tightest = match fields.has_legacy() {
        true => active.tightest(decided.now, &decided.report),
        false => None,
    };
    tightest.into_iter().flat_map(|(limit, remaining, reset)| {
        [
            (LEGACY_LIMIT, limit.into()),
            (LEGACY_REMAINING, remaining.into()),
            (LEGACY_RESET, reset.into()),
        ]
    })
}
