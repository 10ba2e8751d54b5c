//! By when a request must be done.

use std::time::Duration;

/// Reads a `grpc-timeout`: one to eight digits and a unit.
///
/// Zero is a timeout too; one that has passed.
//= gRPC over HTTP2: TimeoutValue → {positive integer as ASCII string of at most 8 digits}
pub(crate) fn read_grpc_timeout(text: &[u8]) -> Option<Duration> {
    let (unit, digits) = text.split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits
        .iter()
        .fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(value * 3_600),
        b'M' => Duration::from_secs(value * 60),
        b'S' => Duration::from_secs(value),
        b'm' => Duration::from_millis(value),
        b'u' => Duration::from_micros(value),
        b'n' => Duration::from_nanos(value),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<Duration>) {
        assert_eq!(read_grpc_timeout(text.as_bytes()), expected, "{text:?}");
    }

    #[test]
    fn timeouts_are_digits_and_a_unit() {
        check("1H", Some(Duration::from_secs(3_600)));
        check("2M", Some(Duration::from_secs(120)));
        check("3S", Some(Duration::from_secs(3)));
        check("4m", Some(Duration::from_millis(4)));
        check("5u", Some(Duration::from_micros(5)));
        check("6n", Some(Duration::from_nanos(6)));
        check("0S", Some(Duration::ZERO));
        check("99999999H", Some(Duration::from_secs(99_999_999 * 3_600)));
        for wrong in [
            "",
            "S",
            "1",
            "1s",
            "100000000S",
            "-1S",
            "+1S",
            "1.5S",
            " 1S",
            "1S ",
        ] {
            check(wrong, None);
        }
    }
}
