//! What threads meet at: locks, the slot of a value, its channel, and tasks. Under a model checker,
//! which looks at every order in which threads can meet, doubles that it sees into.

#[cfg(all(test, bartizan_loom))]
mod double;

#[cfg(all(test, bartizan_loom))]
pub(crate) use self::double::{ArcSwapOption, Handle, spawn, watch};
#[cfg(not(all(test, bartizan_loom)))]
pub(crate) use arc_swap::ArcSwapOption;
#[cfg(all(test, bartizan_loom))]
pub(crate) use loom::sync::{Mutex, MutexGuard};
pub(crate) use std::sync::PoisonError;
#[cfg(not(all(test, bartizan_loom)))]
pub(crate) use std::sync::{Mutex, MutexGuard};
#[cfg(not(all(test, bartizan_loom)))]
pub(crate) use tokio::{runtime::Handle, spawn, sync::watch};
