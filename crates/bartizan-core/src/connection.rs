//! What is known of a connection before the first request on it.

use std::net::SocketAddr;
use std::sync::Arc;

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
    transport: Transport,
    local: Option<SocketAddr>,
    server_name: Option<Arc<str>>,
}

/// How the bytes of a connection travel, as far as its listener knows.
///
/// What is unknown is believed to be neither: a layer that gives something up for TLS, or for
/// plaintext that somebody allowed, goes by what a listener has said.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Transport {
    /// In the clear, to a listener that takes both.
    Plaintext,
    /// Under TLS, whether or not the far end has a certificate.
    Tls,
    /// The listener did not say.
    #[default]
    Unknown,
}

impl Connection {
    /// A connection from `remote` on which nobody has proven an identity.
    pub fn from_remote(remote: SocketAddr) -> Self {
        Self {
            remote: Some(remote),
            peer: None,
            transport: Transport::Unknown,
            local: None,
            server_name: None,
        }
    }

    /// Adds the peer that the handshake proved, under TLS that is.
    #[must_use]
    pub fn with_peer(mut self, peer: Peer) -> Self {
        self.peer = Some(peer);
        self.transport = Transport::Tls;
        self
    }

    /// Adds how the bytes travel, for a connection without a peer: one with a peer is under TLS.
    #[must_use]
    pub fn with_transport(mut self, transport: Transport) -> Self {
        if self.peer.is_none() {
            self.transport = transport;
        }
        self
    }

    /// Adds the address that the connection was made to.
    #[must_use]
    pub fn with_local(mut self, local: SocketAddr) -> Self {
        self.local = Some(local);
        self
    }

    /// Adds the name that the client asked for in the TLS handshake; empty if it asked for none.
    #[must_use]
    pub fn with_server_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.server_name = Some(name.into());
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

    /// The address that the connection was made to, if the listener said so.
    pub fn local(&self) -> Option<SocketAddr> {
        self.local
    }

    /// The name that the client asked for in the TLS handshake
    /// ([RFC 6066 §3](https://www.rfc-editor.org/rfc/rfc6066#section-3)): empty if it asked for
    /// none, `None` if the listener did not say.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// How the bytes travel.
    pub fn transport(&self) -> Transport {
        self.transport
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallTime;
    use crate::peer::{PeerIdentity, VerifiedCertificate};

    #[test]
    fn a_connection_with_a_peer_is_under_tls_whatever_is_said_of_it() {
        let remote = Connection::from_remote(([192, 0, 2, 1], 1).into());
        assert_eq!(remote.transport(), Transport::Unknown);
        let plain = remote.with_transport(Transport::Plaintext);
        assert_eq!(plain.transport(), Transport::Plaintext);
        let peer = Peer::assert_verified(VerifiedCertificate {
            identity: PeerIdentity::Dns([Box::from("a.test")].into()),
            certificate_sha256: [0; 32],
            serial: [1].into(),
            not_after: WallTime::MAX,
        });
        assert_eq!(plain.peer(), None);
        let proven = plain.with_peer(peer.clone());
        assert_eq!(proven.transport(), Transport::Tls);
        assert_eq!(proven.peer(), Some(&peer));
        assert_eq!(proven.describe().peer(), Some(&peer));
        let said = proven.with_transport(Transport::Plaintext);
        assert_eq!(said.transport(), Transport::Tls);
    }

    #[test]
    fn what_a_listener_does_not_say_is_not_known() {
        let remote = Connection::from_remote(([192, 0, 2, 1], 1).into());
        assert_eq!((remote.local(), remote.server_name()), (None, None));
        let told = remote
            .with_local(([192, 0, 2, 2], 443).into())
            .with_server_name("");
        assert_eq!(told.local(), Some(([192, 0, 2, 2], 443).into()));
        assert_eq!(told.server_name(), Some(""));
    }
}
