//! Keys where they do not belong: in a URL, which is logged, cached and sent on.

use crate::format::{KeyFormat, LONGEST, PresentedKey, Unfit, shape};

/// A key that was found in a URL.
pub(crate) struct InUrl {
    text: [u8; LONGEST],
    length: usize,
}

/// Looks for a key of this product, of any environment, in path or query.
///
/// Percent-encoding is undone on the way, so that `%5F` hides nothing. What has the form of a key
/// counts, whatever its checksum: a mistyped key has leaked nearly all of its secret.
pub(crate) fn in_url(format: &KeyFormat, path_and_query: &[u8]) -> Option<InUrl> {
    // Every key has three of these; most URLs have none.
    if !path_and_query
        .iter()
        .any(|byte| matches!(byte, b'_' | b'%'))
    {
        return None;
    }
    let product = format.product();
    (0..path_and_query.len())
        .filter(|start| {
            let before = start.checked_sub(1);
            let before = before.and_then(|before| path_and_query.get(before));
            // The form of a key is bounded on the left as well, or `abbrt_..` would be one.
            !before.is_some_and(u8::is_ascii_alphanumeric) || ends_escape(path_and_query, *start)
        })
        .filter_map(|start| path_and_query.get(start..))
        .filter(|rest| begins(rest, product))
        .find_map(taken)
}

/// Whether the two characters before this place belong to a percent-encoding.
fn ends_escape(text: &[u8], place: usize) -> bool {
    let at = place.checked_sub(3).and_then(|at| text.get(at));
    at == Some(&b'%')
}

/// Whether a text begins with these characters, encoded or not.
fn begins(text: &[u8], word: &[u8]) -> bool {
    let mut decoded = Decoded(text);
    word.iter().all(|byte| decoded.next() == Some(*byte))
}

/// The longest run of characters of a key that begins here, if it has the form of one.
fn taken(text: &[u8]) -> Option<InUrl> {
    let mut found = InUrl {
        text: [0; LONGEST],
        length: 0,
    };
    let run = Decoded(text).take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    for byte in run {
        // A longer run is no key.
        *found.text.get_mut(found.length)? = byte;
        found.length += 1;
    }
    shape(found.bytes()).map(|_| ())?;
    Some(found)
}

impl InUrl {
    fn bytes(&self) -> &[u8] {
        self.text.get(..self.length).unwrap_or_default()
    }

    pub(crate) fn parse(&self, format: &KeyFormat) -> Result<PresentedKey<'_>, Unfit> {
        format.parse(self.bytes())
    }
}

impl Drop for InUrl {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.text);
    }
}

/// The bytes that percent-encoding stands for.
struct Decoded<'t>(&'t [u8]);

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        if *first == b'%'
            && let Some((digits, after)) = rest.split_at_checked(2)
            && let Some(byte) = hexadecimal(digits)
        {
            self.0 = after;
            return Some(byte);
        }
        self.0 = rest;
        Some(*first)
    }
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    digits.iter().try_fold(0, |value: u8, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(value << 4 | u8::try_from(digit).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::NewKey;

    #[test]
    fn a_key_is_found_wherever_it_stands_in_a_url() {
        let format = KeyFormat::live();
        let key = NewKey::generate(&format).unwrap();
        let key = key.expose();
        let escaped: String = key.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let underscores = key.replace('_', "%5F");
        let mistyped = format!("{}x", &key[..key.len() - 1]);
        let found = |url: &str| in_url(&format, url.as_bytes()).is_some();
        for text in [key, &escaped, &underscores] {
            for url in [
                format!("/orders?api_key={text}"),
                format!("/orders?a=b&key={text}&c=d"),
                format!("/{text}/orders"),
                format!("/orders?{text}"),
                format!("/orders?x=%20{text}"),
                format!("/orders;key={text}"),
            ] {
                let found = in_url(&format, url.as_bytes()).expect(&url);
                assert!(found.parse(&format).is_ok(), "{url}");
            }
        }
        assert!(found(&format!("/?k={mistyped}")) || mistyped == key);
        let other = NewKey::generate(&KeyFormat::test()).unwrap();
        assert!(
            found(&format!("/?k={}", other.expose())),
            "of any environment"
        );
    }

    #[test]
    fn what_only_resembles_a_key_is_left_alone() {
        let format = KeyFormat::live();
        let key = NewKey::generate(&format).unwrap();
        let key = key.expose();
        for url in [
            "/".to_owned(),
            "/brt_live_".to_owned(),
            "/orders?x=brt_live_short_secret".to_owned(),
            format!("/?k={}", &key[..key.len() - 1]),
            format!("/?k={key}x"),
            format!("/?k=x{key}"),
            format!("/?k={}", key.replace("brt", "brx")),
            "/%".to_owned(),
            "/%5".to_owned(),
            "/%zz_".to_owned(),
        ] {
            assert!(in_url(&format, url.as_bytes()).is_none(), "{url}");
        }
    }
}
