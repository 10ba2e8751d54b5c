//! Keys that were fetched, for how long, and the fetches under way.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::MonotonicTime;
use bartizan_source::{SingleFlight, random, spread};

use crate::error::EncryptError;
use crate::key::KeyScope;
use crate::scope_keys::ScopeKeys;

pub(super) type Flight = SingleFlight<Result<Arc<ScopeKeys>, EncryptError>>;

/// How long, how often and how many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) ttl: Duration,
    pub(super) hard: Duration,
    pub(super) uses: u64,
    pub(super) scopes: usize,
}

/// How long after an attempt to fetch keys the next may begin: while the old ones serve, and while
/// there are none, so that a provider in trouble is not asked by every request.
const RETRY: Duration = Duration::from_secs(1);

pub(super) struct Cache {
    limits: Limits,
    slots: HashMap<KeyScope, Slot>,
    tick: u64,
}

#[derive(Default)]
struct Slot {
    held: Option<Held>,
    flight: Flight,
    last_use: u64,
    last_try: Option<MonotonicTime>,
    last_failure: Option<MonotonicTime>,
}

struct Held {
    keys: Arc<ScopeKeys>,
    since: MonotonicTime,
    ttl: Duration,
}

/// What the cache has of a scope.
pub(super) enum Found {
    /// Nothing, or nothing that may be used any more.
    Absent,
    /// Keys that serve, and should be fetched again meanwhile.
    Due(Arc<ScopeKeys>, Flight),
    /// Keys that serve.
    Fresh(Arc<ScopeKeys>),
}

impl Cache {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            slots: HashMap::new(),
            tick: 0,
        }
    }

    pub(super) fn find(&mut self, scope: &KeyScope, now: MonotonicTime) -> Found {
        let limits = self.limits;
        self.tick += 1;
        let Some(slot) = self.slots.get_mut(scope) else {
            return Found::Absent;
        };
        slot.last_use = self.tick;
        let Some(held) = &slot.held else {
            return Found::Absent;
        };
        let age = now.saturating_since(held.since);
        if age >= limits.hard {
            slot.held = None;
            return Found::Absent;
        }
        let keys = Arc::clone(&held.keys);
        let due = age >= held.ttl || held.keys.uses() >= limits.uses;
        let rested = |tried: MonotonicTime| now.saturating_since(tried) >= RETRY;
        if due && slot.last_try.is_none_or(rested) {
            slot.last_try = Some(now);
            return Found::Due(keys, slot.flight.clone());
        }
        Found::Fresh(keys)
    }

    /// The fetch of this scope's keys, which all who want them share.
    pub(super) fn flight(&mut self, scope: &KeyScope) -> Flight {
        self.slot(scope).flight.clone()
    }

    pub(super) fn keep(&mut self, scope: &KeyScope, keys: Arc<ScopeKeys>, now: MonotonicTime) {
        // A fleet that started together does not fetch together.
        let ttl = spread(self.limits.ttl, random());
        let slot = self.slot(scope);
        slot.last_failure = None;
        slot.held = Some(Held {
            keys,
            since: now,
            ttl,
        });
    }

    /// Keys could not be fetched. Those that are kept go on serving, unless it was a refusal.
    pub(super) fn failed(&mut self, scope: &KeyScope, refused: bool, now: MonotonicTime) {
        let slot = self.slot(scope);
        slot.last_failure = Some(now);
        if refused {
            slot.held = None;
        }
    }

    /// Whether fetching failed a moment ago.
    pub(super) fn has_just_failed(&self, scope: &KeyScope, now: MonotonicTime) -> bool {
        let failure = self.slots.get(scope).and_then(|slot| slot.last_failure);
        failure.is_some_and(|at| now.saturating_since(at) < RETRY)
    }

    /// What is kept serves on, and is due at once; gives the fetch that is to be made.
    pub(super) fn expire(&mut self, scope: &KeyScope) -> Option<Flight> {
        let slot = self.slots.get_mut(scope)?;
        slot.held.as_mut()?.ttl = Duration::ZERO;
        Some(slot.flight.clone())
    }

    pub(super) fn expire_all(&mut self) {
        for slot in self.slots.values_mut() {
            if let Some(held) = &mut slot.held {
                held.ttl = Duration::ZERO;
            }
            slot.last_try = None;
        }
    }

    pub(super) fn forget(&mut self, scope: &KeyScope) {
        self.slots.remove(scope);
    }

    pub(super) fn forget_all(&mut self) {
        self.slots.clear();
    }

    fn slot(&mut self, scope: &KeyScope) -> &mut Slot {
        if !self.slots.contains_key(scope) && self.slots.len() >= self.limits.scopes {
            let oldest = self.slots.iter().min_by_key(|(_, slot)| slot.last_use);
            if let Some(oldest) = oldest.map(|(scope, _)| scope.clone()) {
                self.slots.remove(&oldest);
            }
        }
        self.tick += 1;
        let slot = self.slots.entry(scope.clone()).or_default();
        slot.last_use = self.tick;
        slot
    }
}
