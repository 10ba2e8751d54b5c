//! `ratelimit-traces`: arrivals, and what an exact limiter answers.

use anyhow::{Context, Result};
use bartizan_ratelimit::{Gcra, Rate, Ticks};
use serde_json::Value;
use std::time::Duration;

use crate::material::{Material, Members};
use crate::tally::{Expected, Observed, Tally};

/// One limit, and the moment from which its clock counts.
struct Trace {
    gcra: Gcra,
    interval: u64,
    burst: u64,
    origin: u64,
}

/// Traces of the generic cell rate algorithm, each event a case.
pub(crate) fn gcra(material: &Material, tally: &mut Tally) -> Result<()> {
    for line in material.text()?.lines().filter(|line| !line.is_empty()) {
        let trace: Value = serde_json::from_str(line)?;
        let name = trace.text("name")?;
        let events = trace.list("events")?;
        let interval = trace.number("emission_interval_ns")?;
        let burst = trace.number("burst")?;
        let rate = Rate::new(1, Duration::from_nanos(interval)).with_burst(burst);
        let first = events.first().context("a trace without events")?;
        // Our clock counts from when a limiter is made; the traces' from some time before.
        let limit = Trace {
            gcra: Gcra::new(rate)?,
            interval,
            burst,
            origin: first.number("t_ns")?,
        };
        if first.member("allow").is_ok() {
            limit.exactly(name, events, tally)?;
        } else {
            limit.within_bounds(name, events, tally)?;
        }
    }
    Ok(())
}

impl Trace {
    fn exactly(&self, name: &str, events: &[Value], tally: &mut Tally) -> Result<()> {
        let mut due = Ticks::ZERO;
        for (index, event) in events.iter().enumerate() {
            let now = self.at(event)?;
            let cost = event.number("cost")?;
            let expected = match event.member("allow")?.as_bool() {
                Some(true) => format!(
                    "left {}, full in {}",
                    event.member("remaining")?,
                    event.member("reset_ns")?
                ),
                _ => format!(
                    "left {}, wait {}",
                    event.member("remaining")?,
                    event.member("retry_after_ns")?
                ),
            };
            let wanted = Expected::value(expected);
            tally.judge(&format!("{name} #{index}"), wanted, || {
                self.answer(&mut due, now, cost)
            });
        }
        Ok(())
    }

    fn answer(&self, due: &mut Ticks, now: Ticks, cost: u64) -> Observed {
        let verdict = self.gcra.charge(*due, now, cost);
        if let Ok(after) = verdict {
            *due = after;
        }
        let left = self.gcra.remaining(*due, now);
        Ok(match verdict {
            Ok(_) => format!(
                "left {left}, full in {}",
                self.gcra.full_in(*due, now).as_nanos()
            ),
            Err(denied) => match denied.wait() {
                Some(wait) => format!("left {left}, wait {}", wait.as_nanos()),
                None => format!("left {left}, wait null"),
            },
        })
    }

    /// A clock that goes back has no exact answer, but bounds.
    fn within_bounds(&self, name: &str, events: &[Value], tally: &mut Tally) -> Result<()> {
        let moments = events
            .iter()
            .map(|event| Ok((event.number("t_ns")?, event.number("cost")?)))
            .collect::<Result<Vec<_>>>()?;
        let first = moments
            .iter()
            .map(|(at, _)| *at)
            .min()
            .context("no events")?;
        tally.judge(name, Expected::ACCEPTED, || {
            let (mut due, mut cells, mut latest) = (Ticks::ZERO, 0, first);
            for (at, cost) in &moments {
                latest = latest.max(*at);
                if let Ok(after) = self.gcra.charge(due, Ticks::from_nanos(at - first), *cost) {
                    due = after;
                    cells += cost;
                }
                if cells > self.burst + (latest - first) / self.interval {
                    return Err(format!("{cells} cells by {latest}"));
                }
            }
            let recovered = latest - first + self.burst * self.interval;
            let verdict = self.gcra.charge(due, Ticks::from_nanos(recovered), 1);
            match verdict {
                Ok(_) => Ok(String::new()),
                Err(denied) => Err(format!("locked out for {:?} more", denied.wait())),
            }
        });
        Ok(())
    }

    fn at(&self, event: &Value) -> Result<Ticks> {
        let at = event.number("t_ns")?.checked_sub(self.origin);
        Ok(Ticks::from_nanos(at.context("an event before the first")?))
    }
}
