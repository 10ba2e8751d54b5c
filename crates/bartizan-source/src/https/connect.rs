//! Makes the connection: name lookup, TCP, TLS.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::BoxError;
use crate::https::error::{FetchError, FetchErrorKind};
use crate::https::target::Target;

/// A connection to the target, with or without TLS.
pub(super) enum Connection {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// How long one address is tried before the next is tried beside it: RFC 8305 section 5.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// More addresses than these are not tried: a name server may answer with thousands.
const ADDRESS_LIMIT: usize = 8;

pub(super) async fn connect(target: &Target, tls: &TlsConnector) -> Result<Connection, FetchError> {
    let addresses = resolve(target).await?;
    let tcp = race(addresses).await.map_err(|error| {
        let message = format!("cannot connect to {}", target.authority);
        FetchError::caused(FetchErrorKind::Connect, message, error)
    })?;
    if !target.tls {
        return Ok(Connection::Plain(tcp));
    }
    let failed = |error: BoxError| {
        let message = format!("TLS handshake with {} failed", target.authority);
        FetchError::caused(FetchErrorKind::Tls, message, error)
    };
    let name = ServerName::try_from(target.host.clone()).map_err(|error| failed(error.into()))?;
    let stream = tls
        .connect(name, tcp)
        .await
        .map_err(|error| failed(error.into()))?;
    Ok(Connection::Tls(Box::new(stream)))
}

async fn resolve(target: &Target) -> Result<VecDeque<SocketAddr>, FetchError> {
    if let Ok(address) = target.host.parse::<IpAddr>() {
        return Ok(VecDeque::from([SocketAddr::new(address, target.port)]));
    }
    let message = || format!("cannot resolve {}", target.host);
    let found = lookup_host((target.host.as_str(), target.port))
        .await
        .map_err(|error| FetchError::caused(FetchErrorKind::Resolve, message(), error))?;
    let addresses = order(found, target.tls);
    if addresses.is_empty() {
        return Err(FetchError::new(FetchErrorKind::Resolve, message()));
    }
    Ok(addresses)
}

/// Puts address families in turns, beginning with that of the first address: RFC 8305 section 4.
/// Plaintext stays on this machine, whatever the name server says of "localhost".
fn order(found: impl Iterator<Item = SocketAddr>, tls: bool) -> VecDeque<SocketAddr> {
    let permitted = found.filter(|address| tls || address.ip().is_loopback());
    let mut rest: VecDeque<SocketAddr> = permitted.take(ADDRESS_LIMIT).collect();
    let mut ordered: VecDeque<SocketAddr> = VecDeque::with_capacity(rest.len());
    while !rest.is_empty() {
        let wanted = ordered.back().map(|last| !last.is_ipv6());
        let index = rest
            .iter()
            .position(|a| Some(a.is_ipv6()) == wanted)
            .unwrap_or(0);
        ordered.extend(rest.remove(index));
    }
    ordered
}

/// Connects to the first address that answers. Each next address is tried as soon as the one
/// before has failed or has kept us waiting; a family without a route then costs a moment only.
async fn race(mut addresses: VecDeque<SocketAddr>) -> io::Result<TcpStream> {
    let mut attempts = JoinSet::new();
    let mut last_error = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        let next = addresses.pop_front();
        if let Some(address) = next {
            attempts.spawn(TcpStream::connect(address));
        }
        let joined = if addresses.is_empty() {
            attempts.join_next().await
        } else {
            match timeout(ATTEMPT_DELAY, attempts.join_next()).await {
                Ok(joined) => joined,
                Err(_elapsed) => continue,
            }
        };
        match joined {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => last_error = error,
            Some(Err(error)) => last_error = io::Error::other(error),
            None if next.is_none() => return Err(last_error),
            None => {}
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(found: &[&str], tls: bool, expected: &[&str]) {
        let parse = |text: &&str| SocketAddr::new(text.parse().expect("address"), 1);
        let expected: Vec<SocketAddr> = expected.iter().map(parse).collect();
        assert_eq!(order(found.iter().map(parse), tls), expected);
    }

    #[test]
    fn address_families_take_turns() {
        check(&[], true, &[]);
        check(
            &["::1", "::2", "1.1.1.1", "2.2.2.2"],
            true,
            &["::1", "1.1.1.1", "::2", "2.2.2.2"],
        );
        check(
            &["1.1.1.1", "2.2.2.2", "::1"],
            true,
            &["1.1.1.1", "::1", "2.2.2.2"],
        );
        check(&["1.1.1.1", "2.2.2.2"], true, &["1.1.1.1", "2.2.2.2"]);
        check(&["::1"; 20], true, &["::1"; ADDRESS_LIMIT]);
    }

    #[test]
    fn plaintext_stays_on_this_machine() {
        check(
            &["10.0.0.1", "127.0.0.1", "2001:db8::1"],
            false,
            &["127.0.0.1"],
        );
        check(&["10.0.0.1"], false, &[]);
    }

    #[tokio::test]
    async fn an_address_that_refuses_does_not_keep_from_the_next() {
        let bind = || std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (closed, open) = (bind(), bind());
        let addresses = [&closed, &open].map(|listener| listener.local_addr().expect("bound"));
        drop(closed);
        let stream = race(addresses.into())
            .await
            .expect("the second one answers");
        assert_eq!(stream.peer_addr().expect("connected"), addresses[1]);
        drop(open);
        assert!(race(addresses.into()).await.is_err());
        assert!(race(VecDeque::new()).await.is_err());
    }
}
