//! The headers of a trace.

use std::str::FromStr as _;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use crate::trace_parent::TraceParent;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// A longer list is left out, as the specification lets one (§3.3.1.5 asks for 512 at least).
const LONGEST_STATE: usize = 512;

/// The caller's span. Two `traceparent` headers are none: one of them is not the caller's.
pub(super) fn extract(headers: &HeaderMap) -> Option<SpanContext> {
    let mut lines = headers.get_all(TRACEPARENT).iter();
    let parent = TraceParent::parse(lines.next()?.as_bytes())?;
    if lines.next().is_some() {
        return None;
    }
    let sampled = if parent.is_sampled() {
        TraceFlags::SAMPLED
    } else {
        TraceFlags::default()
    };
    Some(SpanContext::new(
        TraceId::from_bytes(parent.trace_id),
        SpanId::from_bytes(parent.parent_id),
        sampled,
        true,
        state(headers).unwrap_or_default(),
    ))
}

/// The state of the trace: carried on as it is, or not at all.
fn state(headers: &HeaderMap) -> Option<TraceState> {
    let mut lines = headers.get_all(TRACESTATE).iter();
    let state = lines.next()?.to_str().ok()?;
    if lines.next().is_some() || state.len() > LONGEST_STATE {
        return None;
    }
    TraceState::from_str(state).ok()
}

/// Writes the span as the caller's. What stood there, stood for somebody else.
pub(super) fn inject(headers: &mut HeaderMap, span: &SpanContext) {
    headers.remove(TRACEPARENT);
    headers.remove(TRACESTATE);
    if !span.is_valid() {
        return;
    }
    let parent = TraceParent {
        trace_id: span.trace_id().to_bytes(),
        parent_id: span.span_id().to_bytes(),
        flags: span.trace_flags().to_u8(),
    };
    if let Ok(value) = HeaderValue::try_from(parent.to_string()) {
        headers.insert(TRACEPARENT, value);
    }
    let state = span.trace_state().header();
    if !state.is_empty()
        && let Ok(value) = HeaderValue::try_from(state)
    {
        headers.insert(TRACESTATE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn what_is_carried_on_is_what_came() {
        let came = headers(&[("traceparent", PARENT), ("tracestate", "vendor=1,other=2")]);
        let mut goes = headers(&[("traceparent", "of somebody else"), ("accept", "*/*")]);
        inject(&mut goes, &extract(&came).unwrap());
        assert_eq!(goes["traceparent"], PARENT);
        assert_eq!(goes["tracestate"], "vendor=1,other=2");
        assert_eq!(goes["accept"], "*/*");
    }

    #[test]
    fn a_trace_that_is_none_is_not_carried_on() {
        let check = |lines: &[(&'static str, &str)]| assert!(extract(&headers(lines)).is_none());
        check(&[]);
        check(&[("traceparent", "of somebody else")]);
        check(&[("traceparent", PARENT), ("traceparent", PARENT)]);
        let mut goes = headers(&[("traceparent", PARENT), ("tracestate", "vendor=1")]);
        inject(&mut goes, &SpanContext::empty_context());
        assert!(goes.is_empty());
    }

    #[test]
    fn a_state_that_is_too_long_is_left_out() {
        let check = |length: usize, expected: bool| {
            let state = format!("vendor={}", "x".repeat(length - 7));
            let came = headers(&[("traceparent", PARENT), ("tracestate", &state)]);
            let span = extract(&came).unwrap();
            assert_eq!(
                !span.trace_state().header().is_empty(),
                expected,
                "{length}"
            );
        };
        check(200, true);
        check(513, false);
    }
}
