//! The header that a load balancer sends before a connection's first byte: no byte behind it is
//! taken, what is written is read, and a changed checksum is seen.

use std::net::SocketAddr;

use bartizan_mtls::{ProxyHeader, ProxyHeaderProgress};

use crate::input::Input;

const BEGIN: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Holds the bytes to what the head of this file says.
pub fn check(stream: &[u8]) {
    let whole = ProxyHeader::read(stream);
    // As a listener reads it: piece by piece, and never a byte of what follows.
    let mut taken = 0;
    while let Some(bytes) = stream.get(..taken) {
        match ProxyHeader::read(bytes) {
            Ok(ProxyHeaderProgress::Complete(header)) => {
                assert!(taken <= 16 + 4096);
                if taken == stream.len() {
                    assert_eq!(whole, Ok(ProxyHeaderProgress::Complete(header)));
                } else {
                    assert!(whole.is_err(), "bytes behind it are not its own");
                }
                check_again(&header);
                break;
            }
            Ok(ProxyHeaderProgress::Needs(more)) => {
                assert!((1..=4096).contains(&more));
                taken += more;
            }
            Err(_) => {
                assert!(whole.is_err());
                break;
            }
        }
    }
    check_written(&mut Input::new(stream));
}

/// What was read, written in the other form and read again.
fn check_again(header: &ProxyHeader) {
    let (Some(source), Some(destination)) = (header.source(), header.destination()) else {
        assert_eq!(header.source(), header.destination());
        return;
    };
    let text = line(source, destination);
    let read = ProxyHeader::read(text.as_bytes());
    assert_eq!(read, Ok(ProxyHeaderProgress::Complete(*header)), "{text:?}");
}

/// Any two addresses, in both forms.
fn check_written(input: &mut Input<'_>) {
    let mut address = |six: bool| -> SocketAddr {
        let (a, b, port) = (input.long(), input.long(), input.short());
        match six {
            true => ((u128::from(a) << 64 | u128::from(b)).to_be_bytes(), port).into(),
            false => (
                a.to_le_bytes()
                    .first_chunk::<4>()
                    .copied()
                    .unwrap_or_default(),
                port,
            )
                .into(),
        }
    };
    for six in [true, false] {
        let (source, destination) = (address(six), address(six));
        let text = line(source, destination);
        let mut binary = [BEGIN, &[0x21, if six { 0x21 } else { 0x11 }]].concat();
        let mut body = Vec::new();
        for end in [source, destination] {
            match end {
                SocketAddr::V4(end) => body.extend(end.ip().octets()),
                SocketAddr::V6(end) => body.extend(end.ip().octets()),
            }
        }
        body.extend(
            [source, destination]
                .iter()
                .flat_map(|it| it.port().to_be_bytes()),
        );
        binary.extend((body.len() as u16).to_be_bytes());
        binary.extend(body);
        for form in [text.as_bytes(), &binary] {
            let Ok(ProxyHeaderProgress::Complete(header)) = ProxyHeader::read(form) else {
                panic!("{source} {destination}");
            };
            assert_eq!(header.source(), Some(source));
            assert_eq!(header.destination(), Some(destination));
        }
    }
}

fn line(source: SocketAddr, destination: SocketAddr) -> String {
    let family = if source.is_ipv4() { 4 } else { 6 };
    format!(
        "PROXY TCP{family} {} {} {} {}\r\n",
        source.ip(),
        destination.ip(),
        source.port(),
        destination.port()
    )
}
