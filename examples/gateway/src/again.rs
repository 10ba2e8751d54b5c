//! Whether whoever was let in once would be let in now: asked while a tunnel is open.

use std::convert::Infallible;
use std::time::Duration;

use bartizan::core::Connection;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::Empty;
use tokio::time::{sleep, timeout};
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt as _};

/// How long an answer may take: a little longer than the layer for tokens waits for new keys.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks the layers that let a request in, again and again.
#[derive(Clone, Debug)]
pub(crate) struct Again {
    layers: BoxCloneSyncService<Request<Empty<Bytes>>, StatusCode, Infallible>,
    every: Duration,
}

/// The head of a request, as it came. It holds the caller's token for as long as it is kept.
pub(crate) struct Head {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    connection: Option<Connection>,
}

impl Again {
    /// Asks these layers, which stand in front of nothing, at this interval.
    pub(crate) fn new<L, B>(layers: &L, every: Duration) -> Self
    where
        L: Layer<Nothing>,
        L::Service: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible>,
        L::Service: Clone + Send + Sync + 'static,
        <L::Service as Service<Request<Empty<Bytes>>>>::Future: Send,
        B: 'static,
    {
        let layers = layers.layer(Nothing).map_response(|answer| answer.status());
        Self {
            layers: BoxCloneSyncService::new(layers),
            every,
        }
    }

    /// Completes once this request would be refused, or nobody can tell.
    pub(crate) async fn refusal(self, head: Head) {
        loop {
            sleep(self.every).await;
            let asked = timeout(PATIENCE, self.layers.clone().oneshot(head.request())).await;
            match asked {
                Ok(Ok(status)) if status.is_success() => {}
                _ => return,
            }
        }
    }
}

impl Head {
    pub(crate) fn of(parts: &Parts) -> Self {
        Self {
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            version: parts.version,
            headers: parts.headers.clone(),
            connection: Connection::of(&parts.extensions).cloned(),
        }
    }

    /// The same request, about which nothing was decided yet.
    fn request(&self) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = self.version;
        *request.headers_mut() = self.headers.clone();
        if let Some(connection) = &self.connection {
            request.extensions_mut().insert(connection.clone());
        }
        request
    }
}

/// What stands behind the layers that are asked: it says that they let the request through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nothing;

impl Service<Request<Empty<Bytes>>> for Nothing {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Empty<Bytes>>) -> Self::Future {
        std::future::ready(Ok(Response::new(Empty::new())))
    }
}
