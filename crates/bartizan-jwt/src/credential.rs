//! Takes the token out of a request: the `Authorization` field ([RFC 6750 §2.1], [RFC 9449 §7.1]),
//! and where it was asked for, a cookie or the subprotocols of a WebSocket.
//!
//! [RFC 6750 §2.1]: https://www.rfc-editor.org/rfc/rfc6750#section-2.1
//! [RFC 9449 §7.1]: https://www.rfc-editor.org/rfc/rfc9449#section-7.1

use crate::error::{JwtError, JwtErrorKind};

/// How a token is presented.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Presentation {
    /// Whoever has it may use it.
    Bearer,
    /// Together with a proof of possession.
    Dpop,
}

impl Presentation {
    const ALL: [(Self, &'static [u8]); 2] = [(Self::Bearer, b"Bearer"), (Self::Dpop, b"DPoP")];
}

/// A token as the request carries it, not looked at yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Credential<'r> {
    pub(crate) presentation: Presentation,
    bytes: &'r [u8],
}

impl<'r> Credential<'r> {
    /// The bytes in the place of the token, whatever they are.
    pub(crate) fn bytes(self) -> &'r [u8] {
        self.bytes
    }

    /// The token, if it is made of the characters of one.
    pub(crate) fn text(self) -> Result<&'r str, JwtError> {
        let malformed = JwtError::new(JwtErrorKind::MalformedCredentials);
        if self.bytes.contains(&b',') {
            return Err(JwtError::new(JwtErrorKind::MultipleTokens));
        }
        let padding = self.bytes.iter().rev().take_while(|byte| **byte == b'=');
        let body = self.bytes.len() - padding.count();
        let body = self.bytes.get(..body).unwrap_or_default();
        if body.is_empty() || !body.iter().all(|byte| is_token_char(*byte)) {
            return Err(malformed);
        }
        std::str::from_utf8(self.bytes).map_err(|_| malformed)
    }
}

/// What the values of all `Authorization` fields of a request present.
///
/// No field, or one of another scheme, is no token. Two fields are an error of their own: two
/// readers could take different ones.
pub(crate) fn in_authorization<'r>(
    mut fields: impl Iterator<Item = &'r [u8]>,
) -> Result<Option<Credential<'r>>, JwtError> {
    let Some(field) = fields.next() else {
        return Ok(None);
    };
    if fields.next().is_some() {
        return Err(JwtError::new(JwtErrorKind::MultipleTokens));
    }
    // The common spelling, without a look at each character of the scheme.
    if let Some(bytes) = field.strip_prefix(b"Bearer ")
        && bytes.first().is_some_and(|byte| *byte != b' ')
    {
        return Ok(Some(Credential {
            presentation: Presentation::Bearer,
            bytes,
        }));
    }
    let scheme = field.iter().take_while(|byte| is_tchar(**byte)).count();
    let (scheme, rest) = field.split_at_checked(scheme).unwrap_or((field, &[]));
    let presentation = Presentation::ALL
        .into_iter()
        .find(|(_, name)| name.eq_ignore_ascii_case(scheme));
    let Some((presentation, _)) = presentation else {
        return Ok(None);
    };
    let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
    if spaces == 0 {
        return Err(JwtError::new(JwtErrorKind::MalformedCredentials));
    }
    let bytes = rest.get(spaces..).unwrap_or_default();
    Ok(Some(Credential {
        presentation,
        bytes,
    }))
}

/// The value of the cookie of this name ([RFC 6265 §4.2.1]). Two of one name are an error: they
/// come from different sites or paths, and nobody can tell which.
///
/// [RFC 6265 §4.2.1]: https://www.rfc-editor.org/rfc/rfc6265#section-4.2.1
pub(crate) fn in_cookies<'r>(
    fields: impl Iterator<Item = &'r [u8]>,
    name: &str,
) -> Result<Option<Credential<'r>>, JwtError> {
    let values = fields
        .flat_map(|field| field.split(|byte| *byte == b';'))
        .filter_map(|pair| {
            let pair = pair.trim_ascii();
            let (found, value) = pair.split_at_checked(name.len())?;
            value
                .strip_prefix(b"=")
                .filter(|_| found == name.as_bytes())
        });
    only(values)
}

/// The token among the subprotocols that a WebSocket client offers ([RFC 6455 §4.1]): the one
/// that follows `marker`. Browsers cannot set `Authorization` on a WebSocket.
///
/// [RFC 6455 §4.1]: https://www.rfc-editor.org/rfc/rfc6455#section-4.1
pub(crate) fn in_protocols<'r>(
    fields: impl Iterator<Item = &'r [u8]>,
    marker: &str,
) -> Result<Option<Credential<'r>>, JwtError> {
    let mut offered = fields
        .flat_map(|field| field.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii);
    let mut found = Vec::new();
    while let Some(protocol) = offered.next() {
        if protocol == marker.as_bytes() {
            found.push(offered.next().unwrap_or_default());
        }
    }
    only(found.into_iter())
}

fn only<'r>(
    mut values: impl Iterator<Item = &'r [u8]>,
) -> Result<Option<Credential<'r>>, JwtError> {
    let Some(bytes) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(JwtError::new(JwtErrorKind::MultipleTokens));
    }
    Ok(Some(Credential {
        presentation: Presentation::Bearer,
        bytes,
    }))
}

/// A character of b64token, padding aside.
fn is_token_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte)
}

/// A character of a scheme's name ([RFC 9110 §5.6.2](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2)).
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token<'r>(fields: impl Iterator<Item = &'r [u8]>) -> Result<&'r str, JwtError> {
        in_authorization(fields)?
            .ok_or(JwtError::new(JwtErrorKind::Missing))?
            .text()
    }

    #[track_caller]
    fn check(fields: &[&str], expected: Result<&str, JwtErrorKind>) {
        let got = token(fields.iter().map(|field| field.as_bytes()));
        assert_eq!(got.map_err(|error| error.kind()), expected, "{fields:?}");
    }

    #[test]
    fn the_scheme_has_no_case_and_any_number_of_spaces_follows() {
        for field in [
            "Bearer a.b.c",
            "bearer a.b.c",
            "BEARER a.b.c",
            "Bearer   a.b.c",
        ] {
            check(&[field], Ok("a.b.c"));
        }
        check(&["Bearer a~+/-._9=="], Ok("a~+/-._9=="));
    }

    #[test]
    fn no_field_or_another_scheme_is_no_token() {
        for fields in [
            &[][..],
            &[""],
            &["Basic dTpw"],
            &["BearerX a.b.c"],
            &["Bear a"],
        ] {
            check(fields, Err(JwtErrorKind::Missing));
        }
    }

    #[test]
    fn more_than_one_token_is_an_error_of_its_own() {
        check(&["Bearer a", "Bearer b"], Err(JwtErrorKind::MultipleTokens));
        check(
            &["Bearer a", "Basic dTpw"],
            Err(JwtErrorKind::MultipleTokens),
        );
        check(&["Bearer a, Bearer b"], Err(JwtErrorKind::MultipleTokens));
        check(&["Bearer a,b"], Err(JwtErrorKind::MultipleTokens));
    }

    #[test]
    fn a_bearer_field_without_a_proper_token_is_malformed() {
        for field in [
            "Bearer",
            "Bearer ",
            "Bearer\ta",
            "Bearer \ta",
            "Bearer a b",
            "Bearer a ",
            "Bearer =",
            "Bearer a=b",
            "Bearer \"a\"",
            "Bearer ä",
            "Bearer: a",
            "Bearer a;b",
        ] {
            check(&[field], Err(JwtErrorKind::MalformedCredentials));
        }
    }

    #[test]
    fn the_scheme_says_how_the_token_is_presented() {
        let presented = |field: &'static str| {
            let found = in_authorization([field.as_bytes()].into_iter()).unwrap();
            found.map(|credential| credential.presentation)
        };
        assert_eq!(presented("bearer a"), Some(Presentation::Bearer));
        assert_eq!(presented("dpop a"), Some(Presentation::Dpop));
        assert_eq!(presented("DPoPx a"), None);
    }

    #[track_caller]
    fn check_other(
        found: Result<Option<Credential<'_>>, JwtError>,
        expected: Result<Option<&str>, JwtErrorKind>,
    ) {
        let text = found.and_then(|found| found.map(Credential::text).transpose());
        assert_eq!(text.map_err(|error| error.kind()), expected);
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name_and_once() {
        let check = |fields: &[&'static str], expected| {
            let fields = fields.iter().map(|field| field.as_bytes());
            check_other(in_cookies(fields, "token"), expected);
        };
        check(&["token=a.b.c"], Ok(Some("a.b.c")));
        check(&["x=1; token=a.b.c ;y=2"], Ok(Some("a.b.c")));
        check(&["x=1", "token=a"], Ok(Some("a")));
        check(&[], Ok(None));
        check(&["xtoken=a; token2=b; TOKEN=c; token"], Ok(None));
        check(&["token=a; token=b"], Err(JwtErrorKind::MultipleTokens));
        check(&["token="], Err(JwtErrorKind::MalformedCredentials));
        check(&["token=\"a\""], Err(JwtErrorKind::MalformedCredentials));
    }

    #[test]
    fn a_subprotocol_is_the_one_after_the_marker() {
        let check = |fields: &[&'static str], expected| {
            let fields = fields.iter().map(|field| field.as_bytes());
            check_other(in_protocols(fields, "bearer"), expected);
        };
        check(&["chat, bearer, a.b.c"], Ok(Some("a.b.c")));
        check(&["bearer", "a.b.c"], Ok(Some("a.b.c")));
        check(&["chat, a.b.c"], Ok(None));
        check(&["bearer"], Err(JwtErrorKind::MalformedCredentials));
        check(&["bearer, a, bearer, b"], Err(JwtErrorKind::MultipleTokens));
    }

    proptest! {
        #[test]
        fn never_panics(field in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = token(std::iter::once(field.as_slice()));
        }

        #[test]
        fn the_common_spelling_is_read_as_any_other(rest in "[ a.=,]{0,6}") {
            let found = |scheme: &str| {
                let field = format!("{scheme} {rest}");
                token(std::iter::once(field.as_bytes())).map(str::to_owned)
            };
            prop_assert_eq!(found("Bearer"), found("bearer"));
        }

        #[test]
        fn what_is_found_has_only_token_characters(rest in "[ -~]{0,40}") {
            let field = format!("Bearer {rest}");
            if let Ok(found) = token(std::iter::once(field.as_bytes())) {
                prop_assert!(found.bytes().all(|byte| is_token_char(byte) || byte == b'='));
            }
        }
    }
}
