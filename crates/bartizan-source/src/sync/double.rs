//! What the model checker has no double of, with the promises that its documentation gives.

use std::sync::Arc;

use loom::future::block_on;
use loom::sync::Mutex;
use loom::thread;

/// A slot that is read and replaced in one step each, as that of `arc-swap`.
#[derive(Debug)]
pub(crate) struct ArcSwapOption<T>(Mutex<Option<Arc<T>>>);

impl<T> ArcSwapOption<T> {
    pub(crate) fn empty() -> Self {
        Self(Mutex::new(None))
    }

    pub(crate) fn store(&self, value: Option<Arc<T>>) {
        *self.0.lock().unwrap() = value;
    }

    pub(crate) fn load(&self) -> Option<Arc<T>> {
        self.load_full()
    }

    pub(crate) fn load_full(&self) -> Option<Arc<T>> {
        self.0.lock().unwrap().clone()
    }
}

/// A runtime whose every task is a thread.
#[derive(Debug)]
pub(crate) struct Handle(());

impl Handle {
    pub(crate) fn try_current() -> Result<Self, ()> {
        Ok(Self(()))
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        spawn(task);
    }
}

pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    thread::spawn(|| block_on(task));
}

/// The channel of `tokio::sync::watch`: a value, its version, and whoever waits for the next.
pub(crate) mod watch {
    use std::future::poll_fn;
    use std::ops::Deref;
    use std::sync::Arc;
    use std::task::{Poll, Waker};

    use loom::sync::Mutex;

    #[derive(Debug)]
    struct State<T> {
        value: T,
        version: u64,
        is_closed: bool,
        waiting: Vec<Waker>,
    }

    #[derive(Debug)]
    pub(crate) struct Sender<T>(Arc<Mutex<State<T>>>);

    #[derive(Debug)]
    pub(crate) struct Receiver<T> {
        channel: Arc<Mutex<State<T>>>,
        seen: u64,
    }

    #[derive(Debug)]
    pub(crate) struct RecvError(());

    /// A copy, where tokio lends.
    #[derive(Debug)]
    pub(crate) struct Ref<T>(T);

    pub(crate) fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
        let channel = Arc::new(Mutex::new(State {
            value,
            version: 0,
            is_closed: false,
            waiting: Vec::new(),
        }));
        let receiver = Receiver {
            channel: Arc::clone(&channel),
            seen: 0,
        };
        (Sender(channel), receiver)
    }

    impl<T> Sender<T> {
        pub(crate) fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
            self.change(|state| {
                let is_modified = modify(&mut state.value);
                state.version += u64::from(is_modified);
                is_modified
            })
        }

        pub(crate) fn send_modify(&self, modify: impl FnOnce(&mut T)) {
            self.send_if_modified(|value| {
                modify(value);
                true
            });
        }

        pub(crate) fn send_replace(&self, mut value: T) -> T {
            self.send_modify(|old| std::mem::swap(old, &mut value));
            value
        }

        /// Wakes everybody if something changed, once the lock is free.
        fn change(&self, change: impl FnOnce(&mut State<T>) -> bool) -> bool {
            let mut state = self.0.lock().unwrap();
            let is_changed = change(&mut state);
            let waiting = match is_changed {
                true => std::mem::take(&mut state.waiting),
                false => Vec::new(),
            };
            drop(state);
            waiting.into_iter().for_each(Waker::wake);
            is_changed
        }
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            self.change(|state| {
                state.is_closed = true;
                true
            });
        }
    }

    impl<T: Clone> Receiver<T> {
        pub(crate) fn borrow(&self) -> Ref<T> {
            Ref(self.channel.lock().unwrap().value.clone())
        }

        pub(crate) fn borrow_and_update(&mut self) -> Ref<T> {
            let state = self.channel.lock().unwrap();
            self.seen = state.version;
            Ref(state.value.clone())
        }

        pub(crate) async fn changed(&mut self) -> Result<(), RecvError> {
            let Self { channel, seen } = self;
            poll_fn(|cx| {
                let mut state = channel.lock().unwrap();
                if state.version != *seen {
                    *seen = state.version;
                    return Poll::Ready(Ok(()));
                }
                if state.is_closed {
                    return Poll::Ready(Err(RecvError(())));
                }
                state.waiting.push(cx.waker().clone());
                Poll::Pending
            })
            .await
        }

        pub(crate) async fn wait_for(
            &mut self,
            mut is_it: impl FnMut(&T) -> bool,
        ) -> Result<Ref<T>, RecvError> {
            loop {
                let value = self.borrow_and_update();
                if is_it(&value) {
                    return Ok(value);
                }
                self.changed().await?;
            }
        }
    }

    impl<T> Receiver<T> {
        pub(crate) fn mark_unchanged(&mut self) {
            self.seen = self.channel.lock().unwrap().version;
        }

        pub(crate) fn has_changed(&self) -> Result<bool, RecvError> {
            let state = self.channel.lock().unwrap();
            match state.is_closed {
                true => Err(RecvError(())),
                false => Ok(state.version != self.seen),
            }
        }
    }

    impl<T> Clone for Receiver<T> {
        fn clone(&self) -> Self {
            Self {
                channel: Arc::clone(&self.channel),
                seen: self.seen,
            }
        }
    }

    impl<T> Deref for Ref<T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0
        }
    }
}
