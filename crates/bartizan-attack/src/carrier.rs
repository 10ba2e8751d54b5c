//! The ways to a service.

use std::any::Any;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Buf as _;
use http::{Extensions, Request, Response, Version};
use http_body::Body;
use tokio::time::timeout;
use tower_service::Service;

use crate::answer::{Answer, Exchange, KEPT};
use crate::payload::Payload;
use crate::remote::Remote;
use crate::volley::Shot;

/// The longest that an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) type Sending<'a> = Pin<Box<dyn Future<Output = Exchange> + 'a>>;

/// What takes a shot to a service, and brings back what it says.
pub(crate) trait Carrier {
    /// `steady`: from the same address as other requests that say so.
    fn send<'a>(&'a self, shot: &'a Shot, steady: bool) -> Sending<'a>;

    /// The service behind a URL, if it is one.
    fn remote(&self) -> Option<&Remote>;
}

/// What is put into the extensions of each request, in the place of a server that would.
pub(crate) type Prepare = Arc<dyn Fn(&mut Extensions) + Send + Sync>;

/// Hands requests to a service in this process.
pub(crate) struct InProcess<S> {
    pub(crate) service: S,
    pub(crate) prepare: Option<Prepare>,
    pub(crate) version: Version,
}

impl<S, B> Carrier for InProcess<S>
where
    S: Service<Request<Payload>, Response = Response<B>> + Clone,
    B: Body,
{
    fn send<'a>(&'a self, shot: &'a Shot, _: bool) -> Sending<'a> {
        Box::pin(async move {
            let Shot::Request(draft) = shot else {
                return Exchange::Unsendable("a service behind a URL");
            };
            let Ok(mut request) = draft.request(self.version) else {
                return Exchange::Unsendable("a service behind a URL");
            };
            if let Some(prepare) = &self.prepare {
                prepare(request.extensions_mut());
            }
            let call = caught(call(self.service.clone(), request));
            match timeout(PATIENCE, call).await {
                Ok(Ok(exchange)) => exchange,
                Ok(Err(panic)) => Exchange::Failed(panic),
                Err(_) => Exchange::Silent,
            }
        })
    }

    fn remote(&self) -> Option<&Remote> {
        None
    }
}

async fn call<S, B>(mut service: S, request: Request<Payload>) -> Exchange
where
    S: Service<Request<Payload>, Response = Response<B>>,
    B: Body,
{
    if poll_fn(|cx| service.poll_ready(cx)).await.is_err() {
        return Exchange::Failed("it is not ready".to_owned());
    }
    let Ok(response) = service.call(request).await else {
        return Exchange::Failed("it returned an error in the place of a response".to_owned());
    };
    let (head, body) = response.into_parts();
    let mut answer = Answer::new(head.status.as_u16());
    for (name, value) in &head.headers {
        answer.note(name.as_str().as_bytes(), value.as_bytes());
    }
    let mut body = pin!(body);
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let Ok(frame) = frame else {
            break;
        };
        match frame.into_data() {
            Ok(mut data) => {
                while data.has_remaining() {
                    let piece = data.chunk().len();
                    answer.keep(data.chunk());
                    data.advance(piece);
                }
            }
            Err(frame) => {
                for (name, value) in frame.into_trailers().unwrap_or_default().iter() {
                    answer.note(name.as_str().as_bytes(), value.as_bytes());
                }
            }
        }
        // Streams may go on for ever.
        if answer.text.len() >= KEPT {
            break;
        }
    }
    Exchange::Answered(vec![answer])
}

/// Runs a future whose panic is an answer as well.
async fn caught<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let polled = AssertUnwindSafe(|| future.as_mut().poll(cx));
        match std::panic::catch_unwind(polled) {
            Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(panic) => Poll::Ready(Err(format!("panicked: {}", message(panic.as_ref())))),
        }
    })
    .await
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    let text = owned.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("with no message")
}
