//! The PROXY protocol: what a load balancer says of a connection before its first byte.

mod checksum;
#[cfg(test)]
mod tests;
mod text;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What every header of version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family, length.
const FIXED_BYTES: usize = 16;

/// The most bytes behind the fixed part of version 2. Addresses take 36, the extensions that
/// clouds add less than 300.
const MAX_VARIABLE_BYTES: usize = 4096;

/// A header of the [PROXY protocol], version 1 or 2.
///
/// It states what the header says. Whom to believe is for
/// [`MtlsListenerBuilder::allow_proxy_protocol`](crate::MtlsListenerBuilder::allow_proxy_protocol).
///
/// [PROXY protocol]: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ProxyHeader {
    addresses: Option<(SocketAddr, SocketAddr)>,
}

/// How far a header has been read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a header is complete or it is not")]
pub enum ProxyHeaderProgress {
    /// The header is complete, and took all of the bytes.
    Complete(ProxyHeader),
    /// At least this many bytes follow, all of them the header's: reading them never takes a byte
    /// of what comes behind.
    Needs(usize),
}

/// Why bytes are no header of the PROXY protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyProtocolError {
    /// An address or a port is not well-formed, or the header is too short for its addresses.
    #[error("addresses are malformed")]
    Addresses,
    /// The checksum in the header is not the header's.
    #[error("checksum does not match")]
    Checksum,
    /// The header's extensions do not add up.
    #[error("extensions are malformed")]
    Extensions,
    /// The bytes are of no version of the protocol.
    #[error("no header of version 1 or 2")]
    NoHeader,
    /// The header is longer than allowed: 107 bytes in version 1, 4112 in version 2.
    #[error("header is too long")]
    TooLong,
    /// There are bytes behind the header.
    #[error("bytes behind the header")]
    TrailingBytes,
    /// The header is not about a TCP connection.
    #[error("header is not about a tcp connection")]
    Transport,
}

impl ProxyHeader {
    /// Reads as much of a header as is there.
    ///
    /// Begin with no bytes, and call again with more as long as the answer is
    /// [`Needs`](ProxyHeaderProgress::Needs).
    ///
    /// ```
    /// use bartizan_mtls::{ProxyHeader, ProxyHeaderProgress};
    ///
    /// let line = b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\n";
    /// let ProxyHeaderProgress::Complete(header) = ProxyHeader::read(line)? else {
    ///     return Err("incomplete".into());
    /// };
    /// assert_eq!(header.source(), Some(([192, 0, 2, 1], 4711).into()));
    /// assert!(ProxyHeader::read(b"GET / HTTP/1.1\r\n").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ProxyProtocolError`] as soon as no further bytes could make it a header.
    pub fn read(bytes: &[u8]) -> Result<ProxyHeaderProgress, ProxyProtocolError> {
        if bytes.starts_with(&SIGNATURE) {
            return read_binary(bytes);
        }
        if SIGNATURE.starts_with(bytes) {
            // The shortest line of version 1 is longer than the signature.
            let missing = SIGNATURE.len().saturating_sub(bytes.len());
            return Ok(ProxyHeaderProgress::Needs(missing));
        }
        text::read(bytes)
    }

    /// The client's address and port. `None` if the proxy speaks for itself, as in health checks,
    /// or does not know.
    pub fn source(&self) -> Option<SocketAddr> {
        self.addresses.map(|(source, _)| source)
    }

    /// The address and port that the client connected to.
    pub fn destination(&self) -> Option<SocketAddr> {
        self.addresses.map(|(_, destination)| destination)
    }

    fn of(addresses: Option<(SocketAddr, SocketAddr)>) -> ProxyHeaderProgress {
        ProxyHeaderProgress::Complete(Self { addresses })
    }
}

fn read_binary(bytes: &[u8]) -> Result<ProxyHeaderProgress, ProxyProtocolError> {
    let Some((fixed, variable)) = bytes.split_first_chunk::<FIXED_BYTES>() else {
        return Ok(ProxyHeaderProgress::Needs(FIXED_BYTES - bytes.len()));
    };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_VARIABLE_BYTES {
        return Err(ProxyProtocolError::TooLong);
    }
    let is_proxied = match command {
        0x20 => false,
        0x21 => true,
        _ => return Err(ProxyProtocolError::NoHeader),
    };
    match length.checked_sub(variable.len()) {
        None => return Err(ProxyProtocolError::TrailingBytes),
        Some(0) => {}
        Some(missing) => return Ok(ProxyHeaderProgress::Needs(missing)),
    }
    let (addresses, extensions) = match (is_proxied, family) {
        (true, 0x11) => addresses(variable, |v4: [u8; 4]| Ipv4Addr::from(v4).into())?,
        (true, 0x21) => addresses(variable, |v6: [u8; 16]| Ipv6Addr::from(v6).into())?,
        // The proxy speaks for itself, or does not know: where addresses would end is not told,
        // and what follows is not looked at.
        (false, _) | (true, 0x00) => return Ok(ProxyHeader::of(None)),
        _ => return Err(ProxyProtocolError::Transport),
    };
    checksum::check(bytes, extensions)?;
    Ok(ProxyHeader::of(Some(addresses)))
}

/// Source and destination, and what is behind them.
type Addresses<'a> = ((SocketAddr, SocketAddr), &'a [u8]);

/// Two addresses of `N` bytes, then two ports.
fn addresses<const N: usize>(
    bytes: &[u8],
    address: impl Fn([u8; N]) -> IpAddr,
) -> Result<Addresses<'_>, ProxyProtocolError> {
    let (source, bytes) = chunk::<N>(bytes)?;
    let (destination, bytes) = chunk::<N>(bytes)?;
    let (source_port, bytes) = chunk::<2>(bytes)?;
    let (destination_port, bytes) = chunk::<2>(bytes)?;
    let source = SocketAddr::new(address(source), u16::from_be_bytes(source_port));
    let destination = SocketAddr::new(address(destination), u16::from_be_bytes(destination_port));
    Ok(((source, destination), bytes))
}

fn chunk<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), ProxyProtocolError> {
    let (chunk, rest) = bytes
        .split_first_chunk::<N>()
        .ok_or(ProxyProtocolError::Addresses)?;
    Ok((*chunk, rest))
}
