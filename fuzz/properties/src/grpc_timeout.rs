//! `grpc-timeout` headers: one to eight digits and a unit, as a second reading has it.

use std::time::Duration;

use bartizan_ratelimit::fuzzing::grpc_timeout;

/// Holds the bytes to what the head of this file says.
pub fn check(text: &[u8]) {
    assert_eq!(grpc_timeout(text), by_another_reading(text), "{text:?}");
}

fn by_another_reading(text: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(text).ok()?;
    let unit = text.chars().last()?;
    let nanos: u128 = match unit {
        'H' => 3_600_000_000_000,
        'M' => 60_000_000_000,
        'S' => 1_000_000_000,
        'm' => 1_000_000,
        'u' => 1_000,
        'n' => 1,
        _ => return None,
    };
    let digits = text.strip_suffix(unit)?;
    let is_number = (1..=8).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_digit());
    let nanos = digits.parse::<u128>().ok().filter(|_| is_number)? * nanos;
    let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
    Some(Duration::new(seconds, (nanos % 1_000_000_000) as u32))
}
