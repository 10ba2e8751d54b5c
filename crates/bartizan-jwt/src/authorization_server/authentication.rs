//! How this service proves to an authorization server who it is.

use std::fmt;
use std::sync::Arc;

use bartizan_core::WallTime;
use bartizan_source::HttpsFetcher;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::assertion;
use crate::client_key::ClientKey;
use crate::error::ConfigError;

/// How this service proves to an authorization server who it is: by a secret, a private key, or
/// a client certificate.
///
/// Cloning shares it. `Debug` prints the method and the client's name alone.
///
/// ```
/// use bartizan_jwt::ClientAuthentication;
///
/// let authentication = ClientAuthentication::basic("orders", "s3cr3t");
/// assert!(!format!("{authentication:?}").contains("s3cr3t"));
/// ```
#[derive(Clone)]
pub struct ClientAuthentication(Arc<Credentials>);

struct Credentials {
    client: Box<str>,
    method: Method,
}

enum Method {
    Basic(Zeroizing<String>),
    Post(Zeroizing<String>),
    PrivateKey {
        key: ClientKey,
        audience: Option<Box<str>>,
    },
    Tls(HttpsFetcher),
}

/// What a request carries to prove who sends it.
pub(super) struct Proof {
    pub(super) fields: Vec<(&'static str, Zeroizing<String>)>,
    /// The value of `Authorization`.
    pub(super) basic: Option<Zeroizing<String>>,
}

impl ClientAuthentication {
    /// By a secret in the `Authorization` field: `client_secret_basic` ([RFC 6749 §2.3.1]).
    ///
    /// [RFC 6749 §2.3.1]: https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
    pub fn basic(client_id: &str, secret: &str) -> Self {
        Self::new(client_id, Method::Basic(own(secret)))
    }

    /// By a secret in the form: `client_secret_post`. For servers that do not read the
    /// `Authorization` field.
    pub fn post(client_id: &str, secret: &str) -> Self {
        Self::new(client_id, Method::Post(own(secret)))
    }

    /// By a signed assertion: `private_key_jwt` ([RFC 7523 §2.2]). Each is for one request, for a
    /// minute, and for the endpoint; no secret is shared with the server.
    ///
    /// [RFC 7523 §2.2]: https://www.rfc-editor.org/rfc/rfc7523#section-2.2
    pub fn private_key_jwt(client_id: &str, key: ClientKey) -> Self {
        let audience = None;
        Self::new(client_id, Method::PrivateKey { key, audience })
    }

    /// As [`private_key_jwt`](Self::private_key_jwt), with assertions for `audience`, such as the
    /// issuer's identifier, in place of the endpoint's URL.
    pub fn private_key_jwt_for(client_id: &str, key: ClientKey, audience: &str) -> Self {
        let audience = Some(audience.into());
        Self::new(client_id, Method::PrivateKey { key, audience })
    }

    /// By the client certificate that `fetcher` presents: `tls_client_auth` or
    /// `self_signed_tls_client_auth` ([RFC 8705 §2]). The fetcher is made
    /// [with a TLS configuration](bartizan_source::HttpsFetcherBuilder::with_tls_config) that
    /// has the certificate.
    ///
    /// [RFC 8705 §2]: https://www.rfc-editor.org/rfc/rfc8705#section-2
    pub fn tls(client_id: &str, fetcher: HttpsFetcher) -> Self {
        Self::new(client_id, Method::Tls(fetcher))
    }

    /// The name of this service as a client.
    pub fn client_id(&self) -> &str {
        &self.0.client
    }

    fn new(client_id: &str, method: Method) -> Self {
        Self(Arc::new(Credentials {
            client: client_id.into(),
            method,
        }))
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let is_visible = |text: &str| !text.is_empty() && !text.contains(char::is_control);
        if !is_visible(&self.0.client) {
            return Err(ConfigError::InvalidClient("the client has no name"));
        }
        match &self.0.method {
            Method::Basic(secret) | Method::Post(secret) if !is_visible(secret) => Err(
                ConfigError::InvalidClient("the secret is empty or has control characters"),
            ),
            _ => Ok(()),
        }
    }

    pub(super) fn fetcher(&self) -> Option<&HttpsFetcher> {
        match &self.0.method {
            Method::Tls(fetcher) => Some(fetcher),
            _ => None,
        }
    }

    /// The proof for one request to `endpoint`; `None` if the system has no random bytes.
    pub(super) fn prove(&self, endpoint: &str, now: WallTime) -> Option<Proof> {
        let client = &self.0.client;
        let named = |mut fields: Vec<(&'static str, Zeroizing<String>)>| {
            fields.push(("client_id", own(client)));
            Proof {
                fields,
                basic: None,
            }
        };
        Some(match &self.0.method {
            Method::Basic(secret) => Proof {
                fields: Vec::new(),
                basic: Some(basic(client, secret)),
            },
            Method::Post(secret) => named(vec![("client_secret", secret.clone())]),
            Method::PrivateKey { key, audience } => {
                let audience = audience.as_deref().unwrap_or(endpoint);
                let assertion = assertion::sign(key, client, audience, now)?;
                named(vec![
                    ("client_assertion_type", own(assertion::TYPE)),
                    ("client_assertion", assertion),
                ])
            }
            Method::Tls(_) => named(Vec::new()),
        })
    }
}

fn own(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

//= RFC 6749 §2.3.1: The client identifier is encoded using the
//= "application/x-www-form-urlencoded" encoding algorithm [...] the client password is encoded
//= using the same algorithm and used as the password.
fn basic(client: &str, secret: &str) -> Zeroizing<String> {
    // The worst case, so that no buffer grows and leaves a copy behind.
    let most = 3 * (client.len() + secret.len()) + 1;
    let mut pair = Zeroizing::new(String::with_capacity(most));
    encode(&mut pair, client);
    pair.push(':');
    encode(&mut pair, secret);
    let mut value = Zeroizing::new(String::with_capacity(6 + most.div_ceil(3) * 4));
    value.push_str("Basic ");
    STANDARD.encode_string(pair.as_bytes(), &mut value);
    value
}

fn encode(to: &mut String, text: &str) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |value: u8| {
        DIGITS
            .get(usize::from(value))
            .map_or('0', |digit| char::from(*digit))
    };
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => {
                to.push(char::from(byte));
            }
            b' ' => to.push('+'),
            _ => to.extend(['%', digit(byte >> 4), digit(byte & 15)]),
        }
    }
}

impl fmt::Debug for ClientAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match &self.0.method {
            Method::Basic(_) => "client_secret_basic",
            Method::Post(_) => "client_secret_post",
            Method::PrivateKey { .. } => "private_key_jwt",
            Method::Tls(_) => "tls_client_auth",
        };
        f.debug_struct("ClientAuthentication")
            .field("client_id", &self.0.client)
            .field("method", &method)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_secrets_are_encoded_before_they_are_joined() {
        let check = |client, secret, expected: &str| {
            let value = basic(client, secret);
            let encoded = value.strip_prefix("Basic ").unwrap();
            let pair = STANDARD.decode(encoded).unwrap();
            assert_eq!(String::from_utf8(pair).unwrap(), expected);
        };
        check("orders", "secret", "orders:secret");
        check("a:b", "c d+é", "a%3Ab:c+d%2B%C3%A9");
    }

    #[test]
    fn a_client_without_name_or_secret_is_refused() {
        let check = |authentication: ClientAuthentication, expected: bool| {
            assert_eq!(
                authentication.check().is_ok(),
                expected,
                "{authentication:?}"
            );
        };
        check(ClientAuthentication::basic("a", "b"), true);
        check(ClientAuthentication::basic("", "b"), false);
        check(ClientAuthentication::basic("a", ""), false);
        check(ClientAuthentication::post("a", "b\n"), false);
    }

    #[test]
    fn debug_prints_no_secret() {
        for authentication in [
            ClientAuthentication::basic("orders", "hunter2"),
            ClientAuthentication::post("orders", "hunter2"),
        ] {
            let printed = format!("{authentication:?}");
            assert!(
                printed.contains("orders") && !printed.contains("hunter2"),
                "{printed}"
            );
        }
    }
}
