//! The plot: bars, as SVG.

use std::fmt::Write as _;

use crate::measure::Case;
use crate::options::{Mode, Options, Participant, Protocol};
use crate::summary::Summary;

const WIDTH: f64 = 760.0;
/// Where bars begin, and how long the longest is.
const LEFT: f64 = 180.0;
const LONGEST: f64 = 480.0;
const BAR: f64 = 20.0;

/// One bar.
struct Bar {
    name: &'static str,
    colour: &'static str,
    value: f64,
}

/// Requests per second and added processor time of HTTP/1.1 at the most connections.
pub(crate) fn svg(options: &Options, summary: &Summary<'_>) -> String {
    let connections = options.connections.iter().max().copied().unwrap_or(1);
    let mut body = String::new();
    let mut y = 16.0;
    let panels = [
        (Mode::Hot, "hot tokens"),
        (Mode::Distinct, "a distinct token in each request"),
    ];
    for (mode, name) in panels {
        let case = Case {
            mode,
            protocol: Protocol::Http1,
            connections,
            rate: None,
        };
        let bars =
            bars(|participant| Some(summary.of(case, participant, |it| it.per_second)?.median));
        let title = format!("Requests per second, {connections} connections, HTTP/1.1: {name}");
        panel(&mut body, &mut y, &title, &bars, 0);
        let bars = self::bars(|participant| match participant {
            Participant::Bare => None,
            _ => Some(summary.added(case, participant)?.median),
        });
        let title = format!("Processor time added to a request, in microseconds: {name}");
        panel(&mut body, &mut y, &title, &bars, 1);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{y}\" fill=\"#ffffff\"/>\n{body}</svg>\n"
    )
}

fn bars(value: impl Fn(Participant) -> Option<f64>) -> Vec<Bar> {
    let bar = |participant: Participant| {
        Some(Bar {
            name: participant.name(),
            colour: colour(participant),
            value: value(participant)?,
        })
    };
    Participant::ALL.into_iter().filter_map(bar).collect()
}

fn colour(participant: Participant) -> &'static str {
    match participant {
        Participant::Bare => "#b8bec6",
        Participant::Identity => "#8f98a3",
        Participant::Bartizan => "#1f6f54",
        Participant::Haproxy => "#c98a2b",
        Participant::Envoy => "#9b4f96",
    }
}

fn panel(body: &mut String, y: &mut f64, title: &str, bars: &[Bar], decimals: usize) {
    if bars.is_empty() {
        return;
    }
    let most = bars.iter().map(|bar| bar.value).fold(1e-9, f64::max);
    *y += 14.0;
    let _ = writeln!(
        body,
        "<text x=\"16\" y=\"{y}\" font-weight=\"600\" fill=\"#1d2329\">{title}</text>"
    );
    *y += 10.0;
    for Bar {
        name,
        colour,
        value,
    } in bars
    {
        let (length, middle) = (value.max(0.0) / most * LONGEST, *y + BAR * 0.7);
        let _ = writeln!(
            body,
            "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\" fill=\"#1d2329\">{name}</text>\
             <rect x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"{}\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{middle}\" fill=\"#1d2329\">{value:.decimals$}</text>",
            LEFT - 8.0,
            BAR - 4.0,
            LEFT + length + 6.0,
        );
        *y += BAR;
    }
    *y += 18.0;
}
