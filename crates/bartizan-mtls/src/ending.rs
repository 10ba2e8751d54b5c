//! How connections end when what they rest on is gone.

use bartizan_core::{Code, Connection, Transport, WallTime};

use crate::acceptor::Acceptor;
use crate::error::PEER_EXPIRED;
use crate::handshake::PLAINTEXT_ENDED;

/// A connection ended because it had reached its age.
pub const CONNECTION_AGED: Code = Code::new("mtls.connection_aged");

/// How a connection ends when what it rests on is gone.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum EndConnection {
    /// At once, whatever is under way.
    AtOnce,
    /// By GOAWAY (HTTP/2) or after the response (HTTP/1.1), within the drain limit. Servers other
    /// than `serve` know neither: the connection goes on as it is until the limit.
    Gracefully,
    /// Not at all: it goes on until it ends by itself. [`MtlsLayer`](crate::MtlsLayer) still
    /// refuses requests of a peer that has expired.
    Never,
}

impl Acceptor {
    /// The last second of what a connection rests on, and what is told when that is over.
    pub(crate) fn end_of(&self, connection: &Connection) -> Option<(WallTime, Code)> {
        match (connection.peer(), connection.transport()) {
            (Some(peer), _) => Some((peer.not_after(), PEER_EXPIRED)),
            (None, Transport::Plaintext) => {
                // Its end does not belong to a migration.
                let last = self.migration.as_ref()?.end();
                Some((
                    last.saturating_sub(std::time::Duration::from_secs(1)),
                    PLAINTEXT_ENDED,
                ))
            }
            _ => None,
        }
    }
}
