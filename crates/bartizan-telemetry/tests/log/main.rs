//! What a log says.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::io;
use std::sync::{Arc, Mutex};

use bartizan_core::{
    Code, Connection, Decision, Duty, Event, Inspection, LifecycleEvent, LifecycleKind,
    Observe as _, Outcome, Principal, Scheme, SecurityContext,
};
use bartizan_telemetry::TracingObserver;
use http::Request;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

const DENIED: Code = Code::new("example.denied");

/// What was written.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Log {
    /// The lines that are written while `act` runs.
    fn lines(level: LevelFilter, act: impl FnOnce()) -> Vec<String> {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(log.clone())
            .with_ansi(false)
            .without_time()
            .finish();
        tracing::subscriber::with_default(subscriber, act);
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

fn decide(observer: TracingObserver, decision: Decision) {
    let duty = Duty::new("example").with_observer(Arc::new(observer));
    let (mut parts, ()) = Request::get("/secret-path?token=canary-1f0c")
        .header("authorization", "Bearer canary-1f0c")
        .body(())
        .unwrap()
        .into_parts();
    let remote = ([203, 0, 113, 77], 4711).into();
    parts.extensions.insert(Connection::from_remote(remote));
    let protocol = bartizan_core::Protocol::of(&parts);
    let (context, opened) = bartizan_core::Entrance::open(None, &mut parts, protocol);
    assert!(opened.is_ok());
    let principal = Principal::builder(Scheme::Jwt, "https://issuer.example", "alice");
    context.set_principal(principal.assert_verified()).unwrap();
    let inspection = Inspection::new(&mut parts, &context);
    duty.record(&inspection, decision);
}

fn denied() -> Decision {
    Decision::new("example", Outcome::Denied)
        .with_code(DENIED)
        .with_detail("no rule\nallows it".into())
}

#[test]
fn a_refusal_is_one_line_that_says_why() {
    let lines = Log::lines(LevelFilter::TRACE, || {
        decide(TracingObserver::new(), denied())
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = lines.first().unwrap();
    for part in [
        "INFO bartizan::decision:",
        "layer=\"example\"",
        "outcome=\"denied\"",
        "mode=\"enforce\"",
        "code=\"example.denied\"",
        "detail=no rule\\u{a}allows it",
    ] {
        assert!(line.contains(part), "{part} is in {line}");
    }
}

#[test]
fn who_called_is_said_only_if_asked_for() {
    let said = |observer| Log::lines(LevelFilter::TRACE, || decide(observer, denied())).concat();
    let identities = ["alice", "issuer.example", "203.0.113.77"];
    let plain = said(TracingObserver::new());
    assert!(identities.iter().all(|it| !plain.contains(it)), "{plain}");
    let full = said(TracingObserver::new().with_identities());
    assert!(identities.iter().all(|it| full.contains(it)), "{full}");
    for text in [plain, full] {
        assert!(
            !text.contains("canary-1f0c") && !text.contains("secret-path"),
            "{text}"
        );
    }
}

#[test]
fn the_level_says_how_much_it_matters() {
    let check = |outcome, level: LevelFilter, expected: usize| {
        let decision = Decision::new("example", outcome);
        let lines = Log::lines(level, || decide(TracingObserver::new(), decision));
        assert_eq!(lines.len(), expected, "{outcome:?} at {level}");
    };
    check(Outcome::Allowed, LevelFilter::DEBUG, 1);
    check(Outcome::Allowed, LevelFilter::INFO, 0);
    check(Outcome::Denied, LevelFilter::INFO, 1);
    check(Outcome::WouldHaveDenied, LevelFilter::INFO, 1);
    check(Outcome::WouldHaveDenied, LevelFilter::WARN, 0);
    check(Outcome::CouldNotDecide, LevelFilter::WARN, 1);

    let check = |kind, level: LevelFilter, expected: usize| {
        let event = LifecycleEvent::new("example", kind, DENIED);
        let lines = Log::lines(level, || {
            TracingObserver::new().observe(&Event::Lifecycle(event));
        });
        assert_eq!(lines.len(), expected, "{kind:?} at {level}");
    };
    check(LifecycleKind::SourceFailed, LevelFilter::WARN, 1);
    check(LifecycleKind::KeyLeaked, LevelFilter::WARN, 1);
    check(LifecycleKind::KeyChanged, LevelFilter::INFO, 1);
    check(LifecycleKind::HandshakeFailed, LevelFilter::INFO, 0);
    check(LifecycleKind::HandshakeFailed, LevelFilter::DEBUG, 1);
}

#[test]
fn a_context_alone_is_enough() {
    let (mut parts, ()) = Request::new(()).into_parts();
    let context = SecurityContext::new(parts.uri.clone());
    let inspection = Inspection::new(&mut parts, &context);
    let observer = Arc::new(TracingObserver::new().with_identities());
    let duty = Duty::new("example").with_observer(observer);
    let lines = Log::lines(LevelFilter::INFO, || duty.record(&inspection, denied()));
    assert_eq!(lines.len(), 1, "{lines:?}");
}
