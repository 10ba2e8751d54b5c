//! The clients: what they send, and what they make of the answers.

mod call;
mod flood;
mod link;
mod tokens;
mod workers;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderValue, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use rustls::ClientConfig;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

pub(crate) use self::call::Call;
pub(crate) use self::link::{Link, Protocol};
pub(crate) use self::tokens::Tokens;
pub(crate) use self::tokens::bearer;
use crate::journal::{Got, Journal, Lane};
use crate::reconcile::Counts;
use crate::scene::{Authority, Identity};

/// No answer takes longer; one that does is a difference.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many complaints are told one by one.
const TOLD: usize = 20;

/// What all clients share.
#[derive(Debug)]
pub(crate) struct Load {
    address: SocketAddr,
    authority: Arc<Authority>,
    tokens: Mutex<Arc<Tokens>>,
    /// What was sent and got.
    pub(crate) journal: Journal,
    /// How often strangers were refused.
    pub(crate) refused: Counts,
    disk_is_full: AtomicBool,
    resting: AtomicBool,
    complaints: Mutex<(u64, Vec<String>)>,
    stop: watch::Sender<bool>,
}

impl Load {
    /// Clients of the service at this address.
    pub(crate) fn new(address: SocketAddr, authority: Arc<Authority>, tokens: Tokens) -> Arc<Self> {
        Arc::new(Self {
            address,
            authority,
            tokens: Mutex::new(Arc::new(tokens)),
            journal: Journal::default(),
            refused: Counts::default(),
            disk_is_full: AtomicBool::new(false),
            resting: AtomicBool::new(false),
            complaints: Mutex::default(),
            stop: watch::Sender::new(false),
        })
    }

    /// Starts all clients, which send about so many requests a second together.
    pub(crate) fn start(self: &Arc<Self>, rate: u32) -> JoinSet<()> {
        workers::start(self, rate)
    }

    /// Tells all clients to stop.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Gives everybody these tokens.
    pub(crate) fn set_tokens(&self, tokens: Tokens) {
        *self.tokens.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(tokens);
    }

    /// Whether payments may be refused because of the disk. Meanwhile nobody leaves in the middle,
    /// so that what is missing can be told from what was never there.
    pub(crate) fn set_disk_is_full(&self, full: bool) {
        self.disk_is_full.store(full, Ordering::SeqCst);
        self.journal.set_outage(full);
    }

    /// Has clients that leave in the middle stay away, or come back.
    pub(crate) fn set_resting(&self, resting: bool) {
        self.resting.store(resting, Ordering::SeqCst);
    }

    /// What was not as it should be: how often, and the first of them.
    pub(crate) fn complaints(&self) -> (u64, Vec<String>) {
        let complaints = self.complaints.lock();
        complaints.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes something that is not as it should be.
    pub(crate) fn complain(&self, what: String) {
        let complaints = self.complaints.lock();
        let mut complaints = complaints.unwrap_or_else(PoisonError::into_inner);
        complaints.0 += 1;
        if complaints.1.len() < TOLD {
            complaints.1.push(what);
        }
    }

    /// One request on a connection of its own, with this token. Says what came back, and which
    /// certificate the service had. One that is not let in is counted as a failed handshake.
    ///
    /// # Errors
    ///
    /// If the service is not there.
    pub(crate) async fn probe(
        &self,
        lane: &Lane,
        config: &Arc<ClientConfig>,
        call: Call,
        token: &HeaderValue,
    ) -> anyhow::Result<(Got, Vec<u8>)> {
        let opened = self.open(config, Protocol::Http1, None).await;
        let mut link = opened.context("the service is not there")?;
        let id = lane.begin(call.records());
        let request = call.request(id, Protocol::Http1, Some(token))?;
        let got = match timeout(PATIENCE, link.send(request)).await {
            Ok(Ok(response)) => whole(response).await,
            _ => Got::Nothing,
        };
        lane.end(id, got);
        if got == Got::Nothing {
            self.refused.sure(crate::reconcile::HANDSHAKES);
        }
        Ok((got, link.server().to_vec()))
    }

    /// The configuration that everybody has at present.
    ///
    /// # Errors
    ///
    /// As [`Authority::client`].
    pub(crate) fn client(&self) -> anyhow::Result<Arc<ClientConfig>> {
        self.authority.client(&Identity::Current)
    }

    fn tokens(&self) -> Arc<Tokens> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&tokens)
    }

    async fn open(
        &self,
        config: &Arc<ClientConfig>,
        protocol: Protocol,
        from: Option<Ipv4Addr>,
    ) -> anyhow::Result<Link> {
        timeout(PATIENCE, Link::open(self.address, from, config, protocol)).await?
    }

    /// Sends a request, reads the answer to its end, notes it, and holds it to what is expected.
    async fn ask(&self, lane: &Lane, link: &mut Link, call: Call) {
        let full_before = self.disk_is_full.load(Ordering::SeqCst);
        let tokens = self.tokens();
        let id = lane.begin(call.records());
        let token = tokens.of(call, id.number);
        let Ok(request) = call.request(id, link.protocol(), token.as_ref()) else {
            return self.complain(format!("{call:?} makes no request"));
        };
        let answered = timeout(PATIENCE, async {
            match link.send(request).await {
                Ok(response) => whole(response).await,
                Err(_) => Got::Nothing,
            }
        });
        let Ok(got) = answered.await else {
            return self.complain(format!("{call:?} had no answer within {PATIENCE:?}"));
        };
        lane.end(id, got);
        let full = full_before || self.disk_is_full.load(Ordering::SeqCst);
        if !call.expects(got, full) {
            self.complain(format!("{call:?} got {got:?}"));
        }
    }
}

/// Reads an answer to its end.
async fn whole(response: Response<Incoming>) -> Got {
    read(response).await.0
}

/// Reads an answer to its end, and gives its text as well.
async fn read(response: Response<Incoming>) -> (Got, Bytes) {
    let status = response.status().as_u16();
    let number = |headers: &http::HeaderMap| -> Option<u16> {
        headers.get("grpc-status")?.to_str().ok()?.parse().ok()
    };
    let in_head = number(response.headers());
    let Ok(body) = response.into_body().collect().await else {
        return (Got::Head(status), Bytes::new());
    };
    let grpc = body.trailers().and_then(number).or(in_head);
    (Got::Answer { status, grpc }, body.to_bytes())
}
