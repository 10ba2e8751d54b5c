//! Hears of what others change, where the store can tell.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bartizan_source::{Backoff, random};
use tokio::task::AbortHandle;

use crate::key::KeyScope;
use crate::keyring::{State, load};
use crate::store::KeyStore;

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The task that listens; it ends with the keyring.
pub(super) struct Follower(AbortHandle);

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Begins to listen, unless that was done before.
pub(super) fn start(state: &Arc<State>) {
    state.follower.get_or_init(|| {
        let (store, state) = (Arc::clone(&state.store), Arc::downgrade(state));
        Follower(tokio::spawn(follow(store, state)).abort_handle())
    });
}

async fn follow(store: Arc<dyn KeyStore>, state: Weak<State>) {
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    loop {
        // Only hints: without them, keys are fetched again when their ttl ends.
        let changed = store.changes().await;
        let Some(state) = state.upgrade() else { return };
        match changed {
            Ok(scopes) => {
                backoff.reset();
                heed(&state, &scopes);
            }
            Err(_) => {
                drop(state);
                tokio::time::sleep(backoff.next(random())).await;
            }
        }
    }
}

/// Fetches anew what is kept of these scopes; of all of them when they are next asked for.
fn heed(state: &Arc<State>, scopes: &[KeyScope]) {
    if scopes.is_empty() {
        state.cache().expire_all();
    }
    for scope in scopes {
        let flight = state.cache().expire(scope);
        if let Some(flight) = flight {
            let (state, scope) = (Arc::clone(state), scope.clone());
            tokio::spawn(async move {
                let _ = flight.run(|| load::load(state, scope, false)).await;
            });
        }
    }
}
