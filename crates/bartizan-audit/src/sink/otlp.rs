//! Entries as log records of OpenTelemetry.

mod answer;
mod config;
mod request;

use std::fmt;

use bartizan_source::{FetchRequest, HttpsFetcher, SecretBytes};
use http::{HeaderName, HeaderValue};

use crate::render::Format;
use crate::sink::{Accepted, Batch, Sink, SinkAnswer, SinkError};

#[cfg(feature = "fuzzing")]
pub(crate) use self::answer::accepted;
pub use self::config::OtlpSinkBuilder;

/// Sends entries to a collector of OpenTelemetry: [OTLP] over HTTPS, in JSON.
///
/// 1. An entry is one log record. Its attribute `log.record.uid` is the log's origin and the entry's
///    index: collectors remove no duplicates, and whoever reads can.
/// 2. A batch is one request, and it is over when the collector answers with a status of success. What
///    it rejects of that (`partial_success`) must not be sent again; it is
///    [counted](crate::DeliveryStatus::rejected), and the observer is told.
/// 3. Status 429, 502, 503 and 504, and connections that break, are tried again with backoff, or as
///    late as `Retry-After` asks. After 413 the batch is halved. The specification has clients drop
///    what any other status refuses: here it is kept, somebody is told, and it is tried once a
///    minute, because what is wrong is nearly always the configuration.
///
/// A status of success says that the collector has the records in memory, unless it was given a
/// persistent queue.
///
/// The tests of this crate send to a small collector of their own, which reads what the
/// specification writes and refuses everything else; not to one that others made.
///
/// ```no_run
/// use bartizan_audit::{Delivery, OtlpSink};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let sink = OtlpSink::builder("https://collector.internal:4318/v1/logs")
///     .with_root_pem(&std::fs::read("/etc/pki/collector.pem")?)
///     .with_service("orders")
///     .build()?;
/// let delivery = Delivery::builder("/var/lib/orders/audit", "otlp", sink).start()?;
/// # Ok(())
/// # }
/// ```
///
/// [OTLP]: https://opentelemetry.io/docs/specs/otlp/
pub struct OtlpSink {
    fetcher: HttpsFetcher,
    url: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    format: Format,
    service: Option<String>,
}

impl OtlpSink {
    /// Begins the description of a collector, by the URL that takes logs: it usually ends with
    /// `/v1/logs`.
    pub fn builder(url: &str) -> OtlpSinkBuilder {
        OtlpSinkBuilder::new(url)
    }

    async fn export(&self, batch: Batch<'_>) -> Result<Accepted, SinkError> {
        let body = request::request(batch, self.format, self.service.as_deref())?;
        let json = HeaderValue::from_static("application/json");
        let mut request = FetchRequest::post(&self.url, json.clone(), SecretBytes::new(body));
        request = request.with_accept(json);
        for (name, value) in &self.headers {
            request = request.with_header(name.clone(), value.clone());
        }
        match self.fetcher.fetch(request).await {
            Ok(fetched) => Ok(answer::accepted(fetched.body(), batch.entries.len())),
            Err(error) => answer::failed(&error),
        }
    }
}

impl Sink for OtlpSink {
    fn deliver<'s>(&'s mut self, batch: Batch<'s>) -> SinkAnswer<'s> {
        Box::pin(self.export(batch))
    }
}

impl fmt::Debug for OtlpSink {
    /// Without URL and headers, which may have keys in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpSink")
            .field("format", &self.format)
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}
