//! Sessions that clients may take up again, where that is allowed.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan_core::{Clock, MonotonicTime};
use rustls::server::StoresServerSessions;
use zeroize::Zeroizing;

/// On what terms sessions are taken up again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resuming {
    pub(crate) lifetime: Duration,
    pub(crate) sessions: NonZeroUsize,
}

/// The sessions of one configuration, and so of one version of the material.
///
/// A session serves once: it is taken, and the connection that it leads to gets a new one. The
/// oldest go when there are too many, whoever they belong to.
pub(super) struct Sessions {
    resuming: Resuming,
    clock: Arc<dyn Clock>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    sessions: HashMap<Vec<u8>, Session>,
    order: VecDeque<(MonotonicTime, Vec<u8>)>,
}

struct Session {
    began: MonotonicTime,
    value: Zeroizing<Vec<u8>>,
}

impl Sessions {
    pub(super) fn new(resuming: Resuming, clock: &Arc<dyn Clock>) -> Self {
        Self {
            resuming,
            clock: Arc::clone(clock),
            kept: Mutex::default(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Drops what is over, and the oldest for as long as there are too many. Those that were taken
    /// stand in the order for a while; they count, so that it is bounded too.
    fn tidy(&mut self, now: MonotonicTime, resuming: &Resuming) {
        while let Some((began, _)) = self.order.front() {
            let alive = now.saturating_since(*began) < resuming.lifetime;
            if alive && self.order.len() <= resuming.sessions.get() {
                return;
            }
            if let Some((_, key)) = self.order.pop_front() {
                self.sessions.remove(&key);
            }
        }
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let began = self.clock.monotonic();
        let value = Zeroizing::new(value);
        let mut kept = self.kept();
        kept.order.push_back((began, key.clone()));
        kept.sessions.insert(key, Session { began, value });
        kept.tidy(began, &self.resuming);
        true
    }

    /// Never: it is what TLS 1.2 asks for, and a session would serve twice.
    fn get(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let now = self.clock.monotonic();
        let mut session = self.kept().sessions.remove(key)?;
        let alive = now.saturating_since(session.began) < self.resuming.lifetime;
        alive.then(|| std::mem::take(&mut *session.value))
    }

    fn can_cache(&self) -> bool {
        true
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("resuming", &self.resuming)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use bartizan_core::{SystemClock, WallTime};

    use super::*;

    #[derive(Debug)]
    struct Seconds(MonotonicTime, AtomicU64);

    impl Clock for Seconds {
        fn wall(&self) -> WallTime {
            WallTime::MAX
        }

        fn monotonic(&self) -> MonotonicTime {
            let seconds = self.1.load(Ordering::Relaxed);
            self.0.checked_add(Duration::from_secs(seconds)).unwrap()
        }
    }

    fn sessions(lifetime: u64, sessions: usize) -> (Sessions, Arc<Seconds>) {
        let clock = Arc::new(Seconds(SystemClock.monotonic(), AtomicU64::new(0)));
        let resuming = Resuming {
            lifetime: Duration::from_secs(lifetime),
            sessions: NonZeroUsize::new(sessions).unwrap(),
        };
        let shared: Arc<dyn Clock> = clock.clone();
        (Sessions::new(resuming, &shared), clock)
    }

    #[test]
    fn what_resumes_a_session_is_in_no_log() {
        let (sessions, _) = sessions(60, 10);
        assert!(sessions.can_cache() && sessions.put(b"hunter2".to_vec(), b"swordfish".to_vec()));
        let shown = format!("{sessions:?}");
        assert!(shown.contains("60s"), "{shown}");
        for secret in ["hunter2", "swordfish"] {
            let bytes = format!("{:?}", secret.as_bytes());
            let bytes = bytes.trim_matches(['[', ']']);
            assert!(!shown.contains(secret) && !shown.contains(bytes), "{shown}");
        }
        assert_eq!(
            sessions.take(b"hunter2").as_deref(),
            Some(&b"swordfish"[..])
        );
    }

    #[test]
    fn a_session_serves_once() {
        let (sessions, _) = sessions(10, 4);
        assert!(sessions.put(vec![1], vec![7]));
        assert_eq!(sessions.get(&[1]), None);
        assert_eq!(sessions.take(&[1]), Some(vec![7]));
        assert_eq!(sessions.take(&[1]), None);
    }

    #[test]
    fn a_session_lives_no_longer_than_was_said() {
        for (age, expected) in [(9, true), (10, false), (11, false)] {
            let (sessions, clock) = sessions(10, 4);
            sessions.put(vec![1], vec![7]);
            clock.1.store(age, Ordering::Relaxed);
            assert_eq!(sessions.take(&[1]).is_some(), expected, "{age}");
        }
    }

    #[test]
    fn the_oldest_make_room() {
        let (sessions, clock) = sessions(10, 4);
        for key in 0..100 {
            sessions.put(vec![key], vec![key]);
            assert!(sessions.kept().sessions.len() <= 4 && sessions.kept().order.len() <= 4);
            // Whether or not it is used meanwhile.
            if key % 2 == 0 {
                sessions.take(&[key]);
            }
        }
        assert_eq!(sessions.take(&[95]), None);
        assert_eq!(sessions.take(&[99]), Some(vec![99]));
        clock.1.store(10, Ordering::Relaxed);
        sessions.put(vec![200], vec![]);
        assert_eq!(sessions.kept().sessions.len(), 1);
        assert_eq!(sessions.kept().order.len(), 1);
    }
}
