//! What is known of a connection before the first request on it.

use std::net::SocketAddr;

use http::Extensions;

use crate::peer::Peer;

/// What a listener knows of a connection: the far address and, under mutual TLS, the peer.
///
/// A listener puts one into the extensions of each request of the connection. Hosts differ in how
/// they do that: tonic and a plain hyper server insert the bare value, axum wraps it in
/// `ConnectInfo` (feature `axum`: `AxumListener` and
/// `into_make_service_with_connect_info::<Connection>()`).
/// [`Connection::of`] finds both.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    remote: Option<SocketAddr>,
    peer: Option<Peer>,
}

impl Connection {
    /// A connection from `remote` on which nobody has proven an identity.
    pub fn from_remote(remote: SocketAddr) -> Self {
        Self {
            remote: Some(remote),
            peer: None,
        }
    }

    /// Adds the peer that the handshake proved.
    #[must_use]
    pub fn with_peer(mut self, peer: Peer) -> Self {
        self.peer = Some(peer);
        self
    }

    /// The address of the far end of this connection, which may be a proxy's. `None` where there
    /// is no such address, as on a unix socket.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }

    /// The peer that the handshake proved, if one did.
    pub fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref()
    }

    /// The connection that carried the request with these extensions, if its listener said so.
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        let bare = extensions.get::<Self>();
        #[cfg(feature = "axum")]
        let bare = bare.or_else(|| {
            extensions
                .get::<axum::extract::ConnectInfo<Self>>()
                .map(|info| &info.0)
        });
        bare
    }
}

/// Something that can say what is known of a connection; for listeners.
///
/// Implemented for [`Connection`] itself and for a plain socket address, so that axum (feature
/// `axum`: `AxumListener`) learns it from any listener whose address type is one of them.
pub trait DescribeConnection {
    /// What is known of the connection.
    fn describe(&self) -> Connection;
}

impl DescribeConnection for Connection {
    fn describe(&self) -> Connection {
        self.clone()
    }
}

impl DescribeConnection for SocketAddr {
    fn describe(&self) -> Connection {
        Connection::from_remote(*self)
    }
}
