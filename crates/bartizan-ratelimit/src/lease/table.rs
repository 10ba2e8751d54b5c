//! Who has cells in hand.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::sketch::Sketch;
use super::{Grant, Landing, Leftover, Order, Place, Seek, Terms};
use crate::ticks::Ticks;

/// So many parts, each under a lock of its own.
const SHARDS: usize = 64;

/// What is asked for first, before a caller's pace is known.
const FIRST: u64 = 8;

/// So many rests are kept for being given back.
const RESTS: usize = 8;

/// Whoever has neither cells nor asked for any for so long is forgotten.
const IDLE: Ticks = Ticks::from_nanos(2_000_000_000);

/// The cells in hand, by caller. Bounded: who finds no room has each request asked for.
#[derive(Debug)]
pub(crate) struct Leases {
    shards: Box<[Mutex<HashMap<Place, Entry>>]>,
    room: usize,
    sketch: Sketch,
}

#[derive(Debug)]
struct Entry {
    /// What is spent at present, and what comes after it.
    hand: Option<Hand>,
    next: Option<Hand>,
    /// What is left of earlier hands, until it is swept.
    rests: Vec<Hand>,
    /// Somebody is asking for more.
    flight: Option<watch::Receiver<Landing>>,
    /// How much was spent since when.
    spent: u64,
    since: Ticks,
    /// The caller would spend more than may be charged ahead at once: the next hand is ordered as
    /// soon as one is begun.
    is_eager: bool,
    /// Nothing is charged ahead until then.
    barred: Ticks,
}

#[derive(Debug)]
struct Hand {
    left: u64,
    size: u64,
    until: Ticks,
    grant: Arc<Grant>,
}

impl Leases {
    /// Room for so many callers.
    pub(crate) fn new(callers: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            room: callers.div_ceil(SHARDS),
            sketch: Sketch::new(),
        }
    }

    /// Pays for a request with cells in hand. The order, if there is one, is for a refill.
    pub(crate) fn spend(
        &self,
        place: Place,
        cost: u64,
        now: Ticks,
        terms: impl FnOnce() -> Option<Terms>,
    ) -> Option<(Arc<Grant>, Option<Order>)> {
        let mut shard = self.shard(place);
        let entry = shard.get_mut(&place)?;
        let (grant, is_low) = entry.pay(cost, now)?;
        let order = match is_low && entry.flight.is_none() && entry.next.is_none() {
            true => terms().map(|terms| entry.order(place, cost, now, &terms)),
            false => None,
        };
        Some((grant, order))
    }

    /// What to do about a request that the cells in hand have not paid for.
    pub(crate) fn seek(&self, place: Place, cost: u64, now: Ticks, terms: Option<Terms>) -> Seek {
        let Some(terms) = terms.filter(|terms| cost <= terms.most) else {
            return Seek::One;
        };
        let mut shard = self.shard(place);
        let has_room = shard.len() < self.room;
        let entry = match shard.entry(place) {
            Slot::Occupied(slot) => slot.into_mut(),
            Slot::Vacant(slot) if has_room && self.sketch.is_busy(place.hash, now) => {
                slot.insert(Entry::new(now))
            }
            Slot::Vacant(_) => return Seek::One,
        };
        if let Some((grant, _)) = entry.pay(cost, now) {
            return Seek::Paid(grant);
        }
        match &entry.flight {
            // Whoever was asking is gone if there is no sender any more.
            Some(flight) if flight.has_changed().is_ok() => Seek::Wait(flight.clone()),
            _ if entry.barred > now => Seek::One,
            _ => Seek::Lead(entry.order(place, cost, now, &terms)),
        }
    }

    /// Puts what was granted into the hand of a caller.
    pub(crate) fn deposit(&self, place: Place, cells: u64, until: Ticks, grant: &Arc<Grant>) {
        let hand = Hand {
            left: cells,
            size: cells,
            until,
            grant: Arc::clone(grant),
        };
        let mut shard = self.shard(place);
        // An entry with an order in flight is never swept.
        if let Some(entry) = shard.get_mut(&place) {
            entry.flight = None;
            if entry.next.is_some() {
                entry.set_aside();
                entry.hand = entry.next.take();
            }
            match entry.hand.as_ref().is_some_and(|hand| hand.left > 0) {
                true => entry.next = Some(hand),
                false => entry.hand = Some(hand),
            }
        }
    }

    /// Nothing has come of an order.
    pub(crate) fn lift(&self, place: Place) {
        if let Some(entry) = self.shard(place).get_mut(&place) {
            entry.flight = None;
        }
    }

    /// Has each request asked for until then: the store would not charge ahead.
    pub(crate) fn bar(&self, place: Place, until: Ticks) {
        if let Some(entry) = self.shard(place).get_mut(&place) {
            entry.barred = until;
        }
    }

    /// Puts cells back, if they are of what is in hand.
    pub(crate) fn put_back(
        &self,
        place: Place,
        cells: u64,
        now: Ticks,
        grant: &Arc<Grant>,
    ) -> bool {
        let mut shard = self.shard(place);
        let hand = shard.get_mut(&place).and_then(|entry| entry.hand.as_mut());
        match hand.filter(|hand| hand.until > now && Arc::ptr_eq(&hand.grant, grant)) {
            Some(hand) => {
                hand.left = hand.left.saturating_add(cells).min(hand.size);
                true
            }
            None => false,
        }
    }

    /// Takes what can no longer be spent, and forgets who is idle.
    pub(crate) fn sweep(&self, now: Ticks) -> Vec<Leftover> {
        self.clear(
            |hand| hand.until <= now,
            |entry| entry.since.saturating_add(IDLE) <= now,
        )
    }

    /// Takes everything.
    pub(crate) fn drain(&self) -> Vec<Leftover> {
        self.clear(|_| true, |_| true)
    }

    /// For how many callers there is something.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    fn clear(
        &self,
        is_over: impl Fn(&Hand) -> bool,
        is_idle: impl Fn(&Entry) -> bool,
    ) -> Vec<Leftover> {
        let mut leftovers = Vec::new();
        for shard in &self.shards {
            lock(shard).retain(|_, entry| {
                for hand in [&mut entry.hand, &mut entry.next] {
                    leftovers.extend(hand.take_if(|hand| is_over(hand)).and_then(Hand::leftover));
                }
                leftovers.extend(entry.rests.drain(..).filter_map(Hand::leftover));
                entry.is_in_use() || !is_idle(entry)
            });
        }
        leftovers
    }

    fn shard(&self, place: Place) -> MutexGuard<'_, HashMap<Place, Entry>> {
        let index = place.hash as usize % SHARDS;
        #[expect(clippy::indexing_slicing, reason = "a remainder of the length")]
        lock(&self.shards[index])
    }
}

impl Entry {
    fn new(now: Ticks) -> Self {
        Self {
            hand: None,
            next: None,
            rests: Vec::new(),
            flight: None,
            spent: 0,
            since: now,
            is_eager: false,
            barred: Ticks::ZERO,
        }
    }

    fn is_in_use(&self) -> bool {
        let has_cells = self.hand.is_some() || self.next.is_some() || !self.rests.is_empty();
        // Whoever was asking is gone if there is no sender any more.
        has_cells
            || self
                .flight
                .as_ref()
                .is_some_and(|it| it.has_changed().is_ok())
    }

    /// Pays, and says whether little is left.
    fn pay(&mut self, cost: u64, now: Ticks) -> Option<(Arc<Grant>, bool)> {
        let pays = |hand: &Hand| hand.until > now && hand.left >= cost;
        if !self.hand.as_ref().is_some_and(pays) {
            if !self.next.as_ref().is_some_and(pays) {
                return None;
            }
            let next = self.next.take();
            self.set_aside();
            self.hand = next;
        }
        let hand = self.hand.as_mut()?;
        hand.left -= cost;
        self.spent = self.spent.saturating_add(cost);
        let is_low = self.is_eager || hand.left <= hand.size / 2;
        Some((Arc::clone(&hand.grant), is_low))
    }

    /// Puts aside what is left of the hand. If nobody has swept for long, it is given up.
    fn set_aside(&mut self) {
        let rest = self.hand.take().filter(|hand| hand.left > 0);
        if self.rests.len() < RESTS {
            self.rests.extend(rest);
        }
    }

    /// Orders what half of the time that it may be kept would take at the present pace, so that
    /// the next refill comes before it is over.
    fn order(&mut self, place: Place, cost: u64, now: Ticks, terms: &Terms) -> Order {
        let elapsed = u128::from(now.saturating_sub(self.since).raw().max(1));
        let half = u128::from(terms.hold.raw() / 2);
        let pace = match self.spent {
            0 => FIRST,
            spent => u64::try_from(u128::from(spent) * half / elapsed).unwrap_or(u64::MAX),
        };
        (self.spent, self.since) = (0, now);
        let (landing, flight) = watch::channel(Landing::Flying);
        self.flight = Some(flight);
        self.is_eager = pace > terms.most;
        let cells = pace.max(cost).clamp(1, terms.most);
        Order {
            place,
            cells,
            landing,
        }
    }
}

impl Hand {
    fn leftover(self) -> Option<Leftover> {
        (self.left > 0).then_some(Leftover {
            grant: self.grant,
            cells: self.left,
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is done under it panics halfway.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
