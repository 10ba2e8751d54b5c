//! A keyed hash of a token's end.

use std::hash::{BuildHasher, RandomState};

/// How many bytes are hashed: the end of a signature, in which tokens that verify differ.
const HASHED: usize = 64;

/// A hash by which nobody who does not know its key can make two tokens collide.
///
/// The sum of products is NH ([RFC 4418 §5.2.2]) with words of 64 bits: for two ends that differ,
/// however they were chosen, at most one key in 2^64 gives the same sum. What comes out is never
/// told to anybody. It is a tenth of what SipHash costs, and decides nothing: whoever has the
/// same hash is compared byte by byte.
///
/// [RFC 4418 §5.2.2]: https://www.rfc-editor.org/rfc/rfc4418#section-5.2.2
pub(super) struct TailHash {
    keys: [u64; HASHED / 8],
    last: [u64; 2],
}

impl TailHash {
    /// With a key of its own, from what seeds the standard library's maps.
    pub(super) fn random() -> Self {
        let source = RandomState::new();
        Self::keyed(|number| source.hash_one(number))
    }

    /// With the words of a key that `key` gives for 1, 2, and so on.
    pub(super) fn keyed(key: impl Fn(u64) -> u64) -> Self {
        let mut counter = 0_u64;
        let mut next = || {
            counter += 1;
            key(counter)
        };
        Self {
            keys: std::array::from_fn(|_| next()),
            last: std::array::from_fn(|_| next()),
        }
    }

    pub(super) fn of(&self, token: &[u8]) -> u64 {
        match token.last_chunk() {
            Some(end) => self.of_end(end, token.len()),
            None => {
                let mut end = [0; HASHED];
                end.iter_mut().zip(token).for_each(|(to, from)| *to = *from);
                self.of_end(&end, token.len())
            }
        }
    }

    fn of_end(&self, end: &[u8; HASHED], length: usize) -> u64 {
        let (words, _) = end.as_chunks::<8>();
        let mut sum = length as u128;
        for (word, key) in words.chunks_exact(2).zip(self.keys.chunks_exact(2)) {
            if let ([one, other], [key, other_key]) = (word, key) {
                let one = u64::from_le_bytes(*one).wrapping_add(*key);
                let other = u64::from_le_bytes(*other).wrapping_add(*other_key);
                sum = sum.wrapping_add(u128::from(one) * u128::from(other));
            }
        }
        // To 64 bits, each of which depends on all of the sum: the map takes them from all over.
        let [low, high] = self.last;
        let product = u128::from(sum as u64 ^ low) * u128::from((sum >> 64) as u64 ^ high);
        product as u64 ^ (product >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ends_that_differ_in_one_bit_spread_over_all_bits() {
        let hash = TailHash::random();
        let end = [b'x'; HASHED];
        let (mut seen, mut differed) = (std::collections::HashSet::new(), 0);
        seen.insert(hash.of(&end));
        for bit in 0..HASHED * 8 {
            let mut other = end;
            other[bit / 8] ^= 1 << (bit % 8);
            let hashed = hash.of(&other);
            assert!(seen.insert(hashed), "bit {bit}");
            differed |= hashed ^ hash.of(&end);
        }
        assert_eq!(differed, u64::MAX);
    }

    #[test]
    fn lengths_and_keys_make_a_difference() {
        let hash = TailHash::random();
        let token = [b'x'; 200];
        assert_eq!(hash.of(&token[..100]), hash.of(&[b'x'; 100]));
        assert_ne!(hash.of(&token[..100]), hash.of(&token[..101]));
        assert_ne!(hash.of(b""), hash.of(b"\0"));
        assert_ne!(hash.of(&token), TailHash::random().of(&token));
    }

    proptest! {
        #[test]
        fn never_panics_and_tells_tokens_apart(
            one in proptest::collection::vec(any::<u8>(), 0..200),
            other in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let hash = TailHash::random();
            let end = |token: &[u8]| {
                (token.len(), token[token.len().saturating_sub(HASHED)..].to_vec())
            };
            prop_assert_eq!(hash.of(&one) == hash.of(&other), end(&one) == end(&other));
        }
    }
}
