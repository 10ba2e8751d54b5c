//! What a store has to do.

use std::fmt;
#[cfg(feature = "redis")]
use std::hash::Hasher;
use std::pin::Pin;
use std::sync::Arc;

use crate::gcra::Gcra;
use crate::store::Source;
use crate::ticks::Ticks;

/// What a store answers, once it does.
pub(crate) type Answering<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// What a store has to do. It need not mind deadlines: whoever asks lets go of the future.
pub(crate) trait Keep: fmt::Debug + Send + Sync + 'static {
    /// Under which name its verdicts are recorded.
    fn source(&self) -> Source;

    /// Whether cells may be charged ahead, and spent here.
    fn can_lease(&self) -> bool;

    /// What the store calls the subject with these facts.
    fn subject(&self, facts: &dyn Facts) -> Subject;

    /// Charges all policies of a subject, or none. Sent once: what went unanswered may have been
    /// charged.
    fn charge<'a>(&'a self, ask: &'a Ask) -> Answering<'a, Answer>;

    /// Gives back, or charges afterwards.
    fn settle<'a>(&'a self, settlement: &'a Settle) -> Answering<'a, ()>;

    /// Whether the store answers again.
    fn probe(&self) -> Answering<'_, ()>;
}

/// What requests are counted by, as a store may want it.
pub(crate) trait Facts {
    /// What kind of key it is; the same in the whole fleet.
    #[cfg(feature = "redis")]
    fn kind(&self) -> String;

    /// Writes the key, the same in the whole fleet.
    #[cfg(feature = "redis")]
    fn write(&self, hasher: &mut dyn Hasher);

    /// The key in words: names and values.
    #[cfg(feature = "envoy")]
    fn entries(&self) -> Vec<(String, String)>;
}

/// What a store calls a subject.
#[derive(Clone, Eq, PartialEq)]
pub(crate) enum Subject {
    /// By a keyed hash.
    #[cfg(feature = "redis")]
    Hidden(Arc<str>),
    /// By names and values.
    #[cfg(feature = "envoy")]
    Plain(Arc<[(String, String)]>),
}

/// A request to charge.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) subject: Subject,
    pub(crate) charges: Vec<Charge>,
    /// How many cells, largest first; the first size that all policies have is charged.
    pub(crate) sizes: Vec<u64>,
    /// For how long what is granted may be kept.
    pub(crate) hold: Ticks,
}

/// One policy of a subject.
#[derive(Clone, Debug)]
pub(crate) struct Charge {
    /// Which one.
    pub(crate) policy: usize,
    pub(crate) name: Arc<str>,
    pub(crate) gcra: Gcra,
    /// Whether it may fail by itself: it watches, and refuses nobody.
    pub(crate) may_fail: bool,
}

/// What a store says.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// How many cells were charged, if any.
    pub(crate) granted: Option<u64>,
    /// How things stand, policy by policy as they were asked.
    pub(crate) standings: Vec<Standing>,
}

/// How a subject stands with one policy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// For how long no cell would be due.
    pub(crate) debt: Ticks,
    pub(crate) charged: bool,
    pub(crate) receipt: RemoteReceipt,
}

/// Proof of a charge, in the store's own time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct RemoteReceipt {
    /// What is due then: microseconds, and parts of one.
    pub(crate) after: (i64, i64),
    /// When the store's value was made.
    pub(crate) made: i64,
    /// How many microseconds had been given back since.
    pub(crate) returned: i64,
}

/// What becomes of a charge.
#[derive(Debug)]
pub(crate) struct Settle {
    pub(crate) subject: Subject,
    pub(crate) charges: Vec<(Charge, RemoteReceipt)>,
    pub(crate) cells: u64,
    pub(crate) way: Way,
}

/// Which way cells go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    /// They are given back.
    Back,
    /// They are charged, whether they are there or not.
    Owed,
}

/// Why a store gave no verdict.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// There is no connection.
    #[error("not connected: {0}")]
    Disconnected(Arc<str>),
    /// It answered something else than a verdict.
    #[error("the store refused: {0}")]
    Refused(Arc<str>),
    /// It answered too late, or not at all.
    #[error("no answer within the deadline")]
    Silent,
    /// It does not take this request; others it does.
    #[cfg(feature = "envoy")]
    #[error("the store does not take the request")]
    Unfit,
}

impl StoreError {
    /// Whether it speaks against the store.
    pub(crate) fn is_failure(&self) -> bool {
        match self {
            Self::Disconnected(_) | Self::Refused(_) | Self::Silent => true,
            #[cfg(feature = "envoy")]
            Self::Unfit => false,
        }
    }
}

impl Subject {
    /// Its keyed hash, if it has one.
    #[cfg(feature = "redis")]
    pub(crate) fn hidden(&self) -> Option<&str> {
        match self {
            Self::Hidden(hidden) => Some(hidden),
            #[cfg(feature = "envoy")]
            Self::Plain(_) => None,
        }
    }

    /// Its names and values, if it has any.
    #[cfg(feature = "envoy")]
    pub(crate) fn plain(&self) -> Option<&[(String, String)]> {
        match self {
            #[cfg(feature = "redis")]
            Self::Hidden(_) => None,
            Self::Plain(entries) => Some(entries),
        }
    }
}

impl fmt::Debug for Subject {
    /// Without who it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subject")
    }
}
