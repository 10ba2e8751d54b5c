//! All series of one metric, within a limit.

use crate::label::OTHER;
use crate::metric::Metric;
use crate::series::Series;

/// Room for what does not fit any more: as many as the fixed labels can combine to, and then some.
const SPILL: usize = 128;

/// The series of one metric. What does not fit is told by its fixed labels alone.
#[derive(Debug)]
pub(crate) struct Family<const N: usize, V> {
    metric: Metric,
    series: Series<N, V>,
    spill: Series<N, V>,
}

/// Where a value was put.
pub(crate) enum Place<'f, V> {
    /// Under its own labels.
    Own(&'f V),
    /// Under `other`.
    Folded(&'f V),
    /// Nowhere: not even the fixed labels fit.
    Nowhere,
}

impl<const N: usize, V> Family<N, V> {
    pub(crate) fn new(metric: Metric, limit: usize) -> Self {
        Self {
            metric,
            series: Series::new(limit),
            spill: Series::new(SPILL),
        }
    }

    /// The series with these label values, if it is there. Does not allocate.
    pub(crate) fn find(&self, values: [&str; N]) -> Option<&V> {
        self.series.find(values)
    }

    /// The series with these label values, or the one that they are folded into.
    pub(crate) fn place<'f>(
        &'f self,
        values: [&str; N],
        make: impl Fn(&Metric, [&str; N]) -> V,
    ) -> Place<'f, V> {
        let own = self
            .series
            .find_or_add(values, || make(&self.metric, values));
        if let Some(series) = own {
            return Place::Own(series);
        }
        let mut folded = values;
        for (value, label) in folded.iter_mut().zip(self.metric.labels) {
            if !is_fixed(label) {
                *value = OTHER;
            }
        }
        match self
            .spill
            .find_or_add(folded, || make(&self.metric, folded))
        {
            Some(series) => Place::Folded(series),
            None => Place::Nowhere,
        }
    }
}

/// The labels whose values a program fixes, so that they are told even where others are folded.
fn is_fixed(label: &str) -> bool {
    ["outcome", "mode", "protocol", "kind", "method"].contains(&label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::LIFECYCLE_EVENTS;

    #[test]
    fn what_does_not_fit_keeps_its_fixed_labels() {
        let family = Family::new(LIFECYCLE_EVENTS, 1);
        let place = |values: [&str; 3]| match family.place(values, |_, values| values.join(" ")) {
            Place::Own(series) => format!("own {series}"),
            Place::Folded(series) => format!("folded {series}"),
            Place::Nowhere => "nowhere".to_owned(),
        };
        assert_eq!(place(["jwt", "stopped", "a.b"]), "own jwt stopped a.b");
        assert_eq!(
            place(["jwt", "started", "a.c"]),
            "folded other started other"
        );
        assert_eq!(place(["jwt", "stopped", "a.b"]), "own jwt stopped a.b");
        for flood in 0..1000 {
            let kind = format!("kind{flood}");
            let placed = place(["jwt", &kind, "a.b"]);
            assert!(
                placed == "nowhere" || placed.starts_with("folded"),
                "{placed}"
            );
        }
    }
}
