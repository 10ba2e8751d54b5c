//! Entries as messages of syslog over TLS.

mod config;
mod message;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::sink::address::Address;
use crate::sink::syslog::message::{Form, Writer};
use crate::sink::{Accepted, Batch, Sink, SinkAnswer, SinkError, SinkErrorKind};

pub use self::config::SyslogSinkBuilder;

/// Sends entries to a receiver of syslog: messages of [RFC 5424], over TLS as in [RFC 5425].
///
/// 1. An entry is one message in one frame, whatever is in it. Its structured data has the log's
///    origin, the entry's index, by which a reader removes duplicates, and its hash.
/// 2. **The protocol has no acknowledgement.** What has been sent is not what has arrived: a
///    receiver that dies takes what its system had taken for it along. Therefore a batch is a
///    connection of its own, and it is over when the receiver has ended its side after we ended
///    ours: it has then read everything before. A reset, an end that comes too early, or none
///    within the deadline, and the batch is sent again.
/// 3. What a receiver has read it may keep in memory, and lose. Where that must not be, use a sink
///    that answers: PostgreSQL or JetStream.
/// 4. Receivers that end without a `close_notify`, such as rsyslog, cannot be told from one that
///    was killed just when it had read everything.
///    [`require_close_notify`](SyslogSinkBuilder::require_close_notify) is for those that do.
///
/// A batch costs a handshake: let batches be large, and look for entries every second or so.
///
/// ```no_run
/// use bartizan_audit::{Delivery, Format, SyslogSink};
/// use std::time::Duration;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let sink = SyslogSink::builder("logs.internal:6514")
///     .with_root_pem(&std::fs::read("/etc/pki/logs.pem")?)
///     .with_format(Format::Cef)
///     .build()?;
/// let delivery = Delivery::builder("/var/lib/orders/audit", "syslog", sink)
///     .with_poll_interval(Duration::from_secs(1))
///     .start()?;
/// # Ok(())
/// # }
/// ```
///
/// [RFC 5424]: https://www.rfc-editor.org/rfc/rfc5424
/// [RFC 5425]: https://www.rfc-editor.org/rfc/rfc5425
pub struct SyslogSink {
    receiver: Address,
    tls: Arc<ClientConfig>,
    close_notify: bool,
    form: Form,
}

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait for a reset behind the receiver's end. If it ended before it had read what was
/// on its way, its system answers that with one.
const SETTLING: Duration = Duration::from_millis(50);

impl SyslogSink {
    /// Begins the description of a receiver, as `host:port`; syslog over TLS has port 6514.
    pub fn builder(receiver: &str) -> SyslogSinkBuilder {
        SyslogSinkBuilder::new(receiver)
    }

    async fn send(&mut self, batch: Batch<'_>) -> Result<Accepted, SinkError> {
        let writer = Writer::new(&self.form, batch.origin);
        let mut frames = Vec::new();
        let mut cut = 0;
        for entry in batch.entries {
            cut += u64::from(!writer.frame(entry, &mut frames)?);
        }
        let connecting = timeout(CONNECT_TIMEOUT, self.connect());
        let mut stream = connecting.await.unwrap_or_else(|_| {
            let late = format!("no connection to {} in time", self.receiver.host);
            Err(SinkError::new(SinkErrorKind::Unavailable, late))
        })?;
        stream.write_all(&frames).await?;
        stream.flush().await?;
        self.conclude(stream).await?;
        Ok(match cut {
            0 => Accepted::all(),
            _ => {
                let limit = self.form.limit;
                let remark = format!("longer than {limit} bytes, and sent without their content");
                Accepted::all_but(cut, &remark)
            }
        })
    }

    async fn connect(&self) -> Result<TlsStream<TcpStream>, SinkError> {
        let Address { host, port } = &self.receiver;
        let tcp = TcpStream::connect((host.as_str(), *port)).await?;
        let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        Ok(connector.connect(name, tcp).await?)
    }

    /// Ends our side, and waits for the receiver to end its own.
    async fn conclude(&self, mut stream: TlsStream<TcpStream>) -> Result<(), SinkError> {
        let early = "the receiver ended the connection before it had everything";
        let early = || SinkError::new(SinkErrorKind::Unavailable, early);
        if has_ended(&mut stream).await? {
            return Err(early());
        }
        //= RFC 5425 §4.4: It MUST send a TLS close_notify alert before closing the connection.
        stream.shutdown().await?;
        let mut ignored = [0; 1024];
        loop {
            match stream.read(&mut ignored).await {
                // A receiver has nothing to say; what it says all the same is not for us.
                Ok(1..) => {}
                Ok(0) => break,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    if self.close_notify {
                        let text = "the receiver ended without a close_notify";
                        return Err(SinkError::new(SinkErrorKind::Unavailable, text));
                    }
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        sleep(SETTLING).await;
        match stream.get_ref().0.take_error()? {
            Some(_) => Err(early()),
            None => Ok(()),
        }
    }
}

/// Whether the receiver has ended its side already, as far as is known here.
async fn has_ended(stream: &mut TlsStream<TcpStream>) -> io::Result<bool> {
    poll_fn(|cx| {
        let mut byte = [0; 1];
        let mut buffer = ReadBuf::new(&mut byte);
        match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
            Poll::Pending => Poll::Ready(Ok(false)),
            Poll::Ready(Ok(())) => Poll::Ready(Ok(buffer.filled().is_empty())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        }
    })
    .await
}

impl Sink for SyslogSink {
    fn deliver<'s>(&'s mut self, batch: Batch<'s>) -> SinkAnswer<'s> {
        Box::pin(self.send(batch))
    }
}
