//! Which protocol a request speaks, and so which form a refusal takes.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// The protocol of a request, read from its content type.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Protocol {
    /// gRPC over HTTP/2: a refusal is a trailers-only response.
    Grpc,
    /// gRPC-Web in binary form. Refused with the status in the response headers, which its
    /// clients read as trailers-only.
    GrpcWeb,
    /// gRPC-Web in base64 text form.
    GrpcWebText,
    /// Anything else: a refusal is an HTTP status with problem details.
    Http,
}

impl Protocol {
    /// Reads the protocol from the request's headers.
    ///
    /// `application/grpc` counts when nothing, `+`, `;` or a space follows it, in any case of
    /// letters; `application/grpcfoo` is plain HTTP. Of several content types the first is
    /// decisive, as for tonic.
    pub fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(CONTENT_TYPE) else {
            return Self::Http;
        };
        let value = value.as_bytes();
        // The longer prefixes first: each is also a prefix of the next.
        if names(value, b"application/grpc-web-text") {
            Self::GrpcWebText
        } else if names(value, b"application/grpc-web") {
            Self::GrpcWeb
        } else if names(value, b"application/grpc") {
            Self::Grpc
        } else {
            Self::Http
        }
    }

    /// Whether a refusal carries a `grpc-status`.
    pub const fn is_grpc(self) -> bool {
        !matches!(self, Self::Http)
    }

    /// A short stable name, fit for a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::GrpcWeb => "grpc_web",
            Self::GrpcWebText => "grpc_web_text",
            Self::Http => "http",
        }
    }
}

fn names(value: &[u8], media_type: &[u8]) -> bool {
    let Some((head, tail)) = value.split_at_checked(media_type.len()) else {
        return false;
    };
    head.eq_ignore_ascii_case(media_type) && matches!(tail.first(), None | Some(b'+' | b';' | b' '))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn reads_the_content_type() {
        for (content_type, expected) in [
            ("application/grpc", Protocol::Grpc),
            ("application/grpc+proto", Protocol::Grpc),
            ("Application/GRPC; charset=utf-8", Protocol::Grpc),
            ("application/grpc ", Protocol::Grpc),
            ("application/grpc-web", Protocol::GrpcWeb),
            ("application/grpc-web+proto", Protocol::GrpcWeb),
            ("application/grpc-web-text+proto", Protocol::GrpcWebText),
            ("application/grpcfoo", Protocol::Http),
            ("application/grpc-webfoo", Protocol::Http),
            ("application/json", Protocol::Http),
            ("", Protocol::Http),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            assert_eq!(Protocol::of(&headers), expected, "{content_type:?}");
        }
        assert_eq!(Protocol::of(&HeaderMap::new()), Protocol::Http);
    }
}
