//! One ban.

use crate::ticks::Ticks;

/// One ban, or the memory of one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Record {
    until: Ticks,
    length: Ticks,
}

impl Record {
    pub(super) fn new(now: Ticks, length: Ticks) -> Self {
        Self {
            until: now.saturating_add(length),
            length,
        }
    }

    /// For how long it lasts yet.
    pub(super) fn remaining(&self, now: Ticks) -> Option<Ticks> {
        let remaining = self.until.saturating_sub(now);
        (remaining > Ticks::ZERO).then_some(remaining)
    }

    /// Whether it still makes the next one longer: as long again as it lasted.
    pub(super) fn is_remembered(&self, now: Ticks) -> bool {
        now < self.until.saturating_add(self.length)
    }

    /// How long the next ban lasts.
    pub(super) fn next_length(&self, now: Ticks, first: Ticks, longest: Ticks) -> Ticks {
        match self.is_remembered(now) {
            true => self.length.saturating_add(self.length).min(longest),
            false => first,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bans_double_while_they_are_remembered() {
        let at = Ticks::from_nanos;
        let first = Record::new(at(0), at(60));
        assert_eq!(first.remaining(at(59)), Some(at(1)));
        assert_eq!(first.remaining(at(60)), None);
        assert_eq!(first.next_length(at(119), at(60), at(100)), at(100));
        assert_eq!(first.next_length(at(119), at(60), at(1_000)), at(120));
        assert_eq!(first.next_length(at(120), at(60), at(1_000)), at(60));
    }
}
