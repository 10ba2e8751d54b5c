//! What clients ask for.

use std::io;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt as _, Empty, Full};

use super::link::{Body, Protocol};
use crate::journal::{Got, Id};

/// One kind of request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Call {
    /// Without a token.
    Bare,
    /// With a token that nobody signed.
    Forged,
    /// More often than one may.
    Greedy,
    /// With a token that does not cover it.
    Meek,
    /// Something whose record must be durable before the answer.
    Pay,
    /// Something.
    Read,
    /// A gRPC call.
    Remote,
    /// With a body.
    Take,
}

impl Call {
    /// What the client sends as its so-and-so-many-th request: mostly good ones.
    pub(crate) fn of(number: u32, protocol: Protocol) -> Self {
        match number % 50 {
            3 => Self::Bare,
            13 => Self::Forged,
            23 => Self::Meek,
            33 | 43 => Self::Pay,
            rest if rest % 5 == 1 && protocol == Protocol::Http2 => Self::Remote,
            rest if rest % 5 == 2 => Self::Take,
            _ => Self::Read,
        }
    }

    /// How many records it has, once it was answered.
    pub(crate) const fn records(self) -> u8 {
        match self {
            Self::Pay => 2,
            _ => 1,
        }
    }

    /// Whether this is what should come back. Nothing may, where a connection ended meanwhile.
    pub(crate) fn expects(self, got: Got, disk_is_full: bool) -> bool {
        let Got::Answer { status, grpc } = got else {
            return got == Got::Nothing;
        };
        match self {
            Self::Bare | Self::Forged => status == 401,
            Self::Greedy => status == 200 || status == 429,
            Self::Meek => status == 403,
            Self::Pay => status == 200 || (status == 503 && disk_is_full),
            Self::Read | Self::Take => status == 200,
            Self::Remote => (status, grpc) == (200, Some(0)),
        }
    }

    /// The request.
    ///
    /// # Errors
    ///
    /// None, unless a header is none.
    pub(crate) fn request(
        self,
        id: Id,
        protocol: Protocol,
        token: Option<&HeaderValue>,
    ) -> http::Result<Request<Body>> {
        let (method, path) = match self {
            Self::Pay => (Method::POST, "/payments".to_owned()),
            Self::Take | Self::Meek => (Method::POST, "/orders".to_owned()),
            Self::Remote => (Method::POST, "/bartizan.testkit.Echo/Unary".to_owned()),
            _ => (Method::GET, format!("/orders/{}", id.number)),
        };
        let body = match self {
            Self::Pay | Self::Take | Self::Meek => whole(Bytes::from_static(&[b'x'; 512])),
            Self::Remote => whole(message(b"hello")),
            _ => Empty::new().map_err(|never| match never {}).boxed(),
        };
        let mut request = request(method, &path, id, protocol, token);
        if self == Self::Remote {
            request = request.header("content-type", "application/grpc");
            request = request.header("te", "trailers");
        }
        request.body(body)
    }
}

/// The head of a request.
pub(super) fn request(
    method: Method,
    path: &str,
    id: Id,
    protocol: Protocol,
    token: Option<&HeaderValue>,
) -> http::request::Builder {
    let request = Request::builder().method(method);
    let request = match protocol {
        Protocol::Http1 => request.uri(path).header("host", "localhost"),
        Protocol::Http2 => request.uri(format!("https://localhost{path}")),
    };
    let request = request.header("traceparent", id.traceparent());
    match token {
        Some(token) => request.header("authorization", token),
        None => request,
    }
}

pub(super) fn whole(bytes: Bytes) -> Body {
    let body = Full::new(bytes).map_err(|never| -> io::Error { match never {} });
    body.boxed()
}

/// A message of gRPC: not compressed, its length, itself.
fn message(bytes: &[u8]) -> Bytes {
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(u32::try_from(bytes.len()).unwrap_or_default());
    message.put_slice(bytes);
    message.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_calls_are_good_and_none_is_left_out() {
        let calls: Vec<_> = (0..50).map(|it| Call::of(it, Protocol::Http2)).collect();
        let count = |call| calls.iter().filter(|it| **it == call).count();
        for call in [Call::Bare, Call::Forged, Call::Meek] {
            assert_eq!(count(call), 1, "{call:?}");
        }
        assert!(count(Call::Read) + count(Call::Take) + count(Call::Remote) > 40);
        assert_eq!(count(Call::Pay), 2);
    }

    #[test]
    fn an_answer_that_is_not_the_right_one_is_not_expected() {
        let got = |status| Got::Answer { status, grpc: None };
        assert!(Call::Read.expects(got(200), false) && !Call::Read.expects(got(503), true));
        assert!(!Call::Forged.expects(got(200), false));
        assert!(!Call::Pay.expects(got(503), false) && Call::Pay.expects(got(503), true));
        assert!(!Call::Remote.expects(got(200), false), "it says no status");
        assert!(Call::Read.expects(Got::Nothing, false));
        assert!(!Call::Read.expects(Got::Head(200), false));
    }
}
