//! Discovery documents: what is read is what `serde_json` reads, of this issuer alone, and leads to
//! a place that `url` finds safe as well.

use bartizan_jwt::Issuer;
use bartizan_jwt::fuzzing::key_location;
use serde_json::Value;
use url::Url;

use crate::input::text;

const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let document = text(bytes);
    let issuer = Issuer::new("https://issuer.example").expect("an issuer");
    if let Some(location) = key_location(document, &issuer) {
        let read: Value = serde_json::from_str(document).expect("it was read");
        assert_eq!(read["issuer"], "https://issuer.example");
        assert_eq!(read["jwks_uri"], location);
        check_place(&location);
    }
    let other = Issuer::new("https://other.example").expect("an issuer");
    assert!(key_location(document, &other).is_none() || key_location(document, &issuer).is_none());
    if let Ok(issuer) = Issuer::new(document) {
        check_place(issuer.as_str());
    }
}

/// What is fetched is checked again; here it must be no other place than it looks like.
fn check_place(place: &str) {
    if let Ok(url) = Url::parse(place) {
        let is_loopback = url.host_str().is_some_and(|host| LOOPBACK.contains(&host));
        assert!(
            url.scheme() == "https" || url.scheme() == "http" && is_loopback,
            "{place}"
        );
        assert!(
            url.username().is_empty() && url.password().is_none(),
            "{place}"
        );
        assert!(url.fragment().is_none(), "{place}");
    }
}
