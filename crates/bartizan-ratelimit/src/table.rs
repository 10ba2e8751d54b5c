//! Who has spent how much, in a fixed piece of memory.

mod line;

use std::hint::black_box;

use self::line::{Entry, Line, WAYS};
use crate::gcra::{Denied, Gcra};
use crate::newcomers::Newcomers;
use crate::sync::{AtomicU64, Ordering};
use crate::ticks::Ticks;

/// One overflow line stands behind so many lines.
const LINES_PER_OVERFLOW: usize = 8;

/// Who has spent how much of one policy.
///
/// A fixed array of lines with seven slots each, 18 bytes a slot. A key is a hash under a secret;
/// the low half says which line, the high 48 bits which slot. A slot whose moment has passed is
/// free: nothing has to sweep. If a line is full of live keys, one of a few overflow lines takes
/// the next; if that is full too, the key with the least debt among the fourteen makes room. A
/// flood of new keys, each of which has spent little, thus pushes out its own kind and never an
/// offender, who has spent all.
#[derive(Debug)]
pub(crate) struct Table {
    lines: Box<[Line]>,
    overflow: Box<[Line]>,
    newcomers: Option<Newcomers>,
    evicted: AtomicU64,
    turned_away: AtomicU64,
}

/// Proof of a charge, for giving it back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Receipt {
    /// What was due after the charge.
    pub(crate) after: Ticks,
    pub(crate) returned: u16,
}

/// Why a key was not charged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refused {
    /// It has spent its cells.
    Spent { denied: Denied, due: Ticks },
    /// The table is full of live keys, and no more new ones are taken in at present.
    Crowded { wait: std::time::Duration },
}

/// What becomes of an entry.
enum Step<T> {
    Keep(T),
    Write(Entry, T),
}

impl Table {
    /// A table for this many keys at once, rounded up to whole lines.
    pub(crate) fn new(keys: usize, newcomers: Option<Newcomers>) -> Self {
        let all = keys.div_ceil(WAYS);
        let overflow = all.div_ceil(LINES_PER_OVERFLOW + 1).max(1);
        let lines = all.saturating_sub(overflow).max(1);
        let make = |count| std::iter::repeat_with(Line::default).take(count).collect();
        Self {
            lines: make(lines),
            overflow: make(overflow),
            newcomers,
            evicted: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
        }
    }

    /// Charges a key, and gives a receipt.
    pub(crate) fn charge(
        &self,
        hash: u64,
        now: Ticks,
        gcra: &Gcra,
        cost: u64,
    ) -> Result<Receipt, Refused> {
        self.update(hash, now, |entry| {
            let due = Ticks::from_raw(entry.due);
            match gcra.charge(due, now, cost) {
                Ok(after) => {
                    let returned = entry.returned;
                    let due = after.raw();
                    Step::Write(Entry { due, returned }, Ok(Receipt { after, returned }))
                }
                Err(denied) => Step::Keep(Err(Refused::Spent { denied, due })),
            }
        })?
    }

    /// Charges a key for what it has used already.
    pub(crate) fn owe(&self, hash: u64, now: Ticks, gcra: &Gcra, cost: u64) {
        // A key that finds no room now was charged before, and its slot has been taken since.
        let _ = self.update(hash, now, |entry| {
            let due = gcra.owe(Ticks::from_raw(entry.due), now, cost).raw();
            Step::Write(Entry { due, ..entry }, ())
        });
    }

    /// Gives a charge back, as far as time has not.
    pub(crate) fn refund(&self, hash: u64, now: Ticks, gcra: &Gcra, cost: u64, receipt: Receipt) {
        let _ = self.update(hash, now, |entry| {
            // What was given back is counted in steps of a 16,384th of a burst, rounded up.
            let step = gcra.rate().burst().div_ceil(1 << 14);
            let steps = u64::from(entry.returned.wrapping_sub(receipt.returned));
            let since = steps.saturating_mul(step);
            let due = Ticks::from_raw(entry.due);
            if due <= now {
                return Step::Keep(());
            }
            let after = gcra.refund(due, now, cost, receipt.after, since);
            let steps = u16::try_from(cost.div_ceil(step)).unwrap_or(u16::MAX / 2);
            let entry = Entry {
                due: after.raw(),
                returned: entry.returned.wrapping_add(steps),
            };
            Step::Write(entry, ())
        });
    }

    /// Records what is due of a key at the store that it shares with others.
    #[cfg(any(feature = "envoy", feature = "redis"))]
    pub(crate) fn raise(&self, hash: u64, now: Ticks, due: Ticks) {
        // A key that finds no room is asked for again, which costs a round trip.
        let _ = self.update(hash, now, |entry| {
            match due.raw() > entry.due.max(now.raw()) {
                true => Step::Write(
                    Entry {
                        due: due.raw(),
                        ..entry
                    },
                    (),
                ),
                false => Step::Keep(()),
            }
        });
    }

    /// When the next cell of a key is due.
    pub(crate) fn due(&self, hash: u64, now: Ticks) -> Ticks {
        self.update(hash, now, |entry| Step::Keep(Ticks::from_raw(entry.due)))
            .unwrap_or_default()
    }

    /// How many keys have spent something at present, and how many there is room for. Looks at
    /// every slot.
    pub(crate) fn fill(&self, now: Ticks) -> (usize, usize) {
        let lines = || self.lines.iter().chain(&self.overflow);
        let live = lines().map(|line| line.lock().live(now.raw())).sum();
        (live, lines().count() * WAYS)
    }

    /// How many live keys had to make room so far.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// How many new keys were not taken in so far.
    pub(crate) fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }

    /// The bytes that the table takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.lines) + size_of_val(&*self.overflow)
    }

    /// Finds the entry of a key, or a place for it, and lets `step` say what becomes of it.
    fn update<T>(
        &self,
        hash: u64,
        now: Ticks,
        step: impl FnOnce(Entry) -> Step<T>,
    ) -> Result<T, Refused> {
        let now = now.raw();
        let mut line = place(&self.lines, hash).lock();
        // Read at once, so that the line's second half is fetched while the tags are compared.
        let spilled_until = black_box(line.spilled_until);
        if let Some(found) = line.find(hash) {
            return Ok(match step(line.entry(found)) {
                Step::Keep(value) => value,
                Step::Write(entry, value) => {
                    line.write(found, hash, entry);
                    value
                }
            });
        }
        let free = line.free(now);
        if spilled_until <= now
            && let Some(free) = free
        {
            return Ok(match step(vacated(line.entry(free))) {
                Step::Keep(value) => value,
                Step::Write(entry, value) => {
                    line.write(free, hash, entry);
                    value
                }
            });
        }
        // Always after the line itself, so that no two threads wait for one another.
        let mut overflow = place(&self.overflow, hash.rotate_left(23)).lock();
        let found = overflow.find(hash);
        let (spill, at, is_eviction) = match (found, free, overflow.free(now)) {
            (Some(found), ..) => (true, found, false),
            (None, Some(free), _) => (false, free, false),
            (None, None, Some(free)) => (true, free, false),
            (None, None, None) => {
                let (mine, theirs) = (line.least(), overflow.least());
                match mine.1 <= theirs.1 {
                    true => (false, mine.0, true),
                    false => (true, theirs.0, true),
                }
            }
        };
        let slots = if spill { &mut overflow } else { &mut line };
        let entry = match found {
            Some(_) => slots.entry(at),
            None => vacated(slots.entry(at)),
        };
        let (entry, value) = match step(entry) {
            Step::Keep(value) => return Ok(value),
            Step::Write(entry, value) => (entry, value),
        };
        if is_eviction {
            self.admit_newcomer(now)?;
        }
        slots.write(at, hash, entry);
        if spill {
            line.spilled_until = spilled_until.max(entry.due);
        }
        Ok(value)
    }

    /// Whether a live key may make room for a new one.
    fn admit_newcomer(&self, now: u64) -> Result<(), Refused> {
        if let Some(newcomers) = &self.newcomers {
            newcomers.admit(Ticks::from_raw(now)).map_err(|wait| {
                self.turned_away.fetch_add(1, Ordering::Relaxed);
                Refused::Crowded { wait }
            })?;
        }
        self.evicted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// The line of a key: the low half of its hash, spread evenly over however many there are.
fn place(lines: &[Line], hash: u64) -> &Line {
    let low = hash & u64::from(u32::MAX);
    let index = (low * lines.len() as u64) >> 32;
    // The index is below the length, and no table is without a line.
    #[expect(clippy::indexing_slicing, reason = "scaled to the length just above")]
    &lines[index as usize]
}

/// The entry of a key that takes over a slot. Its count of returned cells begins far from that
/// of the slot's former owner, who may be this key: what he could give back is void.
fn vacated(entry: Entry) -> Entry {
    Entry {
        due: 0,
        returned: entry.returned.wrapping_add(u16::MAX / 2),
    }
}

#[cfg(all(test, bartizan_loom))]
mod model;
#[cfg(test)]
#[cfg(not(bartizan_loom))]
mod tests;
