//! Key records in memory, as a whole application would share them.

use std::sync::{Arc, Mutex};

use bartizan_encrypt::{KeyChange, KeyRecord, KeyScope, KeyStore, StoreAnswer};

#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Arc<Mutex<Vec<KeyRecord>>>);

impl Memory {
    pub(crate) fn records(&self) -> Vec<KeyRecord> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn replace(&self, records: Vec<KeyRecord>) {
        *self.0.lock().unwrap() = records;
    }
}

impl KeyStore for Memory {
    fn read<'s>(&'s self, scope: Option<&'s KeyScope>) -> StoreAnswer<'s, Vec<KeyRecord>> {
        let mut records = self.records();
        records.retain(|record| scope.is_none_or(|scope| record.scope == *scope));
        Box::pin(std::future::ready(Ok(records)))
    }

    fn apply(&self, changes: Vec<KeyChange>) -> StoreAnswer<'_, bool> {
        let mut records = self.records();
        for KeyChange { before, after } in changes {
            match before {
                None => records.push(after),
                Some(before) => match records.iter_mut().find(|held| **held == before) {
                    Some(held) => *held = after,
                    None => return Box::pin(std::future::ready(Ok(false))),
                },
            }
        }
        self.replace(records);
        Box::pin(std::future::ready(Ok(true)))
    }
}
