//! The `RateLimit` and `RateLimit-Policy` fields, as Structured Fields (RFC 9651).

use std::time::Duration;

use crate::rate::Rate;
use crate::ticks::Ticks;

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

/// What stands before the numbers of one policy: its name.
pub(crate) fn standing_of(name: &str) -> Box<[u8]> {
    let mut text = String::new();
    write_string(&mut text, name);
    text.push_str(";r=");
    text.into_bytes().into()
}

/// Appends how one policy stands: its name, what remains, and the wait in whole seconds, rounded
/// up, until there is more.
pub(crate) fn write_standing(text: &mut Text, policy: &[u8], remaining: u64, more_in: Ticks) {
    if !text.is_empty() {
        text.push(b", ");
    }
    text.push(policy);
    text.push_number(remaining.min(LARGEST));
    if more_in > Ticks::ZERO {
        text.push(b";t=");
        text.push_number(more_in.whole_seconds().min(LARGEST));
    }
}

/// A text that is written for one response: on the stack as long as it is short.
pub(crate) struct Text {
    short: [u8; SHORT],
    length: usize,
    long: Vec<u8>,
}

/// Room for the standings of four policies or so.
const SHORT: usize = 128;

impl Text {
    pub(crate) fn new() -> Self {
        Self {
            short: [0; SHORT],
            length: 0,
            long: Vec::new(),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self.long.is_empty() {
            true => self.short.get(..self.length).unwrap_or_default(),
            false => &self.long,
        }
    }

    fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn push(&mut self, more: &[u8]) {
        let end = self.length + more.len();
        match self.short.get_mut(self.length..end) {
            Some(room) => room.copy_from_slice(more),
            None => {
                if self.long.is_empty() {
                    let begun = self.short.get(..self.length).unwrap_or_default();
                    self.long.extend_from_slice(begun);
                }
                self.long.extend_from_slice(more);
            }
        }
        self.length = end;
    }

    fn push_number(&mut self, number: u64) {
        with_digits(number, |digits| self.push(digits));
    }
}

/// Whole seconds, rounded up.
pub(crate) fn whole_seconds(span: Duration) -> u64 {
    span.as_secs()
        .saturating_add(u64::from(span.subsec_nanos() > 0))
}

/// Appends a number in decimal digits.
fn write_number(text: &mut String, number: u64) {
    with_digits(number, |digits| {
        text.extend(digits.iter().copied().map(char::from));
    });
}

fn with_digits(number: u64, take: impl FnOnce(&[u8])) {
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
    take(digits.get(start..).unwrap_or_default());
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
        let mut text = Text::new();
        for (name, remaining, more_in) in [
            ("a", 0, Duration::from_millis(1_001)),
            ("b", 7, Duration::ZERO),
            ("c", 0, Duration::from_nanos(1)),
            ("d", 0, Duration::from_secs(60)),
        ] {
            let more_in = Ticks::from_duration(more_in);
            write_standing(&mut text, &standing_of(name), remaining, more_in);
        }
        let expected = br#""a";r=0;t=2, "b";r=7, "c";r=0;t=1, "d";r=0;t=60"#;
        assert_eq!(text.as_bytes(), expected);
    }

    #[test]
    fn a_text_may_outgrow_the_stack_at_any_byte() {
        for first in 0..2 * SHORT {
            let mut text = Text::new();
            text.push(&vec![b'a'; first]);
            text.push(b"bcd");
            text.push_number(7);
            let expected = format!("{}bcd7", "a".repeat(first));
            assert_eq!(text.as_bytes(), expected.as_bytes(), "{first}");
        }
    }
}
