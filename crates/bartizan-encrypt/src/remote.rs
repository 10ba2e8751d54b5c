//! Providers that speak JSON over HTTPS: one request, one answer, within limits, wiped.

use std::fmt;
use std::time::Duration;

use bartizan_source::{
    ConfigError, FetchErrorKind, FetchRequest, HttpsFetcher, HttpsFetcherBuilder, Roots,
    SecretBytes,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::kek::KekError;
use crate::key::KeyBytes;
use crate::wiped::WipedBytes;

/// Answers larger than this are none of theirs: a wrapped key has some hundred bytes.
const LARGEST_ANSWER: usize = 64 * 1024;

/// Longer explanations of a provider are cut.
const LONGEST_REASON: usize = 200;

/// How a provider is reached.
#[derive(Clone, Debug)]
pub(crate) struct Reach(HttpsFetcherBuilder);

impl Reach {
    pub(crate) fn new() -> Self {
        Self(HttpsFetcher::builder().with_body_limit(LARGEST_ANSWER))
    }

    pub(crate) fn with_roots(self, roots: Roots) -> Self {
        Self(self.0.with_roots(roots))
    }

    pub(crate) fn with_deadline(self, deadline: Duration) -> Self {
        Self(self.0.with_deadline(deadline))
    }

    pub(crate) fn allow_plaintext_loopback(self) -> Self {
        Self(self.0.allow_plaintext_loopback())
    }

    pub(crate) fn build(self) -> Result<HttpsFetcher, ConfigError> {
        self.0.build()
    }
}

/// An answer of any status.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: WipedBytes,
}

impl Answer {
    pub(crate) fn is_ok(&self) -> bool {
        self.status == StatusCode::OK
    }

    /// What it says; one that says something else tells that the provider is not what it was
    /// taken for.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, KekError> {
        let unreadable = || KekError::Unavailable("the answer cannot be read".to_owned());
        // The error of the parser may quote the answer; it ends here.
        serde_json::from_slice(&self.body).map_err(|_| unreadable())
    }
}

/// Sends a request and takes any answer.
pub(crate) async fn exchange(
    fetcher: &HttpsFetcher,
    request: FetchRequest<'_>,
) -> Result<Answer, KekError> {
    let fetched = fetcher.fetch(request.allow_any_status()).await;
    let fetched = fetched.map_err(|error| match error.kind() {
        FetchErrorKind::InvalidUrl | FetchErrorKind::Scheme => KekError::Refused(error.to_string()),
        _ => KekError::Unavailable(error.to_string()),
    })?;
    let status = fetched.status();
    let bytes = fetched.into_body();
    let mut body = WipedBytes::with_capacity(bytes.len());
    body.extend_from_slice(&bytes);
    if let Ok(mut bytes) = bytes.try_into_mut() {
        bytes.zeroize();
    }
    Ok(Answer { status, body })
}

/// A body, in a buffer that does not grow and leaves no copy behind.
pub(crate) fn written(body: &impl Serialize) -> Result<SecretBytes, KekError> {
    let mut bytes = Vec::with_capacity(8 * 1024);
    serde_json::to_writer(&mut bytes, body)
        .map_err(|_| KekError::Refused("the request cannot be written".to_owned()))?;
    Ok(SecretBytes::new(bytes))
}

/// A header's value that is kept out of logs.
pub(crate) fn secret_header(value: &str) -> Result<HeaderValue, KekError> {
    let unfit = |_| KekError::Refused("a credential is no header value".to_owned());
    let mut value = HeaderValue::from_str(value).map_err(unfit)?;
    value.set_sensitive(true);
    Ok(value)
}

/// What a provider says is wrong, as far as it may stand in a line of a log.
pub(crate) fn reason(text: &str) -> String {
    let printable = |c: &char| !c.is_control();
    text.chars()
        .filter(printable)
        .take(LONGEST_REASON)
        .collect()
}

/// A part of an answer that is wiped when dropped.
pub(crate) struct SecretText(Zeroizing<String>);

impl SecretText {
    #[cfg(feature = "vault")]
    pub(crate) fn into_inner(self) -> Zeroizing<String> {
        self.0
    }

    /// The data key of which this is the base64.
    pub(crate) fn key(&self) -> Result<KeyBytes, KekError> {
        let decoded = Zeroizing::new(STANDARD.decode(self.0.as_bytes()).unwrap_or_default());
        KeyBytes::from_slice(&decoded)
            .ok_or_else(|| KekError::Refused("what was unwrapped is no data key".to_owned()))
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Self(Zeroizing::new(text)))
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

/// The base64 of a data key, for a request.
pub(crate) fn encoded(key: &KeyBytes) -> Zeroizing<String> {
    Zeroizing::new(STANDARD.encode(key.expose()))
}
