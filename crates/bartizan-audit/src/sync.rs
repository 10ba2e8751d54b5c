//! What requests and the writer's thread meet at: locks and atomics of the standard library, or
//! those of a model checker that looks at every order in which threads can meet.

use std::time::Duration;

#[cfg(all(test, bartizan_loom))]
pub(crate) use loom::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};
pub(crate) use std::sync::PoisonError;
#[cfg(not(all(test, bartizan_loom)))]
pub(crate) use std::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};

/// Waits until it is woken, for at most so long.
#[cfg(not(all(test, bartizan_loom)))]
pub(crate) fn wait_timeout<'m, T>(
    condvar: &Condvar,
    _: &'m Mutex<T>,
    guard: MutexGuard<'m, T>,
    pause: Duration,
) -> MutexGuard<'m, T> {
    let waited = condvar.wait_timeout(guard, pause);
    waited.unwrap_or_else(PoisonError::into_inner).0
}

/// In a model no time passes. A short pause may be over at any moment; a long one never is, so
/// that whoever should have been woken and was not waits for ever, which the checker tells.
#[cfg(all(test, bartizan_loom))]
pub(crate) fn wait_timeout<'m, T>(
    condvar: &Condvar,
    mutex: &'m Mutex<T>,
    guard: MutexGuard<'m, T>,
    pause: Duration,
) -> MutexGuard<'m, T> {
    if pause > Duration::from_secs(10) {
        return condvar.wait(guard).unwrap_or_else(PoisonError::into_inner);
    }
    drop(guard);
    loom::thread::yield_now();
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
