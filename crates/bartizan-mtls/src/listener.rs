//! The listener: authenticated connections, one after the other.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bartizan_core::{Clock, IpNetwork, Observe, SystemClock};
use bartizan_source::Published;
use futures_core::Stream;
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::sync::{Notify, mpsc};

use crate::accept::{Acceptor, accept_loop};
use crate::crowd::Crowd;
use crate::material::Material;
use crate::proxied::HeaderSenders;
use crate::status::{ListenerMonitor, Outcomes};
use crate::stream::MtlsStream;
use crate::tls::Configurations;

/// Ten seconds: what Linkerd and Istio's ztunnel give. A client on the far side of the world with
/// lost packets needs three; a silent one holds a slot for no longer than this.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// 1,024: at about 0.3 ms of processor time per handshake, a core works through them within 0.3 s,
/// and they take about 20 MB.
const MAX_HANDSHAKES: usize = 1024;

/// Half of them: all clients may come through one proxy, and another address still gets in.
const SHARE_OF_ADDRESS: usize = 2;

/// Finished connections that wait for the application. Few, because they wait in vain if it is
/// stuck, and the slots of further ones stay taken meanwhile.
const MAX_WAITING: usize = 32;

/// Accepts TCP connections and gives those whose far end has proven who it is.
///
/// Use it as
///
/// * an `axum::serve::Listener` (feature `axum`), wrapped in `bartizan_core::AxumListener` and
///   with `into_make_service_with_connect_info::<bartizan_core::Connection>()`,
/// * a `Stream` for tonic's `serve_with_incoming` (feature `tonic`),
/// * plain [`accept`](Self::accept) for hyper-util and everything else.
///
/// # How it works
///
/// 1. A task of its own accepts; each handshake runs in a task of its own, with a time limit
///    and a cap on how many run at once, in total and per address (IPv6: per /64 network). Beyond
///    a cap, those who have been idle make room, silent ones first; if none is, clients of a
///    crowded address are turned away, and others wait in the kernel's backlog.
/// 2. Each handshake uses the newest published [`Material`]. Connections that are open keep what
///    they were made with.
/// 3. TLS 1.3 only, a client certificate always, no resumption, no early data, ALPN `h2` and
///    `http/1.1`.
/// 4. What a bad client does is told to the observer and to nobody else: `accept` gives good
///    connections only.
/// 5. Dropping the listener closes the socket and ends handshakes that are under way.
///    Connections that were given out live on.
pub struct MtlsListener {
    finished: mpsc::Receiver<MtlsStream>,
    local_address: SocketAddr,
    acceptor: Arc<Acceptor>,
}

impl MtlsListener {
    /// Begins a listener for this material, which may not be published yet: until it is, each
    /// handshake fails with the code `mtls.no_identity`.
    pub fn builder(material: Published<Material>) -> MtlsListenerBuilder {
        MtlsListenerBuilder {
            material,
            handshake_timeout: HANDSHAKE_TIMEOUT,
            header_senders: HeaderSenders::default(),
            max_handshakes: MAX_HANDSHAKES,
            max_handshakes_per_address: None,
            observer: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// Waits for the next connection. Cancel safe.
    ///
    /// # Errors
    ///
    /// If the accept loop has ended, which happens when its runtime shuts down. No client can
    /// cause it.
    pub async fn accept(&mut self) -> io::Result<MtlsStream> {
        let next = poll_fn(|cx| self.finished.poll_recv(cx)).await;
        next.ok_or_else(|| io::Error::other("accept loop has ended"))
    }

    /// The address that it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_address
    }

    /// Tells how the listener fares, also once a server has it.
    pub fn monitor(&self) -> ListenerMonitor {
        ListenerMonitor(Arc::clone(&self.acceptor))
    }

    #[cfg(feature = "serve")]
    pub(crate) fn acceptor(&self) -> &Arc<Acceptor> {
        &self.acceptor
    }
}

impl Stream for MtlsListener {
    type Item = io::Result<MtlsStream>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<MtlsStream>>> {
        self.finished.poll_recv(cx).map(|next| next.map(Ok))
    }
}

impl fmt::Debug for MtlsListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MtlsListener")
            .field("local_address", &self.local_address)
            .finish_non_exhaustive()
    }
}

/// Describes a listener; made by [`MtlsListener::builder`].
#[derive(Debug)]
#[must_use = "a listener is made by `bind` or `listen_on`"]
pub struct MtlsListenerBuilder {
    material: Published<Material>,
    handshake_timeout: Duration,
    header_senders: HeaderSenders,
    max_handshakes: usize,
    max_handshakes_per_address: Option<usize>,
    observer: Option<Arc<dyn Observe>>,
    clock: Arc<dyn Clock>,
}

impl MtlsListenerBuilder {
    /// Sets how long a handshake may take, from the TCP connection on. Ten seconds unless said.
    pub fn with_handshake_timeout(mut self, limit: Duration) -> Self {
        self.handshake_timeout = limit;
        self
    }

    /// Sets how many handshakes may run at once. 1,024 unless said: a core works through them
    /// within a third of a second.
    pub fn with_max_handshakes(mut self, limit: NonZeroUsize) -> Self {
        self.max_handshakes = limit.get();
        self
    }

    /// Sets how many handshakes may run at once with clients of one address (IPv6: of one /64
    /// network). Half of all unless said: where all clients come through one proxy, that is
    /// enough, and one address can never take all places.
    pub fn with_max_handshakes_per_address(mut self, limit: NonZeroUsize) -> Self {
        self.max_handshakes_per_address = Some(limit.get());
        self
    }

    /// Takes the client's address from the [PROXY protocol], version 1 or 2, on connections from
    /// these networks. Nobody's unless said.
    ///
    /// From these networks a header is then required, and must come within the time that a
    /// handshake has; name load balancers alone, and only those that write the header. Everybody
    /// else's connections begin with TLS, so that a header from them fails the handshake.
    ///
    /// The address is what the balancer says; the peer is proven by the handshake as always.
    ///
    /// [PROXY protocol]: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
    pub fn allow_proxy_protocol(mut self, networks: impl IntoIterator<Item = IpNetwork>) -> Self {
        self.header_senders.add(networks);
        self
    }

    /// Sets who is told of handshakes that fail.
    pub fn with_observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Sets the clock that validity periods are compared with. The system's unless said.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Listens on this address.
    ///
    /// # Errors
    ///
    /// If the operating system refuses, as for a port that is taken.
    pub async fn bind(self, address: impl ToSocketAddrs) -> io::Result<MtlsListener> {
        let listener = TcpListener::bind(address).await?;
        self.listen_on(listener)
    }

    /// Listens on a socket that exists, as one inherited from a supervisor.
    ///
    /// # Errors
    ///
    /// If the socket has no local address.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, which the accept loop runs on.
    pub fn listen_on(self, listener: TcpListener) -> io::Result<MtlsListener> {
        let local_address = listener.local_addr()?;
        let (sender, finished) = mpsc::channel(MAX_WAITING);
        let share = (self.max_handshakes / SHARE_OF_ADDRESS).max(1);
        let per_address = self.max_handshakes_per_address.unwrap_or(share);
        let acceptor = Arc::new(Acceptor {
            configurations: Configurations::server(self.material, Arc::clone(&self.clock)),
            handshake_timeout: self.handshake_timeout,
            header_senders: self.header_senders,
            observer: self.observer,
            clock: self.clock,
            crowd: Mutex::new(Crowd::new(self.max_handshakes, per_address)),
            freed: Notify::new(),
            outcomes: Outcomes::default(),
        });
        tokio::spawn(accept_loop(listener, Arc::clone(&acceptor), sender));
        Ok(MtlsListener {
            finished,
            local_address,
            acceptor,
        })
    }
}
