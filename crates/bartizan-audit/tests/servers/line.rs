//! A line between a sink and its server that can swallow everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// A line to a server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    swallows: Arc<AtomicBool>,
    swallows_answers: Arc<AtomicBool>,
}

impl Line {
    /// Listens on a free port, and sends on to this one.
    pub(crate) async fn to(port: u16) -> (Self, u16) {
        let line = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let this = line.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else {
                    continue;
                };
                let ((near_read, near_write), (far_read, far_write)) =
                    (near.into_split(), far.into_split());
                let swallows = Arc::clone(&this.swallows);
                tokio::spawn(carry(near_read, far_write, [swallows, Arc::default()]));
                let both = [&this.swallows, &this.swallows_answers].map(Arc::clone);
                tokio::spawn(carry(far_read, near_write, both));
            }
        });
        (line, own)
    }

    /// Swallows everything on the connections there are, and on those to come meanwhile.
    pub(crate) fn swallow(&self, swallows: bool) {
        self.swallows.store(swallows, Ordering::Relaxed);
    }

    /// The same with what the server says alone.
    pub(crate) fn swallow_answers(&self, swallows: bool) {
        self.swallows_answers.store(swallows, Ordering::Relaxed);
    }
}

/// What was swallowed once is not to be mended: from there on all of it is.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, dead: [Arc<AtomicBool>; 2]) {
    let mut bytes = vec![0; 1 << 16];
    let mut swallows = false;
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        swallows |= dead.iter().any(|it| it.load(Ordering::Relaxed));
        if !swallows && to.write_all(&bytes[..count]).await.is_err() {
            break;
        }
    }
    if swallows {
        // Whoever swallows says nothing, not even that it is over.
        std::future::pending::<()>().await;
    }
}
