//! Where a watch stays while its request moves.

use std::cell::RefCell;
use std::fmt;
use std::ops::{Deref, DerefMut};

use super::Watch;

/// How many places a thread keeps for later.
const MOST_KEPT: usize = 256;

type Place = Box<Option<Watch>>;

thread_local! {
    /// Empty places.
    static PLACES: RefCell<Vec<Place>> = const { RefCell::new(Vec::new()) };
}

/// A watch in a place of its own. A request's future and body are moved several times on their
/// way, and with this they are moved as pointers. Places are used again: nothing is allocated per
/// request.
pub(crate) struct Held(Option<Place>);

impl Held {
    pub(crate) fn new(watch: Watch) -> Self {
        let kept = PLACES.try_with(|places| places.try_borrow_mut().ok()?.pop());
        let mut place = kept.ok().flatten().unwrap_or_default();
        *place = Some(watch);
        Self(Some(place))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(mut place) = self.0.take() else {
            return;
        };
        // This writes the request down, if nothing has.
        *place = None;
        // While a thread ends there is nowhere to keep it.
        let _ = PLACES.try_with(|places| {
            if let Ok(mut places) = places.try_borrow_mut()
                && places.len() < MOST_KEPT
            {
                places.push(place);
            }
        });
    }
}

const EMPTY: &str = "a watch stays in its place until that is given back";

#[expect(
    clippy::expect_used,
    reason = "it leaves where this is dropped, and nowhere else"
)]
impl Deref for Held {
    type Target = Watch;

    fn deref(&self) -> &Watch {
        self.0.as_deref().and_then(Option::as_ref).expect(EMPTY)
    }
}

#[expect(
    clippy::expect_used,
    reason = "it leaves where this is dropped, and nowhere else"
)]
impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut Watch {
        let place = self.0.as_deref_mut();
        place.and_then(Option::as_mut).expect(EMPTY)
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
