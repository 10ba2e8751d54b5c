//! `[audit.sink.otlp]`: a collector of OpenTelemetry.

use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;

use crate::config::problem::Problem;
use crate::config::secret::Secret;
use crate::config::section::section;
use crate::config::setting::Url;
use crate::config::sink::{Kind, Terms};

section! {
    /// A collector of OpenTelemetry, by OTLP over HTTPS; build with the feature `audit-otlp`.
    OtlpEntry {
        /// Where it takes logs, such as `https://collector.internal:4318/v1/logs`.
        url: Url,
        /// The certificate authorities (PEM) of the collector, and no others.
        roots: Option<PathBuf>,
        /// The certificate chain (PEM) that is presented, leaf first.
        chain: Option<PathBuf>,
        /// Its private key (PEM).
        key: Option<PathBuf>,
        /// Believes the authorities of the public web if there are no `roots`: for collectors that
        /// a provider runs.
        allow_public_roots: bool = "false",
        /// Lets the connection be in plaintext, to this machine alone.
        allow_plaintext_loopback: bool = "false",
        /// Headers that go with every request, such as a provider's key.
        header: Vec<OtlpHeader>,
        /// How long one request may take.
        deadline: Duration = "10s",
    }
}

section! {
    /// A header that goes with every request.
    OtlpHeader {
        /// Its name.
        name: HeaderName,
        /// Its value.
        value: Secret,
    }
}

const PATH: &str = "audit.sink.otlp";

#[cfg(not(feature = "audit-otlp"))]
impl OtlpEntry {
    pub(super) fn kind(&self, _: &Terms<'_>) -> Result<Kind<'_>, Problem> {
        Err(Problem::lacking(self.stands.0, PATH, "audit-otlp"))
    }
}

#[cfg(feature = "audit-otlp")]
impl OtlpEntry {
    pub(super) fn kind(&self, terms: &Terms<'_>) -> Result<Kind<'_>, Problem> {
        let sink = self.builder(terms)?.build();
        sink.map(Kind::Otlp)
            .map_err(|error| self.refuse(PATH, &error))
    }

    fn builder(&self, terms: &Terms<'_>) -> Result<bartizan_audit::OtlpSinkBuilder, Problem> {
        let mut sink = bartizan_audit::OtlpSink::builder(&self.url.0)
            .with_deadline(self.deadline)
            .with_format(terms.format);
        sink = crate::config::sink::certified!(sink, self, PATH, terms.with);
        if self.allow_public_roots {
            sink = sink.allow_public_roots();
        }
        if self.allow_plaintext_loopback {
            sink = sink.allow_plaintext_loopback();
        }
        for header in &self.header {
            let value = header
                .value
                .text(header.stands.0, "audit.sink.otlp.header")?;
            sink = sink.add_header(header.name.as_str(), value);
        }
        Ok(match terms.service {
            Some(service) => sink.with_service(service),
            None => sink,
        })
    }
}
