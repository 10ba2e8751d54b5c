//! What the responses that are under way hold on to.

use std::sync::Arc;
use std::time::Duration;

use bartizan_core::Rejection;

use super::{Held, State};
use crate::credential::Presentation;
use crate::token::VerifiedClaims;

/// Responses of different tokens seldom meet at one.
const POSTS: usize = 8;

/// The state, and through what the responses that are under way hold on to it.
///
/// Not all by one count: every core would write to that with every request, and to that of the
/// guard itself whoever clones a service. Counts stand on lines of memory of their own, since
/// what is beside them is read all the time.
#[repr(align(128))]
pub(super) struct Posts {
    state: Arc<State>,
    posts: [Arc<Post>; POSTS],
}

/// One of the counts, and what it keeps.
#[repr(align(128))]
pub(crate) struct Post(Arc<State>);

impl Posts {
    pub(super) fn new(state: State) -> Self {
        let state = Arc::new(state);
        let posts = std::array::from_fn(|_| Arc::new(Post(Arc::clone(&state))));
        Self { state, posts }
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// The post for responses to whoever holds this token.
    pub(super) fn of(&self, claims: &Arc<VerifiedClaims>) -> Option<&Arc<Post>> {
        // Claims are hundreds of bytes apart.
        let place = Arc::as_ptr(claims).addr() >> 8;
        self.posts.get(place % POSTS)
    }
}

impl Post {
    /// How much longer a response may go on.
    pub(crate) fn time_left(&self, held: &Held) -> Result<Duration, Rejection> {
        let state = &*self.0;
        let left = state.time_left_of(held, state.clock.wall());
        left.map_err(|error| state.refuse(error, Presentation::Bearer))
    }
}
