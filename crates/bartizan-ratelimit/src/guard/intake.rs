//! Looks at the head of a request before anything reads it.

use std::sync::Arc;

use bartizan_core::{Check, Duty, Enforcement, Guard, Inspection, Never, Observe};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, Method, Version};

use crate::error::RateLimitError;
use crate::intake::{Head, IntakeRules};

/// The guard of an [`IntakeLayer`](crate::IntakeLayer), to be chained with others.
#[derive(Clone, Debug)]
pub struct IntakeGuard {
    rules: Arc<IntakeRules>,
    duty: Duty,
}

impl IntakeGuard {
    pub(crate) fn new(rules: IntakeRules) -> Self {
        Self {
            rules: Arc::new(rules),
            duty: Duty::new("intake"),
        }
    }

    pub(crate) fn with_enforcement(mut self, enforcement: Enforcement) -> Self {
        self.duty = self.duty.with_enforcement(enforcement);
        self
    }

    pub(crate) fn with_observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.duty = self.duty.with_observer(observer);
        self
    }
}

impl Guard for IntakeGuard {
    type Pass = ();
    type Inquiry = Never;

    fn duty(&self) -> Option<&Duty> {
        Some(&self.duty)
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Check<(), Never> {
        let head = head_of(inspection.parts);
        let verdict = self.rules.judge(&head);
        Check::Now(verdict.map_err(|kind| RateLimitError::new(kind, None).into_rejection()))
    }
}

fn head_of(parts: &Parts) -> Head<'_> {
    let headers = &parts.headers;
    let sizes = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len());
    let body = declared_length(headers);
    let content_type = only(headers, CONTENT_TYPE);
    Head {
        target: parts
            .uri
            .path_and_query()
            .map_or(0, |target| target.as_str().len()),
        headers: sizes.sum(),
        lines: headers.len(),
        body,
        has_body: body.map_or_else(|| may_be_silent(parts), |size| size > 0)
            || headers.contains_key(TRANSFER_ENCODING)
            || headers.contains_key(CONTENT_TYPE),
        content_type,
    }
}

/// Whether there may be a body though no header tells of one. From HTTP/2 on frames carry it; by
/// RFC 9110 §8.6 who sends none with a method that is made for one says so.
fn may_be_silent(parts: &Parts) -> bool {
    parts.version >= Version::HTTP_2
        && [Method::POST, Method::PUT, Method::PATCH].contains(&parts.method)
}

/// The largest size that the head declares; one that cannot be read is larger than any limit.
pub(super) fn declared_length(headers: &HeaderMap) -> Option<u64> {
    let lengths = headers.get_all(CONTENT_LENGTH).iter().map(|value| {
        let digits = value
            .to_str()
            .ok()
            .filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        digits
            .and_then(|text| text.parse().ok())
            .unwrap_or(u64::MAX)
    });
    lengths.max()
}

/// The value of a header that stands there once.
fn only(headers: &HeaderMap, name: http::HeaderName) -> Option<&[u8]> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.as_bytes()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn has_body(method: Method, version: Version, length: Option<&str>) -> bool {
        let mut request = Request::builder().method(method).version(version);
        if let Some(length) = length {
            request = request.header(CONTENT_LENGTH, length);
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        head_of(&parts).has_body
    }

    #[test]
    fn a_body_of_http2_that_no_header_tells_of_is_one_all_the_same() {
        let (one, two) = (Version::HTTP_11, Version::HTTP_2);
        for method in [Method::POST, Method::PUT, Method::PATCH] {
            assert!(has_body(method.clone(), two, None), "{method}");
            assert!(has_body(method.clone(), Version::HTTP_3, None), "{method}");
            assert!(has_body(method.clone(), two, Some("1")), "{method}");
            assert!(!has_body(method.clone(), two, Some("0")), "{method}");
            // There a body without a length or chunks does not exist.
            assert!(!has_body(method, one, None));
        }
        assert!(!has_body(Method::GET, two, None));
        assert!(!has_body(Method::DELETE, two, None));
    }
}
