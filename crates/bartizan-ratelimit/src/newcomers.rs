//! How many new keys may push live ones out.

use std::time::Duration;

use crate::gcra::Gcra;
use crate::sync::{AtomicU64, Ordering};
use crate::ticks::Ticks;

/// A limit on how many new keys a table that is full of live ones takes in.
#[derive(Debug)]
pub(crate) struct Newcomers {
    gcra: Gcra,
    due: AtomicU64,
}

impl Newcomers {
    pub(crate) fn new(gcra: Gcra) -> Self {
        Self {
            gcra,
            due: AtomicU64::new(0),
        }
    }

    /// Takes in one more, or says when.
    pub(crate) fn admit(&self, now: Ticks) -> Result<(), Duration> {
        let mut wait = None;
        let updated = self
            .due
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |due| {
                match self.gcra.charge(Ticks::from_raw(due), now, 1) {
                    Ok(after) => Some(after.raw()),
                    Err(denied) => {
                        wait = denied.wait();
                        None
                    }
                }
            });
        match updated {
            Ok(_) => Ok(()),
            Err(_) => Err(wait.unwrap_or_default()),
        }
    }
}
