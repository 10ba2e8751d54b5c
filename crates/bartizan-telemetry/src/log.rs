//! Events of the crate `tracing`.

use std::fmt::{self, Write as _};

use bartizan_core::{DecisionEvent, Event, LifecycleEvent, LifecycleKind, Observe, Outcome};
use tracing::field::{DisplayValue, display};

use crate::label::{self, NONE};

/// Says what happens as events of the crate `tracing`, to whatever subscriber there is.
///
/// | target | what | level |
/// |---|---|---|
/// | `bartizan::decision` | allowed | `DEBUG` |
/// | | denied, would have denied | `INFO` |
/// | | could not decide | `WARN` |
/// | `bartizan::lifecycle` | a source failed, a component stopped | `WARN` |
/// | | handshakes and connections, which strangers cause as often as they like | `DEBUG` |
/// | | anything else | `INFO` |
///
/// Fields are the layer, outcome, mode, code, protocol and route, and what the layer noted, such
/// as the rule that decided: cut at 256 characters, with control characters escaped, so that
/// nobody writes lines of their own into a log. Who called is personal data in most places and is
/// not said, unless [`with_identities`](Self::with_identities) asks for it; the audit log is the
/// place for it. Credentials are in no event to begin with.
///
/// ```
/// use bartizan_core::{Code, Event, LifecycleEvent, LifecycleKind, Observe as _};
/// use bartizan_telemetry::TracingObserver;
///
/// const FAILED: Code = Code::new("source.failed");
/// let event = LifecycleEvent::new("source", LifecycleKind::SourceFailed, FAILED);
/// TracingObserver::new().observe(&Event::Lifecycle(event.with_subject("policy")));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingObserver {
    identities: bool,
}

/// The characters of a detail that are said.
const LONGEST: usize = 256;

macro_rules! at_level {
    ($level:expr, $target:literal, $($fields:tt)*) => {
        match $level {
            Level::Debug => tracing::debug!(target: $target, $($fields)*),
            Level::Info => tracing::info!(target: $target, $($fields)*),
            Level::Warn => tracing::warn!(target: $target, $($fields)*),
        }
    };
}

/// The levels that are used: `tracing` takes them as constants alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Level {
    Debug,
    Info,
    Warn,
}

impl TracingObserver {
    /// Says what happened, and not to whom.
    pub const fn new() -> Self {
        Self { identities: false }
    }

    /// Says the peer, the principal's issuer and subject, and the client's address too.
    #[must_use]
    pub const fn with_identities(mut self) -> Self {
        self.identities = true;
        self
    }

    fn decided(&self, event: &DecisionEvent<'_>) {
        let decision = event.decision();
        let (peer, principal) = match self.identities {
            true => (event.peer(), event.principal()),
            false => (None, None),
        };
        at_level!(
            decision_level(event.outcome()),
            "bartizan::decision",
            layer = event.layer(),
            outcome = event.outcome().as_str(),
            mode = label::mode(decision.enforcement()),
            code = event.code().map_or(NONE, |code| code.as_str()),
            protocol = event.protocol().as_str(),
            route = event.template().unwrap_or(NONE),
            detail = decision.detail().map(clean),
            peer = peer.map(clean),
            issuer = principal.map(|it| clean(it.issuer())),
            subject = principal.map(|it| clean(it.subject())),
            address = event.address().filter(|_| self.identities).map(display),
        );
    }

    fn happened(&self, event: &LifecycleEvent<'_>) {
        at_level!(
            lifecycle_level(event.kind()),
            "bartizan::lifecycle",
            layer = event.layer(),
            kind = label::kind(event.kind()),
            code = event.code().as_str(),
            subject = event.subject().map(clean),
            detail = event.detail().map(clean),
            address = event.address().filter(|_| self.identities).map(display),
        );
    }
}

impl Observe for TracingObserver {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::Decision(event) => self.decided(event),
            Event::Lifecycle(event) => self.happened(event),
            _ => {}
        }
    }
}

fn decision_level(outcome: Outcome) -> Level {
    match outcome {
        Outcome::Allowed => Level::Debug,
        Outcome::CouldNotDecide => Level::Warn,
        _ => Level::Info,
    }
}

fn lifecycle_level(kind: LifecycleKind) -> Level {
    match kind {
        LifecycleKind::ConnectionEnded
        | LifecycleKind::HandshakeCompleted
        | LifecycleKind::HandshakeFailed => Level::Debug,
        LifecycleKind::KeyLeaked | LifecycleKind::SourceFailed | LifecycleKind::Stopped => {
            Level::Warn
        }
        _ => Level::Info,
    }
}

fn clean<T: fmt::Display>(text: T) -> DisplayValue<Clean<T>> {
    display(Clean(text))
}

/// A text of bounded length, without control characters.
struct Clean<T>(T);

impl<T: fmt::Display> fmt::Display for Clean<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cleaner = Cleaner {
            to: f,
            left: LONGEST,
            is_cut: false,
        };
        let written = write!(cleaner, "{}", self.0);
        if cleaner.is_cut {
            return f.write_char('…');
        }
        written
    }
}

struct Cleaner<'f, 't> {
    to: &'f mut fmt::Formatter<'t>,
    left: usize,
    is_cut: bool,
}

impl fmt::Write for Cleaner<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if self.left == 0 {
                // Whoever writes is told to stop: the rest may be long.
                self.is_cut = true;
                return Err(fmt::Error);
            }
            self.left -= 1;
            if is_unfit(character) {
                write!(self.to, "{}", character.escape_unicode())?;
            } else {
                self.to.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// Control characters, and what ends a line or turns its direction.
fn is_unfit(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(Clean(text).to_string(), expected);
    }

    #[test]
    fn no_text_writes_a_line_of_its_own() {
        check("rule reads", "rule reads");
        check("a\nb", "a\\u{a}b");
        check("\u{1b}[31m\u{202e}", "\\u{1b}[31m\\u{202e}");
        check("späť", "späť");
    }

    #[test]
    fn no_text_is_longer_than_the_limit() {
        check(&"x".repeat(256), &"x".repeat(256));
        check(&"x".repeat(257), &format!("{}…", "x".repeat(256)));
        assert_eq!(Clean(Endless).to_string().chars().count(), 257);
    }

    struct Endless;

    impl fmt::Display for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            loop {
                f.write_str("more and ")?;
            }
        }
    }
}
