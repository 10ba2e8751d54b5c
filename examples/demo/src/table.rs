//! One table that a person can read.

use std::io::{self, IsTerminal as _, Write as _, stdout};
use std::time::Duration;

use crate::client::Got;
use crate::rows::Row;

// 120 columns in all.
const REQUEST: usize = 42;
const ANSWER: usize = 15;
const DECIDED: usize = 11;
const CODE: usize = 30;

/// Sends every request, prints a line for each, and gives the number of deviations.
pub(crate) async fn show(rows: Vec<Row>) -> io::Result<usize> {
    let paint = Paint::for_stdout();
    let mut out = stdout();
    let (mut sent, mut deviations, mut group) = (0, 0, ("", ""));
    let head = format!(
        "    {:<REQUEST$}{:<ANSWER$}{:<ANSWER$}{:<DECIDED$}{:<CODE$}{:>7}",
        "request", "expected", "got", "decided by", "code, or what was said", "time"
    );
    writeln!(out, "{}", paint.dim(&head))?;
    for row in rows {
        if row.group != group {
            group = row.group;
            let (title, why) = group;
            writeln!(out, "\n  {}\n  {}", paint.bold(title), paint.dim(why))?;
        }
        let got = row.send.await;
        let (answer, said) = row.expected;
        let agrees = got.answer == answer && got.said == said;
        sent += 1;
        writeln!(
            out,
            "  {} {:<REQUEST$}{:<ANSWER$}{:<ANSWER$}{:<DECIDED$}{:<CODE$}{:>7}",
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
        )?;
        if let Some(note) = &got.note {
            writeln!(out, "    {}", paint.dim(note))?;
        }
        if !agrees {
            deviations += 1;
            writeln!(
                out,
                "    {}",
                paint.bad(&format!("expected {answer}, {said}"))
            )?;
        }
    }
    let verdict = format!("{} as expected, {deviations} deviating", sent - deviations);
    let verdict = if deviations == 0 {
        paint.good(&verdict)
    } else {
        paint.bad(&verdict)
    };
    writeln!(out, "\n  {sent} requests: {verdict}\n")?;
    Ok(deviations)
}

/// The layer that decided: its name is the first word of the code that it sent.
fn decided_by(got: &Got) -> &str {
    match (got.answer.as_str(), got.said.split_once('.')) {
        ("TLS alert" | "200, then end", _) => "handshake",
        ("refused", _) => "check",
        ("delivered", _) => "sink",
        ("0 got in", _) => "stack",
        ("cosigned" | "not cosigned", _) => "witness",
        ("exit 0" | "exit 1", _) => "command",
        ("200 and 429" | "401, then 429", _) => "ratelimit",
        ("intact" | "incomplete" | "tampered", _) => "verifier",
        ("200" | "gRPC 0", _) => "all passed",
        ("not connected", _) => "connector",
        (
            _,
            Some((
                layer @ ("mtls" | "jwt" | "apikey" | "authz" | "ratelimit" | "encrypt" | "gateway"),
                _,
            )),
        ) => layer,
        (_, Some(("context", _))) => "stack",
        (_, Some(("route", _))) => "route",
        (_, Some(_)) => "handler",
        _ => "all passed",
    }
}

fn time(took: Duration) -> String {
    match took.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds:.2} s "),
        seconds => format!("{:.1} ms", seconds * 1000.0),
    }
}

/// Colours, where there is somebody to see them.
struct Paint {
    on: bool,
}

impl Paint {
    fn for_stdout() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            on: wanted && stdout().is_terminal(),
        }
    }

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
