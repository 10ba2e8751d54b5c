//! A named limit.

use std::fmt;

use crate::error::ConfigError;
use crate::field;
use crate::rate::Rate;

/// How many keys a policy remembers unless told otherwise: a little over one mebibyte.
const DEFAULT_KEYS: usize = 1 << 16;

/// The most keys that a policy may be told to remember: some 73 GiB.
const MOST_KEYS: usize = 1 << 32;

/// A named limit, and how many keys it remembers at once.
///
/// The name appears in the `RateLimit` fields that clients see, in decisions and in metrics; it
/// holds 1 to 64 visible ASCII characters or spaces.
///
/// Each policy has its own memory: 18.3 bytes for each key, taken at build and never more. With
/// twice as many slots as there are callers at the same time, less than one in 10,000 new callers
/// has to push another out. The default, 65,536 keys, takes 1.2 MB.
///
/// ```
/// use bartizan_ratelimit::{Policy, Rate};
///
/// let burst = Policy::new("burst", Rate::per_second(10).with_burst(20));
/// let daily = Policy::new("daily", Rate::per_day(10_000)).with_keys(1_000_000);
/// assert_eq!(daily.to_string(), r#""daily";q=10000;w=86400"#);
/// # let _ = burst;
/// ```
#[derive(Clone, Debug)]
#[must_use = "a policy limits nothing until it is given to a limiter"]
pub struct Policy {
    name: String,
    rate: Rate,
    keys: usize,
    newcomers: Option<Rate>,
    shadow: bool,
    #[cfg(any(feature = "envoy", feature = "redis"))]
    fallback: crate::store::Fallback,
}

impl Policy {
    /// A limit of this name.
    pub fn new(name: impl Into<String>, rate: Rate) -> Self {
        Self {
            name: name.into(),
            rate,
            keys: DEFAULT_KEYS,
            newcomers: None,
            shadow: false,
            #[cfg(any(feature = "envoy", feature = "redis"))]
            fallback: crate::store::Fallback::default(),
        }
    }

    /// Sets how many keys are remembered at once, from 1 to 2³².
    pub fn with_keys(mut self, keys: usize) -> Self {
        self.keys = keys;
        self
    }

    /// Limits how many new keys are taken in while the memory is full of keys that have spent
    /// something. Those beyond are refused with `ratelimit.crowded`.
    ///
    /// Without it (the default) the key with the least debt makes room. That frees no offender,
    /// but one who comes back no sooner than the whole memory has been turned over, and a limit
    /// here holds him too, at the price of refusing strangers while the flood lasts.
    pub fn with_newcomers(mut self, rate: Rate) -> Self {
        self.newcomers = Some(rate);
        self
    }

    /// Counts and records, and refuses nobody: for trying a limit out beside others that hold.
    pub fn in_shadow(mut self) -> Self {
        self.shadow = true;
        self
    }

    /// Sets what holds while the store that shares this policy does not answer; for policies of a
    /// single instance it means nothing.
    #[cfg(any(feature = "envoy", feature = "redis"))]
    pub fn with_fallback(mut self, fallback: crate::store::Fallback) -> Self {
        self.fallback = fallback;
        self
    }

    #[cfg(any(feature = "envoy", feature = "redis"))]
    pub(crate) fn fallback(&self) -> crate::store::Fallback {
        self.fallback
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The limit.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Whether it only records.
    pub fn is_shadow(&self) -> bool {
        self.shadow
    }

    pub(crate) fn keys(&self) -> Result<usize, ConfigError> {
        match self.keys {
            1..=MOST_KEYS => Ok(self.keys),
            keys => Err(ConfigError::Keys {
                policy: self.name.clone(),
                keys,
            }),
        }
    }

    pub(crate) fn newcomers(&self) -> Option<Rate> {
        self.newcomers
    }

    pub(crate) fn set_rate(&mut self, rate: Rate) {
        self.rate = rate;
    }

    /// Checks what `new` could not.
    pub(crate) fn check_name(&self) -> Result<(), ConfigError> {
        match field::is_string(&self.name) && (1..=64).contains(&self.name.len()) {
            true => Ok(()),
            false => Err(ConfigError::Name(self.name.clone())),
        }
    }
}

/// As one item of the `RateLimit-Policy` field: `"burst";q=10;w=1`.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        field::write_policy(&mut text, &self.name, self.rate);
        f.write_str(&text)
    }
}
