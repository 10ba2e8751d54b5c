//! Who waits for a change: so many of one identity, and so many in all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bartizan::core::SpiffeId;

use crate::catalog::Refusal;

/// Counts who waits.
#[derive(Clone, Debug)]
pub(crate) struct Watchers(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    of_one: usize,
    in_all: usize,
    waiting: Mutex<HashMap<SpiffeId, usize>>,
}

/// A place among those who wait, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    watchers: Watchers,
    who: SpiffeId,
}

impl Watchers {
    pub(crate) fn new(of_one: usize, in_all: usize) -> Self {
        Self(Arc::new(Counts {
            of_one,
            in_all,
            waiting: Mutex::default(),
        }))
    }

    /// A place for this identity, if there is one. There are never more entries than places.
    pub(crate) fn enter(&self, who: &SpiffeId) -> Result<Place, Refusal> {
        let mut waiting = self
            .0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if waiting
            .get(who)
            .is_some_and(|count| *count >= self.0.of_one)
        {
            return Err(Refusal::TooMany);
        }
        if waiting.values().sum::<usize>() >= self.0.in_all {
            return Err(Refusal::Full);
        }
        *waiting.entry(who.clone()).or_default() += 1;
        Ok(Place {
            watchers: self.clone(),
            who: who.clone(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let waiting = &self.watchers.0.waiting;
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = waiting.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back() {
        let watchers = Watchers::new(2, 3);
        let (one, two): (SpiffeId, SpiffeId) = (
            "spiffe://example.org/one".parse().unwrap(),
            "spiffe://example.org/two".parse().unwrap(),
        );
        let first = watchers.enter(&one).unwrap();
        let _second = watchers.enter(&one).unwrap();
        assert_eq!(watchers.enter(&one).unwrap_err(), Refusal::TooMany);
        let _third = watchers.enter(&two).unwrap();
        assert_eq!(watchers.enter(&two).unwrap_err(), Refusal::Full);
        drop(first);
        assert!(watchers.enter(&two).is_ok());
        assert_eq!(watchers.0.waiting.lock().unwrap().len(), 2);
    }
}
