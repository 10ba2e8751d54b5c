//! Clients that want tables to grow.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use http::{HeaderValue, Method};
use tokio::time::{Instant, timeout};

use super::call::{self, Call};
use super::link::{Link, Protocol, connect};
use super::workers::refused;
use super::{Load, PATIENCE, whole};
use crate::journal::Lane;
use crate::reconcile::HANDSHAKES;
use crate::scene::Identity;
use crate::serve::{ADDRESSES, BALANCER, TOKENS};

/// How many connections a flood of requests has, and how many requests are under way on each.
const LINKS: usize = 4;
const AT_ONCE: usize = 16;

/// How many connections say nothing.
const SILENT: u32 = 1_000;

impl Load {
    /// Requests of more addresses than limits have room for, from nobody. Says how many.
    ///
    /// # Errors
    ///
    /// If the service is not there.
    pub(crate) async fn flood_keys(&self, span: Duration, next: &AtomicU32) -> anyhow::Result<u32> {
        let config = self.authority.client(&Identity::Nobody)?;
        let unlisted = crate::journal::Journal::default().lane();
        self.flood(&config, Some(BALANCER), span, 3 * ADDRESSES, |mut link| {
            let (unlisted, number) = (&unlisted, next.fetch_add(1, Ordering::Relaxed));
            async move {
                let id = unlisted.begin(1);
                // Far apart, so that each second has more networks than are counted apart.
                let address = Ipv4Addr::from(number.wrapping_mul(2_654_435_761));
                let head = call::request(Method::GET, "/orders/1", id, Protocol::Http2, None);
                let head = head.header("x-forwarded-for", address.to_string());
                if let Ok(request) = head.body(call::whole(bytes::Bytes::new())) {
                    let sent = timeout(PATIENCE, link.send(request)).await;
                    refused(self, sent.ok().and_then(Result::ok)).await;
                }
            }
        })
        .await
    }

    /// Tokens that nobody signed, and as many good ones that are used once. Says how many.
    ///
    /// # Errors
    ///
    /// If the service is not there.
    pub(crate) async fn flood_tokens(
        &self,
        lane: &Arc<Lane>,
        span: Duration,
        next: &AtomicU32,
    ) -> anyhow::Result<u32> {
        let config = self.client()?;
        self.flood(&config, None, span, 4 * TOKENS, |mut link| {
            let number = next.fetch_add(1, Ordering::Relaxed);
            async move {
                let tokens = self.tokens();
                let (call, token) = match number % 2 {
                    0 => (Call::Read, tokens.distinct(number)),
                    _ => (Call::Forged, tokens.made_up(number)),
                };
                match token {
                    Ok(token) => self.ask_with(lane, &mut link, call, &token).await,
                    Err(error) => self.complain(format!("no token: {error}")),
                }
            }
        })
        .await
    }

    /// Connections that say nothing, all at once. Says how many.
    ///
    /// # Errors
    ///
    /// If the service is not there.
    pub(crate) async fn flood_connections(&self, span: Duration) -> anyhow::Result<u32> {
        let mut silent = Vec::new();
        for number in 0..SILENT {
            let from = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 1, 0)) + number % 250 + 1);
            silent.push(connect(self.address, Some(from)).await?);
            self.refused.sure(HANDSHAKES);
        }
        tokio::time::sleep(span).await;
        Ok(SILENT)
    }

    async fn flood<F: Future<Output = ()>>(
        &self,
        config: &Arc<rustls::ClientConfig>,
        from: Option<Ipv4Addr>,
        span: Duration,
        least: usize,
        one: impl Fn(Link) -> F,
    ) -> anyhow::Result<u32> {
        let until = Instant::now() + span;
        let mut links = Vec::new();
        for _ in 0..LINKS {
            links.push(self.open(config, Protocol::Http2, from).await?);
        }
        let mut sent = 0;
        while sent < least || Instant::now() < until {
            let shared = links
                .iter()
                .flat_map(|link| (0..AT_ONCE).map(|_| link.share()));
            let asked: Vec<F> = shared.flatten().map(&one).collect();
            sent += asked.len();
            join_all(asked).await;
            anyhow::ensure!(!links.iter().all(Link::is_closed), "a flood was cut off");
        }
        Ok(u32::try_from(sent).unwrap_or(u32::MAX))
    }

    /// As [`ask`](Self::ask), with a token of its own.
    async fn ask_with(&self, lane: &Lane, link: &mut Link, call: Call, token: &HeaderValue) {
        let id = lane.begin(call.records());
        let Ok(request) = call.request(id, link.protocol(), Some(token)) else {
            return;
        };
        let sent = timeout(PATIENCE, link.send(request)).await;
        if let Ok(Ok(response)) = sent {
            let got = whole(response).await;
            lane.end(id, got);
            if !call.expects(got, false) {
                self.complain(format!("{call:?} of a flood got {got:?}"));
            }
        }
    }
}
