//! The `RateLimit` and `RateLimit-Policy` fields, as Structured Fields (RFC 9651).

use std::time::Duration;

use crate::rate::Rate;

/// The largest integer that a structured field can hold (RFC 9651 §3.3.1).
const LARGEST: u64 = 999_999_999_999_999;

/// Whether a text can be a String at all.
//= RFC 9651 §3.3.3
//# Strings are zero or more printable ASCII (RFC0020) characters (i.e., the range %x20 to %x7E).
pub(crate) fn is_string(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Appends one policy: its name, quota and window. A window of less than a second, or of a broken
/// number of them, cannot be told and is left out.
pub(crate) fn write_policy(text: &mut String, name: &str, rate: Rate) {
    separate(text);
    write_string(text, name);
    write_parameter(text, ";q=", rate.limit());
    if rate.period().subsec_nanos() == 0 && rate.period().as_secs() > 0 {
        write_parameter(text, ";w=", rate.period().as_secs());
    }
}

/// Appends how one policy stands: its name, what remains, and the wait in whole seconds, rounded
/// up, until there is more.
pub(crate) fn write_standing(text: &mut String, name: &str, remaining: u64, more_in: Duration) {
    separate(text);
    write_string(text, name);
    write_parameter(text, ";r=", remaining);
    if more_in > Duration::ZERO {
        write_parameter(text, ";t=", whole_seconds(more_in));
    }
}

/// Whole seconds, rounded up.
pub(crate) fn whole_seconds(span: Duration) -> u64 {
    span.as_secs()
        .saturating_add(u64::from(span.subsec_nanos() > 0))
}

/// Appends a number in decimal digits.
pub(crate) fn write_number(text: &mut String, number: u64) {
    let mut digits = [0_u8; 20];
    let mut rest = number;
    let mut length = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        length += 1;
        if rest == 0 {
            break;
        }
    }
    let start = digits.len() - length;
    let digits = digits.get(start..).unwrap_or_default();
    text.extend(digits.iter().copied().map(char::from));
}

fn separate(text: &mut String) {
    if !text.is_empty() {
        text.push_str(", ");
    }
}

//= RFC 9651 §4.1.6
//# If char is "\" or DQUOTE: Append "\" to output.
fn write_string(text: &mut String, value: &str) {
    text.push('"');
    for character in value.chars() {
        if matches!(character, '"' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text.push('"');
}

fn write_parameter(text: &mut String, name: &str, value: u64) {
    text.push_str(name);
    write_number(text, value.min(LARGEST));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_number(number: u64) {
        let mut text = String::new();
        write_number(&mut text, number);
        assert_eq!(text, number.to_string());
    }

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 9, 10, 99, 100, 1_234_567_890, u64::MAX] {
            check_number(number);
        }
    }

    #[test]
    fn policies_are_a_list_of_items() {
        let mut text = String::new();
        write_policy(&mut text, "burst", Rate::per_second(10));
        write_policy(
            &mut text,
            "a\"b\\",
            Rate::new(u64::MAX, Duration::from_millis(500)),
        );
        assert_eq!(text, r#""burst";q=10;w=1, "a\"b\\";q=999999999999999"#);
    }

    #[test]
    fn waits_are_rounded_up() {
        let mut text = String::new();
        write_standing(&mut text, "a", 0, Duration::from_millis(1_001));
        write_standing(&mut text, "b", 7, Duration::ZERO);
        write_standing(&mut text, "c", 0, Duration::from_nanos(1));
        assert_eq!(text, r#""a";r=0;t=2, "b";r=7, "c";r=0;t=1"#);
    }
}
