//! What a token is bound to: its `cnf` claim ([RFC 7800 §3.1]).
//!
//! [RFC 7800 §3.1]: https://www.rfc-editor.org/rfc/rfc7800#section-3.1

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::base64url;
use crate::claims::{Loose, Strings};
use crate::json::{Names, Skip, Text};

/// What whoever uses a token has to possess.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Confirmation {
    /// The key of the client certificate with this SHA-256, on the connection itself
    /// ([RFC 8705 §3.1](https://www.rfc-editor.org/rfc/rfc8705#section-3.1)).
    Certificate([u8; 32]),
    /// The key with this thumbprint, proven with each request
    /// ([RFC 9449 §6.1](https://www.rfc-editor.org/rfc/rfc9449#section-6.1)).
    Key([u8; 32]),
}

/// Reads the value of `cnf`; `None` for whatever is not exactly one method that is understood.
///
/// A second method, or one that is not known, is not passed over: the issuer meant the token to
/// be worth nothing without it.
pub(crate) struct ConfirmationSeed;

impl<'de> DeserializeSeed<'de> for ConfirmationSeed {
    type Value = Option<Confirmation>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ConfirmationSeed {
    type Value = Option<Confirmation>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a confirmation")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        Skip::member().visit_seq(items).map(|()| None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut input: A) -> Result<Self::Value, A::Error> {
        let (mut names, mut found, mut others) = (Names::default(), None, 0);
        while let Some(name) = input.next_key_seed(Text)? {
            let make: fn([u8; 32]) -> Confirmation = match &*name {
                "x5t#S256" => Confirmation::Certificate,
                "jkt" => Confirmation::Key,
                _ => {
                    others += 1;
                    names.add(name)?;
                    input.next_value_seed(Skip::inside(2))?;
                    continue;
                }
            };
            names.add(name)?;
            let value = input.next_value_seed(Loose::ITEM)?;
            match value.as_ref().and_then(hash).map(make) {
                Some(confirmation) if found.is_none() => found = Some(confirmation),
                _ => others += 1,
            }
        }
        Ok(found.filter(|_| others == 0))
    }
}

fn hash(value: &Strings<'_>) -> Option<[u8; 32]> {
    match value {
        Strings::One(text) => base64url::decode(text.as_bytes(), 32)?.try_into().ok(),
        Strings::Many(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(value: &str, expected: Option<Confirmation>) {
        let mut deserializer = serde_json::Deserializer::from_str(value);
        let got = ConfirmationSeed.deserialize(&mut deserializer).unwrap();
        assert_eq!(got, expected, "{value}");
    }

    #[test]
    fn exactly_one_known_method_is_understood() {
        let hash = base64url::encode(&[7; 32]);
        check(
            &format!(r#"{{"x5t#S256":"{hash}"}}"#),
            Some(Confirmation::Certificate([7; 32])),
        );
        check(
            &format!(r#"{{"jkt":"{hash}"}}"#),
            Some(Confirmation::Key([7; 32])),
        );
        for value in [
            "null",
            "1",
            "true",
            "[]",
            "[1]",
            "-1",
            "1.5",
            "{}",
            r#""x""#,
            r#"{"jkt":null}"#,
            r#"{"jkt":["a"]}"#,
            r#"{"jkt":"short"}"#,
            r#"{"x-new":"1"}"#,
            &format!(r#"{{"jkt":"{hash}="}}"#),
            &format!(r#"{{"jkt":"{hash}","x5t#S256":"{hash}"}}"#),
            &format!(r#"{{"jkt":"{hash}","x-new":1}}"#),
            &format!(r#"{{"x-new":1,"jkt":"{hash}"}}"#),
            &format!(r#"{{"x-new":1,"jkt":"{hash}","x5t#S256":"{hash}"}}"#),
        ] {
            check(value, None);
        }
    }

    proptest! {
        #[test]
        fn never_panics(value in r#"[\[\]{}",:a1e.x5t#S256jk-]{0,40}"#) {
            let mut deserializer = serde_json::Deserializer::from_str(&value);
            let _ = ConfirmationSeed.deserialize(&mut deserializer);
        }
    }
}
