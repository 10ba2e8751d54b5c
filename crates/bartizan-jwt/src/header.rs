//! The protected header of a token ([RFC 7515 §4]).
//!
//! [RFC 7515 §4]: https://www.rfc-editor.org/rfc/rfc7515#section-4

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{Error, MapAccess, Visitor};

use crate::algorithm::Algorithm;
use crate::error::{Detail, JwtError, JwtErrorKind};
use crate::json::{Names, Skip, Text};

/// The longest key identifier that is looked up, in bytes.
pub(crate) const MAX_KEY_ID: usize = 256;

/// What a verifier needs of a header.
#[derive(Debug)]
pub(crate) struct Header<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) key_id: Option<Cow<'a, str>>,
    pub(crate) token_type: Option<Cow<'a, str>>,
}

impl<'a> Header<'a> {
    /// Reads the decoded header.
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, JwtError> {
        let malformed = || JwtError::malformed("header");
        let text = std::str::from_utf8(text).map_err(|_| malformed())?;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let members = deserializer
            .deserialize_map(MembersVisitor)
            .map_err(|_| malformed())?;
        deserializer.end().map_err(|_| malformed())?;
        members.check()
    }
}

/// The members as they were written.
#[derive(Default)]
struct Members<'a> {
    algorithm: Option<Cow<'a, str>>,
    key_id: Option<Cow<'a, str>>,
    token_type: Option<Cow<'a, str>>,
    content_type: Option<Cow<'a, str>>,
    unsupported: Option<&'static str>,
}

impl<'a> Members<'a> {
    fn check(self) -> Result<Header<'a>, JwtError> {
        if let Some(name) = self.unsupported {
            let detail = Detail::Text(name);
            return Err(JwtError::with_detail(
                JwtErrorKind::UnsupportedHeader,
                detail,
            ));
        }
        // A token within a token has been verified only once when it is handed on.
        if self
            .content_type
            .is_some_and(|text| text.to_ascii_lowercase().ends_with("jwt"))
        {
            let detail = Detail::Text("cty of a nested token");
            return Err(JwtError::with_detail(
                JwtErrorKind::UnsupportedHeader,
                detail,
            ));
        }
        if self.key_id.as_ref().is_some_and(|id| id.len() > MAX_KEY_ID) {
            return Err(JwtError::malformed("kid is longer than 256 bytes"));
        }
        let name = self
            .algorithm
            .ok_or(JwtError::malformed("header has no alg"))?;
        let algorithm =
            Algorithm::from_name(&name).ok_or(JwtError::new(JwtErrorKind::AlgorithmNotAllowed))?;
        Ok(Header {
            algorithm,
            key_id: self.key_id,
            token_type: self.token_type,
        })
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a header")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut input: A) -> Result<Members<'de>, A::Error> {
        let mut members = Members::default();
        let mut others = Names::default();
        while let Some(name) = input.next_key_seed(Text)? {
            let text = match &*name {
                "alg" => &mut members.algorithm,
                "kid" => &mut members.key_id,
                "typ" => &mut members.token_type,
                "cty" => &mut members.content_type,
                // Where the header names a key (`jwk`, `jku`, `x5u`, `x5c`), nobody looks: a key
                // counts because the issuer published it, not because a token says so.
                other => {
                    if let Some(unsupported) = unsupported(other) {
                        members.unsupported = Some(unsupported);
                    }
                    others.add(name)?;
                    input.next_value_seed(Skip::member())?;
                    continue;
                }
            };
            if text.replace(input.next_value_seed(Text)?).is_some() {
                return Err(A::Error::custom("a member appears twice"));
            }
        }
        Ok(members)
    }
}

/// Parameters that change what the other parts mean. They are refused even where a specification
/// lets a verifier ignore them, because then two verifiers could read one token differently.
fn unsupported(name: &str) -> Option<&'static str> {
    ["crit", "b64", "zip", "enc", "epk"]
        .into_iter()
        .find(|candidate| *candidate == name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(
        header: &str,
        expected: Result<(Algorithm, Option<&str>, Option<&str>), JwtErrorKind>,
    ) {
        let parsed = Header::parse(header.as_bytes());
        let got = match &parsed {
            Ok(header) => Ok((
                header.algorithm,
                header.key_id.as_deref(),
                header.token_type.as_deref(),
            )),
            Err(error) => Err(error.kind()),
        };
        assert_eq!(got, expected, "{header}");
    }

    #[test]
    fn reads_algorithm_key_and_type() {
        check(
            r#"{"alg":"ES256","kid":"k","typ":"at+jwt"}"#,
            Ok((Algorithm::Es256, Some("k"), Some("at+jwt"))),
        );
        check(
            r#" {"\u0061lg":"Ed25519"} "#,
            Ok((Algorithm::EdDsa, None, None)),
        );
    }

    #[test]
    fn ignores_keys_that_the_header_offers() {
        for name in ["jwk", "jku", "x5u", "x5c", "x5t", "anything"] {
            let header = format!(r#"{{"alg":"RS256","{name}":{{"kty":"RSA"}}}}"#);
            check(&header, Ok((Algorithm::Rs256, None, None)));
        }
    }

    #[test]
    fn refuses_what_changes_the_meaning_of_the_other_parts() {
        for member in [
            r#""crit":["exp"]"#,
            r#""crit":null"#,
            r#""b64":false"#,
            r#""zip":"DEF""#,
            r#""enc":"A128GCM""#,
            r#""epk":{}"#,
            r#""cty":"JWT""#,
            r#""cty":"application/at+jwt""#,
        ] {
            check(
                &format!(r#"{{"alg":"RS256",{member}}}"#),
                Err(JwtErrorKind::UnsupportedHeader),
            );
        }
    }

    #[test]
    fn refuses_an_algorithm_that_is_not_on_the_list() {
        for name in [
            "none", "None", "nOnE", "", "hs256", "rs256", "RS256 ", "ES512", "ES256K",
        ] {
            check(
                &format!(r#"{{"alg":"{name}"}}"#),
                Err(JwtErrorKind::AlgorithmNotAllowed),
            );
        }
    }

    #[test]
    fn refuses_members_of_the_wrong_type_and_members_twice() {
        for header in [
            "{}",
            "[]",
            "null",
            "",
            r#"{"alg":null}"#,
            r#"{"alg":1}"#,
            r#"{"alg":["RS256"]}"#,
            r#"{"alg":"RS256","kid":1}"#,
            r#"{"alg":"RS256","kid":null}"#,
            r#"{"alg":"RS256","typ":7}"#,
            r#"{"alg":"RS256","alg":"RS256"}"#,
            r#"{"alg":"RS256","\u0061lg":"none"}"#,
            r#"{"alg":"RS256","x":1,"x":1}"#,
            r#"{"alg":"RS256"}x"#,
        ] {
            check(header, Err(JwtErrorKind::Malformed));
        }
    }

    #[test]
    fn a_key_identifier_has_a_longest_length() {
        let header = |length: usize| format!(r#"{{"alg":"RS256","kid":"{}"}}"#, "k".repeat(length));
        let longest = "k".repeat(MAX_KEY_ID);
        check(
            &header(MAX_KEY_ID),
            Ok((Algorithm::Rs256, Some(&longest), None)),
        );
        check(&header(MAX_KEY_ID + 1), Err(JwtErrorKind::Malformed));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Header::parse(&bytes);
        }
    }
}
