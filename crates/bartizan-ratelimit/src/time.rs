//! Where limits read time from.

use std::sync::Arc;

use bartizan_core::{Clock, MonotonicTime};

use crate::ticks::Ticks;

/// A clock that counts from when it was made.
#[derive(Clone, Debug)]
pub(crate) enum TimeSource {
    Clock {
        clock: Arc<dyn Clock>,
        origin: MonotonicTime,
    },
    #[cfg(all(feature = "coarse-clock", target_os = "linux"))]
    Coarse { origin: Ticks },
}

impl TimeSource {
    pub(crate) fn of_clock(clock: Arc<dyn Clock>) -> Self {
        let origin = clock.monotonic();
        Self::Clock { clock, origin }
    }

    /// The kernel's coarse clock.
    #[cfg(all(feature = "coarse-clock", target_os = "linux"))]
    pub(crate) fn coarse() -> Self {
        Self::Coarse {
            origin: coarse_ticks(),
        }
    }

    pub(crate) fn now(&self) -> Ticks {
        match self {
            Self::Clock { clock, origin } => {
                Ticks::from_duration(clock.monotonic().saturating_since(*origin))
            }
            #[cfg(all(feature = "coarse-clock", target_os = "linux"))]
            Self::Coarse { origin } => coarse_ticks().saturating_sub(*origin),
        }
    }
}

#[cfg(all(feature = "coarse-clock", target_os = "linux"))]
fn coarse_ticks() -> Ticks {
    use rustix::time::{ClockId, clock_gettime};

    let time = clock_gettime(ClockId::MonotonicCoarse);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(time.tv_nsec).unwrap_or_default();
    Ticks::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}
