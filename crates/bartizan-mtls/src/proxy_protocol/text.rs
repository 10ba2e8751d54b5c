//! Version 1: a line of text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{ProxyHeader, ProxyHeaderProgress, ProxyProtocolError};

const START: &[u8] = b"PROXY ";

/// The longest line, with its end: two IPv6 addresses of full length and two ports.
const MAX_LINE_BYTES: usize = 107;

/// The shortest line, `PROXY UNKNOWN` with its end.
const MIN_LINE_BYTES: usize = 15;

pub(super) fn read(bytes: &[u8]) -> Result<ProxyHeaderProgress, ProxyProtocolError> {
    if !bytes.starts_with(START) && !START.starts_with(bytes) {
        return Err(ProxyProtocolError::NoHeader);
    }
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
        // Nothing tells how much is left, except that it is not less than the shortest line.
        let missing = MIN_LINE_BYTES.saturating_sub(bytes.len()).max(1);
        return if bytes.len() < MAX_LINE_BYTES {
            Ok(ProxyHeaderProgress::Needs(missing))
        } else {
            Err(ProxyProtocolError::TooLong)
        };
    };
    let (line, rest) = bytes.split_at(end);
    if rest.len() != 2 {
        return Err(ProxyProtocolError::TrailingBytes);
    }
    if bytes.len() > MAX_LINE_BYTES {
        return Err(ProxyProtocolError::TooLong);
    }
    let line = std::str::from_utf8(line).map_err(|_| ProxyProtocolError::Addresses)?;
    let mut words = line.split(' ').skip(1);
    let family = words.next();
    // What follows is of the sender's choice.
    if family == Some("UNKNOWN") {
        return Ok(ProxyHeader::of(None));
    }
    let words = [
        words.next(),
        words.next(),
        words.next(),
        words.next(),
        words.next(),
    ];
    let [
        Some(source),
        Some(destination),
        Some(source_port),
        Some(destination_port),
        None,
    ] = words
    else {
        return Err(ProxyProtocolError::Addresses);
    };
    let address = match family {
        Some("TCP4") => address::<Ipv4Addr>,
        Some("TCP6") => address::<Ipv6Addr>,
        _ => return Err(ProxyProtocolError::Transport),
    };
    let addresses = (
        SocketAddr::new(address(source)?, port(source_port)?),
        SocketAddr::new(address(destination)?, port(destination_port)?),
    );
    Ok(ProxyHeader::of(Some(addresses)))
}

fn address<A: FromStr + Into<IpAddr>>(text: &str) -> Result<IpAddr, ProxyProtocolError> {
    text.parse::<A>()
        .map(Into::into)
        .map_err(|_| ProxyProtocolError::Addresses)
}

/// A port in decimal digits, without leading zeros.
fn port(text: &str) -> Result<u16, ProxyProtocolError> {
    let canonical = text == "0" || text.starts_with(|first| matches!(first, '1'..='9'));
    text.parse()
        .ok()
        .filter(|_| canonical)
        .ok_or(ProxyProtocolError::Addresses)
}
