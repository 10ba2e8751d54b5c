//! Says what is measured of a request's body, and answers when it breaks a rule.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bartizan_core::{Check, Duty, Enforcement, Guard, Inspection, Never, Observe, Pass, Rejection};
use http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Version};

use super::intake::declared_length;
use crate::body::{Link, Ticket};
use crate::error::{RateLimitError, RateLimitErrorKind};
use crate::upload::{Json, UploadRules};

/// The guard of an [`UploadLayer`](crate::UploadLayer). It cannot be chained with others, since it
/// needs a hand on the body as well.
#[derive(Clone)]
pub struct UploadGuard {
    rules: UploadRules,
    special: Option<Arc<Special>>,
    duty: Duty,
}

type Special = dyn Fn(&Inspection<'_>) -> Option<UploadRules> + Send + Sync;

/// Watches a body until the response has ended.
pub struct UploadPass {
    link: Option<Arc<Link>>,
    /// Whether an answer in the middle of a body ends the connection.
    closes: bool,
}

impl UploadGuard {
    pub(crate) fn new(rules: UploadRules) -> Self {
        Self {
            rules,
            special: None,
            duty: Duty::new("upload"),
        }
    }

    pub(crate) fn with_rules_for<F>(mut self, special: F) -> Self
    where
        F: Fn(&Inspection<'_>) -> Option<UploadRules> + Send + Sync + 'static,
    {
        self.special = Some(Arc::new(special));
        self
    }

    pub(crate) fn with_enforcement(mut self, enforcement: Enforcement) -> Self {
        self.duty = self.duty.with_enforcement(enforcement);
        self
    }

    pub(crate) fn with_observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.duty = self.duty.with_observer(observer);
        self
    }

    fn rules_for(&self, inspection: &Inspection<'_>) -> UploadRules {
        let special = self.special.as_ref();
        let special = special.and_then(|special| special(inspection));
        special.unwrap_or(match inspection.protocol.is_grpc() {
            true => UploadRules::NONE,
            false => self.rules,
        })
    }

    fn admit(&self, inspection: &mut Inspection<'_>) -> Result<UploadPass, RateLimitErrorKind> {
        let rules = self.rules_for(inspection);
        let headers = &inspection.parts.headers;
        let json = json_of(headers);
        rules.judge(declared_length(headers), json)?;
        let link = rules.measure(json).map(|measure| {
            let is_shadow = self.duty.enforcement() == Enforcement::Shadow;
            let link = Arc::new(Link::new(is_shadow));
            let ticket = Ticket {
                measure,
                link: Arc::clone(&link),
            };
            inspection.parts.extensions.insert(ticket);
            link
        });
        Ok(UploadPass {
            link,
            closes: inspection.parts.version <= Version::HTTP_11,
        })
    }
}

impl Guard for UploadGuard {
    type Pass = UploadPass;
    type Inquiry = Never;

    fn duty(&self) -> Option<&Duty> {
        Some(&self.duty)
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Check<UploadPass, Never> {
        let verdict = self.admit(inspection);
        Check::Now(verdict.map_err(|kind| RateLimitError::new(kind, None).into_rejection()))
    }
}

impl Pass for UploadPass {
    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<Rejection> {
        let Some(link) = &self.link else {
            return Poll::Pending;
        };
        link.poll_fault(cx).map(|kind| {
            let rejection = RateLimitError::new(kind, None).into_rejection();
            //= RFC 9110 §15.5.9
            //# [...] the server SHOULD send the "close" connection option [...] in the response
            match kind == RateLimitErrorKind::UploadTooSlow && self.closes {
                true => rejection.with_header(CONNECTION, HeaderValue::from_static("close")),
                false => rejection,
            }
        })
    }
}

impl Drop for UploadPass {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            link.end();
        }
    }
}

/// Whether a body is JSON, and can be looked into.
//= RFC 8259 §8.1
//# JSON text exchanged between systems that are not part of a closed ecosystem MUST be encoded
//# using UTF-8
fn json_of(headers: &HeaderMap) -> Json {
    let mut json = Json::No;
    for value in headers.get_all(CONTENT_TYPE) {
        let mut parts = value.as_bytes().split(|byte| *byte == b';');
        let essence = parts.next().unwrap_or_default().trim_ascii();
        if !is_json(&essence.to_ascii_lowercase()) {
            continue;
        }
        let in_utf8 = parts.all(|parameter| {
            let parameter = parameter.trim_ascii().to_ascii_lowercase();
            match parameter.strip_prefix(b"charset=") {
                Some(charset) => [&b"utf-8"[..], b"\"utf-8\"", b"utf8"].contains(&charset),
                None => true,
            }
        });
        match in_utf8 && json != Json::Coded {
            true => json = Json::Plain,
            false => json = Json::Coded,
        }
    }
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    match codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        true if json == Json::Plain => Json::Coded,
        _ => json,
    }
}

/// Whether this is the media type of one JSON document. What gRPC frames is none.
fn is_json(essence: &[u8]) -> bool {
    let suffixed = essence.ends_with(b"+json") && !essence.starts_with(b"application/grpc");
    suffixed || [&b"application/json"[..], b"text/json"].contains(&essence)
}

impl fmt::Debug for UploadGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadGuard")
            .field("rules", &self.rules)
            .field("duty", &self.duty)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for UploadPass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadPass")
            .field("watches", &self.link.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_told_by_its_content_type() {
        for (media, coding, expected) in [
            ("application/json", None, Json::Plain),
            ("Application/JSON; charset=UTF-8", None, Json::Plain),
            ("application/problem+json", None, Json::Plain),
            ("text/json;charset=\"utf-8\"", Some("identity"), Json::Plain),
            ("application/json; charset=utf-16", None, Json::Coded),
            ("application/json", Some("gzip"), Json::Coded),
            ("text/plain", Some("gzip"), Json::No),
            ("application/jsonp", None, Json::No),
            ("application/grpc+json", None, Json::No),
            ("", None, Json::No),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
            if let Some(coding) = coding {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
            }
            assert_eq!(json_of(&headers), expected, "{media} {coding:?}");
        }
        // Of several types one is enough: nobody knows which the handler believes.
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        headers.append(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        assert_eq!(json_of(&headers), Json::Plain);
    }
}
