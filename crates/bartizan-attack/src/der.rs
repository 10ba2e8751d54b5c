//! As much of DER as certificates and keys need.

/// One value: tag, length, content.
pub(crate) fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    let length = content.len();
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => bytes.push(short),
        _ => {
            let long: Vec<u8> = length.to_be_bytes().into_iter().collect();
            let long: Vec<u8> = long.into_iter().skip_while(|byte| *byte == 0).collect();
            bytes.push(0x80 | u8::try_from(long.len()).unwrap_or(0x7f));
            bytes.extend(long);
        }
    }
    bytes.extend_from_slice(content);
    bytes
}

pub(crate) fn sequence(members: &[Vec<u8>]) -> Vec<u8> {
    value(0x30, &members.concat())
}

/// A positive integer from big-endian bytes.
pub(crate) fn integer(bytes: &[u8]) -> Vec<u8> {
    let mut content: Vec<u8> = bytes.iter().copied().skip_while(|it| *it == 0).collect();
    if content.first().is_none_or(|first| *first >= 0x80) {
        content.insert(0, 0);
    }
    value(0x02, &content)
}

pub(crate) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    value(0x03, &[&[0], bytes].concat())
}

/// An object identifier by its encoded content.
pub(crate) fn oid(content: &[u8]) -> Vec<u8> {
    value(0x06, content)
}

/// A time, as `GeneralizedTime` always; verifiers read it for any year.
pub(crate) fn time(unix_seconds: u64) -> Vec<u8> {
    let (days, rest) = (unix_seconds / 86_400, unix_seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    // RFC 5280 §4.1.2.5: two digits of the year until 2049.
    if (1950..2050).contains(&year) {
        let short = year % 100;
        let text = format!("{short:02}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
        return value(0x17, text.as_bytes());
    }
    let text = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    value(0x18, text.as_bytes())
}

/// Year, month and day of a day since 1970-01-01, by counting from 1 March of year 0.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// Reads one value: its tag, its content, and what is behind it.
pub(crate) fn read(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let count = usize::from(first & 0x7f);
            let (length, rest) = rest.split_at_checked(count)?;
            let length = length.iter().fold(0, |sum, it| sum << 8 | usize::from(*it));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// The content of the first value, which has this tag.
pub(crate) fn inside(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    read(bytes).filter(|it| it.0 == tag).map(|it| it.1)
}

/// A value in another: its tag, its content, and all its bytes.
pub(crate) type Member<'a> = (u8, &'a [u8], &'a [u8]);

/// All values of a content.
pub(crate) fn members(mut bytes: &[u8]) -> Vec<Member<'_>> {
    let mut found = Vec::new();
    while let Some((tag, content, rest)) = read(bytes) {
        let whole = bytes.len() - rest.len();
        found.push((tag, content, bytes.get(..whole).unwrap_or_default()));
        bytes = rest;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_and_read() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let content = vec![7; length];
            let bytes = value(4, &content);
            assert_eq!(read(&bytes), Some((4, content.as_slice(), [].as_slice())));
            assert_eq!(read(&bytes[..bytes.len() - 1]), None);
        }
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        let check = |seconds, expected: &str| {
            let written = time(seconds);
            assert_eq!(&written[2..], expected.as_bytes());
        };
        check(0, "700101000000Z");
        check(951_782_400, "000229000000Z");
        check(1_763_800_000, "251122082640Z");
        check(2_524_608_000, "20500101000000Z");
    }

    #[test]
    fn integers_are_positive_and_minimal() {
        assert_eq!(integer(&[0, 0, 1]), [2, 1, 1]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[]), [2, 1, 0]);
    }
}
