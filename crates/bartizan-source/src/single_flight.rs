//! Callers who want the same thing at the same time share one run of it.

#[cfg(all(test, bartizan_loom))]
mod model;

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::sync::{Mutex, MutexGuard, PoisonError, spawn, watch};

/// Lets concurrent callers share one run of an operation, and its result, good or bad.
///
/// 1. If no run is under way, the caller's operation starts, in a task of its own.
/// 2. If one is, the caller's own operation is dropped unstarted, and the caller waits for that
///    run.
/// 3. A run goes on to its end though its callers go away: one that cancels strands nobody, and
///    somebody who asks and cancels in a loop cannot start more than one run at a time. The
///    operation must therefore bound itself in time.
/// 4. A run that panics is [`FlightLost`] to those who waited; the next caller starts afresh.
///
/// ```
/// use bartizan_source::SingleFlight;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let flight = SingleFlight::<u32>::new();
/// let answer = flight.run(|| async { 42 }).await?;
/// assert_eq!(answer, 42);
/// # Ok(())
/// # }
/// ```
pub struct SingleFlight<T> {
    slot: Arc<Slot<T>>,
}

/// The run ended without a result: it panicked, or its runtime shut down.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FlightLost(());

/// A place on a run that is under way.
pub(crate) struct Ticket<T>(watch::Receiver<Option<T>>);

struct Slot<T>(Mutex<Option<watch::Receiver<Option<T>>>>);

impl<T: Clone + Send + Sync + 'static> SingleFlight<T> {
    /// With no run under way.
    pub fn new() -> Self {
        Self {
            slot: Arc::new(Slot(Mutex::new(None))),
        }
    }

    /// Joins the run that is under way, or starts one, and waits for its result.
    ///
    /// # Errors
    ///
    /// [`FlightLost`] if the run panicked or the runtime shut down.
    ///
    /// # Panics
    ///
    /// If polled outside a tokio runtime.
    pub async fn run<F, Fut>(&self, operation: F) -> Result<T, FlightLost>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = T> + Send + 'static,
    {
        match self.board(|| true, operation) {
            Some(ticket) => ticket.wait().await,
            None => Err(FlightLost(())),
        }
    }

    /// Joins the run that is under way, or, if `may_start` says so, starts one. `may_start` is
    /// asked under the slot's lock, so that two callers cannot both be told yes.
    pub(crate) fn board<F, Fut>(
        &self,
        may_start: impl FnOnce() -> bool,
        operation: F,
    ) -> Option<Ticket<T>>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = T> + Send + 'static,
    {
        let mut current = self.slot.lock();
        if let Some(receiver) = current.as_ref()
            // An error means that the run was lost.
            && receiver.has_changed().is_ok()
        {
            return Some(Ticket(receiver.clone()));
        }
        if !may_start() {
            return None;
        }
        let (sender, receiver) = watch::channel(None);
        *current = Some(receiver.clone());
        let slot = Arc::clone(&self.slot);
        spawn(async move {
            let result = operation().await;
            // Cleared before the result is out: whoever comes from now on wants a new run.
            *slot.lock() = None;
            sender.send_replace(Some(result));
        });
        Some(Ticket(receiver))
    }
}

impl<T: Clone> Ticket<T> {
    pub(crate) async fn wait(mut self) -> Result<T, FlightLost> {
        let result = self
            .0
            .wait_for(Option::is_some)
            .await
            .map_err(|_| FlightLost(()))?;
        (*result).clone().ok_or(FlightLost(()))
    }
}

impl<T> Slot<T> {
    fn lock(&self) -> MutexGuard<'_, Option<watch::Receiver<Option<T>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone + Send + Sync + 'static> Default for SingleFlight<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for SingleFlight<T> {
    /// Another handle to the same flight.
    fn clone(&self) -> Self {
        Self {
            slot: Arc::clone(&self.slot),
        }
    }
}

impl<T> fmt::Debug for SingleFlight<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlight")
            .field("under_way", &self.slot.lock().is_some())
            .finish()
    }
}

impl fmt::Display for FlightLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the shared operation ended without a result")
    }
}

impl Error for FlightLost {}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Notify;

    use super::*;

    /// An operation that counts its starts and ends when it is let go.
    #[derive(Clone, Default)]
    struct Gate {
        starts: Arc<AtomicU32>,
        open: Arc<Notify>,
    }

    impl Gate {
        async fn pass(self) -> Result<u32, &'static str> {
            let start = self.starts.fetch_add(1, Ordering::SeqCst) + 1;
            self.open.notified().await;
            if start == 13 {
                Err("unlucky")
            } else {
                Ok(start)
            }
        }

        fn starts(&self) -> u32 {
            self.starts.load(Ordering::SeqCst)
        }
    }

    type Flight = SingleFlight<Result<u32, &'static str>>;

    fn call(
        flight: &Flight,
        gate: &Gate,
    ) -> tokio::task::JoinHandle<Result<Result<u32, &'static str>, FlightLost>> {
        let (flight, gate) = (flight.clone(), gate.clone());
        tokio::spawn(async move { flight.run(|| gate.pass()).await })
    }

    /// Lets all tasks of the current-thread runtime go as far as they can.
    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn concurrent_callers_share_one_run() {
        let (flight, gate) = (Flight::new(), Gate::default());
        let callers: Vec<_> = (0..50).map(|_| call(&flight, &gate)).collect();
        settle().await;
        assert_eq!(gate.starts(), 1);
        gate.open.notify_one();
        for caller in callers {
            assert_eq!(caller.await.expect("no panic"), Ok(Ok(1)));
        }
        let later = call(&flight, &gate);
        gate.open.notify_one();
        assert_eq!(
            later.await.expect("no panic"),
            Ok(Ok(2)),
            "a later caller gets a new run"
        );
    }

    #[tokio::test]
    async fn the_caller_that_started_the_run_may_go_away() {
        let (flight, gate) = (Flight::new(), Gate::default());
        let first = call(&flight, &gate);
        settle().await;
        let second = call(&flight, &gate);
        settle().await;
        first.abort();
        assert!(first.await.expect_err("aborted").is_cancelled());
        gate.open.notify_one();
        assert_eq!(second.await.expect("no panic"), Ok(Ok(1)));
        assert_eq!(gate.starts(), 1);
    }

    #[tokio::test]
    async fn callers_that_come_and_go_start_one_run_in_all() {
        let (flight, gate) = (Flight::new(), Gate::default());
        for _ in 0..10 {
            let caller = call(&flight, &gate);
            settle().await;
            caller.abort();
        }
        assert_eq!(gate.starts(), 1);
    }

    #[tokio::test]
    async fn failure_is_shared_and_not_kept() {
        let (flight, gate) = (Flight::new(), Gate::default());
        gate.starts.store(12, Ordering::SeqCst);
        let callers = [call(&flight, &gate), call(&flight, &gate)];
        settle().await;
        gate.open.notify_one();
        for caller in callers {
            assert_eq!(caller.await.expect("no panic"), Ok(Err("unlucky")));
        }
        gate.open.notify_one();
        assert_eq!(call(&flight, &gate).await.expect("no panic"), Ok(Ok(14)));
    }

    #[tokio::test]
    async fn a_result_that_everybody_has_is_not_kept() {
        let flight = SingleFlight::<Arc<()>>::new();
        let result = flight
            .run(|| async { Arc::new(()) })
            .await
            .expect("not lost");
        settle().await;
        assert_eq!(Arc::strong_count(&result), 1);
    }

    #[tokio::test]
    async fn a_panic_reaches_the_waiting_as_an_error_and_poisons_nothing() {
        let flight = SingleFlight::<u32>::new();
        assert_eq!(
            flight.run(|| async { panic!("planned") }).await,
            Err(FlightLost(()))
        );
        assert_eq!(flight.run(|| async { 1 }).await, Ok(1));
    }
}
