//! Which protocol a request speaks, and so which form a refusal takes.

use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, Method, Request};

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
    /// Reads the protocol from the head of a request.
    ///
    /// gRPC is a `POST` ([gRPC over HTTP/2]): with another method the content type is a client's
    /// attempt to have its refusal dressed as `200 OK`, which for `CONNECT` would even open a tunnel.
    ///
    /// [gRPC over HTTP/2]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
    pub fn of(request: &Parts) -> Self {
        Self::of_head(&request.method, &request.headers)
    }

    /// As [`of`](Self::of), of a request that was not taken apart.
    pub fn of_request<B>(request: &Request<B>) -> Self {
        Self::of_head(request.method(), request.headers())
    }

    fn of_head(method: &Method, headers: &HeaderMap) -> Self {
        if method == Method::POST {
            Self::of_content(headers)
        } else {
            Self::Http
        }
    }

    /// Reads the protocol from a content type alone.
    ///
    /// `application/grpc` counts when nothing, `+`, `;` or a space follows it, in any case of
    /// letters; `application/grpcfoo` is plain HTTP. Of several content types the first is
    /// decisive, as for tonic.
    pub(crate) fn of_content(headers: &HeaderMap) -> Self {
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
            assert_eq!(Protocol::of_content(&headers), expected, "{content_type:?}");
        }
        assert_eq!(Protocol::of_content(&HeaderMap::new()), Protocol::Http);
    }

    #[test]
    fn only_a_post_is_grpc() {
        for (method, expected) in [
            (Method::POST, Protocol::Grpc),
            (Method::GET, Protocol::Http),
            (Method::CONNECT, Protocol::Http),
        ] {
            let request = http::Request::builder()
                .method(method.clone())
                .header(CONTENT_TYPE, "application/grpc")
                .body(())
                .unwrap();
            assert_eq!(Protocol::of_request(&request), expected, "{method}");
            assert_eq!(Protocol::of(&request.into_parts().0), expected, "{method}");
        }
    }
}
