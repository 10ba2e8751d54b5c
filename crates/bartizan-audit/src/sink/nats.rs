//! Entries as messages of a NATS JetStream.

mod client;
mod config;
mod link;
mod protocol;
mod subject;

use std::fmt;
use std::time::Duration;

use tokio::time::timeout;

use crate::record::Kind;
use crate::render::Renderer;
use crate::sink::nats::client::{Client, Message};
use crate::sink::nats::config::Settings;
use crate::sink::nats::subject::header_value;
use crate::sink::{Accepted, Batch, Sink, SinkAnswer, SinkError, SinkErrorKind};

pub use self::config::NatsSinkBuilder;
#[cfg(feature = "fuzzing")]
pub(crate) use self::protocol::{Line, acknowledged};

/// Publishes entries to a stream of NATS JetStream.
///
/// 1. Each entry is one message, whose subject follows a template and whose `Nats-Msg-Id` is the
///    log's origin and the entry's index. A stream removes duplicates by it within its
///    `duplicate_window`, which is two minutes if nobody says otherwise: let it be longer than a
///    server is away. What comes twice after that has the same identifier.
/// 2. Messages go in windows. A batch is over when the stream has acknowledged every message of it,
///    and not before.
/// 3. Where no stream takes the subject, nobody acknowledges, and that is an error; nothing is
///    published into the void. With [`with_stream`](NatsSinkBuilder::with_stream) it must be the
///    stream of that name.
///
/// An acknowledged message is on a quorum of servers. Whether it is on their disks is for their
/// `sync_interval` to say, which is two minutes if nobody says otherwise: keep the ledger's
/// segments longer than that. A stream with limits discards its oldest messages.
///
/// ```no_run
/// use bartizan_audit::{Delivery, Ledger, NatsSink};
///
/// # async fn run(ledger: Ledger) -> Result<(), Box<dyn std::error::Error>> {
/// let sink = NatsSink::builder("nats.internal:4222")
///     .with_root_pem(&std::fs::read("/etc/pki/nats.pem")?)
///     .with_subject("audit.{origin}.{kind}")
///     .with_stream("AUDIT")
///     .build()?;
/// let delivery = Delivery::builder("/var/lib/orders/audit", "nats", sink)
///     .with_ledger(&ledger)
///     .start()?;
/// # Ok(())
/// # }
/// ```
pub struct NatsSink {
    settings: Settings,
    client: Option<Client>,
    /// Which server is next.
    turn: usize,
}

/// How long a connection that was idle may take to show that it still is one.
const PATIENCE: Duration = Duration::from_secs(3);

impl NatsSink {
    /// Begins the description of a server, as `host:port`.
    pub fn builder(server: &str) -> NatsSinkBuilder {
        NatsSinkBuilder::new(server)
    }

    async fn publish(&mut self, batch: Batch<'_>) -> Result<Accepted, SinkError> {
        let messages = messages(&self.settings, batch)?;
        // Taken out: one that fails, or is given up half way, is closed.
        let mut client = match self.client.take() {
            Some(mut client) => match timeout(PATIENCE, client.check()).await {
                Ok(Ok(())) => client,
                // It broke while nobody looked.
                _ => self.connect().await?,
            },
            None => self.connect().await?,
        };
        client.publish(&messages, self.settings.window).await?;
        self.client = Some(client);
        Ok(Accepted::all())
    }

    /// Connects to the server whose turn it is; the next time it is another's if that fails.
    async fn connect(&mut self) -> Result<Client, SinkError> {
        let servers = &self.settings.servers;
        let server = servers.get(self.turn % servers.len().max(1));
        self.turn = self.turn.wrapping_add(1);
        let none = || SinkError::new(SinkErrorKind::Refused, "there is no server");
        let client = Client::connect(server.ok_or_else(none)?, &self.settings).await?;
        self.turn = self.turn.wrapping_sub(1);
        Ok(client)
    }
}

fn messages(settings: &Settings, batch: Batch<'_>) -> Result<Vec<Message>, SinkError> {
    let mut renderer = Renderer::new(settings.format, batch.origin);
    if let Some(service) = &settings.service {
        renderer = renderer.with_service(service);
    }
    let origin = header_value(batch.origin);
    let rendered = batch.entries.iter().map(|entry| {
        let kind = Kind::of(&entry.bytes)?;
        let mut headers = format!("NATS/1.0\r\nNats-Msg-Id: {origin}/{}\r\n", entry.index);
        if let Some(stream) = &settings.stream {
            headers.push_str("Nats-Expected-Stream: ");
            headers.push_str(stream);
            headers.push_str("\r\n");
        }
        headers.push_str("\r\n");
        Ok(Message {
            subject: settings.subject.of(batch.origin, kind.as_str()),
            headers,
            payload: renderer.render(entry)?,
        })
    });
    rendered.collect()
}

impl Sink for NatsSink {
    fn deliver<'s>(&'s mut self, batch: Batch<'s>) -> SinkAnswer<'s> {
        Box::pin(self.publish(batch))
    }
}

impl fmt::Debug for NatsSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NatsSink").field(&self.settings).finish()
    }
}
