//! WebSockets: bytes in both directions, until either end, silence, age, the gateway's end, or
//! until whoever opened one would not be let in any more.

use std::io;
use std::time::Duration;

use bartizan::core::{Clock as _, SecurityContext, SystemClock};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::again::{Again, Head};
use crate::body::Activity;

/// A tunnel that is about to open.
pub(crate) struct Tunnel {
    pub(crate) client: OnUpgrade,
    pub(crate) upstream: OnUpgrade,
    /// How long nothing may happen.
    pub(crate) idle: Duration,
    /// When what the tunnel rests on ends, or has to be proven again.
    pub(crate) ends_in: Duration,
    /// Who asks whether it may still be open, and about what.
    pub(crate) again: (Again, Head),
    /// Becomes true when the gateway stops.
    pub(crate) stop: watch::Receiver<bool>,
}

impl Tunnel {
    /// Runs until it ends.
    pub(crate) async fn run(mut self) {
        let activity = Activity::new();
        let (again, head) = self.again;
        let pouring = async {
            let ends = tokio::try_join!(self.client, self.upstream);
            let (client, upstream) = ends.map_err(io::Error::other)?;
            let (from_client, to_client) = split(TokioIo::new(client));
            let (from_upstream, to_upstream) = split(TokioIo::new(upstream));
            tokio::try_join!(
                pour(from_client, to_upstream, &activity),
                pour(from_upstream, to_client, &activity),
            )
        };
        tokio::select! {
            // How it ended is between the two.
            _ = pouring => {}
            () = sleep(self.ends_in) => {}
            () = again.refusal(head) => {}
            () = activity.silent_for(self.idle) => {}
            _ = self.stop.wait_for(|stop| *stop) => {}
        }
    }
}

/// How long what a request rests on is still good, its token and the peer's certificate, and never
/// longer than this.
pub(crate) fn life(context: &SecurityContext, longest: Duration) -> Duration {
    let token = context
        .principal()
        .and_then(|principal| principal.expires());
    let certificate = context.peer().map(|peer| peer.not_after());
    let end = token.into_iter().chain(certificate).min();
    let left = end.map(|end| end.saturating_since(SystemClock.wall()));
    left.map_or(longest, |left| left.min(longest))
}

async fn pour(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    activity: &Activity,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        activity.touch();
        to.write_all(buffer.get(..read).unwrap_or_default()).await?;
    }
}
