//! Locks and atomics: those of the standard library, or those of a model checker that looks at
//! every order in which threads can meet.

#[cfg(all(test, bartizan_loom))]
pub(crate) use loom::sync::{
    Mutex, MutexGuard, RwLock,
    atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
};
pub(crate) use std::sync::PoisonError;
#[cfg(not(all(test, bartizan_loom)))]
pub(crate) use std::sync::{
    Mutex, MutexGuard, RwLock,
    atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
};
