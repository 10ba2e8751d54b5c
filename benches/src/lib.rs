//! Side by side, in one run.
//!
//! The machines that these run on are shared and noisy, so that a time by itself means little. Cases
//! are therefore run in turns, in batches of a few milliseconds, and compared turn by turn: a
//! neighbour who slows one down slows down the others of that turn too. What is reported is the
//! median of the turns.
#![expect(clippy::print_stdout, reason = "a bench prints its report")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long one batch should take. Long enough for the clock, short enough that a turn of all
/// cases meets the same neighbours.
const BATCH: Duration = Duration::from_millis(2);

/// How many turns there are.
const TURNS: usize = 300;

/// Cases that are compared with the first of them.
pub struct Comparison<'c> {
    title: &'static str,
    cases: Vec<Case<'c>>,
}

struct Case<'c> {
    name: String,
    run: Box<dyn FnMut() + 'c>,
    iterations: u32,
    nanoseconds: Vec<f64>,
}

/// What was measured of one case.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The case's name.
    pub name: String,
    /// The median time of one run, in nanoseconds.
    pub nanoseconds: f64,
    /// The median of what a turn took in relation to the first case.
    pub ratio: f64,
    /// The median of what a turn took beyond the first case, in nanoseconds.
    pub beyond: f64,
}

impl<'c> Comparison<'c> {
    /// A comparison under this title.
    pub fn new(title: &'static str) -> Self {
        Self {
            title,
            cases: Vec::new(),
        }
    }

    /// Adds a case; the first is what the others are compared with.
    pub fn case<R>(&mut self, name: impl Into<String>, mut run: impl FnMut() -> R + 'c) {
        let run = Box::new(move || {
            black_box(run());
        });
        self.cases.push(Case {
            name: name.into(),
            run,
            iterations: 1,
            nanoseconds: Vec::new(),
        });
    }

    /// Runs all cases in turns, prints a table, and gives what was measured.
    pub fn run(mut self) -> Vec<Measured> {
        for case in &mut self.cases {
            case.calibrate();
        }
        for _ in 0..TURNS {
            for case in &mut self.cases {
                let took = case.batch();
                case.nanoseconds
                    .push(took.as_nanos() as f64 / f64::from(case.iterations));
            }
        }
        let first = self
            .cases
            .first()
            .map(|case| case.nanoseconds.clone())
            .unwrap_or_default();
        let measured: Vec<_> = self
            .cases
            .into_iter()
            .map(|case| {
                let turns = || case.nanoseconds.iter().zip(&first);
                Measured {
                    ratio: median(turns().map(|(mine, first)| mine / first).collect()),
                    beyond: median(turns().map(|(mine, first)| mine - first).collect()),
                    nanoseconds: median(case.nanoseconds.clone()),
                    name: case.name,
                }
            })
            .collect();
        println!("{}", table(self.title, &measured));
        measured
    }
}

impl Case<'_> {
    /// Finds how many runs make a batch.
    fn calibrate(&mut self) {
        // The quickest of three: one that was interrupted looks like one that is long enough.
        while self.batch().min(self.batch()).min(self.batch()) < BATCH && self.iterations < 1 << 24
        {
            self.iterations *= 2;
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a bench measures time")]
    fn batch(&mut self) -> Duration {
        let begun = Instant::now();
        for _ in 0..self.iterations {
            (self.run)();
        }
        begun.elapsed()
    }
}

impl std::fmt::Debug for Comparison<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Comparison")
            .field("title", &self.title)
            .finish_non_exhaustive()
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn table(title: &str, measured: &[Measured]) -> String {
    let mut text = format!(
        "\n### {title}\n\n| case | ns | ratio | beyond the first, ns |\n|---|---:|---:|---:|\n"
    );
    for Measured {
        name,
        nanoseconds,
        ratio,
        beyond,
    } in measured
    {
        let _ = writeln!(
            text,
            "| {name} | {nanoseconds:.0} | {ratio:.3} | {beyond:.0} |"
        );
    }
    text
}
