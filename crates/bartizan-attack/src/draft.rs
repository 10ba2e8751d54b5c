//! A request that may be wrong: bytes, until somebody sends it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Version};

use crate::payload::Payload;

/// A name and a value, as bytes that nobody has looked at.
pub(crate) type Field = (Vec<u8>, Vec<u8>);

/// A request as its sender would write it, right or wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    pub(crate) method: String,
    /// Path and query, or whatever else stands in the place of it.
    pub(crate) target: String,
    /// The authority; `None` leaves it out.
    pub(crate) host: Option<String>,
    pub(crate) fields: Vec<Field>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<Field>,
}

impl Draft {
    /// Sets a field to one value.
    pub(crate) fn field(self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.without(name.as_ref()).and_field(name, value)
    }

    /// Adds a field behind those that are there.
    pub(crate) fn and_field(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        let field = (name.as_ref().to_vec(), value.as_ref().to_vec());
        self.fields.push(field);
        self
    }

    /// Adds a field in front of those that are there.
    pub(crate) fn field_first(mut self, name: &str, value: &str) -> Self {
        self.fields.insert(0, (name.into(), value.into()));
        self
    }

    /// Takes away every field of this name.
    pub(crate) fn without(mut self, name: impl AsRef<[u8]>) -> Self {
        let name = name.as_ref();
        self.fields.retain(|(it, _)| !it.eq_ignore_ascii_case(name));
        self
    }

    /// The first value of a field as text; empty if there is none.
    pub(crate) fn value(&self, name: &str) -> String {
        let mut fields = self.fields.iter();
        let found = fields.find(|(it, _)| it.eq_ignore_ascii_case(name.as_bytes()));
        found.map_or_else(String::new, |(_, value)| {
            String::from_utf8_lossy(value).into_owned()
        })
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        let mut fields = self.fields.iter();
        fields.any(|(it, _)| it.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// Sets the method.
    pub(crate) fn method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    /// Sets path and query.
    pub(crate) fn target(mut self, target: impl Into<String>) -> Self {
        self.target = target.into();
        self
    }

    /// Sets the authority.
    pub(crate) fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Sets the body.
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Adds a trailer, for which the body is sent in chunks.
    pub(crate) fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.into(), value.into()));
        self
    }

    /// The path without the query.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Adds to the query.
    pub(crate) fn query(mut self, query: &str) -> Self {
        let sign = if self.target.contains('?') { '&' } else { '?' };
        self.target.push(sign);
        self.target.push_str(query);
        self
    }

    /// Sets the credentials of the Basic scheme.
    pub(crate) fn basic(self, user: &str, password: &str) -> Self {
        let both = STANDARD.encode(format!("{user}:{password}"));
        self.field("authorization", format!("Basic {both}"))
    }

    /// The head and body as HTTP/1.1; the connection stays open unless a field says otherwise.
    pub(crate) fn http1(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        let mut line = |name: &[u8], value: &[u8]| {
            bytes.extend_from_slice(name);
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        };
        if let Some(host) = &self.host {
            line(b"host", host.as_bytes());
        }
        for (name, value) in &self.fields {
            line(name, value);
        }
        let framed = self.has("content-length") || self.has("transfer-encoding");
        let chunked = !framed && !self.trailers.is_empty();
        if chunked {
            line(b"transfer-encoding", b"chunked");
        } else if !framed && (!self.body.is_empty() || self.method == "POST") {
            line(b"content-length", self.body.len().to_string().as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        if !chunked {
            bytes.extend_from_slice(&self.body);
            return bytes;
        }
        if !self.body.is_empty() {
            bytes.extend_from_slice(format!("{:x}\r\n", self.body.len()).as_bytes());
            bytes.extend_from_slice(&self.body);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n");
        for (name, value) in &self.trailers {
            bytes.extend_from_slice(&[name, b": ".as_slice(), value, b"\r\n"].concat());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }

    /// The head as the fields of HTTP/2.
    pub(crate) fn http2(&self, scheme: &str) -> Vec<Field> {
        let mut fields: Vec<Field> = vec![
            (b":method".into(), self.method.clone().into()),
            (b":scheme".into(), scheme.into()),
            (b":path".into(), self.target.clone().into()),
        ];
        if let Some(host) = &self.host {
            fields.push((b":authority".into(), host.clone().into()));
        }
        let lower = |(name, value): &Field| (name.to_ascii_lowercase(), value.clone());
        fields.extend(self.fields.iter().map(lower));
        fields
    }

    /// The request as a service is handed it, or what the types of `http` do not let through.
    pub(crate) fn request(&self, version: Version) -> Result<Request<Payload>, http::Error> {
        let mut request = Request::builder()
            .method(self.method.as_str())
            .uri(self.target.as_str())
            .version(version);
        if let Some(host) = &self.host {
            request = request.header("host", host);
        }
        for (name, value) in &self.fields {
            request = request.header(name.as_slice(), value.as_slice());
        }
        let mut trailers = HeaderMap::new();
        for (name, value) in &self.trailers {
            let name = HeaderName::from_bytes(name)?;
            trailers.append(name, HeaderValue::from_bytes(value)?);
        }
        request.body(Payload::new(Bytes::from(self.body.clone()), trailers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        let draft = Draft::default().method("POST").target("/a").host("h");
        draft.field("X", "1").body("ab")
    }

    #[test]
    fn a_draft_is_written_as_it_stands() {
        let expected = "POST /a HTTP/1.1\r\nhost: h\r\nX: 1\r\ncontent-length: 2\r\n\r\nab";
        assert_eq!(String::from_utf8(draft().http1()).unwrap(), expected);
        let text = draft().trailer("t", "v").http1();
        let chunks = "transfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nt: v\r\n\r\n";
        assert!(String::from_utf8(text).unwrap().ends_with(chunks));
    }

    #[test]
    fn what_the_types_forbid_cannot_be_handed_to_a_service() {
        let request = |draft: Draft| draft.request(Version::HTTP_11);
        assert!(request(draft()).is_ok());
        assert!(request(draft().field("x", "a\0b")).is_err());
        assert!(request(draft().target("/a b")).is_err());
    }

    #[test]
    fn a_field_is_replaced_in_any_case() {
        let draft = draft().field("x", "2").and_field("x", "3");
        let fields: Vec<_> = draft.fields.iter().map(|(_, value)| value).collect();
        assert_eq!(fields, [b"2", b"3"]);
        assert_eq!(draft.clone().query("b=1").query("c=2").target, "/a?b=1&c=2");
        assert!(!draft.without("X").has("x"));
    }
}
