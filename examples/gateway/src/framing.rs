//! The outermost guard: requests that hops could understand in different ways.
//!
//! What decides where a message ends is hyper's to judge: it refuses lengths that differ and codings
//! that it does not know, lets `Transfer-Encoding` win over `Content-Length` and closes after that.
//! Each body is then framed anew for the upstream, so that nobody's framing is ever passed on.

use std::sync::Arc;

use bartizan::core::{Check, Code, Duty, Guard, Inspection, Never, Observe};
use http::header::{CONNECTION, HOST};
use http::request::Parts;
use http::{HeaderValue, Version};

use crate::failure::{AMBIGUOUS_HOST, HOP_BY_HOP, LOOP, METHOD, malformed};
use crate::headers;

/// Refuses what hops could understand in different ways.
#[derive(Clone, Debug)]
pub(crate) struct Framing {
    duty: Duty,
    name: Arc<str>,
}

impl Framing {
    /// The guard of the gateway with this name.
    pub(crate) fn new(name: &str, observer: Arc<dyn Observe>) -> Self {
        Self {
            duty: Duty::new("gateway").with_observer(observer),
            name: name.into(),
        }
    }

    fn judge(&self, parts: &Parts) -> Result<(), Code> {
        // CONNECT asks for a tunnel, TRACE and TRACK for what the upstream was sent, DEBUG for more.
        let method = parts.method.as_str();
        if ["CONNECT", "TRACE", "TRACK", "DEBUG"].contains(&method) {
            return Err(METHOD);
        }
        if host(parts).is_none() {
            return Err(AMBIGUOUS_HOST);
        }
        if headers::connection_is_abused(&parts.headers) {
            return Err(HOP_BY_HOP);
        }
        if headers::came_through(&parts.headers, &self.name) {
            return Err(LOOP);
        }
        Ok(())
    }
}

impl Guard for Framing {
    type Pass = ();
    type Inquiry = Never;

    fn duty(&self) -> Option<&Duty> {
        Some(&self.duty)
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Check<(), Never> {
        let refused = |code| {
            let refusal = malformed(code);
            match inspection.parts.version {
                // Whatever follows on this connection may be part of the trick.
                Version::HTTP_10 | Version::HTTP_11 => {
                    refusal.with_header(CONNECTION, HeaderValue::from_static("close"))
                }
                _ => refusal,
            }
        };
        Check::Now(self.judge(inspection.parts).map_err(refused))
    }
}

/// The one host, with its port, that the request is for.
//= RFC 9112 §3.2: a server must refuse a request without Host, or with more than one.
pub(crate) fn host(parts: &Parts) -> Option<&str> {
    let mut named = parts.uri.authority().map(|authority| authority.as_str());
    let mut fields = parts.headers.get_all(HOST).into_iter();
    if let Some(field) = fields.next() {
        let field = field.to_str().ok()?;
        if named.is_some_and(|named| !named.eq_ignore_ascii_case(field)) {
            return None;
        }
        named = Some(field);
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let named = named.filter(|named| !named.is_empty() && named.bytes().all(plain));
    match fields.next() {
        None => named,
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use bartizan::core::observe_fn;
    use http::Request;

    use super::*;

    fn parts(uri: &str, fields: &[(&str, &str)]) -> Parts {
        let mut request = Request::get(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_request_is_for_one_host() {
        for (uri, hosts, expected) in [
            ("/", vec!["a.example"], Some("a.example")),
            ("/", vec!["a.example:8443"], Some("a.example:8443")),
            ("/", vec!["[::1]:80"], Some("[::1]:80")),
            ("http://a.example/", vec![], Some("a.example")),
            ("http://a.example/", vec!["A.example"], Some("A.example")),
            ("http://a.example/", vec!["b.example"], None),
            ("/", vec![], None),
            ("/", vec![""], None),
            ("/", vec!["a.example", "b.example"], None),
            ("/", vec!["a.example", "a.example"], None),
            ("/", vec!["me@a.example"], None),
            ("/", vec!["a.example/x"], None),
            ("/", vec!["a.example\";for=x"], None),
        ] {
            let fields: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            assert_eq!(host(&parts(uri, &fields)), expected, "{uri} {hosts:?}");
        }
    }

    #[test]
    fn tricks_are_refused() {
        let framing = Framing::new("gate", Arc::new(observe_fn(|_| {})));
        let judge = |fields: &[(&str, &str)]| {
            let mut all = vec![("host", "a.example")];
            all.extend(fields);
            framing.judge(&parts("/", &all))
        };
        assert_eq!(judge(&[]), Ok(()));
        assert_eq!(judge(&[("connection", "close, x-own")]), Ok(()));
        for name in [
            "Host",
            "content-length",
            "authorization",
            "X-Bartizan-Subject",
            "x-forwarded-for",
        ] {
            assert_eq!(judge(&[("connection", name)]), Err(HOP_BY_HOP), "{name}");
            let second = [("connection", "close"), ("connection", name)];
            assert_eq!(judge(&second), Err(HOP_BY_HOP), "{name}");
        }
        assert_eq!(judge(&[("via", "1.1 other, 2 gate")]), Err(LOOP));
        assert_eq!(judge(&[("via", "1.1 gate.example")]), Ok(()));
        let mut trace = parts("/", &[("host", "a.example")]);
        for method in ["TRACE", "TRACK", "DEBUG", "CONNECT"] {
            trace.method = method.parse().unwrap();
            assert_eq!(framing.judge(&trace), Err(METHOD), "{method}");
        }
    }
}
