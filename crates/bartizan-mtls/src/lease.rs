//! Connections that end by themselves, whichever server has them.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use bartizan_core::{Code, Connection, LifecycleKind, WallTime};
use bartizan_source::{random, spread};
use tokio::runtime::Handle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::acceptor::Acceptor;
use crate::ending::{CONNECTION_AGED, EndConnection};

/// How often it is looked whether something has expired.
const TICK: Duration = Duration::from_secs(1);

const GOING: u8 = 0;
const LOOK: u8 = 1;
const OVER: u8 = 2;

/// On what terms connections are lent to a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) on_expiry: EndConnection,
    pub(crate) on_revocation: EndConnection,
    pub(crate) max_age: Option<Duration>,
    pub(crate) drain_timeout: Duration,
}

/// The connections that servers have. Their number is the server's to limit.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    held: Mutex<HashMap<u64, Arc<Held>>>,
    next: AtomicU64,
    watched: AtomicBool,
}

/// One connection, as the task that watches sees it.
#[derive(Debug)]
struct Held {
    state: AtomicU8,
    waker: Mutex<Option<Waker>>,
    connection: Connection,
    ends: Mutex<Ends>,
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    last: Option<(WallTime, Code)>,
    ages_at: Option<Instant>,
    cut_at: Option<Instant>,
}

/// The same, as the stream sees it. The connection is forgotten when this is dropped.
pub(crate) struct Lease {
    number: u64,
    held: Arc<Held>,
    acceptor: Arc<Acceptor>,
}

/// What a stream does next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    /// Nothing has changed.
    GoOn,
    /// The trust has changed: it asks whether its peer is still believed.
    Ask,
    /// It ends.
    End,
}

impl Lease {
    /// Begins to watch a connection; `None` outside a runtime, where nobody could.
    pub(crate) fn begin(acceptor: &Arc<Acceptor>, connection: &Connection) -> Option<Self> {
        let leases = &acceptor.leases;
        let runtime = Handle::try_current().ok()?;
        if !leases.watched.swap(true, Ordering::Relaxed) {
            runtime.spawn(watch(Arc::downgrade(acceptor)));
        }
        let terms = &acceptor.terms;
        let age = |age| Instant::now().checked_add(spread(age, random()));
        let ends = Ends {
            last: acceptor
                .end_of(connection)
                .filter(|_| terms.on_expiry != EndConnection::Never),
            ages_at: terms.max_age.and_then(age),
            cut_at: None,
        };
        let held = Arc::new(Held {
            // A version may have been published between the handshake and now.
            state: AtomicU8::new(LOOK),
            waker: Mutex::new(None),
            connection: connection.clone(),
            ends: Mutex::new(ends),
        });
        let number = leases.next.fetch_add(1, Ordering::Relaxed);
        lock(&leases.held).insert(number, Arc::clone(&held));
        Some(Self {
            number,
            held,
            acceptor: Arc::clone(acceptor),
        })
    }

    /// What the stream does next. Whoever is told to ask is told once.
    pub(crate) fn next(&self) -> Next {
        match self.held.state.load(Ordering::Acquire) {
            GOING => Next::GoOn,
            OVER => Next::End,
            _ => {
                // Unless it is over meanwhile, which the next call will say.
                let _ = self.held.state.compare_exchange(
                    LOOK,
                    GOING,
                    Ordering::AcqRel,
                    Ordering::Acquire,
                );
                Next::Ask
            }
        }
    }

    /// Wakes this task when there is something to be said.
    pub(crate) fn wake(&self, cx: &Context<'_>) {
        {
            let mut waker = lock(&self.held.waker);
            if !waker.as_ref().is_some_and(|it| it.will_wake(cx.waker())) {
                *waker = Some(cx.waker().clone());
            }
        }
        // It may have been said just before.
        if self.held.state.load(Ordering::Acquire) != GOING {
            cx.waker().wake_by_ref();
        }
    }

    pub(crate) fn acceptor(&self) -> &Acceptor {
        &self.acceptor
    }

    /// The peer is not believed any more.
    pub(crate) fn revoked(&self, code: Code) {
        let terms = &self.acceptor.terms;
        self.held.end(&self.acceptor, code, terms.on_revocation);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        lock(&self.acceptor.leases.held).remove(&self.number);
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("held", &self.held)
            .finish_non_exhaustive()
    }
}

impl Held {
    fn say(&self, state: u8) {
        // What is over stays so.
        let _ = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |was| {
                (was != OVER).then_some(state)
            });
        if let Some(waker) = lock(&self.waker).take() {
            waker.wake();
        }
    }

    fn end(&self, acceptor: &Acceptor, code: Code, end: EndConnection) {
        let remote = self.connection.remote();
        let peer = self.connection.peer().map(ToString::to_string);
        let kind = LifecycleKind::ConnectionEnded;
        match end {
            EndConnection::Never => return,
            EndConnection::AtOnce => self.say(OVER),
            EndConnection::Gracefully => {
                let mut ends = lock(&self.ends);
                if ends.cut_at.is_some() {
                    return;
                }
                ends.cut_at = Instant::now().checked_add(acceptor.terms.drain_timeout);
            }
        }
        acceptor.tell(kind, code, remote, &peer.unwrap_or_default());
    }

    fn look(&self, acceptor: &Acceptor, now: Instant, wall: WallTime) {
        let ends = *lock(&self.ends);
        if ends.cut_at.is_some_and(|at| at <= now) {
            self.say(OVER);
        } else if let Some((last, code)) = ends.last
            && wall.unix_seconds() > last.unix_seconds()
        {
            lock(&self.ends).last = None;
            self.end(acceptor, code, acceptor.terms.on_expiry);
        } else if ends.ages_at.is_some_and(|at| at <= now) {
            lock(&self.ends).ages_at = None;
            self.end(acceptor, CONNECTION_AGED, EndConnection::Gracefully);
        }
    }
}

/// Watches over the connections of a listener for as long as there are any, or may be.
async fn watch(acceptor: Weak<Acceptor>) {
    let Some(first) = acceptor.upgrade() else {
        return;
    };
    let mut changes = first.configurations.material().subscribe();
    drop(first);
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut may_change = true;
    // What was published between the first stream's look and the subscription is told by nobody.
    let mut is_first = true;
    loop {
        let changed = tokio::select! {
            change = changes.next(), if may_change => {
                may_change = change.is_some();
                true
            }
            _ = tick.tick() => false,
        };
        let changed = changed | std::mem::take(&mut is_first);
        let Some(acceptor) = acceptor.upgrade() else {
            return;
        };
        let held: Vec<_> = lock(&acceptor.leases.held).values().cloned().collect();
        let (now, wall) = (Instant::now(), acceptor.clock.wall());
        for held in held {
            if changed {
                held.say(LOOK);
            }
            held.look(&acceptor, now, wall);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
