//! `[audit.sink.syslog]`: a receiver of syslog.

use std::path::PathBuf;

use crate::config::problem::Problem;
use crate::config::section::section;
use crate::config::setting::Size;
use crate::config::sink::{Kind, Terms};

section! {
    /// A receiver of syslog (RFC 5424) over TLS (RFC 5425); build with the feature
    /// `audit-syslog`.
    SyslogEntry {
        /// The receiver, as `host:port`.
        receiver: String,
        /// The certificate authorities (PEM) of the receiver, and no others. Required.
        roots: Option<PathBuf>,
        /// The certificate chain (PEM) that is presented, leaf first.
        chain: Option<PathBuf>,
        /// Its private key (PEM).
        key: Option<PathBuf>,
        /// Believes that the receiver has a batch only if it ends the connection in order, as the
        /// standard demands and not every receiver does.
        require_close_notify: bool = "false",
        /// The facility: up to 23. 13 is the audit log.
        facility: u8 = "13",
        /// How long a message may be; at least 1KiB. A longer entry goes without its content, and
        /// is counted.
        message_limit: Size = "8KiB",
        /// The private enterprise number of the structured data. The default is for examples.
        enterprise_number: u32 = "32473",
        /// The name of this machine. It is left open by default.
        hostname: Option<String>,
    }
}

const PATH: &str = "audit.sink.syslog";

#[cfg(not(feature = "audit-syslog"))]
impl SyslogEntry {
    pub(super) fn kind(&self, _: &Terms<'_>) -> Result<Kind<'_>, Problem> {
        Err(Problem::lacking(self.stands.0, PATH, "audit-syslog"))
    }
}

#[cfg(feature = "audit-syslog")]
impl SyslogEntry {
    pub(super) fn kind(&self, terms: &Terms<'_>) -> Result<Kind<'_>, Problem> {
        let sink = self.builder(terms)?.build();
        sink.map(Kind::Syslog)
            .map_err(|error| self.refuse(PATH, &error))
    }

    fn builder(&self, terms: &Terms<'_>) -> Result<bartizan_audit::SyslogSinkBuilder, Problem> {
        let mut sink = bartizan_audit::SyslogSink::builder(&self.receiver)
            .with_facility(self.facility)
            .with_message_limit(self.message_limit.bytes())
            .with_enterprise_number(self.enterprise_number)
            .with_format(terms.format);
        sink = crate::config::sink::certified!(sink, self, PATH, terms.with);
        if self.require_close_notify {
            sink = sink.require_close_notify();
        }
        if let Some(name) = &self.hostname {
            sink = sink.with_hostname(name);
        }
        Ok(match terms.service {
            Some(service) => sink.with_service(service),
            None => sink,
        })
    }
}
