//! Which receiver, and how it is believed.

use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::render::Format;
use crate::sink::address::Address;
use crate::sink::error::SinkConfigError;
use crate::sink::syslog::SyslogSink;
use crate::sink::syslog::message::Form;
use crate::sink::tls::TlsSettings;

/// Describes a [`SyslogSink`]; made by [`SyslogSink::builder`].
///
/// | setting | default | reason |
/// |---|---|---|
/// | roots | none: refused | a receiver has a certificate of its own authority |
/// | format | JSON | nothing is left out |
/// | facility | 13, log audit | [RFC 5424 section 6.2.1](https://www.rfc-editor.org/rfc/rfc5424#section-6.2.1) |
/// | message limit | 8,192 bytes | what receivers should take: [RFC 5425 section 4.3.1](https://www.rfc-editor.org/rfc/rfc5425#section-4.3.1) |
/// | enterprise number | 32473, which is for examples | the family has none of its own |
/// | end of the receiver | a `close_notify` or a plain end | rsyslog says no `close_notify` |
#[derive(Clone, Debug)]
#[must_use = "call build to get the sink"]
pub struct SyslogSinkBuilder {
    receiver: String,
    tls: TlsSettings,
    close_notify: bool,
    form: Form,
}

/// The shortest limit: what a message without content needs.
const LEAST_LIMIT: usize = 1024;

impl SyslogSinkBuilder {
    pub(super) fn new(receiver: &str) -> Self {
        Self {
            receiver: receiver.to_owned(),
            tls: TlsSettings::default(),
            close_notify: false,
            form: Form {
                format: Format::Json,
                facility: 13,
                limit: 8192,
                enterprise: 32473,
                hostname: "-".to_owned(),
                service: None,
            },
        }
    }

    /// Believes receivers below these certificates, in PEM, and no others.
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
    /// and identity.
    pub fn with_tls_config(mut self, config: impl Into<Arc<ClientConfig>>) -> Self {
        self.tls.set_config(config.into());
        self
    }

    /// Believes that the receiver has a batch only if it ends the connection with a
    /// `close_notify`, as [RFC 5425 section 4.4](https://www.rfc-editor.org/rfc/rfc5425#section-4.4)
    /// demands of it. A process that is killed says none.
    pub fn require_close_notify(mut self) -> Self {
        self.close_notify = true;
        self
    }

    /// Replaces the form of the message's text.
    pub fn with_format(mut self, format: Format) -> Self {
        self.form.format = format;
        self
    }

    /// Replaces the facility: a number up to 23.
    pub fn with_facility(mut self, facility: u8) -> Self {
        self.form.facility = facility;
        self
    }

    /// Replaces how long a message may be, in bytes, at least 1,024. An entry that is longer is
    /// sent without its content, and [counted](crate::DeliveryStatus::rejected).
    pub fn with_message_limit(mut self, bytes: usize) -> Self {
        self.form.limit = bytes;
        self
    }

    /// Replaces the private enterprise number behind the name of the structured data.
    pub fn with_enterprise_number(mut self, number: u32) -> Self {
        self.form.enterprise = number;
        self
    }

    /// Says the name of this machine; otherwise it is left open.
    pub fn with_hostname(mut self, name: &str) -> Self {
        name.clone_into(&mut self.form.hostname);
        self
    }

    /// Replaces the name of the service; by default the log's origin.
    pub fn with_service(mut self, service: &str) -> Self {
        self.form.service = Some(service.to_owned());
        self
    }

    /// Checks the settings. Nobody is asked yet.
    ///
    /// # Errors
    ///
    /// [`SinkConfigError`], naming the first setting that cannot work.
    pub fn build(self) -> Result<SyslogSink, SinkConfigError> {
        let unusable = SinkConfigError::unusable;
        let no_address = || unusable("receiver", "it is not host:port");
        let receiver = Address::parse(&self.receiver).ok_or_else(no_address)?;
        let tls = self
            .tls
            .build()?
            .ok_or(SinkConfigError::Missing("root_pem"))?;
        let is_name = |name: &str| {
            (1..=255).contains(&name.len()) && name.chars().all(|c| c.is_ascii_graphic())
        };
        if !is_name(&self.form.hostname) {
            return Err(unusable(
                "hostname",
                "it takes printable ascii, and no space",
            ));
        }
        if self.form.facility > 23 {
            return Err(unusable("facility", "it is a number up to 23"));
        }
        if self.form.limit < LEAST_LIMIT {
            return Err(unusable("message limit", "it is at least 1024 bytes"));
        }
        Ok(SyslogSink {
            receiver,
            tls,
            close_notify: self.close_notify,
            form: self.form,
        })
    }
}

impl fmt::Debug for SyslogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyslogSink")
            .field("receiver", &self.receiver)
            .field("form", &self.form)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_named() {
        fn check(builder: SyslogSinkBuilder, expected: &str) {
            let error = builder.build().expect_err("refused").to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        let builder = || SyslogSink::builder("logs.internal:6514");
        check(builder(), "root_pem is not set");
        check(SyslogSink::builder("logs.internal"), "receiver");
        check(builder().with_root_pem(b"x"), "root_pem cannot be used");
        check(
            builder().with_identity_pem(b"x", b"y"),
            "root_pem is not set",
        );
    }
}
