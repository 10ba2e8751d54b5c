//! What comes of a request.

use std::time::Duration;

use crate::table::{Receipt, Refused};
use crate::ticks::Ticks;

/// Whether a key may go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "a verdict that nobody looks at limits nothing"]
#[expect(clippy::exhaustive_enums, reason = "there is no third")]
pub enum Verdict {
    /// It may, and was charged.
    Allowed,
    /// It may not, and was not charged.
    Denied(Denial),
}

/// Which policy refused a key, and for how long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Denial {
    policy: usize,
    crowded: bool,
    wait: Option<Duration>,
}

impl Verdict {
    /// Whether the key may go on.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed)
    }
}

impl Denial {
    pub(crate) fn new(policy: usize, refused: Refused) -> Self {
        let (crowded, wait) = match refused {
            Refused::Spent { denied, .. } => (false, denied.wait()),
            Refused::Crowded { wait } => (true, Some(wait)),
        };
        Self {
            policy,
            crowded,
            wait,
        }
    }

    /// A refusal that a store has the last word on; it may be tried again at once.
    #[cfg(any(feature = "envoy", feature = "redis"))]
    pub(crate) fn by_store(policy: usize) -> Self {
        Self {
            policy,
            crowded: false,
            wait: Some(Duration::ZERO),
        }
    }

    /// The policy that refused, as a number in the order they were added.
    pub fn policy(&self) -> usize {
        self.policy
    }

    /// Whether it was for want of room, and not for what the key has spent.
    pub fn is_for_want_of_room(&self) -> bool {
        self.crowded
    }

    /// After how long all policies would admit the same request, if nothing else happens; `None`
    /// if it costs more than a full burst, and never will be.
    pub fn wait(&self) -> Option<Duration> {
        self.wait
    }

    /// Makes the wait long enough for another policy too.
    pub(crate) fn extend(&mut self, other: Option<Duration>) {
        self.wait = self.wait.zip(other).map(|(mine, other)| mine.max(other));
    }
}

/// What came of a request with one policy. Sixteen bytes, since every request has eight of them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    /// It does not apply to the request.
    Absent,
    /// It has charged the request, and gave this receipt.
    Charged { after: Ticks, returned: u16 },
    /// It, or another before it, has refused the request.
    Refused { due: Ticks },
}

const _: () = assert!(size_of::<Outcome>() == 16);

impl Outcome {
    pub(crate) fn of_charge(charge: &Result<Receipt, Refused>) -> Self {
        match *charge {
            Ok(Receipt { after, returned }) => Self::Charged { after, returned },
            Err(Refused::Spent { due, .. }) => Self::Refused { due },
            Err(Refused::Crowded { .. }) => Self::Refused { due: Ticks::ZERO },
        }
    }

    pub(crate) fn is_absent(self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The receipt, if the request was charged.
    pub(crate) fn receipt(self) -> Option<Receipt> {
        match self {
            Self::Charged { after, returned } => Some(Receipt { after, returned }),
            _ => None,
        }
    }

    /// What is due after what came of the request.
    pub(crate) fn due(self) -> Ticks {
        match self {
            Self::Absent => Ticks::ZERO,
            Self::Charged { after: due, .. } | Self::Refused { due } => due,
        }
    }
}

/// What came of a request, policy by policy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    outcomes: [Outcome; Self::MOST],
}

impl Report {
    /// The most policies that one limiter may have.
    pub(crate) const MOST: usize = 8;

    pub(crate) fn new() -> Self {
        Self {
            outcomes: [Outcome::Absent; Self::MOST],
        }
    }

    pub(crate) fn set(&mut self, policy: usize, outcome: Outcome) {
        if let Some(place) = self.outcomes.get_mut(policy) {
            *place = outcome;
        }
    }

    pub(crate) fn of(&self, policy: usize) -> Outcome {
        self.outcomes
            .get(policy)
            .copied()
            .unwrap_or(Outcome::Absent)
    }
}

/// Which policies apply to a request, as bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Applicable(u8);

impl Applicable {
    pub(crate) const ALL: Self = Self(u8::MAX);
    pub(crate) const NONE: Self = Self(0);

    pub(crate) fn add(&mut self, policy: usize) {
        self.0 |= Self::bit(policy);
    }

    pub(crate) fn has(self, policy: usize) -> bool {
        self.0 & Self::bit(policy) != 0
    }

    #[cfg(any(feature = "envoy", feature = "redis"))]
    pub(crate) fn bits(self) -> u8 {
        self.0
    }

    #[cfg(any(feature = "envoy", feature = "redis"))]
    pub(crate) fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    fn bit(policy: usize) -> u8 {
        u32::try_from(policy)
            .ok()
            .and_then(|place| 1_u8.checked_shl(place))
            .unwrap_or(0)
    }
}
