//! How far a string goes on as it is.

/// A one in each byte.
const ONES: u64 = 0x0101_0101_0101_0101;
/// The highest bit of each byte.
const HIGH: u64 = 0x8080_8080_8080_8080;

/// How many bytes come before the first that ends a string or means something in it: a quote, a
/// backslash, or a control character, which may not stand there. `None` if there is none.
pub(super) fn plain(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    // Eight at a time: most of a document is in strings.
    while let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let found = special(u64::from_le_bytes(*eight));
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let is_special = |&byte: &u8| byte == b'"' || byte == b'\\' || byte < 0x20;
    let rest = bytes.get(at..)?.iter().position(is_special)?;
    Some(at + rest)
}

/// The highest bit of each such byte. Of those behind the first, a borrow may have set more.
fn special(word: u64) -> u64 {
    let less = |word: u64, than: u8| word.wrapping_sub(ONES * u64::from(than)) & !word & HIGH;
    let is = |byte: u8| less(word ^ (ONES * u64::from(byte)), 1);
    is(b'"') | is(b'\\') | less(word, 0x20)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one_by_one(bytes: &[u8]) -> Option<usize> {
        bytes
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))
    }

    #[test]
    fn every_byte_is_found_or_passed_at_every_place() {
        for byte in 0..=u8::MAX {
            for place in 0..20 {
                for other in [b'a', 0x20, 0x7f, 0x80, 0xff, b'!', b'#', b'['] {
                    let mut bytes = [other; 20];
                    bytes[place] = byte;
                    assert_eq!(plain(&bytes), one_by_one(&bytes), "{byte} at {place}");
                }
            }
        }
        assert_eq!(plain(b""), None);
    }

    proptest! {
        #[test]
        fn finds_the_first_of_many(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(plain(&bytes), one_by_one(&bytes));
        }
    }
}
