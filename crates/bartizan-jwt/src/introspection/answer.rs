//! What an introspection endpoint answers ([RFC 7662 §2.2]).
//!
//! [RFC 7662 §2.2]: https://www.rfc-editor.org/rfc/rfc7662#section-2.2

use std::borrow::Cow;
use std::fmt;

use bartizan_core::WallTime;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use crate::claims::{ClaimSet, Strings};
use crate::confirmation::Confirmation;
use crate::error::{JwtError, JwtErrorKind};
use crate::json::{self, Text};
use crate::key::Thumbprint;
use crate::rules::Rules;
use crate::token::{Facts, VerifiedClaims};

/// What an answer need not say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waived {
    pub(super) issuer: bool,
    pub(super) audience: bool,
}

/// An answer, read.
#[derive(Debug)]
pub(crate) enum Answer<'a> {
    /// The token holds, and this is what it stands for.
    Active {
        text: &'a str,
        /// Whether it is one that is proven with each use, as its type says.
        is_proven: bool,
    },
    /// The token does not hold.
    Inactive,
    /// The token holds, and is no access token.
    OtherKind,
}

impl<'a> Answer<'a> {
    /// Reads an answer; an error says what keeps it from being one.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, &'static str> {
        let (text, members): (_, Members<'_>) = json::read_members(body)?;
        match members.is_active {
            None => Err("the answer does not say whether the token is active"),
            Some(false) => Ok(Self::Inactive),
            Some(true) if members.is_access_token() => Ok(Self::Active {
                text,
                is_proven: members.is_proven(),
            }),
            Some(true) => Ok(Self::OtherKind),
        }
    }

    /// The claims of a token that holds under these rules at the time `now`: the same checks as
    /// for a token that states them itself.
    pub(crate) fn claims(
        &self,
        rules: &Rules,
        waived: Waived,
        now: WallTime,
    ) -> Result<VerifiedClaims, JwtError> {
        let (text, is_proven) = match *self {
            Self::Active { text, is_proven } => (text, is_proven),
            Self::Inactive => return Err(JwtError::new(JwtErrorKind::Inactive)),
            Self::OtherKind => return Err(JwtError::new(JwtErrorKind::WrongType)),
        };
        let mut claims = ClaimSet::parse(text)?;
        if waived.issuer && claims.issuer.is_none() {
            claims.issuer = Some(Cow::Borrowed(rules.issuer().as_str()));
        }
        if waived.audience && claims.audience.is_none() {
            let ours = rules.audiences().next().unwrap_or_default();
            claims.audience = Some(Strings::One(Cow::Borrowed(ours)));
        }
        rules.check_claims(&claims, now)?;
        //= RFC 9449 §6.2: the hash of the public key [...] is conveyed [...] in the "cnf" member.
        // Without it, nothing would be left of the binding but a bearer token.
        if is_proven && !matches!(claims.confirmation, Some(Some(Confirmation::Key(_)))) {
            return Err(JwtError::claim(
                "cnf",
                "names no key of a token to be proven",
            ));
        }
        let facts = Facts::assert_introspected(&claims, rules.issuer())?;
        Ok(facts.with_payload(text.to_owned(), Thumbprint::NONE))
    }
}

/// The claims that an answer vouches for.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_answer(body: &[u8], rules: &Rules, now: WallTime) -> Option<VerifiedClaims> {
    let answer = Answer::parse(body).ok()?;
    answer.claims(rules, Waived::default(), now).ok()
}

#[derive(Default)]
struct Members<'a> {
    is_active: Option<bool>,
    kind: Option<Cow<'a, str>>,
    purpose: Option<Cow<'a, str>>,
}

impl Members<'_> {
    fn is_proven(&self) -> bool {
        let kind = self.kind.as_ref();
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case("dpop"))
    }

    /// Servers also introspect refresh tokens and the like, which are nobody's to call with.
    /// `token_type` is that of RFC 6749 §7.1; `token_use` is what some servers say in addition.
    fn is_access_token(&self) -> bool {
        let is = |stated: &Option<Cow<'_, str>>, names: [&str; 2]| {
            let is_named =
                |stated: &Cow<'_, str>| names.iter().any(|name| name.eq_ignore_ascii_case(stated));
            stated.as_ref().is_none_or(is_named)
        };
        is(&self.kind, ["bearer", "dpop"]) && is(&self.purpose, ["access_token", "access"])
    }
}

impl<'a> json::Members<'a> for Members<'a> {
    fn take<A: MapAccess<'a>>(&mut self, name: &str, input: &mut A) -> Result<bool, A::Error> {
        match name {
            "active" => self.is_active = Some(input.next_value_seed(Bool)?),
            "token_type" => self.kind = Some(input.next_value_seed(Text)?),
            "token_use" => self.purpose = Some(input.next_value_seed(Text)?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Reads a boolean, and nothing that could be taken for one.
struct Bool;

impl<'de> DeserializeSeed<'de> for Bool {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_bool(self)
    }
}

impl Visitor<'_> for Bool {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or false")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<bool, E> {
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use bartizan_core::Scheme;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::confirmation::Confirmation;
    use crate::testing::{self, claims, now, rules};

    fn read(answer: &Value, waived: Waived) -> Result<VerifiedClaims, JwtErrorKind> {
        let text = answer.to_string();
        let answer = Answer::parse(text.as_bytes()).unwrap();
        let rules = rules().build().unwrap();
        answer
            .claims(&rules, waived, now())
            .map_err(|error| error.kind())
    }

    fn active(changes: Value) -> Value {
        testing::with(testing::with(claims(), json!({ "active": true })), changes)
    }

    #[track_caller]
    fn refuses(changes: Value, expected: JwtErrorKind) {
        let got = read(&active(changes.clone()), Waived::default()).map(|_| ());
        assert_eq!(got, Err(expected), "{changes}");
    }

    #[test]
    fn an_active_token_stands_for_what_is_said_of_it() {
        let claims = read(
            &active(json!({ "token_type": "Bearer" })),
            Waived::default(),
        )
        .unwrap();
        let principal = claims.principal();
        assert_eq!(principal.scheme(), Scheme::Introspection);
        assert_eq!(principal.subject(), "alice");
        assert!(principal.has_scope("orders:read"));
        assert_eq!(principal.issuer(), testing::ISSUER);
        assert_eq!(claims.confirmation(), None);
        let bound = active(json!({ "cnf": { "jkt": crate::base64url::encode(&[7; 32]) } }));
        let claims = read(&bound, Waived::default()).unwrap();
        assert_eq!(claims.confirmation(), Some(Confirmation::Key([7; 32])));
    }

    #[test]
    fn the_rules_for_tokens_that_state_their_claims_hold_here_too() {
        use JwtErrorKind::*;
        refuses(json!({ "active": false }), Inactive);
        refuses(json!({ "iss": "https://other.example" }), WrongIssuer);
        refuses(json!({ "iss": null }), InvalidClaim);
        refuses(json!({ "aud": "https://other.example" }), WrongAudience);
        refuses(json!({ "aud": null }), InvalidClaim);
        refuses(json!({ "aud": 5 }), InvalidClaim);
        refuses(json!({ "exp": testing::NOW - 31 }), Expired);
        refuses(json!({ "exp": null }), InvalidClaim);
        refuses(json!({ "nbf": testing::NOW + 31 }), NotYetValid);
        refuses(json!({ "iat": testing::NOW + 31 }), IssuedInFuture);
        refuses(json!({ "sub": null }), InvalidClaim);
        refuses(json!({ "cnf": { "x": 1 } }), BoundToken);
        refuses(json!({ "token_type": "refresh_token" }), WrongType);
        refuses(json!({ "token_use": "refresh_token" }), WrongType);
    }

    /// What its issuer calls a proven token is not taken for a bearer token because the issuer leaves
    /// out whose it is.
    #[test]
    fn a_token_of_a_type_that_is_proven_names_its_key() {
        let encoded = crate::base64url::encode(&[7; 32]);
        for kind in ["DPoP", "dpop"] {
            let of_kind = |cnf: Value| json!({ "token_type": kind, "cnf": cnf });
            refuses(of_kind(Value::Null), JwtErrorKind::InvalidClaim);
            let certificate = of_kind(json!({ "x5t#S256": encoded }));
            refuses(certificate, JwtErrorKind::InvalidClaim);
            let key = active(of_kind(json!({ "jkt": encoded })));
            let claims = read(&key, Waived::default()).unwrap();
            assert_eq!(claims.confirmation(), Some(Confirmation::Key([7; 32])));
        }
    }

    #[test]
    fn what_was_waived_may_be_missing_and_must_not_be_wrong() {
        let waived = Waived {
            issuer: true,
            audience: true,
        };
        assert!(read(&active(json!({ "iss": null, "aud": null })), waived).is_ok());
        let other = active(json!({ "iss": "https://other.example" }));
        assert_eq!(
            read(&other, waived).map(|_| ()),
            Err(JwtErrorKind::WrongIssuer)
        );
        let other = active(json!({ "aud": ["https://other.example"] }));
        assert_eq!(
            read(&other, waived).map(|_| ()),
            Err(JwtErrorKind::WrongAudience)
        );
    }

    #[test]
    fn only_strict_json_that_says_whether_is_an_answer() {
        let (json, whether) = (
            "the answer is not strict JSON",
            "the answer does not say whether the token is active",
        );
        for (body, expected) in [
            ("", json),
            ("true", json),
            ("[]", json),
            ("<html>", json),
            (r#"{"active":true,"active":false}"#, json),
            (r#"{"active":"true"}"#, json),
            (r#"{"active":1}"#, json),
            (r#"{"active":null}"#, json),
            (r#"{"active":true,"sub":"a","sub":"b"}"#, json),
            (r#"{"active":true} x"#, json),
            ("{}", whether),
            (r#"{"Active":true}"#, whether),
        ] {
            assert_eq!(
                Answer::parse(body.as_bytes()).map(|_| ()),
                Err(expected),
                "{body}"
            );
        }
    }

    proptest! {
        #[test]
        fn never_panics(body: Vec<u8>) {
            let _ = Answer::parse(&body).is_ok();
        }

        #[test]
        fn never_panics_on_what_looks_like_an_answer(members in r#"[\[\]{}",:a1e.truefals-]{0,30}"#) {
            let body = format!(r#"{{"active":true,{members}}}"#);
            if let Ok(answer) = Answer::parse(body.as_bytes()) {
                let _ = answer.claims(&rules().build().unwrap(), Waived::default(), now()).is_ok();
            }
        }
    }
}
