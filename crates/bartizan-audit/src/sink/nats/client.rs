//! A connection that publishes and waits for acknowledgements.

use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::render::hex;
use crate::sink::address::Address;
use crate::sink::error::{SinkError, SinkErrorKind};
use crate::sink::nats::config::{Login, Settings};
use crate::sink::nats::link::Link;
use crate::sink::nats::protocol::{Info, LONGEST_LINE, Line, acknowledged};

/// How long name lookup, TCP, TLS and the first words may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How many bytes are on their way without an acknowledgement, if a single message is not larger.
const WINDOW_BYTES: usize = 1024 * 1024;

/// What is to be published.
pub(super) struct Message {
    pub(super) subject: String,
    pub(super) headers: String,
    pub(super) payload: String,
}

pub(super) struct Client {
    link: BufReader<Link>,
    /// Where acknowledgements come, up to the last dot.
    inbox: String,
    /// How many messages were sent.
    sent: u64,
    max_payload: usize,
}

/// What a server said that the caller has to know of.
enum Said {
    Message {
        subject: String,
        bytes: Vec<u8>,
        headers: usize,
    },
    Pong,
}

impl Client {
    pub(super) async fn connect(server: &Address, settings: &Settings) -> Result<Self, SinkError> {
        let connecting = timeout(CONNECT_TIMEOUT, Self::introduce(server, settings));
        connecting.await.unwrap_or_else(|_| {
            let late = format!("no connection to {} in time", server.host);
            Err(SinkError::new(SinkErrorKind::Unavailable, late))
        })
    }

    async fn introduce(server: &Address, settings: &Settings) -> Result<Self, SinkError> {
        let tcp = TcpStream::connect((server.host.as_str(), server.port)).await?;
        tcp.set_nodelay(true)?;
        // Plaintext stays on this machine, whatever the name server says of "localhost".
        if settings.tls.is_none() && !tcp.peer_addr()?.ip().is_loopback() {
            return Err(refused("plaintext is for this machine alone"));
        }
        let mut link = Link::Plain(tcp);
        if settings.tls_first {
            link = secure(link, server, settings).await?;
        }
        // Unbuffered: what follows the first line belongs to the handshake.
        let info = read_info(&mut link).await?;
        if settings.tls.is_some() {
            if !settings.tls_first {
                if !(info.tls_required || info.tls_available) {
                    return Err(refused("the server has no TLS"));
                }
                link = secure(link, server, settings).await?;
            }
        } else if info.tls_required {
            return Err(refused("the server wants TLS, and no roots are set"));
        }
        if !info.headers {
            return Err(refused("the server knows no headers"));
        }
        let mut random = [0; 16];
        let filled = SystemRandom::new().fill(&mut random);
        filled.map_err(|_| SinkError::new(SinkErrorKind::Unavailable, "no random numbers"))?;
        let mut client = Self {
            link: BufReader::new(link),
            inbox: format!("_INBOX.{}", hex(&random)),
            sent: 0,
            max_payload: info.max_payload,
        };
        let hello = format!(
            "CONNECT {}\r\nSUB {}.* 1\r\n",
            connect_options(settings),
            client.inbox
        );
        client.link.write_all(hello.as_bytes()).await?;
        client.check().await?;
        Ok(client)
    }

    /// Whether the server is there.
    pub(super) async fn check(&mut self) -> Result<(), SinkError> {
        self.link.write_all(b"PING\r\n").await?;
        self.link.flush().await?;
        loop {
            if let Said::Pong = self.next().await? {
                return Ok(());
            }
        }
    }

    /// Publishes all of them, and waits until a stream has each.
    pub(super) async fn publish(
        &mut self,
        messages: &[Message],
        window: usize,
    ) -> Result<(), SinkError> {
        let mut out = Vec::new();
        let mut under_way = 0;
        for message in messages {
            self.put(&mut out, message)?;
            under_way += 1;
            if under_way == window || out.len() >= WINDOW_BYTES {
                self.exchange(&mut out, under_way).await?;
                under_way = 0;
            }
        }
        self.exchange(&mut out, under_way).await
    }

    fn put(&mut self, out: &mut Vec<u8>, message: &Message) -> Result<(), SinkError> {
        let (headers, payload) = (message.headers.len(), message.payload.len());
        let total = headers + payload;
        if total > self.max_payload {
            let most = self.max_payload;
            let text = format!("a message has {total} bytes, the server takes {most}");
            return Err(refused(&text));
        }
        let Message { subject, .. } = message;
        let (inbox, number) = (&self.inbox, self.sent);
        let head = format!("HPUB {subject} {inbox}.{number} {headers} {total}\r\n");
        for part in [&head, &message.headers, &message.payload, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        self.sent += 1;
        Ok(())
    }

    /// Sends what is in `out`, and waits for the acknowledgements of the last `count` messages.
    async fn exchange(&mut self, out: &mut Vec<u8>, count: usize) -> Result<(), SinkError> {
        self.link.write_all(out).await?;
        self.link.flush().await?;
        out.clear();
        let first = self.sent - count as u64;
        let mut waiting: std::collections::HashSet<u64> = (first..self.sent).collect();
        while !waiting.is_empty() {
            let Said::Message {
                subject,
                bytes,
                headers,
            } = self.next().await?
            else {
                continue;
            };
            let number = subject
                .strip_prefix(&self.inbox)
                .and_then(|rest| rest.strip_prefix('.'))
                .and_then(|number| number.parse().ok());
            // One that is nobody's, or came twice, says nothing.
            if number.is_some_and(|number| waiting.remove(&number)) {
                acknowledged(&bytes, headers)?;
            }
        }
        Ok(())
    }

    /// The next thing that the server says; what is between the lines is answered here.
    async fn next(&mut self) -> Result<Said, SinkError> {
        loop {
            let mut line = Vec::new();
            let mut limited = (&mut self.link).take(LONGEST_LINE as u64);
            if limited.read_until(b'\n', &mut line).await? == 0 {
                return Err(unavailable("the server closed the connection"));
            }
            match Line::parse(&text(&line)?).ok_or_else(nonsense)? {
                Line::Error(error) => return Err(told(error)),
                Line::Info(_) | Line::Okay => {}
                Line::Ping => {
                    self.link.write_all(b"PONG\r\n").await?;
                    self.link.flush().await?;
                }
                Line::Pong => return Ok(Said::Pong),
                Line::Message {
                    subject,
                    headers,
                    length,
                } => {
                    let subject = subject.to_owned();
                    // With the end of line behind it.
                    let mut bytes = vec![0; length + 2];
                    self.link.read_exact(&mut bytes).await?;
                    bytes.truncate(length);
                    return Ok(Said::Message {
                        subject,
                        bytes,
                        headers,
                    });
                }
            }
        }
    }
}

async fn secure(link: Link, server: &Address, settings: &Settings) -> Result<Link, SinkError> {
    let (Link::Plain(tcp), Some(config)) = (link, &settings.tls) else {
        return Err(refused("no roots are set"));
    };
    let name = ServerName::try_from(server.host.clone());
    let name = name.map_err(|error| refused(&error.to_string()))?;
    let connector = TlsConnector::from(std::sync::Arc::clone(config));
    Ok(Link::Tls(Box::new(connector.connect(name, tcp).await?)))
}

/// The first line of a server, byte by byte, and no byte more.
async fn read_info(link: &mut Link) -> Result<Info, SinkError> {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        if line.len() == LONGEST_LINE {
            return Err(nonsense());
        }
        line.push(link.read_u8().await?);
    }
    match Line::parse(&text(&line)?) {
        Some(Line::Info(info)) => serde_json::from_str(info).map_err(|_| nonsense()),
        Some(Line::Error(error)) => Err(told(error)),
        _ => Err(nonsense()),
    }
}

fn connect_options(settings: &Settings) -> String {
    let mut options = json!({
        "verbose": false, "pedantic": false, "echo": false, "headers": true,
        "no_responders": true, "protocol": 1, "lang": "rust",
        "version": env!("CARGO_PKG_VERSION"), "name": "bartizan-audit",
        "tls_required": settings.tls.is_some(),
    });
    if let Some(members) = options.as_object_mut() {
        match &settings.login {
            Login::Nobody => {}
            Login::Password { user, password } => {
                members.insert("user".to_owned(), user.as_str().into());
                members.insert("pass".to_owned(), password.as_str().into());
            }
            Login::Token(token) => {
                members.insert("auth_token".to_owned(), token.as_str().into());
            }
        }
    }
    options.to_string()
}

fn text(line: &[u8]) -> Result<String, SinkError> {
    let line = line.strip_suffix(b"\r\n").ok_or_else(nonsense)?;
    String::from_utf8(line.to_vec()).map_err(|_| nonsense())
}

/// What a server complains of.
fn told(error: &str) -> SinkError {
    let lower = error.to_ascii_lowercase();
    let is_lasting = ["authorization", "authentication", "permissions", "tls"]
        .iter()
        .any(|word| lower.contains(word));
    if is_lasting {
        refused(error)
    } else {
        unavailable(error)
    }
}

fn nonsense() -> SinkError {
    unavailable("what the server says is not the protocol of NATS")
}

fn unavailable(text: &str) -> SinkError {
    SinkError::new(SinkErrorKind::Unavailable, text)
}

fn refused(text: &str) -> SinkError {
    SinkError::new(SinkErrorKind::Refused, text)
}
