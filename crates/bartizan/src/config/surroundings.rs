//! What layers are given beside what the file says.

use std::path::Path;
use std::sync::Arc;

use bartizan_core::{Clock, Event, Observe, SystemClock};
use zeroize::Zeroizing;

use crate::config::secret::read_file;

/// What layers are given beside what the file says.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observers: Vec<Arc<dyn Observe>>,
    #[cfg(feature = "otel")]
    pub(crate) handed: crate::config::spans::Handed,
    /// Nothing is kept: layers are built to see whether they can be, and take no memory.
    pub(crate) dry: bool,
    /// No file is read, and what would be in it is missing: for texts of strangers.
    pub(crate) fileless: bool,
}

/// The largest file of certificates, rules or keys, in bytes.
const LARGEST: usize = 4 * 1024 * 1024;

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            observers: Vec::new(),
            #[cfg(feature = "otel")]
            handed: Default::default(),
            dry: false,
            fileless: false,
        }
    }
}

impl Surroundings {
    /// The same, for seeing whether layers can be built.
    pub(crate) fn dry(&self) -> Self {
        Self {
            clock: Arc::clone(&self.clock),
            observers: Vec::new(),
            #[cfg(feature = "otel")]
            handed: Default::default(),
            dry: true,
            fileless: self.fileless,
        }
    }

    /// A file that the configuration names.
    pub(crate) fn read(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
        if self.fileless {
            return Err(format!("{} is not read", path.display()));
        }
        read_file(path, LARGEST)
    }

    /// Whom layers tell, if anybody.
    pub(crate) fn observer(&self) -> Option<Arc<dyn Observe>> {
        match self.observers.as_slice() {
            [] => None,
            [one] => Some(Arc::clone(one)),
            several => Some(Arc::new(Everybody(several.into()))),
        }
    }

    pub(crate) fn tell(&self, event: &Event<'_>) {
        for observer in &self.observers {
            observer.observe(event);
        }
    }
}

/// Several observers as one.
#[derive(Debug)]
struct Everybody(Box<[Arc<dyn Observe>]>);

impl Observe for Everybody {
    fn observe(&self, event: &Event<'_>) {
        for observer in &self.0 {
            observer.observe(event);
        }
    }
}
