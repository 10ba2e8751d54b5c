//! `telemetry.stderr`: what happens beside requests, on standard error.

use std::io::{self, Write as _};

use bartizan_core::{Event, LifecycleEvent, LifecycleKind, Observe};

/// The longest line, in characters.
const LONGEST: usize = 4096;

/// Says what happens beside requests, a line each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StandardError;

impl Observe for StandardError {
    fn observe(&self, event: &Event<'_>) {
        if let Event::Lifecycle(event) = event
            && let Some(line) = line(event)
        {
            // With standard error closed there is nobody to tell.
            let _ = io::stderr().lock().write_all(line.as_bytes());
        }
    }
}

/// What is said of it. Of connections nothing is: strangers begin and end them.
fn line(event: &LifecycleEvent<'_>) -> Option<String> {
    if matches!(
        event.kind(),
        LifecycleKind::ConnectionEnded
            | LifecycleKind::HandshakeCompleted
            | LifecycleKind::HandshakeFailed
    ) {
        return None;
    }
    let mut said = format!("bartizan: {}", event.code().as_str());
    if let Some(subject) = event.subject() {
        said.push_str(&format!(": {subject}"));
    }
    if let Some(detail) = event.detail() {
        said.push_str(&format!(": {detail}"));
    }
    // One line, and no sequences that a terminal obeys.
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut line: String = said.chars().take(LONGEST).map(clean).collect();
    line.push('\n');
    Some(line)
}

#[cfg(test)]
mod tests {
    use bartizan_core::Code;

    use super::*;

    #[track_caller]
    fn check(kind: LifecycleKind, detail: &str, expected: Option<&str>) {
        let detail = detail.to_owned();
        let event = LifecycleEvent::new("config", kind, Code::new("config.refused"));
        let event = event.with_subject("bartizan.toml").with_detail(&detail);
        assert_eq!(line(&event).as_deref(), expected);
    }

    #[test]
    fn an_event_is_one_line_and_nothing_that_a_terminal_obeys() {
        check(
            LifecycleKind::SourceFailed,
            "line 1: a\nline 2: \x1b[2Jb",
            Some("bartizan: config.refused: bartizan.toml: line 1: a line 2:  [2Jb\n"),
        );
        check(LifecycleKind::HandshakeFailed, "a stranger", None);
        let long = "x".repeat(2 * LONGEST);
        let detail: &(dyn std::fmt::Display + Sync) = &long;
        let event = LifecycleEvent::new("a", LifecycleKind::Started, Code::new("a.b"));
        let said = line(&event.with_detail(detail)).unwrap();
        assert_eq!(said.chars().count(), LONGEST + 1);
    }
}
