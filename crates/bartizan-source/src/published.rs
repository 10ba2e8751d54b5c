//! A value that changes while it is being read.

#[cfg(all(test, bartizan_loom))]
mod model;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use bartizan_core::{Clock, MonotonicTime, SystemClock, WallTime};

use crate::apart::Apart;
use crate::status::Status;
use crate::sync::{ArcSwapOption, Mutex, MutexGuard, PoisonError, watch};

/// The writing end: whoever holds it decides what [`Published`] shows.
///
/// What is given to [`publish`](Self::publish) must already be valid: readers use it at once. A
/// failed attempt is told to [`fail`](Self::fail), which leaves the last good value in place.
pub struct Publisher<T> {
    shared: Arc<Shared<T>>,
    generation: watch::Sender<u64>,
}

/// The reading end: a cheap handle to a value that may be replaced at any moment.
///
/// Clones show the same value. It is empty until the first value was published; a reader must
/// treat that as "could not check", never as a default.
///
/// A handle got from a [`FileSource`](crate::FileSource) or a [`RefreshAhead`](crate::RefreshAhead)
/// keeps that source at work: as long as somebody can read the value, it stays up to date.
pub struct Published<T> {
    shared: Arc<Shared<T>>,
    keeper: Option<Keeper>,
}

/// One published value, with its place in the sequence.
pub struct Version<T> {
    value: Arc<T>,
    generation: u64,
    published_at: WallTime,
    confirmed_at: MonotonicTime,
}

/// Tells when a newer value was published; got from [`Published::subscribe`].
pub struct Changes {
    generation: watch::Receiver<u64>,
    _keeper: Option<Keeper>,
}

/// Whatever has to stay alive for the value to be kept up to date.
type Keeper = Arc<dyn Any + Send + Sync>;

// Handles are counted in front of it, and every reader looks at the slot.
#[repr(align(128))]
struct Shared<T> {
    slot: ArcSwapOption<Version<T>>,
    generation: watch::Receiver<u64>,
    status: Apart<Mutex<Status>>,
    clock: Arc<dyn Clock>,
}

impl<T> Publisher<T> {
    /// Begins empty. The clock dates versions and failures.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (sender, receiver) = watch::channel(0);
        let shared = Arc::new(Shared {
            slot: ArcSwapOption::empty(),
            generation: receiver,
            status: Apart(Mutex::new(Status::default())),
            clock,
        });
        Self {
            shared,
            generation: sender,
        }
    }

    /// Replaces the value in one step and returns its generation: 1 for the first, then one more
    /// each time. Readers that hold the previous version keep it until they let go.
    pub fn publish(&self, value: T) -> u64 {
        let value = Arc::new(value);
        let mut published = 0;
        // The channel's lock puts concurrent publishers in one order, so that generation, slot
        // and status always tell the same story. Readers never take it.
        self.generation.send_modify(|generation| {
            *generation = generation.saturating_add(1);
            published = *generation;
            self.shared.slot.store(Some(Arc::new(Version {
                value,
                generation: published,
                published_at: self.shared.clock.wall(),
                confirmed_at: self.shared.clock.monotonic(),
            })));
            self.shared
                .status()
                .succeed(published, self.shared.clock.wall());
        });
        published
    }

    /// Notes that the present value was found to be still right. No new generation, nobody is
    /// woken; [`Version::confirmed_at`] moves on. Does nothing while empty.
    pub fn confirm(&self) {
        self.generation.send_if_modified(|generation| {
            if let Some(version) = self.shared.slot.load_full() {
                self.shared.slot.store(Some(Arc::new(Version {
                    value: Arc::clone(&version.value),
                    generation: version.generation,
                    published_at: version.published_at,
                    confirmed_at: self.shared.clock.monotonic(),
                })));
                self.shared
                    .status()
                    .succeed(*generation, self.shared.clock.wall());
            }
            false
        });
    }

    /// Notes a failed attempt. The message is shown to operators and must not hold a secret.
    pub fn fail(&self, message: impl Into<Arc<str>>) {
        self.shared
            .status()
            .fail(message.into(), self.shared.clock.wall());
    }

    /// A reading end.
    pub fn published(&self) -> Published<T> {
        Published {
            shared: Arc::clone(&self.shared),
            keeper: None,
        }
    }

    /// A reading end that keeps `keeper` alive, for a source of your own: hand it whatever ends
    /// your task when it is dropped, and the task ends with the last reader.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use bartizan_core::SystemClock;
    /// use bartizan_source::Publisher;
    ///
    /// let publisher = Publisher::new(Arc::new(SystemClock));
    /// let keeper = Arc::new(());
    /// let published = publisher.published_kept_by(keeper.clone());
    /// publisher.publish("hello");
    /// assert_eq!(Arc::strong_count(&keeper), 2);
    /// drop(published);
    /// assert_eq!(Arc::strong_count(&keeper), 1);
    /// ```
    pub fn published_kept_by(&self, keeper: Arc<dyn Any + Send + Sync>) -> Published<T> {
        Published {
            shared: Arc::clone(&self.shared),
            keeper: Some(keeper),
        }
    }
}

impl<T> Published<T> {
    /// A value that never changes, for what is configured by hand; generation 1.
    pub fn fixed(value: T) -> Self {
        let publisher = Publisher::new(Arc::new(SystemClock));
        publisher.publish(value);
        publisher.published()
    }

    /// The present version, or `None` as long as nothing was published.
    ///
    /// Never waits for a writer. The version is a consistent whole: hold on to it for as long as
    /// one decision takes, rather than loading twice.
    pub fn load(&self) -> Option<Arc<Version<T>>> {
        self.shared.slot.load_full()
    }

    /// Looks at the present version without touching its reference count, which many cores would
    /// otherwise fight over: for hot paths. `look` should be short.
    pub fn read<R>(&self, look: impl FnOnce(Option<&Version<T>>) -> R) -> R {
        look(self.shared.slot.load().as_deref())
    }

    /// The present generation; 0 as long as nothing was published.
    pub fn generation(&self) -> u64 {
        self.read(|version| version.map_or(0, Version::generation))
    }

    /// How the source fares.
    pub fn status(&self) -> Status {
        self.shared.status().clone()
    }

    /// Tells of every version newer than the one that is present now.
    ///
    /// Subscribe first and load afterwards; the other way round, a version that comes between
    /// goes unnoticed until the next.
    pub fn subscribe(&self) -> Changes {
        let mut generation = self.shared.generation.clone();
        generation.mark_unchanged();
        Changes {
            generation,
            _keeper: self.keeper.clone(),
        }
    }

    /// Waits for the first version. `None` if nothing can publish one any more.
    pub async fn ready(&self) -> Option<Arc<Version<T>>> {
        let mut generation = self.shared.generation.clone();
        // An error means that the publisher is gone; it may have published before it went.
        let _ = generation.wait_for(|generation| *generation > 0).await;
        self.load()
    }
}

impl<T> Version<T> {
    /// The value.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// The value, to be kept beyond this version.
    pub fn share(&self) -> Arc<T> {
        Arc::clone(&self.value)
    }

    /// Its number in the sequence, from 1. Fit as part of a cache key: the same number of the
    /// same source always means the same value.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// When it was published, by the wall clock.
    pub fn published_at(&self) -> WallTime {
        self.published_at
    }

    /// When the source last said that this is the value, by the monotonic clock: its publication
    /// or a later confirmation.
    pub fn confirmed_at(&self) -> MonotonicTime {
        self.confirmed_at
    }
}

impl Changes {
    /// Waits until there is a version that this subscription has not told of, and returns its
    /// generation. Several changes in a row may be told as one. `None` once nothing will be
    /// published any more; the last version remains readable.
    ///
    /// Cancel safe: a dropped call loses no change.
    pub async fn next(&mut self) -> Option<u64> {
        self.generation.changed().await.ok()?;
        Some(*self.generation.borrow_and_update())
    }
}

impl<T> Shared<T> {
    fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Published<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            keeper: self.keeper.clone(),
        }
    }
}

// None of these prints the value: it may be a private key.

impl<T> fmt::Debug for Publisher<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("status", &*self.shared.status())
            .finish()
    }
}

impl<T> fmt::Debug for Published<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Published")
            .field("status", &*self.shared.status())
            .finish()
    }
}

impl<T> fmt::Debug for Version<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Version")
            .field("generation", &self.generation)
            .field("published_at", &self.published_at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes")
            .field("generation", &*self.generation.borrow())
            .finish()
    }
}

#[cfg(test)]
mod tests;
