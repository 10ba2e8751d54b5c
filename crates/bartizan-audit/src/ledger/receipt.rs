//! Waiting until a batch is durable.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::Ledger;
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, PoisonError};

/// Who waits for which batch. Batches become durable in order, and at most two are under way, so
/// that two lists do.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    done: AtomicU64,
    lists: [Mutex<Vec<Waker>>; 2],
}

impl Waiters {
    fn list(&self, batch: u64) -> MutexGuard<'_, Vec<Waker>> {
        let [even, odd] = &self.lists;
        let list = if batch & 1 == 0 { even } else { odd };
        list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_done(&self, batch: u64) -> bool {
        self.done.load(Ordering::Acquire) >= batch
    }

    /// Says that a batch is durable. `spare` is an empty list to go on with.
    pub(super) fn complete(&self, batch: u64, spare: &mut Vec<Waker>) {
        self.done.store(batch, Ordering::Release);
        std::mem::swap(&mut *self.list(batch), spare);
        for waker in spare.drain(..) {
            waker.wake();
        }
    }

    pub(super) fn poll(&self, batch: u64, place: &mut Option<usize>, cx: &Context<'_>) -> Poll<()> {
        if self.is_done(batch) {
            return Poll::Ready(());
        }
        let mut list = self.list(batch);
        // The writer says that it is done before it takes the list.
        if self.is_done(batch) {
            return Poll::Ready(());
        }
        match place.and_then(|place| list.get_mut(place)) {
            Some(held) => held.clone_from(cx.waker()),
            None => {
                *place = Some(list.len());
                list.push(cx.waker().clone());
            }
        }
        Poll::Pending
    }
}

/// The promise that an event will be durable; a future that is ready once it is.
///
/// Nothing is lost by dropping it: the event is written all the same. While the storage fails it
/// stays pending; whoever waits sets a limit.
#[derive(Debug)]
#[must_use = "the event is not durable before the receipt says so"]
pub(crate) struct Receipt {
    ledger: Ledger,
    batch: u64,
    place: Option<usize>,
}

impl Receipt {
    pub(super) fn new(ledger: Ledger, batch: u64) -> Self {
        Self {
            ledger,
            batch,
            place: None,
        }
    }
}

impl Future for Receipt {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.ledger.waiters().poll(this.batch, &mut this.place, cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn each_waiter_is_woken_once_and_by_its_batch() {
        let (waiters, count) = (Waiters::default(), Arc::new(Count::default()));
        let waker = Waker::from(Arc::clone(&count));
        let cx = Context::from_waker(&waker);
        let mut spare = Vec::new();
        let (mut first, mut second) = (None, None);
        for _ in 0..3 {
            assert!(waiters.poll(1, &mut first, &cx).is_pending());
        }
        assert!(waiters.poll(2, &mut second, &cx).is_pending());
        waiters.complete(1, &mut spare);
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert!(waiters.poll(1, &mut first, &cx).is_ready());
        assert!(waiters.poll(2, &mut second, &cx).is_pending());
        waiters.complete(2, &mut spare);
        assert_eq!(count.0.load(Ordering::SeqCst), 2);
        assert!(waiters.poll(2, &mut second, &cx).is_ready());
    }
}
