//! Salts for the values of one document, drawn together.

use crate::cobblestone::SALT;
use crate::error::{EncryptError, EncryptErrorKind};
use crate::key::random;

/// How many are drawn at once at most: a call of the system gives 256 bytes without a wait.
const MOST: usize = 10;

/// Gives each salt once. It lives no longer than the work on one document, so that no copy of
/// the process gives the same ones.
pub(crate) struct Salts {
    drawn: [[u8; SALT]; MOST],
    left: usize,
    at_once: usize,
}

impl Salts {
    /// For about so many values.
    pub(crate) fn expecting(values: usize) -> Self {
        Self {
            drawn: [[0; SALT]; MOST],
            left: 0,
            at_once: values.clamp(1, MOST),
        }
    }

    /// The next.
    pub(crate) fn draw(&mut self) -> Result<[u8; SALT], EncryptError> {
        // Never none and never an empty one instead: the key of a message rests on its salt.
        let none = EncryptErrorKind::NoRandomness;
        if self.left == 0 {
            let wanted = self.drawn.get_mut(..self.at_once).ok_or(none)?;
            random(wanted.as_flattened_mut())?;
            self.left = self.at_once;
        }
        self.left -= 1;
        let salt = self.drawn.get(self.left).ok_or(none)?;
        Ok(*salt)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn none_comes_twice_and_none_is_empty() {
        for expected in [0, 1, 3, MOST, 1000] {
            let mut salts = Salts::expecting(expected);
            let mut seen = HashSet::from([[0; SALT]]);
            for number in 0..50 {
                assert!(seen.insert(salts.draw().unwrap()), "{number} of {expected}");
            }
        }
    }
}
