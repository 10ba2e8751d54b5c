//! Rates as they are written.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::Rate;
use crate::error::ConfigError;

/// Units of time, the longest first, in nanoseconds.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Longer than any text that is a rate.
const LONGEST: usize = 128;

/// Such as `100/s`, `5/10min` or `100/s burst 200`: a limit, a period of so many `d`, `h`, `min`,
/// `s`, `ms`, `us` or `ns`, and a burst if it is another than the limit. What is written is read
/// back as it was, unless its period cannot be told in one unit (centuries and a few nanoseconds).
impl FromStr for Rate {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        read(text).ok_or_else(|| {
            let shown = text.chars().take(LONGEST).collect();
            ConfigError::RateText(shown)
        })
    }
}

fn read(text: &str) -> Option<Rate> {
    let (rate, burst) = match text.split_once(" burst ") {
        Some((rate, burst)) => (rate, Some(number(burst)?)),
        None => (text, None),
    };
    let (limit, period) = rate.split_once('/')?;
    let digits = period.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = period.split_at_checked(digits)?;
    let count = if count.is_empty() { 1 } else { number(count)? };
    let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let nanos = u128::from(count) * unit;
    let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
    let period = Duration::new(seconds, (nanos % 1_000_000_000) as u32);
    let rate = Rate::new(number(limit)?, period);
    Some(match burst {
        Some(burst) => rate.with_burst(burst),
        None => rate,
    })
}

/// A number without a sign or a zero in front.
fn number(text: &str) -> Option<u64> {
    let is_number =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    is_number.then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.period.as_nanos();
        let fits = |(_, unit): &&(&str, u128)| nanos > 0 && nanos.is_multiple_of(*unit);
        let (unit, length) = UNITS.iter().find(fits).unwrap_or(&("ns", 1));
        write!(f, "{}/", self.limit)?;
        match nanos / length {
            1 => f.write_str(unit)?,
            count => write!(f, "{count}{unit}")?,
        }
        match self.burst {
            Some(burst) => write!(f, " burst {burst}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[cfg(not(bartizan_loom))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Option<Rate>) {
        assert_eq!(text.parse().ok(), expected, "{text:?}");
    }

    #[test]
    fn rates_are_a_limit_a_period_and_a_burst() {
        check("100/s", Some(Rate::per_second(100)));
        check("100/1s", Some(Rate::per_second(100)));
        check("60/min burst 5", Some(Rate::per_minute(60).with_burst(5)));
        check("5/10min", Some(Rate::new(5, Duration::from_secs(600))));
        check("1/500ms", Some(Rate::new(1, Duration::from_millis(500))));
        check(
            "1000/30d",
            Some(Rate::new(1_000, Duration::from_secs(30 * 86_400))),
        );
        // Whether that can be counted is asked when it is used.
        check("0/s", Some(Rate::per_second(0)));
        for wrong in [
            "",
            "/",
            "100",
            "100/",
            "/s",
            "100/sec",
            "100/S",
            "100 /s",
            "100/ s",
            " 100/s",
            "100/s ",
            "+1/s",
            "-1/s",
            "01/s",
            "1/01s",
            "1.5/s",
            "1/m",
            "1/s burst",
            "1/s burst ",
            "1/s burst x",
            "1/s  burst 1",
            "1/s burst 1 burst 1",
            "99999999999999999999/s",
            "1/99999999999999999999d",
            "1/18446744073709551615d",
            "1/ß",
        ] {
            check(wrong, None);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() })]

        #[test]
        fn what_is_written_is_read_back(
            limit: u64, seconds in 0_u64..1 << 40, nanos in 0_u32..1_000_000_000, whole: bool,
            burst in proptest::option::of(any::<u64>()),
        ) {
            let nanos = if whole { 0 } else { nanos };
            prop_assume!(seconds > 0 || nanos > 0);
            // As long as a period can be told in one unit.
            prop_assume!(whole || seconds < 1 << 33);
            let mut rate = Rate::new(limit, Duration::new(seconds, nanos));
            if let Some(burst) = burst {
                rate = rate.with_burst(burst);
            }
            prop_assert_eq!(rate.to_string().parse::<Rate>().ok(), Some(rate));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<Rate>();
        }
    }
}
