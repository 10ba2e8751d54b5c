//! Spans of time, sizes and moments as they are written.

use std::time::Duration;

use bartizan_core::WallTime;

/// Units of time in nanoseconds, the longest first.
const SPANS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Units of size in bytes, the largest first.
const SIZES: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// `30s`, `5min`, `250ms`: a whole number and one unit.
pub(crate) fn span(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text)?;
    let (_, nanoseconds) = SPANS.iter().find(|(name, _)| *name == unit)?;
    let nanoseconds = u128::from(number).checked_mul(*nanoseconds)?;
    let seconds = u64::try_from(nanoseconds / 1_000_000_000).ok()?;
    // A hundred years: sums of two of them still fit everywhere.
    if seconds > 100 * 366 * 86_400 {
        return None;
    }
    let rest = u32::try_from(nanoseconds % 1_000_000_000).ok()?;
    Some(Duration::new(seconds, rest))
}

/// As [`span`] reads it, in the longest unit that it is a whole number of; up to two minutes are
/// told in seconds.
pub(crate) fn written_span(span: Duration) -> String {
    let nanoseconds = span.as_nanos();
    let is_short = |unit: &str| unit == "min" && span < Duration::from_secs(120);
    let fits = |(name, unit): &&(&str, u128)| {
        nanoseconds > 0 && nanoseconds.is_multiple_of(*unit) && !is_short(name)
    };
    let (unit, length) = SPANS.iter().find(fits).unwrap_or(&("s", 1_000_000_000));
    format!("{}{unit}", nanoseconds / length)
}

/// `64KiB`, `2MiB`, `512B`: a whole number and one unit. Units of a thousand are not taken: they
/// are hardly ever what is meant.
pub(crate) fn size(text: &str) -> Option<u64> {
    let (number, unit) = number_and_unit(text)?;
    let (_, bytes) = SIZES.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*bytes)
}

/// As [`size`] reads it.
pub(crate) fn written_size(bytes: u64) -> String {
    let fits = |(_, unit): &&(&str, u64)| bytes > 0 && bytes.is_multiple_of(*unit);
    let (unit, length) = SIZES.iter().find(fits).unwrap_or(&("B", 1));
    format!("{}{unit}", bytes / length)
}

/// `2027-03-01T00:00:00Z`: a moment in UTC, to the second ([RFC 3339]).
///
/// [RFC 3339]: https://www.rfc-editor.org/rfc/rfc3339
pub(crate) fn moment(text: &str) -> Option<WallTime> {
    let bytes = text.as_bytes();
    let is_form = bytes.len() == 20
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            10 => *byte == b'T',
            13 | 16 => *byte == b':',
            19 => *byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    if !is_form {
        return None;
    }
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let length = |month: u64| match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap(year) => 29,
        2 => 28,
        _ => 31,
    };
    if year < 1970 || !(1..=12).contains(&month) || !(1..=length(month)).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let years: u64 = (1970..year).map(|year| 365 + u64::from(leap(year))).sum();
    let months: u64 = (1..month).map(length).sum();
    let days = years + months + day - 1;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(WallTime::from_unix_seconds(seconds))
}

/// A number without a sign, a space or a zero in front, and what follows it.
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let is_plain = number == "0" || !number.starts_with('0');
    Some((number.parse().ok().filter(|_| is_plain)?, unit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans_are_a_number_and_a_unit() {
        for (text, expected) in [
            ("30s", Some(Duration::from_secs(30))),
            ("5min", Some(Duration::from_secs(300))),
            ("24h", Some(Duration::from_secs(86_400))),
            ("7d", Some(Duration::from_secs(7 * 86_400))),
            ("250ms", Some(Duration::from_millis(250))),
            ("0s", Some(Duration::ZERO)),
            ("30", None),
            ("s", None),
            ("5m", None),
            ("1.5s", None),
            ("-1s", None),
            ("030s", None),
            ("30 s", None),
            ("99999999999999999999s", None),
            ("99999999999d", None),
        ] {
            assert_eq!(span(text), expected, "{text}");
        }
    }

    #[test]
    fn sizes_are_a_number_and_a_unit() {
        for (text, expected) in [
            ("64KiB", Some(65_536)),
            ("2MiB", Some(2_097_152)),
            ("1GiB", Some(1_073_741_824)),
            ("512B", Some(512)),
            ("0B", Some(0)),
            ("64KB", None),
            ("64k", None),
            ("64", None),
            ("99999999999999GiB", None),
        ] {
            assert_eq!(size(text), expected, "{text}");
        }
    }

    #[test]
    fn moments_are_days_that_exist() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2027-03-01T00:00:00Z", Some(1_803_859_200)),
            ("2024-02-29T23:59:59Z", Some(1_709_251_199)),
            ("2023-02-29T00:00:00Z", None),
            ("2027-13-01T00:00:00Z", None),
            ("2027-03-01", None),
            ("2027-03-01T00:00:00+00:00", None),
            ("2027-03-01T24:00:00Z", None),
        ] {
            let expected = expected.map(WallTime::from_unix_seconds);
            assert_eq!(moment(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(nanoseconds in 0_u64..u64::MAX / 8, bytes: u64) {
            let wanted = Duration::from_nanos(nanoseconds);
            prop_assert_eq!(span(&written_span(wanted)), Some(wanted));
            prop_assert_eq!(size(&written_size(bytes)), Some(bytes));
        }

        #[test]
        fn nothing_makes_it_panic(text in ".{0,32}") {
            let _ = (span(&text), size(&text), moment(&text));
        }
    }
}
