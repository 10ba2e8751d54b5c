//! Connections that a load balancer hands on, with a header of the PROXY protocol before them.

use std::io;
use std::net::SocketAddr;

use bartizan_core::IpNetwork;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::proxy_protocol::{ProxyHeader, ProxyHeaderProgress, ProxyProtocolError};

/// Whose connections begin with a header. Nobody's, to begin with.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeaderSenders(Vec<IpNetwork>);

impl HeaderSenders {
    pub(crate) fn add(&mut self, networks: impl IntoIterator<Item = IpNetwork>) {
        self.0.extend(networks);
    }

    /// The address of the client behind `remote`, which is `remote` itself unless it sends
    /// headers and says otherwise.
    ///
    /// From those who send headers one is required: guessing would let whoever reaches them
    /// through to us say what they like.
    pub(crate) async fn client(
        &self,
        tcp: &mut TcpStream,
        remote: SocketAddr,
    ) -> io::Result<SocketAddr> {
        if !self.0.iter().any(|network| network.contains(remote.ip())) {
            return Ok(remote);
        }
        let mut bytes = Vec::new();
        loop {
            match ProxyHeader::read(&bytes).map_err(io::Error::other)? {
                ProxyHeaderProgress::Complete(header) => {
                    return Ok(header.source().unwrap_or(remote));
                }
                ProxyHeaderProgress::Needs(more) => {
                    let begin = bytes.len();
                    bytes.resize(begin.saturating_add(more), 0);
                    let missing = bytes.get_mut(begin..).unwrap_or_default();
                    tcp.read_exact(missing).await?;
                }
            }
        }
    }
}

/// The fault in a header, if that is what the error is about.
pub(crate) fn fault(error: &io::Error) -> Option<&ProxyProtocolError> {
    error.get_ref()?.downcast_ref()
}
