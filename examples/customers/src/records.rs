//! What stands for the database.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

/// The stored documents, by customer. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Records(Arc<Mutex<BTreeMap<String, Value>>>);

impl Records {
    /// What is stored of a customer, as it is stored.
    pub fn get(&self, customer: &str) -> Option<Value> {
        self.locked().get(customer).cloned()
    }

    /// Stores this document of a customer.
    pub fn put(&self, customer: &str, document: Value) {
        self.locked().insert(customer.to_owned(), document);
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
