//! Bytes before everything else: who a connection is from, by a protocol that nobody agreed on.

use crate::given::{Given, Made, Need};
use crate::table::table;
use crate::volley::{Shot, Volley};

/// How a connection begins by the second version of the PROXY protocol.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

table! { Certificates;
    "certificate.proxy-line" "a line of the PROXY protocol that claims another address", "PROXY protocol §2.1" =>
        |given| behind(given, vec![b"PROXY TCP4 127.0.0.1 127.0.0.1 1 1\r\n".to_vec()]);
    "certificate.proxy-line-of-nobody" "a line of the PROXY protocol without an address", "PROXY protocol §2.1" =>
        |given| behind(given, vec![b"PROXY UNKNOWN\r\n".to_vec()]);
    "certificate.proxy-header" "a header of the PROXY protocol that claims another address", "PROXY protocol §2.2" =>
        |given| behind(given, vec![[SIGNATURE, &[0x21, 0x11, 0, 12, 127, 0, 0, 1, 127, 0, 0, 1, 0, 1, 0, 1]].concat()]);
    "certificate.proxy-header-of-itself" "a header of the PROXY protocol from the proxy itself", "PROXY protocol §2.2" =>
        |given| behind(given, vec![[SIGNATURE, &[0x20, 0, 0, 0]].concat()]);
    "certificate.proxy-header-with-certificate" "a header of the PROXY protocol that claims a verified certificate", "PROXY protocol §2.2.6" =>
        |given| {
            let tls = [0x20, 0, 8, 7, 0, 0, 0, 0, 0x22, 0, 0];
            let address = [127, 0, 0, 1, 127, 0, 0, 1, 0, 1, 0, 1];
            behind(given, vec![[SIGNATURE, &[0x21, 0x11, 0, 23], &address, &tls].concat()])
        };
    "certificate.plain-before-tls" "a request in the clear before the handshake", "RFC 8446 §5.1" =>
        |given| {
            given.identity()?;
            behind(given, vec![given.control().http1(), b"GET / HTTP/1.0\r\n\r\n".to_vec()])
        };
    "certificate.garbage-before-all" "bytes that are no protocol", "RFC 8446 §6" =>
        |given| behind(given, vec![vec![0; 64], vec![0xff; 64], b"\x16\x03\x01\xff\xff".to_vec()]);
}

fn behind(given: &Given<'_>, preambles: Vec<Vec<u8>>) -> Made {
    given.remote.ok_or(Need("a service behind a URL"))?;
    let shots = preambles.into_iter();
    let shots = shots.map(|bytes| Shot::Behind(bytes, given.control()));
    Ok(Volley::new("given", given.control(), shots))
}
