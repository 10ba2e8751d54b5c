//! What to ask for, and what came back.

use std::fmt;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use zeroize::Zeroizing;

use crate::secret::SecretBytes;

/// One request: a GET, or a POST.
///
/// `Debug` prints the method alone: URL, fields and headers may hold secrets.
#[must_use = "a request does nothing until it is fetched"]
pub struct FetchRequest<'a> {
    pub(super) url: &'a str,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) any_status: bool,
}

/// A whole answer, with status 200 unless the request [allowed others].
///
/// `Debug` prints the body's length alone: it may be a token.
///
/// [allowed others]: FetchRequest::allow_any_status
pub struct Fetched {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl<'a> FetchRequest<'a> {
    /// Asks for `url`.
    pub fn get(url: &'a str) -> Self {
        Self {
            url,
            method: Method::GET,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            any_status: false,
        }
    }

    /// Sends `fields` to `url` as `application/x-www-form-urlencoded`. The encoded form is wiped
    /// when it has been sent.
    pub fn post_form(url: &'a str, fields: &[(&str, &str)]) -> Self {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        Self::post(url, form, SecretBytes::from_wiped(encode(fields)))
    }

    /// Sends `body` to `url` as `content_type`. It is wiped when it has been sent.
    pub fn post(url: &'a str, content_type: HeaderValue, body: SecretBytes) -> Self {
        Self {
            method: Method::POST,
            headers: HeaderMap::from_iter([(CONTENT_TYPE, content_type)]),
            body: Bytes::from_owner(Sent(body)),
            ..Self::get(url)
        }
    }

    /// Sends this header as well, in place of another value of it. `Host`, `User-Agent` and
    /// `Connection` are the fetcher's own.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Takes an answer of any status but a redirect for an answer: for protocols that say in the
    /// body what is wrong.
    pub fn allow_any_status(mut self) -> Self {
        self.any_status = true;
        self
    }

    /// Says which content type is wanted, such as `application/json`.
    pub fn with_accept(mut self, accept: HeaderValue) -> Self {
        self.headers.insert(ACCEPT, accept);
        self
    }

    /// Authenticates to the server.
    pub fn with_authorization(mut self, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.headers.insert(AUTHORIZATION, value);
        self
    }
}

impl Fetched {
    pub(super) fn new(status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        Self {
            status,
            headers,
            body,
        }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The body, not longer than the fetcher's limit.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The body itself.
    pub fn into_body(self) -> Bytes {
        self.body
    }

    /// What the server says of the answer, such as `content-type` and `cache-control`.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

/// Lets a secret be sent without a copy of it.
struct Sent(SecretBytes);

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

impl fmt::Debug for FetchRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchRequest")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fetched({} bytes)", self.body.len())
    }
}

/// Form encoding, WHATWG URL section 5.2: a few characters as they are, space as plus, all others
/// as percent and two digits.
fn encode(fields: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    // The worst case, so that the buffer never grows and leaves a copy behind.
    let most = fields
        .iter()
        .map(|(name, value)| 3 * (name.len() + value.len()) + 2)
        .sum();
    let mut form = Zeroizing::new(Vec::with_capacity(most));
    for (name, value) in fields {
        if !form.is_empty() {
            form.push(b'&');
        }
        encode_part(&mut form, name);
        form.push(b'=');
        encode_part(&mut form, value);
    }
    form
}

fn encode_part(form: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => form.push(byte),
            b' ' => form.push(b'+'),
            _ => form.extend([b'%', digit(byte >> 4), digit(byte & 15)]),
        }
    }
}

fn digit(value: u8) -> u8 {
    if value < 10 {
        b'0' + value
    } else {
        b'A' + (value - 10)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn forms_are_encoded() {
        fn check(fields: &[(&str, &str)], expected: &str) {
            assert_eq!(String::from_utf8_lossy(&encode(fields)), expected);
        }
        check(&[], "");
        check(&[("token", "a.b-c_d")], "token=a.b-c_d");
        check(
            &[("a", "1&b=2"), ("c d", "é+~")],
            "a=1%26b%3D2&c+d=%C3%A9%2B%7E",
        );
        check(&[("", "")], "=");
    }

    proptest! {
        #[test]
        fn no_value_escapes_its_field(value: String) {
            let form = encode(&[("a", &value), ("b", "")]);
            prop_assert_eq!(form.iter().filter(|&&byte| byte == b'&').count(), 1);
            prop_assert_eq!(form.iter().filter(|&&byte| byte == b'=').count(), 2);
            prop_assert!(form.iter().all(u8::is_ascii_graphic));
        }
    }

    #[test]
    fn debug_prints_no_secret() {
        let request = FetchRequest::post_form("https://a.example/?secret", &[("p", "secret")])
            .with_authorization(HeaderValue::from_static("secret"));
        assert!(
            request.headers[AUTHORIZATION].is_sensitive(),
            "it stays out of debug and HPACK"
        );
        let fetched = Fetched::new(
            StatusCode::OK,
            HeaderMap::new(),
            Bytes::from_static(b"secret"),
        );
        assert!(!format!("{request:?} {fetched:?}").contains("secret"));
    }
}
