//! `[[audit.sink]]`: where the entries of the ledger are brought.

mod nats;
mod otlp;
mod postgres;
mod syslog;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bartizan_audit::{
    Blocking, Delivery, DeliveryBuilder, Format, Ledger, LineSink, Renderer, Sink,
};

use crate::config::audit::Audit;
use crate::config::node::At;
use crate::config::problem::Problem;
use crate::config::section::section;
use crate::config::setting::{Size, choice};
use crate::config::surroundings::Surroundings;

use self::nats::NatsEntry;
use self::otlp::OtlpEntry;
use self::postgres::PostgresEntry;
use self::syslog::SyslogEntry;

section! {
    /// Where the entries of the ledger are brought as well: one of `file`, `stdout`, `nats`,
    /// `otlp`, `postgres` and `syslog`. At least once, from where it stopped, and never on the way
    /// of a request.
    AuditSink {
        /// What it is called in events and in the name of the file that keeps its place: letters,
        /// digits, `-` and `_`.
        name: String,
        /// Appends lines to this file, synced.
        file: Option<PathBuf>,
        /// Writes lines to standard output, for whoever collects it.
        stdout: bool = "false",
        /// A stream of NATS JetStream.
        nats: Option<NatsEntry>,
        /// A collector of OpenTelemetry.
        otlp: Option<OtlpEntry>,
        /// A table of PostgreSQL.
        postgres: Option<PostgresEntry>,
        /// A receiver of syslog.
        syslog: Option<SyslogEntry>,
        /// The form of entries there.
        format: FormatWord = "json",
        /// The name of the service there. That of the log by default.
        service: Option<String>,
        /// The file that keeps the place. By default beside the segments, named after the sink.
        cursor: Option<PathBuf>,
        /// How many entries are offered at once.
        batch_entries: usize = "1000",
        /// How many bytes of entries are offered at once; a larger entry goes alone.
        batch: Size = "512KiB",
        /// How long is waited when there are no more entries.
        poll_interval: Duration = "200ms",
        /// How long is waited after a first failure; after each further one twice as long.
        first_pause: Duration = "500ms",
        /// How long is waited after a failure at most.
        longest_pause: Duration = "60s",
        /// How long one attempt may take.
        deadline: Duration = "30s",
    }
}

choice! {
    /// The form of entries.
    FormatWord {
        /// ArcSight Common Event Format. Not for `postgres`.
        Cef = "cef",
        /// Elastic Common Schema.
        Ecs = "ecs",
        /// Plain JSON. Nothing is left out.
        Json = "json",
        /// Open Cybersecurity Schema Framework.
        Ocsf = "ocsf",
    }
}

const PATH: &str = "audit.sink";

/// What a sink is given beside its own options.
#[allow(dead_code, reason = "some builds have no such sink")]
struct Terms<'t> {
    format: Format,
    service: Option<&'t str>,
    with: &'t Surroundings,
}

impl AuditSink {
    /// What of it is wrong, as far as it is known without asking anybody.
    pub(crate) fn check(&self, audit: &Audit, with: &Surroundings) -> Result<(), Problem> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if !self.name.chars().all(fits) {
            return Err(self.wrong("`name` takes letters, digits, `-` and `_`"));
        }
        let waits = [self.poll_interval, self.longest_pause, self.deadline];
        if waits.iter().any(Duration::is_zero) || self.batch_entries == 0 || self.batch.0 == 0 {
            return Err(self.wrong("an interval or a batch is zero"));
        }
        self.visit(audit, with, |_| Ok(()))
    }

    /// Begins to bring entries there.
    pub(crate) fn start(
        &self,
        audit: &Audit,
        ledger: &Ledger,
        with: &Surroundings,
    ) -> Result<Delivery, Problem> {
        let delivery = self.delivery(audit, with)?.with_ledger(ledger);
        delivery.start().map_err(|error| self.refuse(PATH, &error))
    }

    fn delivery(&self, audit: &Audit, with: &Surroundings) -> Result<DeliveryBuilder, Problem> {
        let mut built = None;
        self.visit(audit, with, |sink| {
            built = Some(match sink {
                Kind::File(path) => {
                    let lines = LineSink::append(self.renderer(audit), path);
                    let lines = lines.map_err(|error| self.refuse("audit.sink.file", &error))?;
                    self.builder(audit, with, Blocking::new(lines))
                }
                Kind::Stdout => {
                    let lines = LineSink::new(self.renderer(audit), io::stdout());
                    self.builder(audit, with, Blocking::new(lines))
                }
                #[cfg(feature = "audit-nats")]
                Kind::Nats(sink) => self.builder(audit, with, sink),
                #[cfg(feature = "audit-otlp")]
                Kind::Otlp(sink) => self.builder(audit, with, sink),
                #[cfg(feature = "audit-postgres")]
                Kind::Postgres(sink) => self.builder(audit, with, sink),
                #[cfg(feature = "audit-syslog")]
                Kind::Syslog(sink) => self.builder(audit, with, sink),
            });
            Ok(())
        })?;
        built.ok_or_else(|| self.wrong(ONE))
    }

    pub(crate) fn builder(
        &self,
        audit: &Audit,
        with: &Surroundings,
        sink: impl Sink,
    ) -> DeliveryBuilder {
        let delivery = Delivery::builder(&audit.folder, &self.name, sink)
            .with_batch(self.batch_entries, self.batch.bytes())
            .with_poll_interval(self.poll_interval)
            .with_backoff(self.first_pause, self.longest_pause)
            .with_deadline(self.deadline)
            .with_clock(with.clock.clone());
        let delivery = match &self.cursor {
            Some(cursor) => delivery.with_cursor(cursor),
            None => delivery,
        };
        match with.observer() {
            Some(observer) => delivery.with_observer(observer),
            None => delivery,
        }
    }

    /// Makes the one sink that is described, without asking anybody.
    fn visit(
        &self,
        audit: &Audit,
        with: &Surroundings,
        see: impl FnOnce(Kind<'_>) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let terms = Terms {
            format: self.format.into(),
            service: self.service_name(audit),
            with,
        };
        let kinds = [
            self.file.is_some(),
            self.stdout,
            self.nats.is_some(),
            self.otlp.is_some(),
            self.postgres.is_some(),
            self.syslog.is_some(),
        ];
        if kinds.iter().filter(|is_set| **is_set).count() != 1 {
            return Err(self.wrong(ONE));
        }
        see(if let Some(path) = &self.file {
            Kind::File(path)
        } else if let Some(entry) = &self.nats {
            entry.kind(&terms)?
        } else if let Some(entry) = &self.otlp {
            entry.kind(&terms)?
        } else if let Some(entry) = &self.postgres {
            entry.kind(&terms)?
        } else if let Some(entry) = &self.syslog {
            entry.kind(&terms)?
        } else {
            Kind::Stdout
        })
    }

    fn service_name<'s>(&'s self, audit: &'s Audit) -> Option<&'s str> {
        self.service.as_deref().or(audit.service.as_deref())
    }

    fn renderer(&self, audit: &Audit) -> Renderer {
        let renderer = Renderer::new(self.format.into(), &audit.origin);
        match self.service_name(audit) {
            Some(service) => renderer.with_service(service),
            None => renderer,
        }
    }

    fn wrong(&self, message: &str) -> Problem {
        Problem::new(self.stands.0, PATH, message)
    }
}

const ONE: &str = "takes one of `file`, `stdout`, `nats`, `otlp`, `postgres` and `syslog`";

/// The kinds of sinks that this program was built with.
#[allow(
    clippy::large_enum_variant,
    reason = "one is made of each when the service begins"
)]
enum Kind<'k> {
    File(&'k PathBuf),
    #[cfg(feature = "audit-nats")]
    Nats(bartizan_audit::NatsSink),
    #[cfg(feature = "audit-otlp")]
    Otlp(bartizan_audit::OtlpSink),
    #[cfg(feature = "audit-postgres")]
    Postgres(bartizan_audit::PostgresSink),
    Stdout,
    #[cfg(feature = "audit-syslog")]
    Syslog(bartizan_audit::SyslogSink),
}

impl From<FormatWord> for Format {
    fn from(word: FormatWord) -> Self {
        match word {
            FormatWord::Cef => Self::Cef,
            FormatWord::Ecs => Self::Ecs,
            FormatWord::Json => Self::Json,
            FormatWord::Ocsf => Self::Ocsf,
        }
    }
}

/// Certificates of the other end, and those of this one, as files in PEM.
#[allow(dead_code, reason = "some builds have no sink that is reached by TLS")]
struct TlsFiles<'f> {
    at: At,
    path: &'static str,
    roots: &'f Option<PathBuf>,
    chain: &'f Option<PathBuf>,
    key: &'f Option<PathBuf>,
}

/// What a file holds, wiped when it is dropped.
type Pem = zeroize::Zeroizing<Vec<u8>>;

#[allow(dead_code, reason = "some builds have no sink that is reached by TLS")]
impl TlsFiles<'_> {
    fn roots(&self, with: &Surroundings) -> Result<Option<Pem>, Problem> {
        self.roots
            .as_ref()
            .map(|path| self.read(path, with))
            .transpose()
    }

    fn identity(&self, with: &Surroundings) -> Result<Option<(Pem, Pem)>, Problem> {
        match (self.chain, self.key) {
            (None, None) => Ok(None),
            (Some(chain), Some(key)) => Ok(Some((self.read(chain, with)?, self.read(key, with)?))),
            _ => Err(Problem::new(
                self.at,
                self.path,
                "`chain` and `key` go together",
            )),
        }
    }

    fn read(&self, path: &std::path::Path, with: &Surroundings) -> Result<Pem, Problem> {
        let read = with.read(path);
        read.map_err(|message| Problem::new(self.at, self.path, message))
    }
}

/// Gives a sink the certificates of its files.
#[allow(
    unused_macros,
    reason = "some builds have no sink that is reached by TLS"
)]
macro_rules! certified {
    ($sink:expr, $entry:expr, $path:expr, $with:expr) => {{
        let files = crate::config::sink::TlsFiles {
            at: $entry.stands.0,
            path: $path,
            roots: &$entry.roots,
            chain: &$entry.chain,
            key: &$entry.key,
        };
        let mut sink = $sink;
        if let Some(roots) = files.roots($with)? {
            sink = sink.with_root_pem(&roots);
        }
        if let Some((chain, key)) = files.identity($with)? {
            sink = sink.with_identity_pem(&chain, &key);
        }
        sink
    }};
}

#[allow(
    unused_imports,
    reason = "some builds have no sink that is reached by TLS"
)]
use certified;
