//! Who is shut out for a while.

mod record;
mod share;
mod subject;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Clock, IpNetwork, SystemClock, TrustedProxies};

use self::record::Record;
use self::share::Share;
pub use self::subject::BanSubject;
use crate::error::ConfigError;
use crate::gcra::Gcra;
use crate::newcomers::Newcomers;
use crate::rate::Rate;
use crate::sync::{AtomicU64, AtomicUsize, Ordering, PoisonError, RwLock};
use crate::ticks::Ticks;
use crate::time::TimeSource;

/// How many bans there may be at once unless told otherwise.
const DEFAULT_CAPACITY: usize = 10_000;

/// The most bans that a table may be told to hold.
const MOST: usize = 1 << 24;

/// Those who are shut out for a while.
///
/// Any code may fill it: a detector, an operator's endpoint, a handler that caught somebody at
/// it. A [`BanLayer`](crate::BanLayer) looks at it before anything else. Cloning is one reference
/// count; clones share the bans.
///
/// | setting | default | reason |
/// |---|---|---|
/// | capacity | 10,000 | about a megabyte; when it is full, new bans are refused and none is freed |
/// | first ban | 1 min | long enough to end a script, short enough for an accident |
/// | longest ban | 24 h | each ban that follows soon on another lasts twice as long, up to this |
/// | share of traffic | all | a flood of the banned may be most of it; with a share, what is beyond passes |
/// | bans per minute | 100 | a detector that runs wild, or is being played, shuts out few |
///
/// ```
/// use bartizan_ratelimit::{BanSubject, Bans};
///
/// let bans = Bans::builder().add_exempt("10.0.0.0/8".parse()?).build()?;
/// let scanner = BanSubject::address("192.0.2.1".parse()?);
/// let length = bans.ban(&scanner)?;
/// assert_eq!(length.as_secs(), 60);
/// assert!(bans.remaining(&scanner).is_some());
/// assert!(bans.lift(&scanner));
/// assert!(bans.remaining(&scanner).is_none());
///
/// // A proxy of ours is never shut out.
/// assert!(bans.ban(&BanSubject::address("10.0.0.1".parse()?)).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Bans(Arc<State>);

struct State {
    records: RwLock<HashMap<BanSubject, Record>>,
    /// How many records there are, so that a table without any costs one load.
    count: AtomicUsize,
    refused: AtomicU64,
    capacity: usize,
    first: Ticks,
    longest: Ticks,
    exempt: Vec<IpNetwork>,
    pace: Newcomers,
    share: Option<Share>,
    time: TimeSource,
}

/// Describes [`Bans`]; made by [`Bans::builder`].
#[derive(Clone, Debug)]
#[must_use = "call build to get the table"]
pub struct BansBuilder {
    capacity: usize,
    first: Duration,
    longest: Duration,
    per_minute: u64,
    exempt: Vec<IpNetwork>,
    share: Option<u8>,
    clock: Arc<dyn Clock>,
}

/// Why somebody was not banned.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BanRefused {
    /// The address is on the list of those who are never banned.
    #[error("the address is exempt from bans")]
    Exempt,
    /// The table is full. No ban is ended early to make room.
    #[error("the table of bans is full")]
    Full,
    /// There were too many bans in the last minute.
    #[error("too many bans in the last minute")]
    TooMany,
}

impl Bans {
    /// Begins a table of bans.
    pub fn builder() -> BansBuilder {
        BansBuilder {
            capacity: DEFAULT_CAPACITY,
            first: Duration::from_secs(60),
            longest: Duration::from_secs(86_400),
            per_minute: 100,
            exempt: Vec::new(),
            share: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// Bans somebody, and says for how long: the first time as long as configured, and twice as
    /// long as the last time if that ended less than its own length ago. To ban somebody who is
    /// banned changes nothing.
    ///
    /// # Errors
    ///
    /// [`BanRefused`]
    pub fn ban(&self, subject: &BanSubject) -> Result<Duration, BanRefused> {
        let state = &*self.0;
        if state.is_exempt(subject) {
            return Err(BanRefused::Exempt);
        }
        let now = state.time.now();
        let mut records = state
            .records
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = records.get(subject)
            && let Some(remaining) = record.remaining(now)
        {
            return Ok(remaining.to_duration());
        }
        let length = match records.get(subject) {
            Some(record) => record.next_length(now, state.first, state.longest),
            None => state.first,
        };
        if !records.contains_key(subject) && records.len() >= state.capacity {
            records.retain(|_, record| record.is_remembered(now));
            if records.len() >= state.capacity {
                state.count.store(records.len(), Ordering::Release);
                return Err(BanRefused::Full);
            }
        }
        state.pace.admit(now).map_err(|_| BanRefused::TooMany)?;
        records.insert(subject.clone(), Record::new(now, length));
        state.count.store(records.len(), Ordering::Release);
        Ok(length.to_duration())
    }

    /// Ends a ban and forgets it, so that the next one is a first one. Says whether there was one.
    pub fn lift(&self, subject: &BanSubject) -> bool {
        let state = &*self.0;
        let now = state.time.now();
        let mut records = state
            .records
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let removed = records.remove(subject);
        state.count.store(records.len(), Ordering::Release);
        removed.is_some_and(|record| record.remaining(now).is_some())
    }

    /// For how long somebody is banned yet; `None` if he is not.
    pub fn remaining(&self, subject: &BanSubject) -> Option<Duration> {
        let state = &*self.0;
        if state.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let records = state.records.read().unwrap_or_else(PoisonError::into_inner);
        let remaining = records.get(subject)?.remaining(state.time.now())?;
        Some(remaining.to_duration())
    }

    /// Who is banned at present, and for how long yet; in no order. For operators, not for
    /// requests.
    pub fn list(&self) -> Vec<(BanSubject, Duration)> {
        let now = self.0.time.now();
        let records = self
            .0
            .records
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let banned = records.iter().filter_map(|(subject, record)| {
            let remaining = record.remaining(now)?.to_duration();
            Some((subject.clone(), remaining))
        });
        banned.collect()
    }

    /// How many are banned at present.
    pub fn len(&self) -> usize {
        let now = self.0.time.now();
        let records = self
            .0
            .records
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let banned = records.values().filter(|it| it.remaining(now).is_some());
        banned.count()
    }

    /// Whether nobody is banned at present.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many requests were refused for a ban so far.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// What becomes of a request. Whether it is of somebody banned is asked only while there are
    /// bans at all.
    pub(crate) fn judge(&self, is_banned: impl FnOnce() -> bool) -> Judgement {
        let state = &*self.0;
        let is_banned = state.count.load(Ordering::Acquire) > 0 && is_banned();
        let may_refuse = match &state.share {
            Some(share) => share.count(state.time.now(), is_banned),
            None => true,
        };
        match (is_banned, may_refuse) {
            (false, _) => Judgement::Pass,
            (true, false) => Judgement::Spare,
            (true, true) => {
                state.refused.fetch_add(1, Ordering::Relaxed);
                Judgement::Refuse
            }
        }
    }
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Judgement {
    /// Nobody of it is banned.
    Pass,
    /// It is of somebody who is banned.
    Refuse,
    /// It is of somebody who is banned, but too much is being refused already.
    Spare,
}

impl State {
    fn is_exempt(&self, subject: &BanSubject) -> bool {
        subject.network().is_some_and(|network| {
            // Whether either holds the other: nobody may ban a network with an exempt part.
            let overlaps = |exempt: &IpNetwork| {
                exempt.contains(network.base()) || network.contains(exempt.base())
            };
            self.exempt.iter().any(overlaps)
        })
    }
}

impl BansBuilder {
    /// Sets how many bans there may be at once, from 1 to 2²⁴.
    pub fn with_capacity(mut self, bans: usize) -> Self {
        self.capacity = bans;
        self
    }

    /// Sets how long a first ban lasts, and how long one may last at most.
    pub fn with_lengths(mut self, first: Duration, longest: Duration) -> Self {
        self.first = first;
        self.longest = longest;
        self
    }

    /// Sets how many bans there may be in a minute.
    pub fn with_bans_per_minute(mut self, bans: u64) -> Self {
        self.per_minute = bans;
        self
    }

    /// Adds a network that is never banned: your probes, your office, your proxies.
    pub fn add_exempt(mut self, network: IpNetwork) -> Self {
        self.exempt.push(network);
        self
    }

    /// Never bans a trusted proxy: that is to ban everybody behind it. A proxy stands for its
    /// client where it says nothing of him. Proxies that are trusted by their number are not
    /// known by address; name theirs with [`add_exempt`](Self::add_exempt).
    pub fn add_exempt_proxies(mut self, proxies: &TrustedProxies) -> Self {
        self.exempt.extend(proxies.trusted_networks());
        self
    }

    /// Refuses at most this share of the requests of a minute, in percent from 1 to 100. What is
    /// beyond passes, and is recorded as `would_have_denied`: a mistake that bans half of the
    /// world then stays half of a mistake, and so does the answer to a flood.
    pub fn with_largest_share(mut self, percent: u8) -> Self {
        self.share = Some(percent);
        self
    }

    /// Sets where time is read from.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Bans`] if there is room for none or too many, if a length is zero, the first
    /// longer than the longest, or the longest longer than a year, or if the share is no share; [`ConfigError::Rate`]
    /// for the number per minute.
    pub fn build(self) -> Result<Bans, ConfigError> {
        if !(1..=MOST).contains(&self.capacity) {
            return Err(ConfigError::Bans("capacity is not within 1 and 2^24"));
        }
        let year = Duration::from_secs(366 * 86_400);
        if self.first.is_zero() || self.first > self.longest || self.longest > year {
            return Err(ConfigError::Bans(
                "lengths are not 0 < first <= longest <= 366 days",
            ));
        }
        if self
            .share
            .is_some_and(|percent| !(1..=100).contains(&percent))
        {
            return Err(ConfigError::Bans("share is not within 1 and 100 percent"));
        }
        Ok(Bans(Arc::new(State {
            records: RwLock::new(HashMap::new()),
            count: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            capacity: self.capacity,
            first: Ticks::from_duration(self.first),
            longest: Ticks::from_duration(self.longest),
            exempt: self.exempt,
            pace: Newcomers::new(Gcra::new(Rate::per_minute(self.per_minute))?),
            share: self.share.map(Share::new),
            time: TimeSource::of_clock(self.clock),
        })))
    }
}

impl fmt::Debug for Bans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bans")
            .field("capacity", &self.0.capacity)
            .field("exempt", &self.0.exempt)
            .finish_non_exhaustive()
    }
}
