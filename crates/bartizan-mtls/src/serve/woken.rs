//! A future that is polled when it was woken, and not whenever its task is.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Polls what it holds only when that has asked for it.
///
/// The task of a connection is woken for each request, and what ends the connection is timers and
/// subscriptions of which none has anything to say then: asking them takes a tenth of what a
/// request takes in all.
pub(super) struct Woken<F> {
    future: F,
    bell: Arc<Bell>,
    waker: Waker,
}

struct Bell {
    rung: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl<F: Future + Unpin> Woken<F> {
    pub(super) fn new(future: F) -> Self {
        let bell = Arc::new(Bell {
            rung: AtomicBool::new(true),
            task: Mutex::default(),
        });
        let waker = Waker::from(Arc::clone(&bell));
        Self {
            future,
            bell,
            waker,
        }
    }
}

impl Bell {
    /// Sets whom to wake. Before the bell is looked at, so that no ring is missed.
    fn answer_to(&self, waker: &Waker) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        match &*task {
            Some(known) if known.will_wake(waker) => {}
            _ => *task = Some(waker.clone()),
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        let task = task.clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl<F: Future + Unpin> Future for Woken<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.bell.answer_to(cx.waker());
        if !self.bell.rung.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let Self { future, waker, .. } = &mut *self;
        Pin::new(future).poll(&mut Context::from_waker(waker))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[tokio::test]
    async fn what_was_not_woken_is_not_asked() {
        let asked = AtomicUsize::new(0);
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let mut receiver = receiver;
        let counted = poll_fn(|cx| {
            asked.fetch_add(1, Ordering::Relaxed);
            Pin::new(&mut receiver).poll(cx)
        });
        let mut woken = Woken::new(counted);
        for _ in 0..10 {
            assert!(poll_fn(|cx| Poll::Ready(Pin::new(&mut woken).poll(cx).is_pending())).await);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        sender.send(7).unwrap();
        assert_eq!(woken.await, Ok(7));
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_task_that_waits_is_woken() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let waiting = tokio::spawn(async move { Woken::new(receiver).await });
        tokio::task::yield_now().await;
        sender.send(7).unwrap();
        assert_eq!(waiting.await.unwrap(), Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn it_may_move_from_task_to_task() {
        let sleep = Box::pin(tokio::time::sleep(std::time::Duration::from_secs(5)));
        let mut woken = Woken::new(sleep);
        assert!(poll_fn(|cx| Poll::Ready(Pin::new(&mut woken).poll(cx).is_pending())).await);
        tokio::spawn(woken).await.unwrap();
    }
}
