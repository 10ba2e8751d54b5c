//! What stores have to know of the arithmetic.

use super::Gcra;
use crate::ticks::Ticks;

impl Gcra {
    /// How far ahead of time a full burst reaches.
    pub(crate) fn ahead(&self) -> Ticks {
        self.ahead
    }

    /// What one cell takes.
    pub(crate) fn spacing(&self) -> Ticks {
        self.interval
    }

    /// What so many cells take.
    pub(crate) fn takes(&self, cost: u64) -> Ticks {
        self.span(cost)
    }
}
