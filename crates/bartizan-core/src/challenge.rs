//! Authentication challenges: what a refused client should bring next time.

use http::HeaderValue;

/// One challenge of a `WWW-Authenticate` header ([RFC 9110 §11.6.1]).
///
/// Values are written as quoted strings, with quotes and backslashes escaped. A character that a
/// quoted string cannot hold safely (a control character or anything beyond ASCII) is written as
/// `?`, so that nothing a client sent can end the header or begin another.
///
/// ```
/// use bartizan_core::Challenge;
///
/// let challenge = Challenge::new("Bearer").with_param("realm", "orders \"api\"\r\n");
/// assert_eq!(challenge.to_header_value(), r#"Bearer realm="orders \"api\"??""#);
/// ```
///
/// [RFC 9110 §11.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Challenge {
    scheme: &'static str,
    text: String,
}

impl Challenge {
    /// A challenge of the scheme with this name, such as `Bearer`.
    pub fn new(scheme: &'static str) -> Self {
        Self {
            scheme,
            text: scheme.to_owned(),
        }
    }

    /// Adds a parameter. `name` is a token such as `realm`; `value` may be anything.
    #[must_use]
    pub fn with_param(mut self, name: &'static str, value: &str) -> Self {
        self.text.push_str(if self.text.len() == self.scheme.len() {
            " "
        } else {
            ", "
        });
        self.text.push_str(name);
        self.text.push_str("=\"");
        for character in value.chars() {
            match character {
                '"' | '\\' => self.text.extend(['\\', character]),
                ' '..='~' => self.text.push(character),
                _ => self.text.push('?'),
            }
        }
        self.text.push('"');
        self
    }

    /// The challenge as a header value.
    pub fn to_header_value(&self) -> HeaderValue {
        // Only visible ASCII and spaces were written, so that the fallback is never taken.
        HeaderValue::from_str(&self.text).unwrap_or_else(|_| HeaderValue::from_static("Bearer"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn separates_parameters_by_commas() {
        let challenge = Challenge::new("Bearer")
            .with_param("realm", "orders")
            .with_param("error", "invalid_token");
        assert_eq!(
            challenge.to_header_value(),
            r#"Bearer realm="orders", error="invalid_token""#
        );
        assert_eq!(Challenge::new("Bearer").to_header_value(), "Bearer");
    }

    proptest! {
        #[test]
        fn no_value_escapes_its_quotes(value in any::<String>()) {
            let header = Challenge::new("Bearer").with_param("realm", &value).to_header_value();
            let text = header.to_str().unwrap();
            let inner = text.strip_prefix("Bearer realm=\"").unwrap().strip_suffix('"').unwrap();
            let mut characters = inner.chars();
            while let Some(character) = characters.next() {
                prop_assert!(character != '"');
                if character == '\\' {
                    prop_assert!(matches!(characters.next(), Some('"' | '\\')));
                }
            }
        }
    }
}
