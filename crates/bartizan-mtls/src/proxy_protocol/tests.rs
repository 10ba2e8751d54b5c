use proptest::prelude::*;

use super::checksum::crc32c;
use super::*;

fn complete(source: &str, destination: &str) -> Result<ProxyHeaderProgress, ProxyProtocolError> {
    let addresses = (source.parse().unwrap(), destination.parse().unwrap());
    Ok(ProxyHeader::of(Some(addresses)))
}

const NOBODY: Result<ProxyHeaderProgress, ProxyProtocolError> =
    Ok(ProxyHeaderProgress::Complete(ProxyHeader {
        addresses: None,
    }));

fn check(bytes: &[u8], expected: Result<ProxyHeaderProgress, ProxyProtocolError>) {
    let shown = String::from_utf8_lossy(bytes);
    assert_eq!(ProxyHeader::read(bytes), expected, "{shown}");
}

fn binary(command: u8, family: u8, variable: &[u8]) -> Vec<u8> {
    let length = u16::try_from(variable.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, variable].concat()
}

const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x67, 0x01, 0xbb];

#[test]
fn reads_lines_of_version_1() {
    check(
        b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\n",
        complete("192.0.2.1:4711", "198.51.100.2:443"),
    );
    check(
        b"PROXY TCP6 2001:db8::1 ::1 65535 0\r\n",
        complete("[2001:db8::1]:65535", "[::1]:0"),
    );
    let longest = "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
                   ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    assert!(longest.len() <= 107);
    assert!(ProxyHeader::read(longest.as_bytes()).is_ok());
    check(b"PROXY UNKNOWN\r\n", NOBODY);
    check(b"PROXY UNKNOWN ffff::1 whatever 1 2\r\n", NOBODY);
}

#[test]
fn refuses_other_lines() {
    for line in [
        "PROXY TCP4 192.0.2.1 198.51.100.2 4711\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 4711 443 1\r\n",
        "PROXY TCP4 192.0.2.1  198.51.100.2 4711 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 4711 443 \r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.2 4711 443\r\n",
        "PROXY TCP4 ::1 ::1 4711 443\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.2 4711 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 04711 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 +4711 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2  443\r\n",
        "PROXY \r\n",
    ] {
        check(line.as_bytes(), Err(ProxyProtocolError::Addresses));
    }
    let transport = b"PROXY UDP4 192.0.2.1 198.51.100.2 4711 443\r\n";
    check(transport, Err(ProxyProtocolError::Transport));
    for other in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"\x16\x03\x01",
        b"proxy TCP4",
        b"PROXYTCP4",
        b"\r\nX",
    ] {
        check(other, Err(ProxyProtocolError::NoHeader));
    }
    check(
        b"PROXY UNKNOWN\r\n\x16",
        Err(ProxyProtocolError::TrailingBytes),
    );
    let long = |bytes: usize| [&b"PROXY UNKNOWN "[..], &vec![b'x'; bytes - 16], b"\r\n"].concat();
    check(&long(107), NOBODY);
    check(&long(108), Err(ProxyProtocolError::TooLong));
    check(&long(108)[..107], Err(ProxyProtocolError::TooLong));
}

#[test]
fn reads_headers_of_version_2() {
    let expected = complete("192.0.2.1:4711", "198.51.100.2:443");
    check(&binary(0x21, 0x11, &V4), expected);
    let v6 = [&[0; 15][..], &[1], &[0; 15], &[2], &[0, 80, 1, 187]].concat();
    check(&binary(0x21, 0x21, &v6), complete("[::1]:80", "[::2]:443"));
    // The proxy's own connections, with and without addresses.
    check(&binary(0x20, 0x00, &[]), NOBODY);
    check(&binary(0x20, 0x11, &V4), NOBODY);
    check(&binary(0x21, 0x00, &[1, 2, 3]), NOBODY);
}

#[test]
fn refuses_other_headers_of_version_2() {
    for (command, family, variable, expected) in [
        (0x21, 0x11, &V4[..11], ProxyProtocolError::Addresses),
        (0x21, 0x21, &V4[..], ProxyProtocolError::Addresses),
        (0x21, 0x12, &V4[..], ProxyProtocolError::Transport),
        (0x21, 0x31, &[0; 216][..], ProxyProtocolError::Transport),
        (0x22, 0x11, &V4[..], ProxyProtocolError::NoHeader),
        (0x11, 0x11, &V4[..], ProxyProtocolError::NoHeader),
    ] {
        check(&binary(command, family, variable), Err(expected));
    }
    let mut trailing = binary(0x21, 0x11, &V4);
    trailing.push(0x16);
    check(&trailing, Err(ProxyProtocolError::TrailingBytes));
    let sized = |bytes| binary(0x20, 0, &vec![0; bytes]);
    check(&sized(MAX_VARIABLE_BYTES), NOBODY);
    check(
        &sized(MAX_VARIABLE_BYTES + 1)[..16],
        Err(ProxyProtocolError::TooLong),
    );
}

#[test]
fn checks_extensions_and_the_checksum_among_them() {
    let with = |extensions: &[u8]| binary(0x21, 0x11, &[&V4[..], extensions].concat());
    let expected = complete("192.0.2.1:4711", "198.51.100.2:443");
    check(&with(&[0x04, 0, 0]), expected);
    check(&with(&[0xea, 0, 2, 1, 2, 0x04, 0, 1, 9]), expected);
    for extensions in [
        &[0x04][..],
        &[0x04, 0],
        &[0x04, 0, 2, 1],
        &[0x03, 0, 3, 1, 2, 3],
    ] {
        check(&with(extensions), Err(ProxyProtocolError::Extensions));
    }
    let zeroed = with(&[0xea, 0, 1, 7, 0x03, 0, 4, 0, 0, 0, 0, 0x04, 0, 0]);
    let at = zeroed.len() - 7;
    let sum = crc32c(zeroed.iter().copied()).to_be_bytes();
    let mut right = zeroed.clone();
    right.splice(at..at + 4, sum);
    check(&right, expected);
    check(&zeroed, Err(ProxyProtocolError::Checksum));
    // Without its kind, the checksum is an extension like any other, and nothing is claimed.
    let kind = at - 3;
    for position in (16..right.len()).filter(|position| *position != kind) {
        let mut wrong = right.clone();
        wrong[position] ^= 0x40;
        assert!(ProxyHeader::read(&wrong).is_err(), "byte {position}");
    }
}

#[test]
fn the_checksum_is_crc32c() {
    // RFC 3720 appendix B.4, and the usual check value.
    assert_eq!(crc32c([0; 32].into_iter()), 0x8a91_36aa);
    assert_eq!(crc32c(b"123456789".iter().copied()), 0xe306_9283);
}

/// Reads as a listener does, and gives what was left unread.
fn drive(stream: &[u8]) -> Result<(ProxyHeader, &[u8]), Option<ProxyProtocolError>> {
    let mut taken = 0;
    loop {
        match ProxyHeader::read(&stream[..taken]) {
            Ok(ProxyHeaderProgress::Complete(header)) => return Ok((header, &stream[taken..])),
            Ok(ProxyHeaderProgress::Needs(more)) => {
                assert!(more > 0);
                taken += more;
                if taken > stream.len() {
                    return Err(None);
                }
            }
            Err(error) => return Err(Some(error)),
        }
    }
}

#[test]
fn takes_no_byte_of_what_follows() {
    let hello = b"\x16\x03\x01 client hello \r\n";
    for header in [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\n".to_vec(),
        binary(0x20, 0, &[]),
        binary(0x21, 0x11, &V4),
        binary(0x21, 0x11, &[&V4[..], &[0x04, 0, 1, 9]].concat()),
    ] {
        let stream = [&header[..], hello].concat();
        let (_, rest) = drive(&stream).unwrap();
        assert_eq!(rest, hello, "{header:?}");
        for cut in 0..header.len() {
            assert_eq!(drive(&header[..cut]), Err(None), "{header:?} cut at {cut}");
        }
    }
}

proptest! {
    #[test]
    fn never_panics_and_asks_for_a_bounded_number_of_bytes(
        begin in prop_oneof![Just(&SIGNATURE[..]), Just(&b"PROXY "[..]), Just(&[][..])],
        rest in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let bytes = [begin, &rest].concat();
        if let Ok(ProxyHeaderProgress::Needs(more)) = ProxyHeader::read(&bytes) {
            prop_assert!((1..=MAX_VARIABLE_BYTES).contains(&more));
        }
        let _ = drive(&bytes);
    }

    #[test]
    fn what_is_printed_parses_to_the_same(source: SocketAddr, destination: SocketAddr) {
        let text = |at: &SocketAddr| at.ip().to_string();
        let family = match (source, destination) {
            (SocketAddr::V4(_), SocketAddr::V4(_)) => "TCP4",
            (SocketAddr::V6(_), SocketAddr::V6(_)) => "TCP6",
            _ => return Ok(()),
        };
        let line = format!(
            "PROXY {family} {} {} {} {}\r\n",
            text(&source), text(&destination), source.port(), destination.port()
        );
        let Ok(ProxyHeaderProgress::Complete(header)) = ProxyHeader::read(line.as_bytes()) else {
            return Err(TestCaseError::fail(line));
        };
        prop_assert_eq!(header.source().map(|at| (at.ip(), at.port())), Some((source.ip(), source.port())));
        prop_assert_eq!(header.destination().map(|at| at.port()), Some(destination.port()));
    }
}
