//! Records of the ledger about itself, and of what happens outside any request.

mod events;
mod network;
mod run;
mod upkeep;

pub use self::events::{LifecycleRecord, RefusalsRecord};
pub(crate) use self::network::read_network;
pub use self::run::{StartRecord, StopRecord, Totals};
pub use self::upkeep::{
    EpochRecord, ErasedRecord, FaultRecord, LossRecord, PrunedRecord, RecoveredRecord,
};
