//! Takes the token out of the `Authorization` field ([RFC 6750 §2.1]).
//!
//! [RFC 6750 §2.1]: https://www.rfc-editor.org/rfc/rfc6750#section-2.1

use crate::error::{JwtError, JwtErrorKind};

const SCHEME: &[u8] = b"Bearer";

/// The token in the values of all `Authorization` fields of a request.
///
/// No field, or one of another scheme, is no token. Two fields, or a list of tokens in one, are an
/// error of their own: two readers could take different ones.
pub(crate) fn token<'f>(mut fields: impl Iterator<Item = &'f [u8]>) -> Result<&'f str, JwtError> {
    let field = fields.next().ok_or(JwtError::new(JwtErrorKind::Missing))?;
    if fields.next().is_some() {
        return Err(JwtError::new(JwtErrorKind::MultipleTokens));
    }
    let (scheme, rest) = field.split_at_checked(SCHEME.len()).unwrap_or((field, &[]));
    if !scheme.eq_ignore_ascii_case(SCHEME) || rest.first().is_some_and(|next| is_tchar(*next)) {
        return Err(JwtError::new(JwtErrorKind::Missing));
    }
    let malformed = JwtError::new(JwtErrorKind::MalformedCredentials);
    let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
    let token = rest.get(spaces..).unwrap_or_default();
    if token.contains(&b',') {
        return Err(JwtError::new(JwtErrorKind::MultipleTokens));
    }
    let padding = token.iter().rev().take_while(|byte| **byte == b'=').count();
    let body = token.get(..token.len() - padding).unwrap_or_default();
    if spaces == 0 || body.is_empty() || !body.iter().all(|byte| is_token_char(*byte)) {
        return Err(malformed);
    }
    std::str::from_utf8(token).map_err(|_| malformed)
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
            &["DPoP a.b.c"],
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

    proptest! {
        #[test]
        fn never_panics(field in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = token(std::iter::once(field.as_slice()));
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
