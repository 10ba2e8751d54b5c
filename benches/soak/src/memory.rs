//! Memory and descriptors of a process over time, and whether they stay what they are.

use std::path::PathBuf;

/// What may be added to memory that is flat, in bytes: pages that an allocator keeps.
const SLACK: u64 = 4 << 20;

/// How many descriptors may be added.
const SLACK_DESCRIPTORS: u64 = 64;

/// One look at a process.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
pub(crate) struct Sample {
    /// When, in seconds since the beginning.
    pub(crate) second: u64,
    /// Resident memory, in bytes.
    pub(crate) resident: u64,
    /// Open file descriptors.
    pub(crate) descriptors: u64,
}

/// What resident memory was in one minute, in bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
pub(crate) struct Minute {
    /// Which minute, from 0.
    pub(crate) minute: u64,
    /// The least.
    pub(crate) min: u64,
    /// The median.
    pub(crate) median: u64,
    /// The most.
    pub(crate) max: u64,
}

/// Whether something stayed flat once it was warm.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
pub(crate) struct Flatness {
    /// The median of the first third after the warm-up.
    pub(crate) first: u64,
    /// The median of the last third.
    pub(crate) last: u64,
    /// What that may be at most.
    pub(crate) bound: u64,
}

impl Flatness {
    /// How resident memory went: a tenth and 4 MiB may be added.
    pub(crate) fn of_memory(samples: &[Sample], warm_up: u64) -> Option<Self> {
        Self::of(
            samples,
            warm_up,
            |it| it.resident,
            |first| first / 10 + SLACK,
        )
    }

    /// How descriptors went: 64 may be added.
    pub(crate) fn of_descriptors(samples: &[Sample], warm_up: u64) -> Option<Self> {
        Self::of(samples, warm_up, |it| it.descriptors, |_| SLACK_DESCRIPTORS)
    }

    /// Whether it did.
    pub(crate) fn holds(&self) -> bool {
        self.last <= self.bound
    }

    fn of(
        samples: &[Sample],
        warm_up: u64,
        what: fn(&Sample) -> u64,
        room: fn(u64) -> u64,
    ) -> Option<Self> {
        let warm: Vec<_> = samples.iter().filter(|it| it.second >= warm_up).collect();
        let third = warm.len() / 3;
        let median_of =
            |part: Option<&[&Sample]>| median(part?.iter().map(|sample| what(sample)).collect());
        let first = median_of(warm.get(..third))?;
        let last = median_of(warm.get(warm.len() - third..))?;
        Some(Self {
            first,
            last,
            bound: first + room(first),
        })
    }
}

/// Resident memory by minute.
pub(crate) fn minutes(samples: &[Sample]) -> Vec<Minute> {
    let of = |chunk: &[Sample]| {
        let resident: Vec<u64> = chunk.iter().map(|it| it.resident).collect();
        Some(Minute {
            minute: chunk.first()?.second / 60,
            min: resident.iter().copied().min()?,
            max: resident.iter().copied().max()?,
            median: median(resident)?,
        })
    };
    let by_minute = samples.chunk_by(|one, other| one.second / 60 == other.second / 60);
    by_minute.filter_map(of).collect()
}

/// Looks at a process.
///
/// # Errors
///
/// If it is not there any more.
pub(crate) fn look(process: u32, second: u64) -> anyhow::Result<Sample> {
    let folder = PathBuf::from(format!("/proc/{process}"));
    let status = std::fs::read_to_string(folder.join("status"))?;
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|it| it.trim().strip_suffix("kB"));
    let kilobytes: u64 = kilobytes.unwrap_or("0").trim().parse()?;
    Ok(Sample {
        second,
        resident: kilobytes * 1024,
        descriptors: std::fs::read_dir(folder.join("fd"))?.count() as u64,
    })
}

fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn samples(resident: impl Fn(u64) -> u64) -> Vec<Sample> {
        let sample = |second| Sample {
            second,
            resident: resident(second),
            descriptors: 10,
        };
        (0..120).map(sample).collect()
    }

    fn is_flat(resident: impl Fn(u64) -> u64) -> bool {
        Flatness::of_memory(&samples(resident), 30).unwrap().holds()
    }

    #[test]
    fn a_leak_is_told_from_warming_up_and_from_noise() {
        assert!(is_flat(|_| 100 * MIB));
        assert!(is_flat(|second| (60 + second.min(29)) * MIB));
        assert!(is_flat(|second| (100 + second % 20) * MIB));
        assert!(!is_flat(|second| (60 + second) * MIB));
    }

    #[test]
    fn a_soak_that_is_too_short_says_nothing() {
        assert_eq!(Flatness::of_memory(&samples(|_| MIB)[..32], 30), None);
        assert!(Flatness::of_descriptors(&samples(|_| MIB), 30).is_some());
    }

    #[test]
    fn minutes_have_their_least_and_most() {
        let minutes = minutes(&samples(|second| second));
        assert_eq!(minutes.len(), 2);
        let last = minutes[1];
        assert_eq!((last.min, last.median, last.max), (60, 90, 119));
    }
}
