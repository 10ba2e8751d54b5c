//! Clients that go on as long as the soak does.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::Method;
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, Sleep, interval, sleep, timeout};

use super::call::{self, Call};
use super::link::{Link, Protocol, shake_hands};
use super::{Load, PATIENCE, read};
use crate::journal::Got;
use crate::reconcile::HANDSHAKES;
use crate::scene::Identity;

/// How many requests a client of HTTP/2 has under way at once.
const AT_ONCE: u32 = 4;

/// How many of each kind there are that keep their connections.
const STEADY: u32 = 4;

/// Starts all of them. Of the rate, HTTP/1.1 and HTTP/2 on kept connections have 45 % each; the
/// rest is as often as it is said here.
pub(super) fn start(load: &Arc<Load>, rate: u32) -> JoinSet<()> {
    let mut workers = JoinSet::new();
    let each = f64::from(rate) * 0.45 / f64::from(STEADY);
    for _ in 0..STEADY {
        workers.spawn(steady(Arc::clone(load), Protocol::Http1, each));
        workers.spawn(steady(Arc::clone(load), Protocol::Http2, each));
    }
    workers.spawn(greedy(Arc::clone(load), 250.0));
    for (protocol, each) in [(Protocol::Http1, 20.0), (Protocol::Http2, 10.0)] {
        workers.spawn(newcomer(Arc::clone(load), protocol, each));
        workers.spawn(leaver(Arc::clone(load), protocol, each));
        workers.spawn(nobody(Arc::clone(load), protocol, 5.0));
    }
    workers.spawn(stranger(Arc::clone(load), 5.0));
    workers
}

/// Keeps a connection for as long as the service does.
async fn steady(load: Arc<Load>, protocol: Protocol, rate: f64) {
    let at_once = match protocol {
        Protocol::Http1 => 1,
        Protocol::Http2 => AT_ONCE,
    };
    let lane = load.journal.lane();
    let (mut link, mut number) = (None, 0_u32);
    let mut pace = Pace::new(&load, rate / f64::from(at_once));
    while pace.next().await {
        let Some(link) = kept(&load, &mut link, protocol).await else {
            continue;
        };
        let calls = (number..number + at_once).map(|it| Call::of(it, protocol));
        number = number.wrapping_add(at_once);
        match protocol {
            Protocol::Http1 => {
                for call in calls {
                    load.ask(&lane, link, call).await;
                }
            }
            Protocol::Http2 => {
                let asked = calls.filter_map(|call| Some((link.share()?, call)));
                let asked = asked.map(|(mut link, call)| {
                    let (load, lane) = (&load, &lane);
                    async move { load.ask(lane, &mut link, call).await }
                });
                join_all(asked).await;
            }
        }
    }
}

/// One subject that asks more often than it may.
async fn greedy(load: Arc<Load>, rate: f64) {
    let lane = load.journal.lane();
    let mut link = None;
    let mut pace = Pace::new(&load, rate);
    while pace.next().await {
        if let Some(link) = kept(&load, &mut link, Protocol::Http1).await {
            load.ask(&lane, link, Call::Greedy).await;
        }
    }
}

/// A new connection for each request.
async fn newcomer(load: Arc<Load>, protocol: Protocol, rate: f64) {
    let lane = load.journal.lane();
    let mut pace = Pace::new(&load, rate);
    let mut number = 0;
    while pace.next().await {
        if let Some(link) = kept(&load, &mut None, protocol).await {
            load.ask(&lane, link, Call::of(number, protocol)).await;
        }
        number += 1;
    }
}

/// Leaves in the middle: of what it sends, and of what it gets.
async fn leaver(load: Arc<Load>, protocol: Protocol, rate: f64) {
    let lane = load.journal.lane();
    let mut pace = Pace::new(&load, rate);
    let mut number = 0_u32;
    while pace.next().await {
        if load.resting.load(Ordering::SeqCst) {
            continue;
        }
        number += 1;
        let mut link = None;
        let Some(link) = kept(&load, &mut link, protocol).await else {
            continue;
        };
        let id = lane.begin(1);
        let token = load.tokens().of(Call::Read, number);
        let (method, path, body) = match number % 2 {
            0 => (Method::POST, "/orders", Broken::new().boxed()),
            _ => (Method::GET, "/feed", call::whole(Bytes::new())),
        };
        let head = call::request(method, path, id, protocol, token.as_ref());
        let Ok(request) = head.body(body) else {
            continue;
        };
        // The answer is dropped with its body unread, and then the connection.
        match timeout(PATIENCE, link.send(request)).await {
            Ok(Ok(response)) => lane.end(id, Got::Head(response.status().as_u16())),
            Ok(Err(_)) => {}
            Err(_) => load.complain(format!("{path} had no answer within {PATIENCE:?}")),
        }
    }
}

/// Has no certificate, and is refused for it.
async fn nobody(load: Arc<Load>, protocol: Protocol, rate: f64) {
    // Not among those that are reconciled one by one.
    let unlisted = crate::journal::Journal::default().lane();
    let mut pace = Pace::new(&load, rate);
    while pace.next().await {
        let Ok(config) = load.authority.client(&Identity::Nobody) else {
            continue;
        };
        let Ok(mut link) = load.open(&config, protocol, None).await else {
            load.refused.unsure(HANDSHAKES);
            continue;
        };
        let id = unlisted.begin(1);
        let token = load.tokens().of(Call::Read, id.number);
        let Ok(request) = Call::Read.request(id, protocol, token.as_ref()) else {
            continue;
        };
        let sent = timeout(PATIENCE, link.send(request)).await;
        refused(&load, sent.ok().and_then(Result::ok)).await;
    }
}

/// Counts the refusal of somebody without a certificate.
pub(super) async fn refused(load: &Load, response: Option<http::Response<hyper::body::Incoming>>) {
    let Some(response) = response else {
        return load.refused.unsure("mtls.no_peer");
    };
    let (got, text) = read(response).await;
    let problem: Option<serde_json::Value> = serde_json::from_slice(&text).ok();
    let code = problem.as_ref().and_then(|it| it.get("code")?.as_str());
    match (got, code) {
        (Got::Answer { status, .. }, Some(code)) if status >= 400 => load.refused.sure(code),
        (Got::Head(_), _) => load.refused.unsure("mtls.no_peer"),
        _ => load.complain(format!("somebody without a certificate got {got:?}")),
    }
}

/// Has a certificate that nobody believes.
async fn stranger(load: Arc<Load>, rate: f64) {
    let mut pace = Pace::new(&load, rate);
    while pace.next().await {
        let Ok(config) = load.authority.client(&Identity::Stranger) else {
            continue;
        };
        let shaken = shake_hands(load.address, None, &config, Protocol::Http2);
        match timeout(PATIENCE, shaken).await {
            // The service has said nothing yet: its verdict is what comes next.
            Ok(Ok(mut tls)) => match timeout(PATIENCE, tls.read_u8()).await {
                Ok(Err(_)) => load.refused.sure(HANDSHAKES),
                other => load.complain(format!("a stranger was not refused: {other:?}")),
            },
            Ok(Err(_)) => load.refused.sure(HANDSHAKES),
            Err(_) => load.complain("a stranger was left waiting".to_owned()),
        }
    }
}

/// The connection that there is, or a new one.
async fn kept<'l>(
    load: &Load,
    link: &'l mut Option<Link>,
    protocol: Protocol,
) -> Option<&'l mut Link> {
    if link.as_ref().is_none_or(Link::is_closed) {
        let config = load.client().ok()?;
        match load.open(&config, protocol, None).await {
            Ok(new) => *link = Some(new),
            Err(error) => {
                // Whether the service noticed is not known.
                load.refused.unsure(HANDSHAKES);
                load.complain(format!("cannot connect: {error:#}"));
                *link = None;
            }
        }
    }
    link.as_mut()
}

/// A body that breaks off behind its first piece, once that has arrived.
struct Broken {
    piece: Option<Bytes>,
    pause: Pin<Box<Sleep>>,
}

impl Broken {
    fn new() -> Self {
        Self {
            piece: Some(Bytes::from_static(&[b'x'; 512])),
            pause: Box::pin(sleep(Duration::from_millis(50))),
        }
    }
}

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(piece) = self.piece.take() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        ready!(self.pause.as_mut().poll(cx));
        Poll::Ready(Some(Err(io::ErrorKind::BrokenPipe.into())))
    }
}

/// When the next request is due, until everybody stops.
struct Pace {
    interval: Interval,
    stop: tokio::sync::watch::Receiver<bool>,
}

impl Pace {
    fn new(load: &Load, rate: f64) -> Self {
        let mut interval = interval(Duration::from_secs_f64(1.0 / rate.max(0.1)));
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            interval,
            stop: load.stop.subscribe(),
        }
    }

    async fn next(&mut self) -> bool {
        tokio::select! {
            _ = self.stop.wait_for(|stop| *stop) => false,
            _ = self.interval.tick() => true,
        }
    }
}
