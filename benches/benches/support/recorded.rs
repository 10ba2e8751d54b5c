//! Requests that are recorded, what is known of them, and who sends them.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bartizan_core::{
    Code, Connection, Decision, Entrance, Outcome, Peer, PeerIdentity, Principal, Protocol,
    RouteTable, Scheme, SecurityContext, VerifiedCertificate, WallTime,
};
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower::Service;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What the listener and the layers further in would have found.
#[derive(Clone)]
pub(crate) struct Facts {
    connection: Connection,
    principal: Principal,
    entrance: Arc<Entrance>,
}

pub(crate) fn entrance() -> Entrance {
    let routes = RouteTable::new(["/orders/{id}", "/payments", "/healthz"]);
    Entrance::new().with_routes(routes.unwrap())
}

impl Facts {
    pub(crate) fn new() -> Self {
        let peer = Peer::assert_verified(VerifiedCertificate {
            identity: PeerIdentity::Spiffe("spiffe://example.org/gateway".parse().unwrap()),
            certificate_sha256: [7; 32],
            serial: Box::new([1]),
            not_after: WallTime::MAX,
        });
        let remote = "192.0.2.7:4711".parse().unwrap();
        let principal = Principal::builder(Scheme::Jwt, "https://issuer.example", "alice")
            .with_client("storefront")
            .with_token_id("0190a1b2-0000-7000");
        Self {
            connection: Connection::from_remote(remote).with_peer(peer),
            principal: principal.assert_verified(),
            entrance: Arc::new(entrance()),
        }
    }

    /// As a host hands it over.
    pub(crate) fn request(&self) -> Request<()> {
        let mut request = Request::new(());
        *request.uri_mut() = http::Uri::from_static("/orders/17");
        let headers = request.headers_mut();
        headers.insert("traceparent", HeaderValue::from_static(TRACE));
        request.extensions_mut().insert(self.connection.clone());
        request
    }

    /// As it comes from a layer further out, which has made the context.
    pub(crate) fn met(&self) -> Request<()> {
        let (mut parts, ()) = self.request().into_parts();
        let opened = Entrance::open(Some(&self.entrance), &mut parts, Protocol::Http);
        opened.1.unwrap();
        Request::from_parts(parts, ())
    }
}

/// A handler behind layers that have decided. Without a context there is nobody to tell.
#[derive(Clone)]
pub(crate) struct Handler(pub(crate) Facts, pub(crate) &'static [u8]);

/// What handlers answer with.
pub(crate) const PAID: &[u8] = b"paid";

impl Service<Request<()>> for Handler {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        if let Some(context) = SecurityContext::of(request.extensions()) {
            context.set_principal(self.0.principal.clone()).unwrap();
            context.record(Decision::new("mtls", Outcome::Allowed));
            context.record(Decision::new("jwt", Outcome::Allowed));
            let shadow = Decision::new("ratelimit", Outcome::WouldHaveDenied);
            context.record(shadow.with_code(Code::new("ratelimit.exceeded")));
        }
        ready(Ok(Response::new(Full::new(Bytes::from_static(self.1)))))
    }
}

fn answer<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing waits here"),
    }
}

/// Sends a request, and reads the answer to its end, as a server does.
pub(crate) fn send<S, B>(service: &mut S, request: Request<()>) -> usize
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes, Error = Infallible>,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    drain(answer(service.call(request)).unwrap())
}

pub(crate) fn drain<B: Body<Data = Bytes, Error = Infallible>>(response: Response<B>) -> usize {
    let mut cx = Context::from_waker(Waker::noop());
    let mut body = pin!(response.into_body());
    let mut bytes = 0;
    while !body.is_end_stream() {
        match body.as_mut().poll_frame(&mut cx) {
            Poll::Ready(Some(Ok(frame))) => bytes += frame.data_ref().map_or(0, Bytes::len),
            Poll::Ready(None) => break,
            _ => panic!("nothing waits or fails here"),
        }
    }
    bytes
}
