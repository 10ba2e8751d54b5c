//! A receiver that can be told to be careless.

use std::sync::{Arc, Mutex};

use bartizan_testkit::DevelopmentCa;
use bartizan_testkit::tls::server_config;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What it does with its connections, one after the other; `Take` with all that come later.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plan {
    /// Says that it has ended, and goes, as soon as somebody is there.
    EndAtOnce,
    /// Reads so many bytes, and is gone with the rest.
    GoAfter(usize),
    /// Reads everything, and ends as it should.
    Take,
    /// Reads everything, and ends without a word.
    TakeAndGo,
}

pub(crate) struct Receiver {
    pub(crate) port: u16,
    /// What came on connections that were read to their end.
    taken: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Receiver {
    pub(crate) async fn start(ca: &DevelopmentCa, plans: &[Plan]) -> Self {
        let config = server_config(&ca.loopback_server().unwrap()).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let (plans, noted) = (plans.to_vec(), Arc::clone(&taken));
        tokio::spawn(async move {
            let mut plans = plans.into_iter();
            while let Ok((stream, _)) = listener.accept().await {
                let plan = plans.next().unwrap_or(Plan::Take);
                if let Ok(stream) = acceptor.accept(stream).await
                    && let Some(bytes) = take(stream, plan).await
                {
                    noted.lock().unwrap().push(bytes);
                }
            }
        });
        Self { port, taken }
    }

    /// The messages of all connections that were read to their end.
    pub(crate) fn messages(&self) -> Vec<String> {
        let taken = self.taken.lock().unwrap();
        let mut messages = Vec::new();
        for mut rest in taken.iter().map(Vec::as_slice) {
            while !rest.is_empty() {
                let space = rest.iter().position(|byte| *byte == b' ').unwrap();
                let length = std::str::from_utf8(&rest[..space]).unwrap();
                let (message, behind) = rest[space + 1..].split_at(length.parse().unwrap());
                messages.push(String::from_utf8(message.to_vec()).unwrap());
                rest = behind;
            }
        }
        messages
    }
}

async fn take(mut stream: TlsStream<TcpStream>, plan: Plan) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    match plan {
        Plan::EndAtOnce => {
            let _ = stream.shutdown().await;
            None
        }
        Plan::GoAfter(count) => {
            bytes.resize(count, 0);
            stream.read_exact(&mut bytes).await.unwrap();
            None
        }
        Plan::Take => {
            stream.read_to_end(&mut bytes).await.unwrap();
            let _ = stream.shutdown().await;
            Some(bytes)
        }
        Plan::TakeAndGo => {
            stream.read_to_end(&mut bytes).await.unwrap();
            Some(bytes)
        }
    }
}
