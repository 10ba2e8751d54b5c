//! The listener of a configuration.

use bartizan_core::Peer;
use bartizan_mtls::MtlsListener;

use crate::config::configured::Configured;
use crate::config::listener::Listener;
use crate::config::problem::{ConfigError, Problem};

/// The listener of a configuration: bound, and accepting.
///
/// Which of the two it is follows from the file alone. For axum and tonic match on it; [`serve`]
/// takes either.
///
/// [`serve`]: Configured::serve
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a listener is either")]
pub enum Listening {
    /// Also clients without a certificate, or in plaintext, as `peers.allow_no_certificate` and
    /// `peers.insecure_plaintext` say.
    Open(MtlsListener<Option<Peer>>),
    /// Every connection has a peer.
    Strict(MtlsListener),
}

impl Configured {
    /// Binds the address of `[listener]`, with its identity.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if there is no `[listener]`, its identity cannot be read, or the operating
    /// system refuses the address.
    pub async fn listen(&self) -> Result<Listening, ConfigError> {
        let root = self.config().root;
        let Some(listener) = &root.listener else {
            return Err(ConfigError::whole("there is no [listener]"));
        };
        self.bind(listener).await.map_err(ConfigError::one)
    }

    async fn bind(&self, listener: &Listener) -> Result<Listening, Problem> {
        let material = self.0.material(listener)?;
        let builder = listener.builder(material, &self.0.with);
        let root = self.config().root;
        let optional = root.peers.is_some_and(|peers| peers.allow_no_certificate);
        let refused = |error: std::io::Error| listener.refuse("listener.address", &error);
        let address = listener.address;
        let builder = match (optional, self.migration()) {
            (false, None) => {
                let bound = builder.bind(address).await;
                return bound.map(Listening::Strict).map_err(refused);
            }
            (true, None) => builder.allow_no_certificate(),
            (false, Some(migration)) => builder.allow_plaintext(migration),
            (true, Some(migration)) => builder.allow_no_certificate().allow_plaintext(migration),
        };
        let bound = builder.bind(address).await;
        bound.map(Listening::Open).map_err(refused)
    }
}

impl Listening {
    /// The address that it listens on.
    pub fn local_addr(&self) -> std::net::SocketAddr {
        match self {
            Self::Open(listener) => listener.local_addr(),
            Self::Strict(listener) => listener.local_addr(),
        }
    }
}

pub(crate) mod serving {
    use std::error::Error;
    use std::io;
    use std::time::Duration;

    use bartizan_mtls::{Presence, Serve, serve};
    use http::{Request, Response};
    use http_body::Body;
    use hyper::body::Incoming;
    use tower_service::Service;

    use super::{Configured, Listening};
    use crate::config::listener::Listener;

    type BoxError = Box<dyn Error + Send + Sync>;

    /// How long the audit log, its witnesses and its sinks are waited for in the end.
    const PATIENCE: Duration = Duration::from_secs(10);

    impl Configured {
        /// Serves a service behind the layers over the listener, within the limits of
        /// `[listener.serve]`, until `stop` completes. Then what is under way finishes, and the
        /// audit log is [ended](Self::shutdown).
        ///
        /// An `axum::Router`, tonic's `Routes` and any other service will do that the
        /// [layer](Self::layer) goes around.
        ///
        /// # Errors
        ///
        /// If the listener cannot be bound, or its accept loop ends.
        pub async fn serve<S, B>(
            &self,
            service: S,
            stop: impl Future<Output = ()> + Send + 'static,
        ) -> Result<(), BoxError>
        where
            S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
            S::Future: Send,
            S::Error: Into<BoxError>,
            B: Body + Send + 'static,
            B::Data: Send,
            B::Error: Into<BoxError>,
        {
            let listening = self.listen().await?;
            self.serve_on(listening, service, stop).await
        }

        /// The same over a listener that was [bound](Self::listen) before.
        ///
        /// # Errors
        ///
        /// If the listener's accept loop ends.
        pub async fn serve_on<S, B>(
            &self,
            listening: Listening,
            service: S,
            stop: impl Future<Output = ()> + Send + 'static,
        ) -> Result<(), BoxError>
        where
            S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
            S::Future: Send,
            S::Error: Into<BoxError>,
            B: Body + Send + 'static,
            B::Data: Send,
            B::Error: Into<BoxError>,
        {
            let root = self.config().root;
            let limits = root.listener.as_ref();
            let served: io::Result<()> = match listening {
                Listening::Open(listener) => {
                    let serve = limited(serve(listener, service), limits);
                    serve.with_shutdown(stop).await
                }
                Listening::Strict(listener) => {
                    let serve = limited(serve(listener, service), limits);
                    serve.with_shutdown(stop).await
                }
            };
            self.shutdown(PATIENCE).await;
            Ok(served?)
        }
    }

    pub(crate) fn limited<S, P: Presence>(
        serve: Serve<S, P>,
        listener: Option<&Listener>,
    ) -> Serve<S, P> {
        let Some(listener) = listener else {
            return serve;
        };
        let serve = serve
            .on_expiry(listener.on_expiry.into())
            .on_revocation(listener.on_revocation.into())
            .with_drain_timeout(listener.drain_timeout);
        let Some(limits) = &listener.serve else {
            return serve;
        };
        let header_bytes = u32::try_from(limits.max_header_bytes.0).unwrap_or(u32::MAX);
        let serve = serve
            .with_header_read_timeout(limits.header_read_timeout)
            .with_max_header_bytes(header_bytes)
            .with_max_headers(limits.max_headers)
            .with_max_concurrent_streams(limits.max_concurrent_streams)
            .with_max_reset_streams(
                limits.max_pending_reset_streams,
                limits.max_local_error_resets,
            )
            .with_keep_alive(limits.keep_alive_interval, limits.keep_alive_timeout)
            .with_max_connections(limits.max_connections);
        match limits.allow_any_connection_age {
            true => serve.allow_any_connection_age(),
            false => serve.with_max_connection_age(limits.max_connection_age),
        }
    }
}
