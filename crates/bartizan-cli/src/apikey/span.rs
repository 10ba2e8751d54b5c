//! Spans of time, as people write them.

use std::time::Duration;

/// Reads `30s`, `15m`, `12h`, `90d` or `6w`; a minute may be `min` too, as in `bartizan.toml`.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let unclear = || format!("{text:?} is no span of time such as 90d (s, m, h, d, w)");
    let unit = text.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let seconds: u64 = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err(unclear()),
    };
    let digits = text.strip_suffix(unit).unwrap_or_default();
    let count: u64 = digits.parse().map_err(|_| unclear())?;
    // A hundred years are enough for anybody, and no sum of them overflows.
    match count.checked_mul(seconds) {
        Some(span) if (1..=3_155_760_000).contains(&span) => Ok(Duration::from_secs(span)),
        _ => Err(format!(
            "{text:?} is not within a second and a hundred years"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_numbers_with_a_unit() {
        for (text, expected) in [
            ("1s", Some(1)),
            ("15m", Some(900)),
            ("15min", Some(900)),
            ("15mi", None),
            ("min", None),
            ("12h", Some(43_200)),
            ("90d", Some(7_776_000)),
            ("2w", Some(1_209_600)),
            ("", None),
            ("d", None),
            ("1", None),
            ("1y", None),
            ("-1d", None),
            ("+1d", None),
            ("1.5d", None),
            ("0d", None),
            ("40000d", None),
            ("99999999999999999999d", None),
            ("1ä", None),
        ] {
            let parsed = parse(text).ok();
            assert_eq!(parsed, expected.map(Duration::from_secs), "{text}");
        }
    }
}
