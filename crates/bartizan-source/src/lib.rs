//! placeholder
#![cfg_attr(docsrs, feature(doc_cfg))]

mod atomic;
mod backoff;
mod error;
mod files;
#[cfg(feature = "https")]
mod https;
mod jitter;
mod published;
mod refresh;
mod report;
mod secret;
mod single_flight;
mod status;

pub use self::atomic::{FileMode, write_atomically};
pub use self::backoff::Backoff;
pub use self::error::{BoxError, ConfigError, SourceError, SourceErrorKind};
pub use self::files::{FileSet, FileSource, FileSourceBuilder, Refresh};
#[cfg(feature = "https")]
pub use self::https::{
    FetchError, FetchErrorKind, FetchRequest, Fetched, HttpsFetcher, HttpsFetcherBuilder, Roots,
};
pub use self::jitter::{random, spread};
pub use self::published::{Changes, Published, Publisher, Version};
pub use self::refresh::{Forced, RefreshAhead, RefreshAheadBuilder, Unavailable};
pub use self::secret::SecretBytes;
pub use self::single_flight::{FlightLost, SingleFlight};
pub use self::status::{Failure, Status};
