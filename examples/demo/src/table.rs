//! One table that a person can read.

use std::io::{IsTerminal as _, stdout};
use std::time::Duration;

use crate::client::Got;
use crate::rows::Row;

const REQUEST: usize = 51;
const ANSWER: usize = 17;
const DECIDED: usize = 12;
const CODE: usize = 27;

/// Sends every request, prints a line for each, and gives the number of deviations.
pub(crate) async fn show(rows: Vec<Row>) -> usize {
    let paint = Paint {
        on: stdout().is_terminal(),
    };
    let (mut sent, mut deviations, mut group) = (0, 0, "");
    println!(
        "{}",
        paint.dim(&format!(
            "    {:<REQUEST$}{:<ANSWER$}{:<ANSWER$}{:<DECIDED$}{:<CODE$}{:>9}",
            "request", "expected", "got", "decided by", "code, or what was said", "time"
        ))
    );
    for row in rows {
        if row.group != group {
            group = row.group;
            println!("\n  {}", paint.bold(group));
        }
        let got = row.send.await;
        let (answer, said) = row.expected;
        let agrees = got.answer == answer && got.said == said;
        sent += 1;
        println!(
            "  {} {:<REQUEST$}{:<ANSWER$}{:<ANSWER$}{:<DECIDED$}{:<CODE$}{:>9}",
            if agrees {
                paint.good("✓")
            } else {
                paint.bad("✗")
            },
            row.request,
            answer,
            got.answer,
            decided_by(&got),
            got.said,
            time(got.took),
        );
        if !agrees {
            deviations += 1;
            println!("    {}", paint.bad(&format!("expected {answer}, {said}")));
        }
    }
    let verdict = format!("{} as expected, {deviations} deviating", sent - deviations);
    let verdict = if deviations == 0 {
        paint.good(&verdict)
    } else {
        paint.bad(&verdict)
    };
    println!("\n  {sent} requests: {verdict}\n");
    deviations
}

/// The layer that decided: its name is the first word of the code that it sent.
fn decided_by(got: &Got) -> &str {
    match (got.answer.as_str(), got.said.split_once('.')) {
        ("TLS alert", _) => "handshake",
        ("not connected", _) => "connector",
        (_, Some((layer @ ("mtls" | "jwt"), _))) => layer,
        (_, Some(_)) => "handler",
        _ => "all passed",
    }
}

fn time(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1000.0)
}

/// Colours, where there is somebody to see them.
struct Paint {
    on: bool,
}

impl Paint {
    fn wrap(&self, style: &str, text: &str) -> String {
        if self.on {
            format!("\x1b[{style}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn bold(&self, text: &str) -> String {
        self.wrap("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.wrap("2", text)
    }

    fn good(&self, text: &str) -> String {
        self.wrap("32", text)
    }

    fn bad(&self, text: &str) -> String {
        self.wrap("31", text)
    }
}
