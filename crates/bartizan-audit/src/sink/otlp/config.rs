//! Which collector, and how it is believed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bartizan_source::HttpsFetcher;
use http::{HeaderName, HeaderValue};
use rustls::ClientConfig;

use crate::render::Format;
use crate::sink::error::SinkConfigError;
use crate::sink::otlp::OtlpSink;
use crate::sink::tls::TlsSettings;

/// Describes an [`OtlpSink`]; made by [`OtlpSink::builder`].
///
/// | setting | default | reason |
/// |---|---|---|
/// | roots | none: refused | a collector has a certificate of its own authority |
/// | plaintext | refused | who reads along reads the log |
/// | format | JSON | nothing is left out |
/// | deadline | 10 s per request | what exporters of OpenTelemetry take |
#[derive(Clone)]
#[must_use = "call build to get the sink"]
pub struct OtlpSinkBuilder {
    url: String,
    tls: TlsSettings,
    public_roots: bool,
    plaintext: bool,
    headers: Vec<(String, String)>,
    deadline: Duration,
    format: Format,
    service: Option<String>,
}

/// The longest answer of a collector, in bytes: what it rejects, and why.
const LONGEST_ANSWER: usize = 64 * 1024;

impl OtlpSinkBuilder {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            tls: TlsSettings::default(),
            public_roots: false,
            plaintext: false,
            headers: Vec::new(),
            deadline: Duration::from_secs(10),
            format: Format::Json,
            service: None,
        }
    }

    /// Believes collectors below these certificates, in PEM, and no others.
    pub fn with_root_pem(mut self, pem: &[u8]) -> Self {
        self.tls.set_roots(pem);
        self
    }

    /// Presents this certificate chain, with its private key, both in PEM.
    pub fn with_identity_pem(mut self, chain: &[u8], key: &[u8]) -> Self {
        self.tls.set_identity(chain, key);
        self
    }

    /// Uses this TLS configuration as it is, say because its certificates rotate; replaces roots
    /// and identity. Only its ALPN is changed, to `http/1.1`.
    pub fn with_tls_config(mut self, config: impl Into<Arc<ClientConfig>>) -> Self {
        self.tls.set_config(config.into());
        self
    }

    /// Believes the public web's authorities, if no others are set: for collectors that a provider
    /// runs.
    pub fn allow_public_roots(mut self) -> Self {
        self.public_roots = true;
        self
    }

    /// Permits `http://` to `localhost`, `127.0.0.0/8` and `[::1]`.
    pub fn allow_plaintext_loopback(mut self) -> Self {
        self.plaintext = true;
        self
    }

    /// Sends this header with every request, such as a provider's key. It is never printed.
    pub fn add_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Replaces how long a request may take.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Replaces the form of the records' bodies. JSON, OCSF and ECS become structured values, CEF a
    /// string.
    pub fn with_format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Replaces the name of the service (`service.name`); by default the log's origin.
    pub fn with_service(mut self, service: &str) -> Self {
        self.service = Some(service.to_owned());
        self
    }

    /// Checks the settings. Nobody is asked yet.
    ///
    /// # Errors
    ///
    /// [`SinkConfigError`], naming the first setting that cannot work.
    pub fn build(self) -> Result<OtlpSink, SinkConfigError> {
        let mut fetcher = HttpsFetcher::builder()
            .with_deadline(self.deadline)
            .with_body_limit(LONGEST_ANSWER);
        if self.plaintext {
            fetcher = fetcher.allow_plaintext_loopback();
        }
        match self.tls.build()? {
            Some(config) => fetcher = fetcher.with_tls_config(config),
            None if self.public_roots => {}
            None if self.plaintext && self.url.starts_with("http://") => {}
            None => return Err(SinkConfigError::Missing("root_pem")),
        }
        let fetcher = fetcher.build();
        let fetcher = fetcher.map_err(|error| SinkConfigError::unusable("deadline", error))?;
        let checked = fetcher.check_url(&self.url);
        checked.map_err(|error| SinkConfigError::unusable("url", error))?;
        let header = |(name, value): &(String, String)| {
            let name: HeaderName = name.parse().ok()?;
            let mut value = HeaderValue::from_str(value).ok()?;
            value.set_sensitive(true);
            Some((name, value))
        };
        let headers: Option<Vec<_>> = self.headers.iter().map(header).collect();
        let no_header = || SinkConfigError::unusable("header", "it is none");
        Ok(OtlpSink {
            fetcher,
            url: self.url,
            headers: headers.ok_or_else(no_header)?,
            format: self.format,
            service: self.service,
        })
    }
}

impl fmt::Debug for OtlpSinkBuilder {
    /// Without URL and headers, which may have keys in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpSinkBuilder")
            .field("tls", &self.tls)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plaintext_stays_on_this_machine() {
        fn check(url: &str, allowed: bool, expected: bool) {
            let builder = OtlpSink::builder(url);
            let builder = match allowed {
                true => builder.allow_plaintext_loopback(),
                false => builder,
            };
            assert_eq!(builder.build().is_ok(), expected, "{url}");
        }
        check("http://127.0.0.1:4318/v1/logs", true, true);
        check("http://localhost:4318/v1/logs", true, true);
        check("http://127.0.0.1:4318/v1/logs", false, false);
        check("http://collector.internal:4318/v1/logs", true, false);
        check("https://collector.internal:4318/v1/logs", true, false);
        check("collector.internal", true, false);
    }

    #[test]
    fn somebody_has_to_be_believed() {
        let builder = || OtlpSink::builder("https://collector.internal/v1/logs");
        assert!(builder().build().is_err());
        assert!(builder().allow_public_roots().build().is_ok());
        assert!(builder().with_root_pem(b"nonsense").build().is_err());
    }

    #[test]
    fn keys_are_not_printed() {
        let builder = OtlpSink::builder("http://localhost/v1/logs?key=hunter2");
        let builder = builder.allow_plaintext_loopback();
        let builder = builder.add_header("x-api-key", "hunter2");
        assert!(!format!("{builder:?}").contains("hunter2"));
        let sink = builder.clone().build().expect("sound");
        assert!(!format!("{sink:?}").contains("hunter2"));
        assert!(builder.add_header("a b", "c").build().is_err());
    }
}
