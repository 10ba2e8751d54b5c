//! As [`SingleFlight`](crate::SingleFlight), for many things at once: one run for each of them.

#[cfg(all(test, bartizan_loom))]
mod model;

use std::borrow::Borrow;
use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::sync::{Handle, Mutex, MutexGuard, PoisonError, watch};

/// Lets concurrent callers who want the same thing share one run, for a bounded number of things.
///
/// 1. If a run for this key is under way, the caller waits for it. Keys are compared whole.
/// 2. If none is, and fewer than the limit are under way, the operation starts in a task of its
///    own, and goes on to its end though its callers go away. It must therefore bound itself in
///    time.
/// 3. At the limit, whoever wants a new run is told so at once ([`NoFlight::Full`]): a flood of
///    different keys costs the far side no more than that many runs at a time.
/// 4. A run that panics is [`NoFlight::Lost`] to those who waited; the next caller starts afresh.
///
/// ```
/// use std::num::NonZeroUsize;
/// use bartizan_source::SingleFlights;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let flights = SingleFlights::<String, usize>::new(NonZeroUsize::MIN);
/// let length = flights.run("key", |key| async move { key.len() }).await?;
/// assert_eq!(length, 3);
/// # Ok(())
/// # }
/// ```
pub struct SingleFlights<K, T> {
    table: Arc<Table<K, T>>,
}

/// Why there is no result of a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum NoFlight {
    /// As many runs as may be are under way already.
    Full,
    /// The run panicked, or its runtime shut down, or there is none.
    Lost,
}

struct Table<K, T> {
    limit: NonZeroUsize,
    runs: Mutex<HashMap<K, watch::Receiver<Option<T>>>>,
}

impl<K, T> SingleFlights<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// With no run under way, and at most `limit` at a time.
    pub fn new(limit: NonZeroUsize) -> Self {
        Self {
            table: Arc::new(Table {
                limit,
                runs: Mutex::new(HashMap::new()),
            }),
        }
    }

    /// Joins the run for `key` that is under way, or starts one, and gives what waits for its
    /// result. The run is joined or started by this call itself, not when the future is polled,
    /// so that the future may also be dropped.
    ///
    /// # Errors
    ///
    /// The future gives [`NoFlight`] if there was no room for a new run, or the run was lost.
    pub fn run<Q, F, Fut>(
        &self,
        key: &Q,
        operation: F,
    ) -> impl Future<Output = Result<T, NoFlight>> + Send + use<K, T, Q, F, Fut>
    where
        K: Borrow<Q> + for<'q> From<&'q Q>,
        Q: Eq + Hash + ?Sized,
        F: FnOnce(K) -> Fut,
        Fut: Future<Output = T> + Send + 'static,
    {
        let boarded = self.board(key, operation);
        async move {
            let mut receiver = boarded?;
            let result = receiver.wait_for(Option::is_some).await;
            let result = result.map_err(|_| NoFlight::Lost)?;
            (*result).clone().ok_or(NoFlight::Lost)
        }
    }

    /// How many runs are under way.
    pub fn under_way(&self) -> usize {
        self.table.lock().len()
    }

    fn board<Q, F, Fut>(
        &self,
        key: &Q,
        operation: F,
    ) -> Result<watch::Receiver<Option<T>>, NoFlight>
    where
        K: Borrow<Q> + for<'q> From<&'q Q>,
        Q: Eq + Hash + ?Sized,
        F: FnOnce(K) -> Fut,
        Fut: Future<Output = T> + Send + 'static,
    {
        let runtime = Handle::try_current().map_err(|_| NoFlight::Lost)?;
        let mut runs = self.table.lock();
        if let Some(receiver) = runs.get(key) {
            return Ok(receiver.clone());
        }
        if runs.len() >= self.table.limit.get() {
            return Err(NoFlight::Full);
        }
        let (sender, receiver) = watch::channel(None);
        let own = K::from(key);
        runs.insert(own.clone(), receiver.clone());
        let landing = Landing {
            table: Arc::clone(&self.table),
            key: own.clone(),
        };
        let running = operation(own);
        runtime.spawn(async move {
            // Moved in whole, so that it lands also if the run panics or is never polled.
            let landing = landing;
            let result = running.await;
            // Off the table before the result is out: whoever comes from now on wants a new run.
            drop(landing);
            sender.send_replace(Some(result));
        });
        Ok(receiver)
    }
}

/// Takes a run off the table when it ends, whichever way.
struct Landing<K: Eq + Hash, T> {
    table: Arc<Table<K, T>>,
    key: K,
}

impl<K: Eq + Hash, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        self.table.lock().remove(&self.key);
    }
}

impl<K, T> Table<K, T> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, watch::Receiver<Option<T>>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, T> Clone for SingleFlights<K, T> {
    /// Another handle to the same flights.
    fn clone(&self) -> Self {
        Self {
            table: Arc::clone(&self.table),
        }
    }
}

// Keys stay out of it: they may be secrets.
impl<K, T> fmt::Debug for SingleFlights<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlights")
            .field("limit", &self.table.limit)
            .field("under_way", &self.table.lock().len())
            .finish()
    }
}

impl fmt::Display for NoFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "as many operations as may be are under way",
            Self::Lost => "the shared operation ended without a result",
        })
    }
}

impl Error for NoFlight {}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Notify;

    use super::*;

    type Flights = SingleFlights<String, String>;

    /// An operation that counts its starts and ends when it is let go.
    #[derive(Clone, Default)]
    struct Gate {
        starts: Arc<AtomicU32>,
        open: Arc<Notify>,
    }

    impl Gate {
        async fn pass(self, key: String) -> String {
            let start = self.starts.fetch_add(1, Ordering::SeqCst) + 1;
            self.open.notified().await;
            format!("{key} {start}")
        }
    }

    fn flights(limit: usize) -> Flights {
        Flights::new(NonZeroUsize::new(limit).expect("not zero"))
    }

    /// Lets all tasks of the current-thread runtime go as far as they can.
    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn each_key_has_one_run_that_its_callers_share() {
        let (flights, gate) = (flights(10), Gate::default());
        let call = |key: &str| flights.run(key, |key| gate.clone().pass(key));
        let first: Vec<_> = (0..20).map(|_| call("a")).collect();
        let other = call("b");
        settle().await;
        assert_eq!(gate.starts.load(Ordering::SeqCst), 2);
        assert_eq!(flights.under_way(), 2);
        gate.open.notify_waiters();
        for waiting in first {
            assert_eq!(waiting.await.as_deref(), Ok("a 1"));
        }
        assert_eq!(other.await.as_deref(), Ok("b 2"));
        assert_eq!(flights.under_way(), 0);
        let later = call("a");
        settle().await;
        gate.open.notify_waiters();
        assert_eq!(
            later.await.as_deref(),
            Ok("a 3"),
            "a later caller gets a new run"
        );
    }

    #[tokio::test]
    async fn at_the_limit_new_keys_are_turned_away_and_known_ones_join() {
        let (flights, gate) = (flights(2), Gate::default());
        let call = |key: &str| flights.run(key, |key| gate.clone().pass(key));
        let (one, two) = (call("a"), call("b"));
        assert_eq!(call("c").await, Err(NoFlight::Full));
        let joined = call("a");
        settle().await;
        gate.open.notify_waiters();
        assert_eq!(one.await, joined.await);
        assert_eq!(two.await.as_deref(), Ok("b 2"));
        let next = call("c");
        settle().await;
        gate.open.notify_waiters();
        assert_eq!(next.await.as_deref(), Ok("c 3"));
    }

    #[tokio::test]
    async fn a_run_goes_on_though_nobody_waits() {
        let (flights, gate) = (flights(1), Gate::default());
        drop(flights.run("a", |key| gate.clone().pass(key)));
        settle().await;
        let joined = flights.run("a", |key| gate.clone().pass(key));
        gate.open.notify_waiters();
        assert_eq!(joined.await.as_deref(), Ok("a 1"));
    }

    #[tokio::test]
    async fn a_panic_is_told_and_frees_its_place() {
        let flights = flights(1);
        let lost = flights.run("a", |_| async { panic!("planned") });
        assert_eq!(lost.await, Err(NoFlight::Lost));
        settle().await;
        assert_eq!(flights.under_way(), 0);
        let next = flights.run("a", |key| async move { key });
        assert_eq!(next.await.as_deref(), Ok("a"));
    }

    #[test]
    fn without_a_runtime_there_is_no_run_and_no_panic() {
        let flights = flights(1);
        let run = flights.run("a", |key| async move { key });
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let result = runtime.expect("a runtime").block_on(run);
        assert_eq!(result, Err(NoFlight::Lost));
    }
}
