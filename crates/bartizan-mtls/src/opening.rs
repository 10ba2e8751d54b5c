//! The first bytes of a connection, before anything is spent on it.

use std::io;

use rustls::server::{Accepted, Acceptor};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::handshake::Failure;

/// The largest ClientHello that is waited for, in bytes.
///
/// With post-quantum shares it has less than 2 KiB, and with a hundred protocols and names not
/// twice that. What one client may make us hold before it has a place ends here.
const MAX_HELLO_BYTES: usize = 16 * 1024;

/// How much is read at a time.
const PIECE: usize = 2048;

/// What an HTTP/2 client without ALPN sends first (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a plaintext connection that were read to know its protocol, and are to be read again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Replay {
    bytes: [u8; PREFACE.len()],
    begin: usize,
    end: usize,
}

impl Replay {
    /// What is left of it.
    pub(crate) fn rest(&self) -> &[u8] {
        self.bytes.get(self.begin..self.end).unwrap_or_default()
    }

    /// Marks so many bytes as read.
    pub(crate) fn advance(&mut self, count: usize) {
        self.begin = self.end.min(self.begin + count);
    }
}

/// Whether the client speaks plaintext, by its first byte, which stays to be read.
///
/// A request begins with its method, and every method that there is with a capital letter; a TLS
/// record with 22. What is neither fails as TLS.
pub(crate) async fn is_plaintext(tcp: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    match tcp.peek(&mut first).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(first[0].is_ascii_uppercase()),
    }
}

/// Whether a plaintext client begins with HTTP/2, and what was read to know.
pub(crate) async fn prior_knowledge(tcp: &TcpStream) -> io::Result<(bool, Replay)> {
    let mut replay = Replay::default();
    loop {
        tcp.readable().await?;
        let room = replay.bytes.get_mut(replay.end..).unwrap_or_default();
        match tcp.try_read(room) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => replay.end += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        if !PREFACE.starts_with(replay.rest()) {
            return Ok((false, replay));
        }
        if replay.end == PREFACE.len() {
            return Ok((true, replay));
        }
    }
}

/// Reads a whole ClientHello. Until it is there, nothing is calculated, and little is held.
pub(crate) async fn client_hello(tcp: &mut TcpStream) -> Result<Accepted, Failure> {
    let mut acceptor = Acceptor::default();
    let mut left = MAX_HELLO_BYTES;
    loop {
        tcp.readable().await.map_err(Failure::Transport)?;
        let refused = match read_some(tcp, &mut acceptor, left) {
            Ok(Read::Nothing) => continue,
            Ok(Read::Some(count)) => {
                left = left.saturating_sub(count);
                match acceptor.accept() {
                    Ok(Some(accepted)) => return Ok(accepted),
                    Ok(None) if left > 0 => continue,
                    Ok(None) => return Err(Failure::Transport(too_large())),
                    Err(refused) => refused,
                }
            }
            Err(error) => return Err(Failure::Transport(error)),
        };
        let (error, mut alert) = refused;
        let mut bytes = Vec::new();
        // It may be lost, like whatever is sent to somebody who does not speak TLS.
        if alert.write_all(&mut bytes).is_ok() {
            let _ = tcp.write_all(&bytes).await;
        }
        return Err(Failure::Tls(error));
    }
}

enum Read {
    Nothing,
    Some(usize),
}

/// Not in the future above: two kilobytes would then lie there for each silent client.
fn read_some(tcp: &TcpStream, acceptor: &mut Acceptor, limit: usize) -> io::Result<Read> {
    let mut piece = [0; PIECE];
    let piece = piece.get_mut(..limit.min(PIECE)).unwrap_or_default();
    let count = match tcp.try_read(piece) {
        Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(count) => count,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Read::Nothing),
        Err(error) => return Err(error),
    };
    let mut rest = piece.get(..count).unwrap_or_default();
    while !rest.is_empty() {
        acceptor.read_tls(&mut rest)?;
    }
    Ok(Read::Some(count))
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "client hello is too large")
}
