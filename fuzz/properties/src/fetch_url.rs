//! URLs that are fetched: what is gone to is HTTPS, or loopback where that was permitted, and no
//! user's, by the reading of `url` as well.

use std::sync::OnceLock;

use bartizan_source::HttpsFetcher;
use url::{Host, Url};

use crate::input::text;

/// One that goes to HTTPS alone, and one that goes to loopback without it.
fn fetchers() -> &'static [HttpsFetcher; 2] {
    static FETCHERS: OnceLock<[HttpsFetcher; 2]> = OnceLock::new();
    FETCHERS.get_or_init(|| {
        let strict = HttpsFetcher::builder();
        let loose = HttpsFetcher::builder().allow_plaintext_loopback();
        [strict, loose].map(|it| it.build().expect("a fetcher"))
    })
}

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let text = text(bytes);
    let [strict, loose] = fetchers();
    let (strict, loose) = (strict.check_url(text), loose.check_url(text));
    assert!(
        strict.is_err() || loose.is_ok(),
        "who may go to more may go there"
    );
    if loose.is_err() {
        return;
    }
    assert!(text.len() <= 2048);
    let Ok(url) = Url::parse(text) else {
        return;
    };
    assert!(
        url.username().is_empty() && url.password().is_none(),
        "{text}"
    );
    let is_loopback = match url.host().expect("it has one") {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    let is_http = url.scheme() == "http";
    assert!(
        url.scheme() == "https" || is_http && is_loopback && strict.is_err(),
        "{text}"
    );
}
