//! Where tokens may go: nowhere else than to the same scheme, host and port, by the reading of
//! `url` as well.

use bartizan_jwt::fuzzing::leads_to;
use http::Uri;
use url::Url;

use crate::input::{Input, text};

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (origin, target) = (text(input.line()), text(input.rest()));
    let Ok(uri) = target.parse::<Uri>() else {
        return;
    };
    if leads_to(origin, &uri) == Some(true) {
        let (Ok(allowed), Ok(asked)) = (Url::parse(origin), Url::parse(target)) else {
            return;
        };
        assert_eq!(allowed.origin(), asked.origin(), "{origin} {target}");
        assert!(asked.username().is_empty() && asked.password().is_none());
    }
    // A service that is named takes no other's token.
    let own = leads_to("https://orders.example", &uri);
    let other = leads_to("https://payments.example:8443", &uri);
    assert!(!(own == Some(true) && other == Some(true)));
}
