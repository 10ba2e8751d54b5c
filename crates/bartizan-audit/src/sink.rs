//! Brings a ledger to where people look for it: sinks, and what runs them beside a service.

#[cfg(any(feature = "nats", feature = "syslog"))]
mod address;
mod blocking;
mod config;
mod delivery;
mod error;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(feature = "postgres")]
mod postgres;
mod run;
mod status;
#[cfg(any(feature = "otlp", feature = "postgres", feature = "syslog"))]
mod summary;
#[cfg(feature = "syslog")]
mod syslog;
#[cfg(any(
    feature = "nats",
    feature = "otlp",
    feature = "postgres",
    feature = "syslog"
))]
mod tls;

use std::pin::Pin;

use crate::read::StoredEntry;

pub use self::blocking::Blocking;
pub use self::config::DeliveryBuilder;
pub use self::delivery::Delivery;
pub use self::error::{SinkConfigError, SinkError, SinkErrorKind};
#[cfg(feature = "fuzzing")]
pub(crate) use self::nats::{Line, acknowledged};
#[cfg(feature = "nats")]
pub use self::nats::{NatsSink, NatsSinkBuilder};
#[cfg(feature = "fuzzing")]
pub(crate) use self::otlp::accepted;
#[cfg(feature = "otlp")]
pub use self::otlp::{OtlpSink, OtlpSinkBuilder};
#[cfg(feature = "postgres")]
pub use self::postgres::{PostgresSink, PostgresSinkBuilder};
pub use self::status::{DeliveryFailure, DeliveryState, DeliveryStatus};
#[cfg(feature = "syslog")]
pub use self::syslog::{SyslogSink, SyslogSinkBuilder};

/// Where entries go, when getting them there means to wait for somebody else.
///
/// `Ok` says that the sink has them for good, as far as its protocol can tell: they are not
/// offered again. After an error, after a deadline and after a crash in between, the same entries
/// are offered again: delivery is at least once, and a sink that can tell takes each once.
///
/// The future may be dropped at any point; what was under way is offered again then. One that
/// blocks the thread instead of waiting goes into [`Blocking`].
///
/// A closure of the same argument is one.
pub trait Sink: Send + 'static {
    /// Takes some entries, in order and without a gap behind those before, except for entries
    /// that were pruned.
    ///
    /// # Errors
    ///
    /// If the sink does not have all of them for good.
    fn deliver<'s>(&'s mut self, batch: Batch<'s>) -> SinkAnswer<'s>;
}

/// What a [`Sink`] says.
pub type SinkAnswer<'s> = Pin<Box<dyn Future<Output = Result<Accepted, SinkError>> + Send + 's>>;

impl<F> Sink for F
where
    F: for<'s> FnMut(Batch<'s>) -> SinkAnswer<'s> + Send + 'static,
{
    fn deliver<'s>(&'s mut self, batch: Batch<'s>) -> SinkAnswer<'s> {
        self(batch)
    }
}

/// Some entries of a log.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Batch<'a> {
    /// The name of the log.
    pub origin: &'a str,
    /// At least one entry, in order.
    pub entries: &'a [StoredEntry],
}

impl<'a> Batch<'a> {
    /// Entries of the log with this origin.
    #[must_use]
    pub fn new(origin: &'a str, entries: &'a [StoredEntry]) -> Self {
        Self { origin, entries }
    }
}

/// What became of entries that need not be offered again.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Accepted {
    /// How many of them the other side refuses to have, now and later, or cannot have whole.
    pub rejected: u64,
    /// What it says, of that or else.
    pub remark: Option<String>,
}

impl Accepted {
    /// The other side has all of them.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// The other side has all but so many, and says why.
    #[must_use]
    pub fn all_but(rejected: u64, remark: &str) -> Self {
        Self {
            rejected,
            remark: Some(error::readable(remark)),
        }
    }
}
