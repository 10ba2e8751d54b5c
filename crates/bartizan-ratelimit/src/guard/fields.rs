//! What responses tell of limits.

use bartizan_core::{Protocol, Rejection};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Decided;
use crate::config::Fields;
use crate::limiter::Active;
use crate::verdict::Denial;

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEGACY: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
];

/// How a server tells a gRPC client when to retry (gRFC A6); a negative number is "do not".
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// What a response tells of how the caller stands.
pub(super) struct Told {
    standard: Option<[HeaderValue; 2]>,
    legacy: Option<Box<[HeaderValue; 3]>>,
}

impl Told {
    pub(super) fn new(
        fields: Fields,
        active: &Active,
        decided: &Decided,
        denial: Option<&Denial>,
    ) -> Self {
        let Decided { now, report, .. } = decided;
        let standard = || {
            let policies = HeaderValue::from_maybe_shared(active.policy_field(report)).ok();
            // Empty if every policy is in shadow, and then there is nothing to tell.
            let policies = policies.filter(|policies| !policies.is_empty())?;
            let standing = active.standing_field(*now, report, denial);
            let standing = HeaderValue::from_bytes(standing.as_bytes()).ok()?;
            Some([policies, standing])
        };
        let legacy = || {
            let (limit, remaining, reset) = active.tightest(*now, report)?;
            Some(Box::new([limit.into(), remaining.into(), reset.into()]))
        };
        Self {
            standard: fields.has_standard().then(standard).flatten(),
            legacy: fields.has_legacy().then(legacy).flatten(),
        }
    }

    /// Adds it to a response. What a limit further in has said of itself stays.
    pub(super) fn write(self, headers: &mut HeaderMap) {
        if let Some([policies, standing]) = self.standard {
            // Lists: each layer appends its own.
            headers.append(RATELIMIT_POLICY, policies);
            headers.append(RATELIMIT, standing);
        }
        if let Some(legacy) = self.legacy {
            for (name, value) in LEGACY.into_iter().zip(*legacy) {
                headers.entry(name).or_insert(value);
            }
        }
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
    let told = Told::new(fields, active, decided, Some(denial));
    if let Some([policies, standing]) = told.standard {
        rejection = rejection.with_header(RATELIMIT_POLICY, policies);
        rejection = rejection.with_header(RATELIMIT, standing);
    }
    if let Some(legacy) = told.legacy {
        for (name, value) in LEGACY.into_iter().zip(*legacy) {
            rejection = rejection.with_header(name, value);
        }
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
