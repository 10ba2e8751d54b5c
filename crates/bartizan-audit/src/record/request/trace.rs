//! Which trace a request belongs to.

/// The trace that a request belongs to ([W3C Trace Context]).
///
/// [W3C Trace Context]: https://www.w3.org/TR/trace-context/#traceparent-header
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Trace {
    /// The trace.
    pub trace_id: [u8; 16],
    /// The span of the caller.
    pub parent_id: [u8; 8],
}

impl Trace {
    /// Reads a `traceparent` header of version 0. Anything else is none: a caller may send what
    /// it wants, and only a well-formed one is recorded.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        Self::of_bytes(header.as_bytes())
    }

    pub(crate) fn of_bytes(header: &[u8]) -> Option<Self> {
        let (version, rest) = header.split_first_chunk::<3>()?;
        let (trace, rest) = rest.split_first_chunk::<32>()?;
        let (dash, rest) = rest.split_first_chunk::<1>()?;
        let (parent, rest) = rest.split_first_chunk::<16>()?;
        let [last, flags @ ..] = <[u8; 3]>::try_from(rest).ok()?;
        if version != b"00-" || dash != b"-" || last != b'-' {
            return None;
        }
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if !flags.iter().all(is_digit) {
            return None;
        }
        let (trace_id, parent_id) = (hexadecimal(trace)?, hexadecimal(parent)?);
        (trace_id != [0; 16] && parent_id != [0; 8]).then_some(Self {
            trace_id,
            parent_id,
        })
    }
}

/// What lower-case hexadecimal digits say: `N` bytes, a multiple of four.
fn hexadecimal<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let mut wrong = 0;
    let (places, _) = bytes.as_chunks_mut::<4>();
    for (place, digits) in places.iter_mut().zip(digits.as_chunks::<8>().0) {
        let (value, bad) = eight_digits(*digits);
        *place = value;
        wrong |= bad;
    }
    (wrong == 0 && digits.len() == 2 * N).then_some(bytes)
}

/// Eight digits at once, each in a byte of one word, and a word that is zero if they are digits.
/// One after the other they would take longer than all the rest of a record.
const fn eight_digits(digits: [u8; 8]) -> ([u8; 4], u64) {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let word = u64::from_be_bytes(digits);
    let is_letter = (word >> 6) & EACH;
    let values = (word & (0x0f * EACH)) + is_letter * 9;
    // They are digits if these values are written that way, and fit: below 16, and from 10 on as
    // letters.
    let written = values + 0x30 * EACH + is_letter * 0x27;
    let from_ten = ((values + 0x76 * EACH) >> 7) & EACH;
    let wrong = (written ^ word) | (values & (0xf0 * EACH)) | (from_ten ^ is_letter);
    let bytes = (values | values >> 4) & 0x00ff_00ff_00ff_00ff;
    let pairs = (bytes | bytes >> 8) & 0x0000_ffff_0000_ffff;
    let [_, _, _, _, value @ ..] = (pairs | pairs >> 16).to_be_bytes();
    (value, wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_digits_are_read_as_one_by_one() {
        let expected = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        for place in 0..8 {
            for byte in 0..=255 {
                let mut digits = *b"0f9a1e8b";
                digits[place] = byte;
                let (value, wrong) = eight_digits(digits);
                assert_eq!(wrong == 0, expected(byte).is_some(), "{byte} at {place}");
                if let Some(digit) = expected(byte) {
                    let half = value[place / 2] >> (4 * (1 - place % 2)) & 15;
                    assert_eq!(half, digit, "{byte} at {place}");
                }
            }
        }
        assert_eq!(eight_digits(*b"0af76519").0, [0x0a, 0xf7, 0x65, 0x19]);
    }
}
