//! The part of Envoy's messages that is used here.

use std::time::Duration;

/// `envoy.service.ratelimit.v3.RateLimitRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RateLimitRequest {
    #[prost(string, tag = "1")]
    pub(super) domain: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) descriptors: Vec<Descriptor>,
    #[prost(uint32, tag = "3")]
    pub(super) hits_addend: u32,
}

/// `envoy.extensions.common.ratelimit.v3.RateLimitDescriptor`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Descriptor {
    #[prost(message, repeated, tag = "1")]
    pub(super) entries: Vec<Entry>,
}

/// `envoy.extensions.common.ratelimit.v3.RateLimitDescriptor.Entry`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Entry {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

/// `envoy.service.ratelimit.v3.RateLimitResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RateLimitResponse {
    #[prost(enumeration = "OverallCode", tag = "1")]
    pub(super) overall_code: i32,
    #[prost(message, repeated, tag = "2")]
    pub(super) statuses: Vec<DescriptorStatus>,
}

/// `envoy.service.ratelimit.v3.RateLimitResponse.DescriptorStatus`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct DescriptorStatus {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(uint32, tag = "3")]
    pub(super) limit_remaining: u32,
    #[prost(message, optional, tag = "4")]
    pub(super) duration_until_reset: Option<Span>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Span {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

/// `envoy.service.ratelimit.v3.RateLimitResponse.Code`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, prost::Enumeration)]
#[repr(i32)]
pub(super) enum OverallCode {
    Unknown = 0,
    Ok = 1,
    OverLimit = 2,
}

/// The code of a descriptor that is over its limit.
pub(super) const OVER_LIMIT: i32 = OverallCode::OverLimit as i32;

/// The longest that a refusal is believed to hold: what is longer is a window of the service that
/// its configuration may shorten meanwhile.
const LONGEST: Duration = Duration::from_secs(86_400);

impl Entry {
    /// An entry; services refuse empty values, and get a dash.
    pub(super) fn new(key: &str, value: &str) -> Self {
        let value = if value.is_empty() { "-" } else { value };
        Self {
            key: key.to_owned(),
            value: value.to_owned(),
        }
    }
}

impl DescriptorStatus {
    /// After how long the window is over, if that is told and can be.
    pub(super) fn reset(&self) -> Option<Duration> {
        let span = self.duration_until_reset?;
        let seconds = u64::try_from(span.seconds).ok()?;
        let nanos = u32::try_from(span.nanos).ok()?;
        let span = Duration::from_secs(seconds).checked_add(Duration::from_nanos(nanos.into()))?;
        Some(span.min(LONGEST))
    }
}
