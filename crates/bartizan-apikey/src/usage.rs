//! When keys were last used: noted coarsely, told behind the requests' backs.

mod sink;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bartizan_core::{Code, Event, LifecycleEvent, LifecycleKind, Observe, WallTime};
use tokio::time::sleep;

use crate::format::KeyId;
use crate::record::KeyRecord;
use crate::source::KeyUse;

pub(crate) use self::sink::Sink;
pub use self::sink::UsesFile;

/// When keys were used could not be told to the store.
const USE_NOT_STORED: Code = Code::new("apikey.use_not_stored");

/// How exactly uses are noted, in seconds: a key that is used all the time costs its store one
/// write a minute, and its service one store to memory.
const COARSE: u64 = 60;

/// When one key was last used.
#[derive(Debug, Default)]
pub(crate) struct Use {
    /// In seconds since 1970, rounded down to [`COARSE`].
    noted: AtomicU64,
    stored: AtomicU64,
}

/// The uses of all keys. There is one for each key of the present table, and none for others.
#[derive(Debug, Default)]
pub(crate) struct Uses(Mutex<HashMap<KeyId, Arc<Use>>>);

impl Use {
    /// Notes a use. On the request path: mostly one load.
    pub(crate) fn note(&self, now: WallTime) {
        let seconds = now.unix_seconds();
        let coarse = seconds - seconds % COARSE;
        if self.noted.load(Ordering::Relaxed) < coarse {
            self.noted.fetch_max(coarse, Ordering::Relaxed);
        }
    }

    pub(crate) fn last(&self) -> Option<WallTime> {
        match self.noted.load(Ordering::Relaxed) {
            0 => None,
            seconds => Some(WallTime::from_unix_seconds(seconds)),
        }
    }
}

impl Uses {
    /// The uses of the keys of a new table, in its order: those of keys that were there before go
    /// on, those of keys that are gone are forgotten.
    pub(crate) fn of(&self, records: &[KeyRecord]) -> Vec<Arc<Use>> {
        let mut uses = self.lock();
        let mut before = std::mem::take(&mut *uses);
        let of = |record: &KeyRecord| {
            let used = before.remove(&record.id).unwrap_or_default();
            if let Some(stored) = record.last_used {
                used.noted
                    .fetch_max(stored.unix_seconds(), Ordering::Relaxed);
                used.stored
                    .fetch_max(stored.unix_seconds(), Ordering::Relaxed);
            }
            uses.insert(record.id, Arc::clone(&used));
            used
        };
        records.iter().map(of).collect()
    }

    /// What the store has not been told yet.
    pub(crate) fn untold(&self) -> Vec<KeyUse> {
        let uses = self.lock();
        let untold = uses.iter().filter_map(|(id, used)| {
            let at = used.noted.load(Ordering::Relaxed);
            (at > used.stored.load(Ordering::Relaxed)).then(|| KeyUse {
                id: *id,
                at: WallTime::from_unix_seconds(at),
            })
        });
        untold.collect()
    }

    pub(crate) fn knows(&self, id: KeyId) -> bool {
        self.lock().contains_key(&id)
    }

    fn stored(&self, told: &[KeyUse]) {
        let uses = self.lock();
        for KeyUse { id, at } in told {
            if let Some(used) = uses.get(id) {
                used.stored.fetch_max(at.unix_seconds(), Ordering::Relaxed);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<KeyId, Arc<Use>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the store of uses, again and again, until nobody uses the keys any more. What cannot be
/// told is told the next time.
pub(crate) async fn write_behind(
    uses: Weak<Uses>,
    sink: Sink,
    interval: Duration,
    observer: Option<Arc<dyn Observe>>,
    issuer: Arc<str>,
) {
    loop {
        sleep(interval).await;
        let Some(uses) = uses.upgrade() else {
            return;
        };
        let untold = uses.untold();
        if untold.is_empty() {
            continue;
        }
        match sink.record(&untold, &uses).await {
            Ok(()) => uses.stored(&untold),
            Err(error) => {
                if let Some(observer) = &observer {
                    let kind = LifecycleKind::SourceFailed;
                    let event = LifecycleEvent::new("apikey", kind, USE_NOT_STORED);
                    let event = event.with_subject(&issuer).with_detail(&error);
                    observer.observe(&Event::Lifecycle(event));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{KeyFormat, NewKey};
    use crate::hash::Peppers;

    fn records(count: usize) -> Vec<KeyRecord> {
        let now = WallTime::from_unix_seconds(1_800_000_000);
        let record = |_| {
            let key = NewKey::generate(&KeyFormat::live()).unwrap();
            let record = KeyRecord::builder(&key, &Peppers::none(), "a", now);
            record.build().unwrap()
        };
        (0..count).map(record).collect()
    }

    fn at(seconds: u64) -> WallTime {
        WallTime::from_unix_seconds(1_800_000_000 + seconds)
    }

    #[test]
    fn uses_are_noted_by_the_minute_and_told_once() {
        let (uses, records) = (Uses::default(), records(2));
        let cells = uses.of(&records);
        assert!(uses.untold().is_empty());
        cells[0].note(at(59));
        let untold = uses.untold();
        assert_eq!(
            untold,
            [KeyUse {
                id: records[0].id,
                at: at(0)
            }]
        );
        uses.stored(&untold);
        cells[0].note(at(30));
        assert!(uses.untold().is_empty());
        cells[0].note(at(60));
        cells[0].note(at(0));
        assert_eq!(
            uses.untold(),
            [KeyUse {
                id: records[0].id,
                at: at(60)
            }]
        );
        assert_eq!(cells[0].last(), Some(at(60)));
        assert_eq!(cells[1].last(), None);
    }

    #[test]
    fn a_new_table_keeps_the_uses_of_its_keys_and_no_others() {
        let (uses, mut records) = (Uses::default(), records(3));
        for used in uses.of(&records) {
            used.note(at(0));
        }
        let gone = records.remove(0);
        let cells = uses.of(&records);
        assert_eq!(cells[0].last(), Some(at(0)));
        assert_eq!(uses.untold().len(), 2);
        assert!(uses.untold().iter().all(|it| it.id != gone.id));
        records[0].last_used = Some(at(600));
        assert_eq!(uses.of(&records)[0].last(), Some(at(600)));
        assert_eq!(uses.untold().len(), 1, "the store knows better");
    }
}
