//! What was told to the ledger, counted beside it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bartizan::audit::AuditObserver;
use bartizan::core::{Event, LifecycleKind, Observe as _};

#[derive(Debug, Default)]
pub(super) struct Told(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    closed: bool,
    lifecycle: u64,
    storage: BTreeMap<&'static str, u64>,
}

impl Told {
    /// Gives the event to the ledger, and counts it if it makes a record of its own.
    pub(super) fn pass_on(&self, event: &Event<'_>, ledger: &AuditObserver) {
        let Event::Lifecycle(lifecycle) = event else {
            return;
        };
        // Under the lock, so that whatever was counted was given before the end.
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.closed {
            let counted = lifecycle.kind() == LifecycleKind::HandshakeFailed;
            state.lifecycle += u64::from(!counted);
            ledger.observe(event);
        }
    }

    /// Counts what the ledger says of its storage.
    pub(super) fn note_storage(&self, event: &Event<'_>) {
        if let Event::Lifecycle(event) = event {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *state.storage.entry(event.code().as_str()).or_default() += 1;
        }
    }

    /// Passes nothing on any more.
    pub(super) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
    }

    pub(super) fn lifecycle(&self) -> u64 {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.lifecycle
    }

    pub(super) fn storage(&self) -> Vec<(String, u64)> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let storage = state.storage.iter();
        storage
            .map(|(code, count)| ((*code).to_owned(), *count))
            .collect()
    }
}
