//! Rendering a refusal for the protocol of the request.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use super::{Rejection, decimal, grpc, problem};
use crate::protocol::Protocol;

impl Rejection {
    /// Renders the refusal for the protocol of the request.
    ///
    /// HTTP gets the kind's status and problem details. gRPC gets HTTP status 200 and a
    /// trailers-only response, as its protocol demands: a gRPC client would report an HTTP 401
    /// as an unknown error. gRPC-Web gets the same in its own content type.
    pub fn into_response(self, protocol: Protocol) -> Response<RejectionBody> {
        let (status, content_type, body) = match protocol {
            Protocol::Http => {
                let json = Bytes::from(problem::to_json(&self));
                (self.kind().status(), problem::MEDIA_TYPE, json)
            }
            Protocol::Grpc => (StatusCode::OK, "application/grpc", Bytes::new()),
            Protocol::GrpcWeb => (StatusCode::OK, "application/grpc-web+proto", Bytes::new()),
            Protocol::GrpcWebText => (
                StatusCode::OK,
                "application/grpc-web-text+proto",
                Bytes::new(),
            ),
        };
        let length = body.len();
        let mut response = Response::new(RejectionBody(Some(body).filter(|b| !b.is_empty())));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if protocol == Protocol::Http {
            headers.insert(CONTENT_LENGTH, decimal::value(length as u64));
        } else {
            grpc::write_trailers(&self, headers);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        // A refusal depends on who asked and when; a cache between us must not replay it.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        self.write_headers(headers);
        response
    }

    /// The refusal as the trailers of a gRPC response whose head was already sent.
    pub(crate) fn into_trailers(self) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        grpc::write_trailers(&self, &mut trailers);
        self.write_headers(&mut trailers);
        trailers
    }

    fn write_headers(self, headers: &mut HeaderMap) {
        if let Some(wait) = self.0.retry_after {
            let seconds = wait
                .as_secs()
                .saturating_add(u64::from(wait.subsec_nanos() > 0));
            headers.insert(RETRY_AFTER, decimal::value(seconds));
        }
        for challenge in &self.0.challenges {
            headers.append(WWW_AUTHENTICATE, challenge.to_header_value());
        }
        for (name, value) in self.0.headers {
            headers.append(name, value);
        }
    }
}

/// The body of a rendered refusal: at most one piece of bytes.
///
/// For gRPC it is empty and says so from the start, so that the server ends the stream with the
/// headers.
#[derive(Debug, Default)]
pub struct RejectionBody(Option<Bytes>);

impl RejectionBody {
    /// The bytes, if any are left.
    pub fn into_bytes(self) -> Bytes {
        self.0.unwrap_or_default()
    }
}

impl Body for RejectionBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::RejectionKind;
    use super::*;
    use crate::challenge::Challenge;
    use crate::code::Code;

    const CODE: Code = Code::new("test.refused");

    const ALL: [(RejectionKind, u16, &str); 14] = [
        (RejectionKind::Unauthenticated, 401, "16"),
        (RejectionKind::Forbidden, 403, "7"),
        (RejectionKind::RateLimited, 429, "8"),
        (RejectionKind::Malformed, 400, "3"),
        (RejectionKind::UnsupportedMedia, 415, "3"),
        (RejectionKind::TooLarge, 413, "8"),
        (RejectionKind::UriTooLong, 414, "3"),
        (RejectionKind::HeadersTooLarge, 431, "8"),
        (RejectionKind::Misdirected, 421, "7"),
        (RejectionKind::Timeout, 408, "4"),
        (RejectionKind::BadGateway, 502, "14"),
        (RejectionKind::Unavailable, 503, "14"),
        (RejectionKind::DeadlineExceeded, 504, "4"),
        (RejectionKind::Internal, 500, "13"),
    ];

    #[test]
    fn one_table_gives_both_statuses() {
        for (kind, http, grpc) in ALL {
            let response = Rejection::new(kind, CODE).into_response(Protocol::Http);
            assert_eq!(response.status().as_u16(), http, "{kind:?}");
            let response = Rejection::new(kind, CODE).into_response(Protocol::Grpc);
            assert_eq!(response.status(), StatusCode::OK, "{kind:?}");
            assert_eq!(response.headers()["grpc-status"], grpc, "{kind:?}");
            assert!(response.body().is_end_stream(), "{kind:?}");
        }
    }

    #[test]
    fn titles_need_no_escaping() {
        for (kind, ..) in ALL {
            assert!(
                kind.title()
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c == ' '),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn renders_problem_details() {
        let response = Rejection::new(RejectionKind::Unauthenticated, CODE)
            .with_detail("say \"please\"")
            .with_challenge(Challenge::new("Bearer").with_param("realm", "r"))
            .with_retry_after(Duration::from_millis(1500))
            .into_response(Protocol::Http);
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
        assert_eq!(
            response.headers()["www-authenticate"],
            r#"Bearer realm="r""#
        );
        assert_eq!(response.headers()["retry-after"], "2");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let body = response.into_body().into_bytes();
        assert_eq!(
            std::str::from_utf8(&body).unwrap(),
            concat!(
                r#"{"type":"urn:bartizan:problem:test.refused","#,
                r#""title":"the caller is not authenticated","status":401,"#,
                r#""code":"test.refused","detail":"say \"please\""}"#
            )
        );
    }

    #[test]
    fn a_wait_of_any_length_is_written_in_seconds_that_are_enough() {
        for (wait, expected) in [
            (Duration::ZERO, 0),
            (Duration::from_nanos(1), 1),
            (Duration::from_secs(2), 2),
            (Duration::from_millis(2_001), 3),
            (Duration::MAX, u64::MAX),
        ] {
            let response = Rejection::new(RejectionKind::Unavailable, CODE)
                .with_retry_after(wait)
                .into_response(Protocol::Http);
            assert_eq!(response.headers()["retry-after"], expected.to_string());
        }
    }

    #[test]
    fn a_body_says_how_long_it_is_and_when_it_has_ended() {
        let response = Rejection::new(RejectionKind::Forbidden, CODE).into_response(Protocol::Http);
        let (head, mut body) = response.into_parts();
        let length = body.size_hint().exact().unwrap();
        assert_eq!(head.headers["content-length"], length.to_string());
        assert!(!body.is_end_stream());
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut cx) else {
            panic!("the body is there at once");
        };
        assert_eq!(frame.into_data().unwrap().len() as u64, length);
        assert_eq!(body.size_hint().exact(), Some(0));
        assert!(body.is_end_stream());
        let end = Pin::new(&mut body).poll_frame(&mut cx);
        assert!(matches!(end, Poll::Ready(None)));
    }

    #[test]
    fn keeps_the_cause_from_the_client() {
        let rejection =
            Rejection::new(RejectionKind::Internal, CODE).with_cause("disk of host-7 is full");
        assert!(format!("{rejection:?}").contains("host-7"));
        let response = rejection.into_response(Protocol::Http);
        let body = response.into_body().into_bytes();
        assert!(!String::from_utf8_lossy(&body).contains("host-7"));
    }

    #[test]
    fn answers_grpc_web_in_its_own_content_type() {
        for (protocol, content_type) in [
            (Protocol::GrpcWeb, "application/grpc-web+proto"),
            (Protocol::GrpcWebText, "application/grpc-web-text+proto"),
        ] {
            let response = Rejection::new(RejectionKind::Forbidden, CODE).into_response(protocol);
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()["content-type"], content_type);
            assert_eq!(response.headers()["grpc-status"], "7");
        }
    }
}
