//! Which tokens say by themselves what they stand for.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Reads what a careless reader would read: no padding needed, trailing bits ignored.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// How many bytes of an object are looked at. Names of members begin there, which are of ASCII.
const TELLING: usize = 12;

/// Whether somebody could take a token for a JSON Web Token, well-formed or not: one of its parts
/// between dots, tildes or padding is a JSON object in base64.
///
/// Such a token is judged here and never sent to be introspected. Otherwise a change that makes it
/// malformed to us, and that a careless reader passes over, would have somebody else judge it by
/// weaker rules.
///
/// A token that was made of random characters has such a part once in thousands of millions.
pub(crate) fn looks_signed(token: &str) -> bool {
    token.contains('.') && token.split(['.', '~', '=']).any(is_object)
}

fn is_object(part: &str) -> bool {
    // In either alphabet, a mixture included.
    let part: Vec<u8> = part
        .bytes()
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => other,
        })
        .collect();
    // A last character alone carries no whole byte.
    let whole = part.len() - usize::from(part.len() % 4 == 1);
    let part = part.get(..whole).unwrap_or_default();
    let Ok(decoded) = GeneralPurpose::new(&STANDARD, LENIENT).decode(part) else {
        return false;
    };
    let is_space = |byte: &u8| byte.is_ascii_whitespace();
    let text = decoded.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&decoded);
    let Some(inside) = text.trim_ascii_start().strip_prefix(b"{") else {
        return false;
    };
    // What stands behind that does not matter: readers differ in how much they pass over.
    matches!(inside.trim_ascii_start().first(), Some(b'"' | b'}'))
        && inside
            .iter()
            .take(TELLING)
            .all(|byte| byte.is_ascii_graphic() || is_space(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base64url::encode;
    use crate::testing::{claims, header, sign};

    #[track_caller]
    fn check(token: &str, expected: bool) {
        assert_eq!(looks_signed(token), expected, "{token}");
    }

    #[test]
    fn a_web_token_is_one_however_it_is_bent() {
        let token = sign(&header(), &claims());
        let (header, rest) = token.split_once('.').unwrap();
        let (payload, signature) = rest.split_once('.').unwrap();
        for bent in [
            token.clone(),
            format!("{token}."),
            format!(".{token}"),
            format!("{token}=="),
            format!("{header}..{payload}.{signature}"),
            format!("{header}.{payload}"),
            format!("x.{payload}.{signature}"),
            format!("{header}.x.{signature}"),
            format!("{header}=.{payload}=.{signature}"),
            format!("{header}={payload}.{signature}"),
            format!("{token}~disclosure"),
            format!("{header}A.x.y"),
            format!("{}.x.y", header.replace('-', "+").replace('_', "/")),
            format!(
                "{}.x.y.z.w",
                encode(br#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#)
            ),
            format!("{}.x.y", encode(b" \n{ \"alg\":\"none\"}")),
            format!("{}.x", encode(b"{}")),
        ] {
            check(&bent, true);
        }
    }

    #[test]
    fn an_opaque_token_is_none() {
        for token in [
            "",
            "a",
            "opaque",
            "ory_at_b3YbZ.s9Xw",
            "v1.MjQyLmFiYw.xyz",
            "a.b.c",
            "ya29.a0AfB_byC-x",
            // An object, but of one part: nobody takes it for a signed token.
            &encode(br#"{"id":"x"}"#),
            &format!("{}.x", encode(b"{\x01\x02\x03")),
            &format!("{}.x", encode(b"[1]")),
        ] {
            check(token, false);
        }
    }

    proptest! {
        #[test]
        fn never_panics(token in "[A-Za-z0-9._~+/=-]{0,60}") {
            let _ = looks_signed(&token);
        }

        #[test]
        fn random_tokens_are_opaque(bytes: [u8; 24], other: [u8; 24]) {
            let token = format!("{}.{}", encode(&bytes), encode(&other));
            prop_assert!(!looks_signed(&token));
        }

        #[test]
        fn no_single_change_makes_a_web_token_opaque(index: prop::sample::Index, byte in "[A-Za-z0-9._~+/=-]") {
            let mut token = sign(&header(), &claims());
            let at = index.index(token.len());
            token.replace_range(at..=at, &byte);
            prop_assert!(looks_signed(&token));
        }
    }
}
