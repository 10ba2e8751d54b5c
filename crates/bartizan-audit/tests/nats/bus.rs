//! A reader of streams, in plain words of the protocol.

use base64::Engine as _;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// A connection that asks and is answered.
pub(crate) struct Bus(BufReader<TcpStream>);

/// A message of a stream.
pub(crate) struct Stored {
    pub(crate) subject: String,
    pub(crate) headers: String,
    pub(crate) payload: String,
}

impl Bus {
    pub(crate) async fn connect(port: u16, options: &Value) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let mut bus = Self(BufReader::new(stream));
        bus.line().await?;
        let hello = format!("CONNECT {options}\r\nSUB answer 1\r\nPING\r\n");
        bus.0.write_all(hello.as_bytes()).await?;
        let said = bus.line().await?;
        if said == "PONG" {
            Ok(bus)
        } else {
            Err(std::io::Error::other(said))
        }
    }

    /// Asks JetStream.
    pub(crate) async fn ask(&mut self, what: &str, question: &Value) -> Value {
        let question = question.to_string();
        let length = question.len();
        let text = format!("PUB $JS.API.{what} answer {length}\r\n{question}\r\n");
        self.0.write_all(text.as_bytes()).await.unwrap();
        loop {
            let line = self.line().await.unwrap();
            if line == "PING" {
                self.0.write_all(b"PONG\r\n").await.unwrap();
            } else {
                assert!(line.starts_with("MSG answer 1 "), "{line}");
                let length: usize = line.rsplit(' ').next().unwrap().parse().unwrap();
                let mut bytes = vec![0; length + 2];
                self.0.read_exact(&mut bytes).await.unwrap();
                return serde_json::from_slice(&bytes[..length]).unwrap();
            }
        }
    }

    pub(crate) async fn messages(&mut self, stream: &str) -> Vec<Stored> {
        let info = self.ask(&format!("STREAM.INFO.{stream}"), &json!({})).await;
        let count = info["state"]["messages"].as_u64().unwrap();
        let mut messages = Vec::new();
        for number in 1..=count {
            let question = json!({"seq": number});
            let answer = self
                .ask(&format!("STREAM.MSG.GET.{stream}"), &question)
                .await;
            let message = &answer["message"];
            let decoded = |name: &str| {
                let engine = base64::engine::general_purpose::STANDARD;
                let bytes = engine.decode(message[name].as_str().unwrap()).unwrap();
                String::from_utf8(bytes).unwrap()
            };
            messages.push(Stored {
                subject: message["subject"].as_str().unwrap().to_owned(),
                headers: decoded("hdrs"),
                payload: decoded("data"),
            });
        }
        messages
    }

    async fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).await?;
        Ok(line.trim_end().to_owned())
    }
}
