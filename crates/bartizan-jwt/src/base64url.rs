//! Base64url as JOSE writes it: no padding, no white space, one spelling per value.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// How many spare bytes the decoder wants behind its output.
pub(crate) const SLACK: usize = 4;

/// Decodes `text` into the front of `buffer`.
///
/// `None` if it is not canonical base64url or does not fit. Padding, white space, the standard
/// alphabet and set trailing bits are all refused: with them one token would have many spellings,
/// and a list of revoked tokens could be walked around.
pub(crate) fn decode_into<'b>(text: &[u8], buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let length = URL_SAFE_NO_PAD.decode_slice(text, buffer).ok()?;
    buffer.get(..length)
}

/// Decodes `text` into new memory of at most `limit` bytes.
pub(crate) fn decode(text: &[u8], limit: usize) -> Option<Vec<u8>> {
    if text.len() / 4 * 3 > limit {
        return None;
    }
    URL_SAFE_NO_PAD
        .decode(text)
        .ok()
        .filter(|bytes| bytes.len() <= limit)
}

/// Encodes `bytes`.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&[u8]>) {
        let mut buffer = [0; 32 + SLACK];
        assert_eq!(
            decode_into(text.as_bytes(), &mut buffer),
            expected,
            "{text:?}"
        );
        assert_eq!(decode(text.as_bytes(), 32).as_deref(), expected, "{text:?}");
    }

    #[test]
    fn only_the_canonical_spelling_decodes() {
        check("", Some(b""));
        check("Zg", Some(b"f"));
        check("Zm9v", Some(b"foo"));
        check("-_8", Some(&[0xfb, 0xff]));
        check("Zh", None);
        check("Zg==", None);
        check("Zm9v\n", None);
        check(" Zm9v", None);
        check("+/8", None);
        check("Z", None);
        check("Zm9v.", None);
    }

    #[test]
    fn more_than_the_limit_is_refused() {
        assert_eq!(decode(b"Zm9v", 2), None);
        assert_eq!(decode(b"Zm9v", 3).as_deref(), Some(&b"foo"[..]));
        assert_eq!(decode_into(b"Zm9vZm9v", &mut [0; 4]), None);
    }

    proptest! {
        #[test]
        fn bytes_read_back_and_a_text_has_no_second_spelling(
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
            text in ".{0,20}",
        ) {
            prop_assert_eq!(decode(encode(&bytes).as_bytes(), 60), Some(bytes));
            if let Some(decoded) = decode(text.as_bytes(), 60) {
                prop_assert_eq!(encode(&decoded), text);
            }
        }
    }
}
