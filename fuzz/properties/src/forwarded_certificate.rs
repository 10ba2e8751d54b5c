//! What a proxy says of its client's certificate, after what the client sent itself.

use bartizan_mtls::{Xfcc, parse_client_cert, parse_client_cert_chain};

use crate::input::text;

const OWN: &str =
    r#"By=spiffe://example.org/edge;Subject="CN=client, O=x";URI=spiffe://example.org/a"#;

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let text = text(bytes);
    if let Ok(parsed) = Xfcc::parse(text) {
        let printed = parsed.to_string();
        // Elements of unknown keys alone print as nothing, which is no element.
        if let Ok(again) = Xfcc::parse(&printed) {
            assert_eq!(again, parsed);
        }
    }
    // Whatever a client sends, the proxy's own element is read as the proxy wrote it, or nothing.
    let own = Xfcc::parse(OWN).expect("well-formed");
    if let Ok(appended) = Xfcc::parse(&format!("{text},{OWN}")) {
        assert_eq!(appended.last(), own.last());
    }
    let one = parse_client_cert(text);
    let chain = parse_client_cert_chain(text);
    if let Ok(certificate) = one {
        assert!(certificate.len() <= 16 * 1024);
        assert_eq!(chain, Ok(vec![certificate]));
    }
}
