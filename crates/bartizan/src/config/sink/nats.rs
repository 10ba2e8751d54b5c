//! `[audit.sink.nats]`: a stream of NATS JetStream.

use std::path::PathBuf;

use crate::config::problem::Problem;
use crate::config::secret::Secret;
use crate::config::section::section;
use crate::config::sink::{Kind, Terms};

section! {
    /// A stream of NATS JetStream; build with the feature `audit-nats`. What was sent twice, it
    /// takes once.
    NatsEntry {
        /// The servers of one cluster, as `host:port`; one at least.
        servers: Vec<String>,
        /// The certificate authorities (PEM) of the servers, and no others. Required, but for
        /// `allow_plaintext_loopback`.
        roots: Option<PathBuf>,
        /// The certificate chain (PEM) that is presented, leaf first.
        chain: Option<PathBuf>,
        /// Its private key (PEM).
        key: Option<PathBuf>,
        /// Begins with TLS, before the server says a word: for servers with `handshake_first`.
        require_tls_first: bool = "false",
        /// Lets the connection be in plaintext, to this machine alone.
        allow_plaintext_loopback: bool = "false",
        /// The user to log in as, with `password`.
        user: Option<String>,
        /// The user's password.
        password: Option<Secret>,
        /// A token to log in with, in place of user and password.
        token: Option<Secret>,
        /// The subject of messages: `{origin}` stands for the log's name, `{kind}` for the kind of
        /// entry.
        subject: String = "audit.{origin}.{kind}",
        /// The stream that has to take them. Whichever takes the subject by default.
        stream: Option<String>,
        /// How many messages may be on their way without an acknowledgement.
        window: usize = "256",
    }
}

const PATH: &str = "audit.sink.nats";

#[cfg(not(feature = "audit-nats"))]
impl NatsEntry {
    pub(super) fn kind(&self, _: &Terms<'_>) -> Result<Kind<'_>, Problem> {
        Err(Problem::lacking(self.stands.0, PATH, "audit-nats"))
    }
}

#[cfg(feature = "audit-nats")]
impl NatsEntry {
    pub(super) fn kind(&self, terms: &Terms<'_>) -> Result<Kind<'_>, Problem> {
        let sink = self.builder(terms)?.build();
        sink.map(Kind::Nats)
            .map_err(|error| self.refuse(PATH, &error))
    }

    fn builder(&self, terms: &Terms<'_>) -> Result<bartizan_audit::NatsSinkBuilder, Problem> {
        let at = self.stands.0;
        let wrong = |message: &str| Err(Problem::new(at, PATH, message));
        let Some((first, others)) = self.servers.split_first() else {
            return wrong("takes one of `servers` at least");
        };
        let mut sink = bartizan_audit::NatsSink::builder(first)
            .with_subject(&self.subject)
            .with_window(self.window)
            .with_format(terms.format);
        for server in others {
            sink = sink.add_server(server);
        }
        sink = crate::config::sink::certified!(sink, self, PATH, terms.with);
        sink = match (&self.user, &self.password, &self.token) {
            (None, None, None) => sink,
            (Some(user), Some(password), None) => {
                sink.with_password(user, password.text(at, PATH)?)
            }
            (None, None, Some(token)) => sink.with_token(token.text(at, PATH)?),
            _ => return wrong("takes `user` and `password`, or `token`"),
        };
        if self.require_tls_first {
            sink = sink.require_tls_first();
        }
        if self.allow_plaintext_loopback {
            sink = sink.allow_plaintext_loopback();
        }
        if let Some(stream) = &self.stream {
            sink = sink.with_stream(stream);
        }
        Ok(match terms.service {
            Some(service) => sink.with_service(service),
            None => sink,
        })
    }
}
