//! A store that can be made to fail, a keyring on it, and fields.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bartizan_encrypt::{
    Encrypted, Field, KeyBytes, KeyChange, KeyRecord, KeyScope, KeyStore, Keyring, KeyringBuilder,
    LocalKek, Place, Prepared, StoreAnswer, StoreError,
};
use bartizan_testkit::ManualClock;

#[derive(Debug)]
pub(crate) struct Ssn;
impl Field for Ssn {
    const COLLECTION: &'static str = "patient";
    const PATH: &'static str = "ssn";
}

#[derive(Debug)]
pub(crate) struct Phone;
impl Field for Phone {
    const COLLECTION: &'static str = "patient";
    const PATH: &'static str = "phone";
}

/// A table of keys, with a switch and a count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    records: Mutex<Vec<KeyRecord>>,
    down: AtomicBool,
    reads: AtomicUsize,
}

impl Table {
    pub(crate) fn set_down(&self, down: bool) {
        self.0.down.store(down, Ordering::SeqCst);
    }

    pub(crate) fn reads(&self) -> usize {
        self.0.reads.load(Ordering::SeqCst)
    }

    pub(crate) fn records(&self) -> Vec<KeyRecord> {
        self.0.records.lock().unwrap().clone()
    }

    pub(crate) fn replace(&self, records: Vec<KeyRecord>) {
        *self.0.records.lock().unwrap() = records;
    }

    fn is_down(&self) -> Result<(), StoreError> {
        match self.0.down.load(Ordering::SeqCst) {
            true => Err(StoreError::new("planned")),
            false => Ok(()),
        }
    }
}

impl KeyStore for Table {
    fn read<'s>(&'s self, scope: Option<&'s KeyScope>) -> StoreAnswer<'s, Vec<KeyRecord>> {
        Box::pin(async move {
            self.0.reads.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            self.is_down()?;
            let mut records = self.records();
            records.retain(|record| scope.is_none_or(|scope| record.scope == *scope));
            Ok(records)
        })
    }

    fn apply(&self, changes: Vec<KeyChange>) -> StoreAnswer<'_, bool> {
        Box::pin(async move {
            self.is_down()?;
            let mut records = self.records();
            for change in changes {
                match change.before {
                    Some(before) => match records.iter_mut().find(|held| **held == before) {
                        Some(held) => *held = change.after,
                        None => return Ok(false),
                    },
                    None => records.push(change.after),
                }
            }
            self.replace(records);
            Ok(true)
        })
    }
}

pub(crate) fn kek(byte: u8) -> LocalKek {
    LocalKek::new(&KeyBytes::from_slice(&[byte; 32]).unwrap())
}

pub(crate) struct Setup {
    pub(crate) table: Table,
    pub(crate) clock: ManualClock,
    pub(crate) keyring: Keyring,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(change: impl FnOnce(KeyringBuilder) -> KeyringBuilder) -> Self {
        let (table, clock) = (Table::default(), ManualClock::default());
        let builder = Keyring::builder("clinic", table.clone(), kek(1));
        let builder = builder.with_clock(Arc::new(clock.clone()));
        let keyring = change(builder).build().unwrap();
        Self {
            table,
            clock,
            keyring,
        }
    }

    /// Another instance of the same application.
    pub(crate) fn another(&self, kek: LocalKek) -> KeyringBuilder {
        let clock = Arc::new(self.clock.clone());
        Keyring::builder("clinic", self.table.clone(), kek).with_clock(clock)
    }

    pub(crate) async fn acme(&self) -> Prepared {
        self.keyring.prepare(&[acme()]).await.unwrap()
    }
}

pub(crate) fn acme() -> KeyScope {
    KeyScope::tenant("acme")
}

pub(crate) fn place() -> Place {
    Place::new("acme").unwrap().with_record("17").unwrap()
}

pub(crate) const NUMBER: &str = "078-05-1120";

pub(crate) fn sealed(prepared: &Prepared, place: &Place) -> Encrypted<String, Ssn> {
    prepared.seal(place, &NUMBER.to_owned()).unwrap()
}
