//! Decimal digits.

use std::fmt::{self, Write as _};

/// Decimal digits without an allocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digits {
    bytes: [u8; 5],
    length: usize,
}

impl Digits {
    pub(crate) fn new(number: u16) -> Self {
        let mut digits = Self {
            bytes: [0; 5],
            length: 0,
        };
        // Five places hold any number of 16 bits.
        let _ = write!(digits, "{number}");
        digits
    }

    pub(crate) fn as_str(&self) -> &str {
        let written = self.bytes.get(..self.length).unwrap_or_default();
        std::str::from_utf8(written).unwrap_or_default()
    }
}

impl fmt::Write for Digits {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let room = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_number() {
        for number in [0, 7, 200, 999, u16::MAX] {
            assert_eq!(Digits::new(number).as_str(), number.to_string());
        }
    }
}
