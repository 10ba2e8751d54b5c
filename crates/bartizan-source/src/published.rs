//! A value that changes while it is being read.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use bartizan_core::{Clock, MonotonicTime, SystemClock, WallTime};
use tokio::sync::watch;

use crate::status::Status;

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
pub(crate) type Keeper = Arc<dyn Any + Send + Sync>;

struct Shared<T> {
    slot: ArcSwapOption<Version<T>>,
    generation: watch::Receiver<u64>,
    status: Mutex<Status>,
    clock: Arc<dyn Clock>,
}

impl<T> Publisher<T> {
    /// Begins empty. The clock dates versions and failures.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (sender, receiver) = watch::channel(0);
        let shared = Arc::new(Shared {
            slot: ArcSwapOption::empty(),
            generation: receiver,
            status: Mutex::new(Status::default()),
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

    pub(crate) fn kept_by(&self, keeper: Keeper) -> Published<T> {
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
mod tests {
    use super::*;

    fn publisher<T>() -> Publisher<T> {
        Publisher::new(Arc::new(SystemClock))
    }

    #[test]
    fn is_empty_until_the_first_publication() {
        let publisher = publisher::<u32>();
        let published = publisher.published();
        assert!(published.load().is_none());
        assert_eq!(published.generation(), 0);
        assert_eq!(published.status().last_success(), None);

        assert_eq!(publisher.publish(7), 1);
        assert_eq!(published.load().map(|version| *version.value()), Some(7));
        assert!(published.status().last_success().is_some());
    }

    #[test]
    fn a_reader_keeps_the_version_that_it_holds() {
        let publisher = publisher();
        publisher.publish("old");
        let held = publisher.published().load().expect("published above");
        assert_eq!(publisher.publish("new"), 2);
        assert_eq!((*held.value(), held.generation()), ("old", 1));
        assert_eq!(
            publisher.published().read(|v| v.map(|v| *v.value())),
            Some("new")
        );
    }

    #[test]
    fn a_failure_leaves_the_last_good_value_and_is_counted() {
        let publisher = publisher();
        publisher.publish(1);
        publisher.fail("no such file");
        publisher.fail("no such file, again");
        let published = publisher.published();
        assert_eq!(published.load().map(|version| *version.value()), Some(1));
        let status = published.status();
        assert_eq!(
            (status.consecutive_failures(), status.total_failures()),
            (2, 2)
        );
        assert_eq!(
            status.last_failure().map(|f| f.message()),
            Some("no such file, again")
        );

        publisher.confirm();
        let status = published.status();
        assert_eq!(
            (status.consecutive_failures(), status.total_failures()),
            (0, 2)
        );
        assert_eq!(status.generation(), 1);
    }

    #[tokio::test]
    async fn a_subscription_tells_of_newer_versions_only() {
        let publisher = publisher();
        publisher.publish(1);
        let mut changes = publisher.published().subscribe();
        publisher.confirm();
        publisher.publish(2);
        publisher.publish(3);
        assert_eq!(
            changes.next().await,
            Some(3),
            "two changes told as one, confirmation not told"
        );
        drop(publisher);
        assert_eq!(changes.next().await, None);
    }

    #[tokio::test]
    async fn ready_waits_for_the_first_version_and_gives_up_with_the_publisher() {
        let publisher = publisher();
        let published = publisher.published();
        let waiting = tokio::spawn(async move { published.ready().await.map(|v| *v.value()) });
        tokio::task::yield_now().await;
        publisher.publish(5);
        assert_eq!(waiting.await.expect("no panic"), Some(5));
        assert_eq!(
            Published::fixed(6).ready().await.map(|v| *v.value()),
            Some(6)
        );

        let empty = super::tests::publisher::<u8>().published();
        assert!(empty.ready().await.is_none());
    }

    #[test]
    fn debug_does_not_print_the_value() {
        let published = Published::fixed("hunter2".to_owned());
        let version = published.load().expect("fixed");
        assert!(!format!("{published:?} {version:?}").contains("hunter2"));
    }

    #[test]
    fn concurrent_publishers_leave_slot_and_generation_in_step() {
        let publisher = publisher();
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let publisher = &publisher;
                scope.spawn(move || {
                    for _ in 0..100 {
                        publisher.publish(thread);
                    }
                });
            }
        });
        assert_eq!(publisher.published().generation(), 400);
        assert_eq!(publisher.published().status().generation(), 400);
    }
}
