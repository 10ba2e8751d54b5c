//! `[listener]`: where connections are taken, and with which identity.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use bartizan_core::{IpNetwork, TrustDomain};

use crate::config::section::section;
use crate::config::setting::{Size, choice};

section! {
    /// Accepts TLS connections whose far end proves who it is. Takes `[peers]` beside it.
    Listener {
        /// Address and port to listen on.
        address: SocketAddr,
        /// Where our identity comes from.
        identity: IdentityKind = "spiffe",
        /// Our certificate chain (PEM), leaf first. Not with `identity = "workload_api"`.
        chain: Option<PathBuf>,
        /// Our private key (PEM). Not with `identity = "workload_api"`.
        key: Option<PathBuf>,
        /// With `identity = "dns"`, the certificate authorities (PEM) of peers' DNS names.
        dns_roots: Option<PathBuf>,
        /// With `identity = "dns"`, their revocation lists (PEM).
        dns_revocation_lists: Option<PathBuf>,
        /// The trust domains that are believed, each with its bundle.
        trust: Vec<TrustEntry>,
        /// Lets certificates pass whose revocation the lists do not tell.
        allow_unknown_revocation_status: bool = "false",
        /// How often the files are looked at.
        reload_interval: Duration = "10s",
        /// Begins to listen before there is an identity, and refuses every handshake until then.
        allow_late_identity: bool = "false",
        /// The Workload API's endpoint, as `unix:///path` or `tcp://address:port`. By default what
        /// `SPIFFE_ENDPOINT_SOCKET` says. Build with the feature `workload-api`.
        workload_api: Option<String>,
        /// Of several identities that the Workload API gives, the one with this hint.
        workload_api_hint: Option<String>,
        /// How long is waited after a first failure of the Workload API at most: from 10ms.
        workload_api_first_pause: Duration = "500ms",
        /// How long is waited after a failure of the Workload API at most.
        workload_api_longest_pause: Duration = "30s",
        /// Refuses certificates whose revocation the Workload API's lists do not tell.
        require_revocation_status: bool = "false",
        /// Networks of load balancers that write the PROXY protocol. From these it is required.
        proxy_protocol: Vec<IpNetwork>,
        /// How long a handshake may take.
        handshake_timeout: Duration = "10s",
        /// How many handshakes may run at once.
        max_handshakes: NonZeroUsize = "1024",
        /// How many of them with clients of one address. Half of them by default.
        max_handshakes_per_address: Option<NonZeroUsize>,
        /// Lets clients take up a session again within this time. Never by default.
        allow_resumption: Option<Duration>,
        /// How many sessions are kept, if any are.
        max_sessions: NonZeroUsize = "8192",
        /// What becomes of a connection when its peer's certificate expires.
        on_expiry: Ends = "gracefully",
        /// What becomes of a connection when its peer is revoked.
        on_revocation: Ends = "gracefully",
        /// How long a connection that has to end still goes on.
        drain_timeout: Duration = "30s",
        /// After what age, give or take a tenth, a connection ends under another server than
        /// `Configured::serve`, which has a limit of its own. Never by default: such a server does not
        /// tell the client to go.
        max_connection_age: Option<Duration>,
        /// The limits of the server loop, for `Configured::serve`.
        serve: Option<Serve>,
    }
}

section! {
    /// The limits of the server loop.
    Serve {
        /// How long the head of an HTTP/1.1 request may take.
        header_read_timeout: Duration = "30s",
        /// How large the head of a request may be; at least 8 KiB.
        max_header_bytes: Size = "16KiB",
        /// How many header fields an HTTP/1.1 request may have.
        max_headers: NonZeroUsize = "100",
        /// How many requests may be under way on one HTTP/2 connection.
        max_concurrent_streams: u32 = "200",
        /// How many streams a client may reset before they were accepted.
        max_pending_reset_streams: usize = "20",
        /// How many errors are answered by a reset before the connection ends.
        max_local_error_resets: usize = "1024",
        /// After how long a silence an HTTP/2 client is asked whether it is there.
        keep_alive_interval: Duration = "60s",
        /// How long it may take to answer.
        keep_alive_timeout: Duration = "20s",
        /// After what age a connection ends gracefully.
        max_connection_age: Duration = "1h",
        /// Lets connections grow as old as they like.
        allow_any_connection_age: bool = "false",
        /// How many connections may be open at once.
        max_connections: NonZeroUsize = "10000",
    }
}

section! {
    /// A trust domain that is believed.
    TrustEntry {
        /// Its name.
        domain: TrustDomain,
        /// The file with its certificate authorities.
        bundle: PathBuf,
        /// What the file is.
        format: BundleFormat = "pem",
        /// The file with its revocation lists (PEM). Without it no revocation is noticed.
        revocation_lists: Option<PathBuf>,
    }
}

choice! {
    /// Where our identity comes from.
    IdentityKind {
        /// A certificate with DNS names, in files.
        Dns = "dns",
        /// An X509-SVID, in files.
        Spiffe = "spiffe",
        /// The SPIFFE Workload API, which tells the trust as well.
        WorkloadApi = "workload_api",
    }
}

choice! {
    /// What a bundle's file is.
    BundleFormat {
        /// Certificates in PEM.
        Pem = "pem",
        /// A SPIFFE bundle document. Build with the feature `spiffe-bundle`.
        Spiffe = "spiffe",
    }
}

choice! {
    /// How a connection ends.
    Ends {
        /// At once, whatever is under way.
        AtOnce = "at_once",
        /// After what is under way, within the drain timeout.
        Gracefully = "gracefully",
        /// Not at all.
        Never = "never",
    }
}
