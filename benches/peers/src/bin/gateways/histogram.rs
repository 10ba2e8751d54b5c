//! How long requests took: counts in bins, each no wider than a 64th of what it stands for.

use std::time::Duration;

const BINS_PER_OCTAVE: u64 = 64;

/// Octaves of nanoseconds: the last bin is beyond an hour.
const OCTAVES: u64 = 42;

#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    bins: Vec<u64>,
    count: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self {
            bins: vec![0; (BINS_PER_OCTAVE * OCTAVES) as usize],
            count: 0,
        }
    }

    pub(crate) fn record(&mut self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bin = Self::bin(nanoseconds).min(self.bins.len() - 1);
        if let Some(count) = self.bins.get_mut(bin) {
            *count += 1;
        }
        self.count += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.bins.iter_mut().zip(&other.bins) {
            *mine += theirs;
        }
        self.count += other.count;
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// What no more than this share of all took, to a 64th.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let rank = (self.count as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (bin, count) in self.bins.iter().enumerate() {
            seen += count;
            if seen >= rank.max(1) {
                return Duration::from_nanos(Self::end(bin as u64));
            }
        }
        Duration::ZERO
    }

    /// Below 64 each number has a bin; above, its leading seven bits choose.
    fn bin(nanoseconds: u64) -> usize {
        let octave = (63 - (nanoseconds | 63).leading_zeros() as u64).saturating_sub(5);
        let within = match octave {
            0 => nanoseconds,
            _ => (nanoseconds >> (octave - 1)) - BINS_PER_OCTAVE,
        };
        (octave * BINS_PER_OCTAVE + within) as usize
    }

    /// The largest number in a bin.
    fn end(bin: u64) -> u64 {
        let (octave, within) = (bin / BINS_PER_OCTAVE, bin % BINS_PER_OCTAVE);
        match octave {
            0 => within,
            _ => ((within + BINS_PER_OCTAVE + 1) << (octave - 1)) - 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_lies_in_its_bin() {
        for nanoseconds in (0..20_000).chain((1..60).map(|shift| (1 << shift) - 1)) {
            let bin = Histogram::bin(nanoseconds) as u64;
            let end = Histogram::end(bin);
            assert!(
                nanoseconds <= end,
                "{nanoseconds} is in bin {bin}, which ends at {end}"
            );
            assert!(
                end - nanoseconds <= nanoseconds / 64,
                "bin {bin} is too wide for {nanoseconds}"
            );
            assert!(bin == 0 || Histogram::end(bin - 1) < nanoseconds);
        }
    }

    #[test]
    fn quantiles_count_from_below() {
        let mut histogram = Histogram::new();
        for nanoseconds in 1..=50 {
            histogram.record(Duration::from_nanos(nanoseconds));
        }
        assert_eq!(histogram.quantile(0.5), Duration::from_nanos(25));
        assert_eq!(histogram.quantile(0.99), Duration::from_nanos(50));
        assert_eq!(Histogram::new().quantile(0.5), Duration::ZERO);
    }
}
