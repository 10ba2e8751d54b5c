//! The services behind: connections that are kept, and requests that are sent once.

use anyhow::Context as _;
use bartizan::core::Rejection;
use bartizan::mtls::{AllowedPeers, Material, MtlsConnector};
use bartizan::source::Published;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Builder, Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::body::Passed;
use crate::config::{self, Protocol};
use crate::failure::{UPSTREAM_FAILED, UPSTREAM_UNREACHABLE, unanswered};

/// The most bytes of a response's head.
const HEAD: usize = 64 * 1024;

/// A service behind.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) config: config::Upstream,
    authority: Authority,
    pool: Pool,
}

#[derive(Debug)]
enum Pool {
    Mtls(Client<MtlsConnector, Passed>),
    Plain(Client<HttpConnector, Passed>),
}

impl Upstream {
    /// Prepares connections to it, under the gateway's identity where it has to prove its own.
    pub(crate) fn new(
        config: config::Upstream,
        material: Option<&Published<Material>>,
    ) -> anyhow::Result<Self> {
        let authority: Authority = config.address.parse()?;
        let h2 = config.protocol == Protocol::Http2;
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(std::time::Duration::from_secs(60))
            .http1_max_buf_size(HEAD)
            .http2_max_header_list_size(u32::try_from(HEAD).unwrap_or(u32::MAX))
            .http2_only(h2);
        // What hyper calls a retry is a request of which not a byte was sent, because a connection
        // that had been kept was closed in between. One that was sent is never sent again.
        builder.retry_canceled_requests(true);
        let pool = match &config.identity {
            Some(identity) => {
                let material = material.context("no identity to connect with")?.clone();
                let connector =
                    MtlsConnector::builder(material, AllowedPeers::id(identity.clone()))
                        .with_connect_timeout(config.connect);
                let connector = if h2 {
                    connector.require_http2()
                } else {
                    connector
                };
                Pool::Mtls(builder.build(connector.build()))
            }
            None => Pool::Plain(plain(&builder, &config)),
        };
        Ok(Self {
            config,
            authority,
            pool,
        })
    }

    /// Where a path of it is.
    pub(crate) fn uri(&self, path: PathAndQuery) -> Result<Uri, http::Error> {
        let uri = Uri::builder().scheme(Scheme::HTTP);
        uri.authority(self.authority.clone())
            .path_and_query(path)
            .build()
    }

    /// Sends a request, once.
    pub(crate) async fn send(
        &self,
        request: Request<Passed>,
    ) -> Result<Response<Incoming>, Rejection> {
        let sent = match &self.pool {
            Pool::Mtls(pool) => pool.request(request).await,
            Pool::Plain(pool) => pool.request(request).await,
        };
        sent.map_err(|error: Error| match error.is_connect() {
            true => unanswered(UPSTREAM_UNREACHABLE, error),
            false => unanswered(UPSTREAM_FAILED, error),
        })
    }
}

fn plain(builder: &Builder, config: &config::Upstream) -> Client<HttpConnector, Passed> {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(config.connect));
    connector.set_nodelay(true);
    builder.build(connector)
}
