//! Mutual TLS workload identity for axum, tonic and hyper: who is at the other end, proven.
//!
//! A service takes an identity (an [X509-SVID] or a certificate with DNS names), accepts
//! connections through [`MtlsListener`] and opens them through [`MtlsConnector`]. Both ends prove
//! who they are in the handshake; [`MtlsLayer`] lets in the peers that are listed. What a mesh does
//! in a sidecar happens in the process, with certificates that rotate while it runs.
//!
//! # Quick start
//!
//! A server under axum (feature `axum`). The handler learns who calls:
//!
//! ```no_run
//! # #[cfg(feature = "axum")]
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, routing::get};
//! use bartizan_core::{AxumListener, Connection, Peer};
//! use bartizan_mtls::{MaterialFiles, MtlsLayer, MtlsListener};
//!
//! let material = MaterialFiles::new("/run/svid/tls.crt", "/run/svid/tls.key")
//!     .with_bundle("example.org".parse()?, "/run/svid/ca.crt")
//!     .load()?;
//! let mtls = MtlsLayer::builder()
//!     .allow_peer("spiffe://example.org/ns/shop/sa/orders".parse()?)
//!     .build()?;
//! let app = Router::new()
//!     .route("/", get(async |peer: Peer| format!("hello {peer}")))
//!     .layer(mtls);
//!
//! let listener = MtlsListener::builder(material.published()).bind("0.0.0.0:8443").await?;
//! let app = app.into_make_service_with_connect_info::<Connection>();
//! axum::serve(AxumListener::new(listener), app).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The same under tonic (feature `tonic`), and a client of it:
//!
//! ```no_run
//! # #[cfg(feature = "tonic")]
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! use bartizan_mtls::{AllowedPeers, MaterialFiles, MtlsConnector, MtlsLayer, MtlsListener};
//! use tonic::transport::{Endpoint, Server};
//! # let (_, health) = tonic_health::server::health_reporter();
//!
//! let material = MaterialFiles::new("/run/svid/tls.crt", "/run/svid/tls.key")
//!     .with_bundle("example.org".parse()?, "/run/svid/ca.crt")
//!     .load()?;
//!
//! // The server: orders may call.
//! let orders = "spiffe://example.org/ns/shop/sa/orders".parse()?;
//! let listener = MtlsListener::builder(material.published()).bind("0.0.0.0:8443").await?;
//! let server = Server::builder()
//!     .layer(MtlsLayer::builder().allow_peer(orders).build()?)
//!     .add_service(health)
//!     .serve_with_incoming(listener);
//! # tokio::spawn(server);
//!
//! // The client: payments must answer. `http://` here, see `MtlsConnector`; it is TLS all the same.
//! let payments = AllowedPeers::id("spiffe://example.org/ns/shop/sa/payments".parse()?);
//! let connector = MtlsConnector::builder(material.published(), payments).require_http2().build();
//! let channel = Endpoint::from_static("http://payments.shop.svc:8443")
//!     .connect_with_connector(connector)
//!     .await?;
//! # let _ = tonic_health::pb::health_client::HealthClient::new(channel);
//! # Ok(())
//! # }
//! ```
//!
//! The layer by itself refuses whoever is not listed, which includes everybody without a
//! certificate:
//!
//! ```
//! use bartizan_core::Connection;
//! use bartizan_mtls::MtlsLayer;
//! use http::{Request, Response, StatusCode};
//! use tower::{Layer, ServiceExt, service_fn};
//! # use std::{convert::Infallible, error::Error};
//! # use bartizan_core::{Peer, PeerIdentity, VerifiedCertificate, WallTime};
//! # let peer = |id: &str| -> Result<Peer, Box<dyn Error>> {
//! #     Ok(Peer::assert_verified(VerifiedCertificate {
//! #         identity: PeerIdentity::Spiffe(id.parse()?),
//! #         certificate_sha256: [0; 32],
//! #         serial: [1].into(),
//! #         not_after: WallTime::MAX,
//! #     }))
//! # };
//! # let orders = peer("spiffe://example.org/ns/shop/sa/orders")?;
//! # let stranger = peer("spiffe://example.org/ns/shop/sa/stranger")?;
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//!
//! let layer = MtlsLayer::builder()
//!     .allow_peer("spiffe://example.org/ns/shop/sa/orders".parse()?)
//!     .build()?;
//! let service = layer.layer(service_fn(async |_: Request<()>| {
//!     Ok::<_, Infallible>(Response::new(String::new()))
//! }));
//!
//! // What a listener puts into the extensions of each request.
//! let remote = Connection::from_remote(([192, 0, 2, 1], 4711).into());
//! for (connection, status) in [
//!     (remote.clone().with_peer(orders), StatusCode::OK),
//!     (remote.clone().with_peer(stranger), StatusCode::FORBIDDEN),
//!     (remote, StatusCode::UNAUTHORIZED),
//! ] {
//!     let mut request = Request::new(());
//!     request.extensions_mut().insert(connection);
//!     assert_eq!(service.clone().oneshot(request).await?.status(), status);
//! }
//! # Ok::<(), Box<dyn Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn Error>>(())
//! ```
//!
//! # How it decides
//!
//! In the handshake, at either end ([`verify_svid`] has the rules in detail):
//!
//! 1. TLS 1.3 and a certificate from both ends, or there is no connection. A listener can be told
//!    otherwise, see [below](#modes). Sessions are not resumed unless
//!    [allowed](MtlsListenerBuilder::allow_resumption): a resumed session shows the certificate of
//!    its first handshake, which is then verified again.
//! 2. The leaf must be an X509-SVID to the letter: exactly one URI name, a SPIFFE ID with a path,
//!    the key usage of a leaf and of nothing else. rustls looks at none of this.
//! 3. The roots are those of the trust domain that the SPIFFE ID names. A partner's authority can
//!    name the partner's workloads and never one of ours.
//! 4. A path leads to one of these roots through certificates that may issue certificates, all of
//!    them inside their validity periods.
//! 5. On the client side, the server must be one of those that the connector was given.
//!
//! Then, for each request, [`MtlsLayer`]: the connection has a peer, its certificate has not
//! expired meanwhile, and it is on the list. What `X-Forwarded-Client-Cert` or `Client-Cert` say of
//! somebody else is believed from proxies with a [`ProxyGrant`] and removed from all others'
//! requests.
//!
//! DNS names are an alternative that is chosen ([`Trust::dns`], [`Identity::dns_from_pem`]), never
//! one that is fallen back to.
//!
//! # Modes
//!
//! | mode | listener | layer | who gets in |
//! |---|---|---|---|
//! | strict | as it is | as it is | peers |
//! | request-only | [`allow_no_certificate`](MtlsListenerBuilder::allow_no_certificate) | [`allow_no_certificate`](MtlsLayerBuilder::allow_no_certificate) | peers, and clients under TLS without a certificate |
//! | permissive | [`allow_plaintext`](MtlsListenerBuilder::allow_plaintext) | [`allow_plaintext`](MtlsLayerBuilder::allow_plaintext) | peers, and plaintext on listed routes until a certain day ([`Migration`]) |
//!
//! The last two make streams of `Option<Peer>`; a strict listener has no `Option`. Each has to be
//! said twice, to the listener and to the layer: whichever was not told refuses.
//!
//! To move a service over: allow plaintext on the routes that are called, watch
//! [`Migration::passed`] and the decisions with the code `mtls.plaintext`, and when no more come,
//! take the allowance away. If nobody does, it ends on its day.
//!
//! # Rotation
//!
//! [`Material`], our identity and our trust together, comes through a
//! [`Published`](bartizan_source::Published) value. Each handshake uses the newest version;
//! connections that are open go on, unless the server loop ([`serve`], feature `serve`) finds that
//! their peer is no longer believed, has expired, or that they have reached their age: it then ends
//! them gracefully. Under axum's, tonic's and any other server the connection itself ends, after a
//! [drain limit](MtlsListenerBuilder::with_drain_timeout). [`MaterialFiles`] validates new files before it publishes them
//! and keeps the last good version otherwise; so does `WorkloadApi` (feature `workload-api`), which
//! an agent such as SPIRE's sends new material.
//!
//! # Deployment notes
//!
//! What this crate does not protect against, or needs from you:
//!
//! * **The private key** lies in memory, and in a file if you keep it there. Whoever reads either
//!   is you. Give files to the service's user alone, and prefer short-lived certificates. Buffers of
//!   ours are wiped; the key that `ring` works with, and the PEM decoder's scratch space, are not.
//! * **A certificate authority** of a trust domain can name any workload of that domain.
//! * **URI name constraints**: the path validator does not know them and refuses every
//!   certificate below an authority that carries one, even a matching one. Such an authority cannot
//!   be used.
//! * **Revocation** is checked where you give lists ([`RevocationLists`]); nothing is fetched.
//!   Without them a certificate is good until it expires: keep it short-lived, or withdraw the root.
//! * **Open connections** whose peer is revoked or whose root is withdrawn end gracefully under
//!   [`serve`]. Under axum's and tonic's own servers nobody can tell the client to go: its requests
//!   pass until the drain limit, and what is under way then is lost;
//!   [`EndConnection::AtOnce`] leaves no such time. The layer refuses requests of a peer whose
//!   certificate has expired and ends responses that are under way. Under `serve` a connection that
//!   was upgraded goes on.
//! * **DNS names** of one set of roots are all alike: each of its authorities can claim each name.
//! * **Floods**: clients that have not sent a whole ClientHello cost a file descriptor each and
//!   delay nobody: beyond 8,192, the longest silent makes room at once. See to it that the process
//!   may have as many descriptors. A flood from very many addresses that does send one costs a
//!   signature each, and can delay others by up to a second; stopping it is the network's part.
//! * **Plaintext** that is allowed is what it is: see [`Migration`]. **Resumption** that is allowed
//!   keeps a client's old identity for as long as a session lives.
//! * **What a proxy says** of its client is the proxy's word. Grant it to proxies that replace or
//!   append the header, and to nobody who hands it on; see [`ProxyGrant`]. In shadow mode the layer
//!   removes no header, so that a service behind it still sees what anybody sent.
//! * **The PROXY protocol** gives an address, which the balancer can choose freely, and no identity.
//! * **The Workload API** is believed in everything, as the owner of our key. An SVID that it
//!   withdraws without another in its place stays in use until it expires.
//! * **axum's `serve`** has no time limit for request headers. Behind it, an authenticated peer can
//!   hold a connection open by sending a header slowly; behind [`serve`] it cannot.
//! * **Routes that axum adds after `.layer`** are not guarded. Add the layer last.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `aws-lc-rs` | `Crypto` by aws-lc-rs, which prefers the key exchange X25519MLKEM768 |
//! | `axum` | [`MtlsListener`] is an `axum::serve::Listener` |
//! | `fips` | `Crypto` by the FIPS module of aws-lc-rs; takes CMake and Go to build |
//! | `serve` | [`serve`], a server loop on hyper with limits, connection age and graceful ends |
//! | `spiffe-bundle` | `SpiffeBundle`: bundle documents of federated trust domains, also as files |
//! | `tonic` | [`MtlsStream`] is tonic's `Connected`, for `serve_with_incoming` |
//! | `workload-api` | `WorkloadApi`: material from SPIRE and other agents, over gRPC |
//!
//! None is on by default, and none changes what another does: `ring` is the crypto library of every
//! identity that was not loaded with another [`Crypto`]. hyper-util needs none: see
//! [`MtlsListener::accept`].
//!
//! [X509-SVID]: https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md

#![cfg_attr(docsrs, feature(doc_cfg))]

mod accept;
mod acceptor;
mod allowed;
mod certificate;
mod client_cert;
mod config;
mod connect_error;
mod connector;
mod crowd;
mod crypto;
mod der;
mod ending;
mod error;
mod expected;
mod files;
mod forwarded;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod handshake;
mod hosts;
mod identity;
mod layer;
mod lease;
mod listener;
mod material;
mod migration;
mod opening;
mod pass;
mod presence;
mod proof;
mod proxied;
mod proxy;
mod proxy_protocol;
mod revocation;
mod roots;
mod rules;
#[cfg(feature = "serve")]
mod serve;
#[cfg(feature = "spiffe-bundle")]
mod spiffe_bundle;
mod status;
mod stream;
mod svid_error;
mod tls;
mod trust;
mod verify;
#[cfg(feature = "workload-api")]
mod workload_api;
mod xfcc;

pub use self::accept::ACCEPT_FAILED;
pub use self::allowed::{AllowedPeers, NotADnsName};
pub use self::client_cert::{ClientCertError, parse_client_cert, parse_client_cert_chain};
pub use self::config::MtlsLayerBuilder;
pub use self::connect_error::{MtlsConnectError, MtlsConnectErrorKind};
pub use self::connector::{Connecting, MtlsConnector, MtlsConnectorBuilder};
pub use self::crypto::Crypto;
#[cfg(feature = "fips")]
pub use self::crypto::NotFips;
pub use self::ending::{CONNECTION_AGED, EndConnection};
pub use self::error::{
    CREDENTIAL_IN_PLAINTEXT, ConfigError, FORWARDED_BY_OTHER, FORWARDED_MALFORMED, MtlsError,
    MtlsErrorKind, NO_CONNECTION, NO_PEER, PEER_EXPIRED, PEER_NOT_ALLOWED, PLAINTEXT_NOT_LISTED,
    TOKEN_IN_PLAINTEXT,
};
pub use self::expected::ExpectedServers;
pub use self::files::{MaterialError, MaterialFiles};
pub use self::guard::MtlsGuard;
pub use self::handshake::{
    ALERT_RECEIVED, ANONYMOUS, EXPIRED, HANDSHAKE_COMPLETED, HANDSHAKE_FAILED, HANDSHAKE_RESUMED,
    HANDSHAKE_SHED, HANDSHAKE_TIMEOUT, NO_CERTIFICATE, NO_IDENTITY, NOT_AN_SVID, PLAINTEXT,
    PLAINTEXT_ENDED, PROXY_PROTOCOL, REVOCATION_UNKNOWN, REVOKED, UNKNOWN_AUTHORITY,
};
pub use self::identity::{Identity, IdentityError};
pub use self::layer::{Mtls, MtlsLayer};
pub use self::listener::{MtlsListener, MtlsListenerBuilder};
pub use self::material::Material;
pub use self::migration::Migration;
pub use self::pass::MtlsPass;
pub use self::presence::Presence;
pub use self::proof::TRUST_WITHDRAWN;
pub use self::proxy::{ForwardedError, ProxyGrant};
pub use self::proxy_protocol::{ProxyHeader, ProxyHeaderProgress, ProxyProtocolError};
pub use self::revocation::{RevocationError, RevocationLists};
pub use self::roots::{Roots, RootsError};
pub use self::rules::Role;
#[cfg(feature = "serve")]
pub use self::serve::{CONNECTION_CUT, Serve, Serving, serve};
#[cfg(feature = "spiffe-bundle")]
pub use self::spiffe_bundle::{SpiffeBundle, SpiffeBundleError};
pub use self::status::{ListenerMonitor, ListenerStatus};
pub use self::stream::MtlsStream;
pub use self::svid_error::{KeyUsageFault, PathFault, SvidError};
pub use self::trust::{Trust, TrustBundles};
pub use self::verify::{verify_dns, verify_svid};
#[cfg(feature = "workload-api")]
pub use self::workload_api::{
    EndpointError, FEDERATED_BUNDLE_IGNORED, UpdateError, WORKLOAD_API_FAILED,
    WORKLOAD_API_STOPPED, WORKLOAD_API_UPDATED, WorkloadApi,
};
pub use self::xfcc::{Xfcc, XfccElement, XfccError};
