//! Small numbers as header values, without allocating.

use http::HeaderValue;

/// How many numbers are written down beforehand: lengths of bodies and waits are mostly below.
const COUNT: usize = 1_000;

/// All numbers of three digits, from `000` to `999`, one behind the other.
const DIGITS: [u8; 3 * COUNT] = {
    let mut digits = [b'0'; 3 * COUNT];
    let mut number = 0;
    while number < COUNT {
        #[expect(clippy::indexing_slicing, reason = "computed while compiling")]
        {
            digits[3 * number] += (number / 100) as u8;
            digits[3 * number + 1] += (number / 10 % 10) as u8;
            digits[3 * number + 2] += (number % 10) as u8;
        }
        number += 1;
    }
    digits
};

static WRITTEN: [u8; 3 * COUNT] = DIGITS;

/// A number as the value of a header.
pub(super) fn value(number: u64) -> HeaderValue {
    written(number).map_or_else(|| HeaderValue::from(number), HeaderValue::from_static)
}

fn written(number: u64) -> Option<&'static str> {
    let place = usize::try_from(number).ok().filter(|it| *it < COUNT)?;
    let zeros = usize::from(number < 10) + usize::from(number < 100);
    let digits = WRITTEN.get(3 * place + zeros..3 * place + 3)?;
    std::str::from_utf8(digits).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_written_as_it_would_be_otherwise() {
        for number in (0..2_000).chain([u64::MAX]) {
            assert_eq!(value(number), number.to_string(), "{number}");
            let beforehand = (number < 1_000).then(|| number.to_string());
            assert_eq!(written(number), beforehand.as_deref(), "{number}");
        }
    }
}
