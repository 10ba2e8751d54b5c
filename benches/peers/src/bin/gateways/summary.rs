//! What the turns came to.

use crate::measure::{Case, Sample};
use crate::options::Participant;

/// The median over all turns of what is compared turn by turn.
pub(crate) struct Summary<'s> {
    samples: &'s [Sample],
}

/// A figure, with the least and the most of all turns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl<'s> Summary<'s> {
    pub(crate) fn new(samples: &'s [Sample]) -> Self {
        Self { samples }
    }

    pub(crate) fn has(&self, case: Case, participant: Participant) -> bool {
        self.turns(case, participant).next().is_some()
    }

    /// One figure of one participant.
    pub(crate) fn of(
        &self,
        case: Case,
        participant: Participant,
        figure: impl Fn(&Sample) -> f64,
    ) -> Option<Figure> {
        Figure::of(self.turns(case, participant).map(figure).collect())
    }

    /// One figure of two participants, compared within each turn.
    pub(crate) fn between(
        &self,
        case: Case,
        (one, other): (Participant, Participant),
        compare: impl Fn(&Sample, &Sample) -> f64,
    ) -> Option<Figure> {
        let pairs = self.turns(case, one).filter_map(|mine| {
            let mut theirs = self.turns(case, other);
            let theirs = theirs.find(|it| it.round == mine.round)?;
            Some(compare(mine, theirs))
        });
        Figure::of(pairs.collect())
    }

    /// Processor time per request beyond that of the bare service in plaintext, in microseconds.
    pub(crate) fn added(&self, case: Case, participant: Participant) -> Option<Figure> {
        self.between(case, (participant, Participant::Bare), |mine, bare| {
            microseconds(mine.whole) - microseconds(bare.whole)
        })
    }

    /// How many times as much processor time `other` adds as `one`, within each turn.
    pub(crate) fn times_added(
        &self,
        case: Case,
        one: Participant,
        other: Participant,
    ) -> Option<Figure> {
        let bare: Vec<_> = self.turns(case, Participant::Bare).collect();
        self.between(case, (other, one), |theirs, mine| {
            let bare = bare.iter().find(|it| it.round == mine.round);
            let bare = bare.map_or(f64::NAN, |it| microseconds(it.whole));
            (microseconds(theirs.whole) - bare) / (microseconds(mine.whole) - bare)
        })
    }

    /// How many requests a participant answered in all cases, and how many of them its log lacks.
    pub(crate) fn logged(&self, participant: Participant) -> (u64, u64) {
        let its = self
            .samples
            .iter()
            .filter(|it| it.participant == participant);
        its.fold((0, 0), |(answered, missing), it| {
            (answered + it.answered, missing + it.missing)
        })
    }

    fn turns(&self, case: Case, participant: Participant) -> impl Iterator<Item = &'s Sample> {
        let all = self.samples.iter();
        all.filter(move |it| it.case == case && it.participant == participant)
    }
}

impl Figure {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let (half, odd) = (values.len() / 2, values.len() % 2 == 1);
        let upper = *values.get(half)?;
        let lower = *values.get(half.saturating_sub(1))?;
        Some(Self {
            median: if odd { upper } else { (lower + upper) / 2.0 },
            least,
            most,
        })
    }
}

pub(crate) fn microseconds(span: std::time::Duration) -> f64 {
    span.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_two() {
        let figure = |values: &[f64]| Figure::of(values.to_vec()).map(|it| it.median);
        assert_eq!(figure(&[]), None);
        assert_eq!(figure(&[4.0]), Some(4.0));
        assert_eq!(figure(&[4.0, 1.0]), Some(2.5));
        assert_eq!(figure(&[9.0, 1.0, 2.0]), Some(2.0));
    }
}
