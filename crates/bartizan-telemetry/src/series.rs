//! A table that only grows, up to its limit, and is read without a lock.

use std::hash::{Hash, Hasher as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustc_hash::FxHasher;

/// Values by keys of `N` texts. Nothing is ever removed, so that a place that is found is final:
/// reading takes no lock, and a full table costs no more than one with room.
#[derive(Debug)]
pub(crate) struct Series<const N: usize, V> {
    slots: Box<[OnceLock<Box<Entry<N, V>>>]>,
    taken: AtomicUsize,
    limit: usize,
}

#[derive(Debug)]
struct Entry<const N: usize, V> {
    key: [Box<str>; N],
    value: V,
}

impl<const N: usize, V> Series<N, V> {
    /// A table with room for so many.
    pub(crate) fn new(limit: usize) -> Self {
        // At most half of the slots are taken, so that a search ends soon.
        let slots = (limit.max(1) * 2).next_power_of_two();
        Self {
            slots: (0..slots).map(|_| OnceLock::new()).collect(),
            taken: AtomicUsize::new(0),
            limit,
        }
    }

    /// The value of this key, if it has one. Does not allocate.
    pub(crate) fn find(&self, key: [&str; N]) -> Option<&V> {
        for slot in self.probe(key) {
            let entry = slot.get()?;
            if entry.is(key) {
                return Some(&entry.value);
            }
        }
        None
    }

    /// The value of this key; a new one, if there is room. Two who come at once get the same.
    pub(crate) fn find_or_add(&self, key: [&str; N], make: impl FnOnce() -> V) -> Option<&V> {
        if let Some(value) = self.find(key) {
            return Some(value);
        }
        if !self.reserve() {
            // Another one may just have taken the last place for the same key.
            return self.find(key);
        }
        let mut fresh = Box::new(Entry {
            key: key.map(Box::from),
            value: make(),
        });
        for slot in self.probe(key) {
            match slot.set(fresh) {
                Ok(()) => return slot.get().map(|entry| &entry.value),
                Err(refused) => fresh = refused,
            }
            if let Some(entry) = slot.get()
                && entry.is(key)
            {
                self.taken.fetch_sub(1, Ordering::Relaxed);
                return Some(&entry.value);
            }
        }
        None
    }

    fn reserve(&self) -> bool {
        let take = |taken: usize| (taken < self.limit).then_some(taken + 1);
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }

    /// Every slot, beginning with the one where the key belongs.
    fn probe(&self, key: [&str; N]) -> impl Iterator<Item = &OnceLock<Box<Entry<N, V>>>> {
        let mut hasher = FxHasher::default();
        key.hash(&mut hasher);
        // The number of slots is a power of two; what does not fit a `usize` is not needed.
        let start = hasher.finish() as usize & (self.slots.len() - 1);
        let (before, from) = self.slots.split_at(start);
        from.iter().chain(before)
    }
}

impl<const N: usize, V> Entry<N, V> {
    fn is(&self, key: [&str; N]) -> bool {
        self.key
            .iter()
            .zip(key)
            .all(|(held, asked)| **held == *asked)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn a_key_has_one_value_and_the_limit_holds() {
        let table = Series::new(2);
        assert_eq!(table.find_or_add(["a", "b"], || 1), Some(&1));
        assert_eq!(table.find_or_add(["a", "b"], || 2), Some(&1));
        assert_eq!(table.find_or_add(["ab", ""], || 3), Some(&3));
        assert_eq!(table.find_or_add(["c", "d"], || 4), None);
        assert_eq!(table.find(["c", "d"]), None);
        assert_eq!(table.find(["a", "b"]), Some(&1));
    }

    #[test]
    fn a_table_without_room_takes_nothing() {
        assert_eq!(Series::new(0).find_or_add(["a"], || 1), None);
    }

    #[test]
    fn a_table_full_to_its_limit_finds_all_it_holds() {
        let table = Series::new(100);
        let names: Vec<String> = (0..200).map(|it| format!("name{it}")).collect();
        let added = |name: &&String| table.find_or_add([name.as_str()], || 7).is_some();
        assert_eq!(names.iter().filter(added).count(), 100);
        let found = |name: &&String| table.find([name.as_str()]).is_some();
        assert_eq!(names.iter().filter(found).count(), 100);
    }

    #[test]
    fn all_who_come_at_once_get_the_same() {
        for round in 0..50_u32 {
            let table = Series::new(1);
            let barrier = Barrier::new(4);
            std::thread::scope(|scope| {
                for thread in 0..4 {
                    let (table, barrier) = (&table, &barrier);
                    scope.spawn(move || {
                        barrier.wait();
                        // Another one may hold the only place for a moment.
                        let _ = table.find_or_add(["key"], || round * 4 + thread);
                    });
                }
            });
            let first = table.find(["key"]).copied();
            assert!(first.is_some());
            assert_eq!(table.find_or_add(["key"], || 0).copied(), first);
            assert_eq!(table.taken.load(Ordering::Relaxed), 1);
        }
    }
}
