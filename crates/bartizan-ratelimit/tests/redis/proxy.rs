//! A line between a store and its server that can be made slow, or swallow everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// A line to a server.
#[derive(Clone, Default)]
pub(crate) struct Line {
    millis: Arc<AtomicU64>,
    is_dead: Arc<AtomicBool>,
}

impl Line {
    /// Listens on a free port, and sends on to this one.
    pub(crate) async fn to(port: u16) -> (Self, String) {
        let line = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let this = line.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else {
                    continue;
                };
                let ((near_read, near_write), (far_read, far_write)) =
                    (near.into_split(), far.into_split());
                tokio::spawn(this.clone().carry(near_read, far_write));
                tokio::spawn(this.clone().carry(far_read, near_write));
            }
        });
        (line, address)
    }

    /// Lets everything wait for so long, either way.
    pub(crate) fn delay(&self, millis: u64) {
        self.millis.store(millis, Ordering::Relaxed);
    }

    /// Swallows everything on the connections there are; those to come are good.
    pub(crate) fn swallow(&self, swallows: bool) {
        self.is_dead.store(swallows, Ordering::Relaxed);
    }

    async fn carry(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut bytes = vec![0; 1 << 16];
        let mut swallows = false;
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            swallows |= self.is_dead.load(Ordering::Relaxed);
            if swallows {
                continue;
            }
            let millis = self.millis.load(Ordering::Relaxed);
            if millis > 0 {
                tokio::time::sleep(Duration::from_millis(millis)).await;
            }
            if to.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    }
}
