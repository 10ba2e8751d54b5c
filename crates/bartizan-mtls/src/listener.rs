//! The listener: authenticated connections, one after the other.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bartizan_core::{Clock, IpNetwork, Observe, Peer, SystemClock};
use bartizan_source::Published;
use futures_core::Stream;
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::sync::{Notify, mpsc};

use crate::accept::accept_loop;
use crate::acceptor::Acceptor;
use crate::crowd::Crowd;
use crate::ending::EndConnection;
use crate::lease::{Leases, Terms};
use crate::material::Material;
use crate::migration::Migration;
use crate::presence::Presence;
use crate::proxied::HeaderSenders;
use crate::status::{ListenerMonitor, Outcomes};
use crate::stream::MtlsStream;
use crate::tls::{Certificates, Configurations, Resuming};

/// Ten seconds: what Linkerd and Istio's ztunnel give. A client on the far side of the world with
/// lost packets needs three; a silent one holds a slot for no longer than this.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// 1,024: at about 0.3 ms of processor time per handshake, a core works through them within 0.3 s,
/// and they take about 20 MB. Eight times as many more may be connected who have not said what
/// they want, with at most 16 KiB each and 4.5 KiB if they are silent.
const MAX_HANDSHAKES: usize = 1024;

/// Half of them: all clients may come through one proxy, and another address still gets in.
const SHARE_OF_ADDRESS: usize = 2;

/// A session with a chain of two certificates is about 2 KB.
const MAX_SESSIONS: NonZeroUsize = NonZeroUsize::new(8192).unwrap();

/// As `serve`'s, but for the age: no other server can end a connection without losing requests.
const TERMS: Terms = Terms {
    on_expiry: EndConnection::Gracefully,
    on_revocation: EndConnection::Gracefully,
    max_age: None,
    drain_timeout: Duration::from_secs(30),
};

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
///    and a cap on how many run at once, in total and per address (IPv6: per /64 network). A
///    client has no part in that before it has sent a whole ClientHello; until then it may be one
///    of eight times as many, and beyond those the longest silent makes room at once. Beyond
///    the cap on handshakes, those make room who have been idle in one for a second, and others
///    wait in the order of arrival.
/// 2. Each handshake uses the newest published [`Material`]. Connections that are open keep what
///    they were made with.
/// 3. TLS 1.3 only, no resumption, no early data, ALPN `h2` and `http/1.1`. A client
///    certificate always, unless the builder says otherwise:
///    [`allow_no_certificate`](MtlsListenerBuilder::allow_no_certificate) and
///    [`allow_plaintext`](MtlsListenerBuilder::allow_plaintext) make it a
///    `MtlsListener<Option<Peer>>`.
/// 4. What a bad client does is told to the observer and to nobody else: `accept` gives good
///    connections only.
/// 5. Dropping the listener closes the socket and ends handshakes that are under way.
///    Connections that were given out live on.
pub struct MtlsListener<P = Peer> {
    finished: mpsc::Receiver<MtlsStream<P>>,
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
            certificates: Certificates::Required,
            migration: None,
            session_lifetime: None,
            max_sessions: MAX_SESSIONS,
            terms: TERMS,
            max_handshakes: MAX_HANDSHAKES,
            max_handshakes_per_address: None,
            observer: None,
            clock: Arc::new(SystemClock),
            presence: PhantomData,
        }
    }
}

impl<P: Presence> MtlsListener<P> {
    /// Waits for the next connection. Cancel safe.
    ///
    /// # Errors
    ///
    /// If the accept loop has ended, which happens when its runtime shuts down. No client can
    /// cause it.
    pub async fn accept(&mut self) -> io::Result<MtlsStream<P>> {
        self.accept_bare()
            .await
            .map(|stream| stream.lent_by(&self.acceptor))
    }

    /// The next connection, for a server that ends connections itself.
    pub(crate) async fn accept_bare(&mut self) -> io::Result<MtlsStream<P>> {
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

impl<P: Presence> Stream for MtlsListener<P> {
    type Item = io::Result<MtlsStream<P>>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<MtlsStream<P>>>> {
        let next = self.finished.poll_recv(cx);
        next.map(|next| Some(Ok(next?.lent_by(&self.acceptor))))
    }
}

impl<P> fmt::Debug for MtlsListener<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MtlsListener")
            .field("local_address", &self.local_address)
            .finish_non_exhaustive()
    }
}

/// Describes a listener; made by [`MtlsListener::builder`].
#[derive(Debug)]
#[must_use = "a listener is made by `bind` or `listen_on`"]
pub struct MtlsListenerBuilder<P = Peer> {
    material: Published<Material>,
    handshake_timeout: Duration,
    header_senders: HeaderSenders,
    certificates: Certificates,
    migration: Option<Migration>,
    session_lifetime: Option<Duration>,
    max_sessions: NonZeroUsize,
    terms: Terms,
    max_handshakes: usize,
    max_handshakes_per_address: Option<usize>,
    observer: Option<Arc<dyn Observe>>,
    clock: Arc<dyn Clock>,
    presence: PhantomData<P>,
}

impl<P: Presence> MtlsListenerBuilder<P> {
    /// Asks clients for a certificate and lets those in that have none, as connections without a
    /// peer. One that a client does show must be good.
    ///
    /// For a service that also answers others than workloads. Its
    /// [`MtlsLayer`](crate::MtlsLayer) refuses them all the same until it is told
    /// [`allow_no_certificate`](crate::MtlsLayerBuilder::allow_no_certificate) as well.
    pub fn allow_no_certificate(mut self) -> MtlsListenerBuilder<Option<Peer>> {
        self.certificates = Certificates::Optional;
        self.of_any_presence()
    }

    /// Takes plaintext beside TLS for as long as this migration lasts. See [`Migration`] for what
    /// that means; the [`MtlsLayer`](crate::MtlsLayer) has to be given it too.
    ///
    /// Clients under TLS still must have a certificate.
    pub fn allow_plaintext(mut self, migration: &Migration) -> MtlsListenerBuilder<Option<Peer>> {
        self.migration = Some(migration.clone());
        self.of_any_presence()
    }

    /// Sets how long a handshake may take, from the TCP connection on. Ten seconds unless said.
    pub fn with_handshake_timeout(mut self, limit: Duration) -> Self {
        self.handshake_timeout = limit;
        self
    }

    /// Sets how many handshakes may run at once. 1,024 unless said: a core works through them
    /// within a third of a second. Eight times as many more may be connected that have not yet
    /// sent a whole ClientHello, each of which takes a file descriptor.
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

    /// Lets clients take up a session again within this time of its first handshake, or of the last
    /// in which it was taken up. Never unless said.
    ///
    /// It saves the server about half of a handshake's cost. What it must not save is made up for:
    /// the certificate of the session is verified again on each such connection, as in a full
    /// handshake and as of now, and newly published material drops all sessions. Each serves once,
    /// and 8,192 are kept ([`with_max_sessions`](Self::with_max_sessions)), here in memory: no
    /// key exists that would open them.
    ///
    /// One thing cannot be made up for. A resumed handshake does not show the client's newest
    /// certificate, so that a client which has rotated to another identity goes by its old one
    /// while its sessions last, so long as that is still good. Choose a time that makes no
    /// difference, such as a minute.
    ///
    /// A client whose session is not believed any more is cut off without an alert that says why,
    /// and comes back with a full handshake.
    pub fn allow_resumption(mut self, lifetime: Duration) -> Self {
        self.session_lifetime = Some(lifetime);
        self
    }

    /// Sets how many sessions are kept, if any are. 8,192 unless said: about 16 MB.
    pub fn with_max_sessions(mut self, sessions: NonZeroUsize) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// Sets what becomes of a connection when its peer's certificate expires, under another
    /// server than `serve`, which has settings of its own. Gracefully unless said, which here means
    /// that the connection ends after the [drain limit](Self::with_drain_timeout), whatever is
    /// under way on it by then.
    pub fn on_expiry(mut self, end: EndConnection) -> Self {
        self.terms.on_expiry = end;
        self
    }

    /// The same when its peer is no longer believed, because its certificate was revoked or the
    /// root that it rests on was withdrawn. Until the end its requests pass.
    pub fn on_revocation(mut self, end: EndConnection) -> Self {
        self.terms.on_revocation = end;
        self
    }

    /// Sets after what age, give or take a tenth, a connection ends under another server than
    /// `serve`, and the drain limit later, whatever is under way on it. None unless said: these
    /// servers do not tell the client to go.
    pub fn with_max_connection_age(mut self, age: Duration) -> Self {
        self.terms.max_age = Some(age);
        self
    }

    /// Sets how long a connection that has to end still goes on under another server than `serve`,
    /// to the second. 30 seconds unless said.
    pub fn with_drain_timeout(mut self, limit: Duration) -> Self {
        self.terms.drain_timeout = limit;
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

    /// Sets who is told of handshakes: those that fail, with the reason, and those that do not.
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
    pub async fn bind(self, address: impl ToSocketAddrs) -> io::Result<MtlsListener<P>> {
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
    pub fn listen_on(self, listener: TcpListener) -> io::Result<MtlsListener<P>> {
        let local_address = listener.local_addr()?;
        let (sender, finished) = mpsc::channel(MAX_WAITING);
        let share = (self.max_handshakes / SHARE_OF_ADDRESS).max(1);
        let resuming = self.session_lifetime.map(|lifetime| Resuming {
            lifetime,
            sessions: self.max_sessions,
        });
        let per_address = self.max_handshakes_per_address.unwrap_or(share);
        let acceptor = Arc::new(Acceptor {
            configurations: Configurations::server(
                self.material,
                Arc::clone(&self.clock),
                self.certificates,
                resuming,
            ),
            handshake_timeout: self.handshake_timeout,
            header_senders: self.header_senders,
            migration: self.migration,
            observer: self.observer,
            clock: self.clock,
            crowd: Mutex::new(Crowd::new(self.max_handshakes, per_address)),
            freed: Notify::new(),
            outcomes: Outcomes::default(),
            allows_resumption: resuming.is_some(),
            terms: self.terms,
            leases: Leases::default(),
        });
        tokio::spawn(accept_loop(listener, Arc::clone(&acceptor), sender));
        Ok(MtlsListener {
            finished,
            local_address,
            acceptor,
        })
    }

    fn of_any_presence(self) -> MtlsListenerBuilder<Option<Peer>> {
        MtlsListenerBuilder {
            material: self.material,
            handshake_timeout: self.handshake_timeout,
            header_senders: self.header_senders,
            certificates: self.certificates,
            migration: self.migration,
            session_lifetime: self.session_lifetime,
            max_sessions: self.max_sessions,
            terms: self.terms,
            max_handshakes: self.max_handshakes,
            max_handshakes_per_address: self.max_handshakes_per_address,
            observer: self.observer,
            clock: self.clock,
            presence: PhantomData,
        }
    }
}
