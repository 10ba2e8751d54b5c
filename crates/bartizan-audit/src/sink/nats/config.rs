//! Which servers, which stream, and how they are believed.

use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;
use zeroize::Zeroizing;

use crate::render::Format;
use crate::sink::address::Address;
use crate::sink::error::SinkConfigError;
use crate::sink::nats::NatsSink;
use crate::sink::nats::subject::Subject;
use crate::sink::tls::TlsSettings;

/// Describes a [`NatsSink`]; made by [`NatsSink::builder`].
///
/// | setting | default | reason |
/// |---|---|---|
/// | roots | none: refused | a bus has a certificate of its own authority |
/// | plaintext | refused | who reads along reads the log |
/// | subject | `audit.{origin}.{kind}` | readers choose logs and kinds by wildcards |
/// | stream | whichever takes the subject | |
/// | window | 256 messages, 1 MiB | a round trip per window, not per message |
/// | format | JSON | nothing is left out |
#[derive(Clone)]
#[must_use = "call build to get the sink"]
pub struct NatsSinkBuilder {
    servers: Vec<String>,
    tls: TlsSettings,
    tls_first: bool,
    plaintext: bool,
    login: Login,
    subject: String,
    stream: Option<String>,
    window: usize,
    format: Format,
    service: Option<String>,
}

/// Who the sink says it is, beside its certificate.
#[derive(Clone)]
pub(super) enum Login {
    Nobody,
    Password {
        user: String,
        password: Zeroizing<String>,
    },
    Token(Zeroizing<String>),
}

/// What was checked.
pub(super) struct Settings {
    pub(super) servers: Vec<Address>,
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) tls_first: bool,
    pub(super) login: Login,
    pub(super) subject: Subject,
    pub(super) stream: Option<String>,
    pub(super) window: usize,
    pub(super) format: Format,
    pub(super) service: Option<String>,
}

impl NatsSinkBuilder {
    pub(super) fn new(server: &str) -> Self {
        Self {
            servers: vec![server.to_owned()],
            tls: TlsSettings::default(),
            tls_first: false,
            plaintext: false,
            login: Login::Nobody,
            subject: "audit.{origin}.{kind}".to_owned(),
            stream: None,
            window: 256,
            format: Format::Json,
            service: None,
        }
    }

    /// Another server of the same cluster, as `host:port`; it has its turn when one before it
    /// cannot be reached.
    pub fn add_server(mut self, server: &str) -> Self {
        self.servers.push(server.to_owned());
        self
    }

    /// Believes servers below these certificates, in PEM, and no others.
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

    /// Begins with TLS, before the server says a word; for servers with `handshake_first`.
    pub fn require_tls_first(mut self) -> Self {
        self.tls_first = true;
        self
    }

    /// Permits plaintext to `localhost`, `127.0.0.0/8` and `[::1]`.
    pub fn allow_plaintext_loopback(mut self) -> Self {
        self.plaintext = true;
        self
    }

    /// Logs in with a password.
    pub fn with_password(mut self, user: &str, password: &str) -> Self {
        self.login = Login::Password {
            user: user.to_owned(),
            password: Zeroizing::new(password.to_owned()),
        };
        self
    }

    /// Logs in with a token.
    pub fn with_token(mut self, token: &str) -> Self {
        self.login = Login::Token(Zeroizing::new(token.to_owned()));
        self
    }

    /// Replaces the subject of messages. `{origin}` stands for the name of the log, with an
    /// underscore for everything that is no letter, digit, hyphen or underscore; `{kind}` for the
    /// kind of entry, such as `request`.
    pub fn with_subject(mut self, template: &str) -> Self {
        template.clone_into(&mut self.subject);
        self
    }

    /// Publishes into the stream of this name alone: where another one takes the subject, it is an
    /// error.
    pub fn with_stream(mut self, name: &str) -> Self {
        self.stream = Some(name.to_owned());
        self
    }

    /// Replaces how many messages are on their way without an acknowledgement.
    pub fn with_window(mut self, messages: usize) -> Self {
        self.window = messages;
        self
    }

    /// Replaces the form of messages.
    pub fn with_format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Replaces the name of the service in messages; by default the log's origin.
    pub fn with_service(mut self, service: &str) -> Self {
        self.service = Some(service.to_owned());
        self
    }

    /// Checks the settings. Nobody is asked yet.
    ///
    /// # Errors
    ///
    /// [`SinkConfigError`], naming the first setting that cannot work.
    pub fn build(self) -> Result<NatsSink, SinkConfigError> {
        let servers = self.servers.iter().map(|it| Address::parse(it));
        let servers: Option<Vec<Address>> = servers.collect();
        let no_server = || SinkConfigError::unusable("server", "it is not host:port");
        let servers = servers.ok_or_else(no_server)?;
        let tls = self.tls.build()?;
        let is_local = self.plaintext && servers.iter().all(Address::is_loopback);
        if tls.is_none() && (!is_local || self.tls_first) {
            return Err(SinkConfigError::Missing("root_pem"));
        }
        if self.window == 0 {
            return Err(SinkConfigError::Zero("window"));
        }
        let no_subject = || SinkConfigError::unusable("subject", "it is no subject to publish to");
        let is_name = |name: &str| {
            let is_fit = |c: char| c.is_ascii_graphic() && !".*>/\\".contains(c);
            !name.is_empty() && name.chars().all(is_fit)
        };
        if self.stream.as_deref().is_some_and(|name| !is_name(name)) {
            return Err(SinkConfigError::unusable(
                "stream",
                "it is no name of a stream",
            ));
        }
        Ok(NatsSink {
            settings: Settings {
                servers,
                tls,
                tls_first: self.tls_first,
                login: self.login,
                subject: Subject::parse(&self.subject).ok_or_else(no_subject)?,
                stream: self.stream,
                window: self.window,
                format: self.format,
                service: self.service,
            },
            client: None,
            turn: 0,
        })
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "Nobody",
            Self::Password { .. } => "Password",
            Self::Token(_) => "Token",
        })
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("servers", &self.servers)
            .field("tls", &self.tls.is_some())
            .field("login", &self.login)
            .field("subject", &self.subject)
            .field("stream", &self.stream)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for NatsSinkBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsSinkBuilder")
            .field("servers", &self.servers)
            .field("tls", &self.tls)
            .field("login", &self.login)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plaintext_stays_on_this_machine() {
        fn check(server: &str, allowed: bool, expected: bool) {
            let builder = NatsSink::builder(server);
            let builder = match allowed {
                true => builder.allow_plaintext_loopback(),
                false => builder,
            };
            assert_eq!(builder.build().is_ok(), expected, "{server}");
        }
        check("127.0.0.1:4222", true, true);
        check("localhost:4222", true, true);
        check("[::1]:4222", true, true);
        check("127.0.0.1:4222", false, false);
        check("nats.internal:4222", true, false);
        check("10.0.0.1:4222", true, false);
        check("localhost", true, false);
        let two = NatsSink::builder("localhost:1").allow_plaintext_loopback();
        assert!(two.add_server("nats.internal:1").build().is_err());
    }

    #[test]
    fn settings_that_cannot_work_are_named() {
        let builder = || NatsSink::builder("localhost:4222").allow_plaintext_loopback();
        assert!(builder().with_subject("a.>").build().is_err());
        assert!(builder().with_stream("A B").build().is_err());
        assert!(builder().with_stream("A\r\nB").build().is_err());
        assert!(builder().with_window(0).build().is_err());
        assert!(builder().require_tls_first().build().is_err());
        assert!(builder().with_stream("AUDIT").build().is_ok());
    }

    #[test]
    fn secrets_are_not_printed() {
        let builder = NatsSink::builder("localhost:4222").allow_plaintext_loopback();
        let builder = builder.with_password("audit", "hunter2");
        let other = builder.clone().with_token("hunter2");
        let sink = builder.clone().build().expect("sound");
        assert!(!format!("{builder:?}{other:?}{sink:?}").contains("hunter2"));
    }
}
