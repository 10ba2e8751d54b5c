//! What a token issuer can do wrong, and the bodies it does it with.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Interval;

/// How an endpoint of a [`TokenIssuer`](crate::TokenIssuer) misbehaves until told otherwise.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// 200 with `application/json` and these bytes.
    Body(Bytes),
    /// The connection is closed without an answer.
    Disconnect,
    /// The right answer, one byte per interval (slow drip).
    Drip(Duration),
    /// 200 with a key set that has no keys.
    EmptyKeySet,
    /// No answer, ever; the connection stays open.
    Hang,
    /// 200 with `text/html`, as a captive portal or a broken proxy answers.
    Html,
    /// 200 with this many bytes of JSON white space, without a content length.
    Huge(u64),
    /// The right key set with a malformed key in front: an RSA key without `n`.
    MalformedKey,
    /// 302 to this URL.
    Redirect(String),
    /// This status with an empty body.
    Status(u16),
    /// The right document, but `issuer` has this value.
    WrongIssuer(String),
    /// The right document, but `jwks_uri` has this value.
    WrongJwksUri(String),
}

/// The body of an answer: whole, dripping, or endless enough.
#[derive(Debug)]
pub(crate) enum IssuerBody {
    Drip { rest: Bytes, interval: Interval },
    Huge { rest: u64 },
    Whole(Bytes),
}

impl Body for IssuerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = match self.get_mut() {
            Self::Drip { rest, interval } if !rest.is_empty() => {
                ready!(interval.poll_tick(cx));
                rest.split_to(1)
            }
            Self::Huge { rest } if *rest > 0 => {
                const BLOCK: &[u8] = &[b' '; 16_384];
                let length = usize::try_from(*rest)
                    .unwrap_or(BLOCK.len())
                    .min(BLOCK.len());
                *rest = rest.saturating_sub(BLOCK.len() as u64);
                Bytes::from_static(BLOCK.get(..length).unwrap_or(BLOCK))
            }
            Self::Whole(rest) if !rest.is_empty() => std::mem::take(rest),
            _ => return Poll::Ready(None),
        };
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Drip { rest, .. } | Self::Whole(rest) => rest.is_empty(),
            Self::Huge { rest } => *rest == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(rest) => SizeHint::with_exact(rest.len() as u64),
            Self::Drip { .. } | Self::Huge { .. } => SizeHint::default(),
        }
    }
}
