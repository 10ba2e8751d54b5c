//! From a request that was let in to the upstream's response.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bartizan::core::{Connection, Protocol, Rejection, RejectionKind, SecurityContext, Transport};
use bytes::Bytes;
use http::header::{CONNECTION, HOST, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, response};
use http_body::Body;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower_service::Service;

use crate::again::{Again, Head};
use crate::body::{Activity, BoxError, Download, Passed, Upload};
use crate::config::Config;
use crate::failure::{
    CLIENT_FAILED, CLIENT_SLOW, NO_ROUTE, TOO_MANY_TUNNELS, UNEXPECTED_BODY, UPSTREAM_FAILED,
    UPSTREAM_SLOW, malformed, unanswered,
};
use crate::framing;
use crate::headers::{self, Arrival};
use crate::routes::{Routes, Target};
use crate::tunnel::{self, Tunnel};

/// Passes requests on. Who may ask what was decided before.
#[derive(Clone, Debug)]
pub(crate) struct Proxy(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    routes: Routes,
    /// Whether a principal is somebody whom the gateway has proven, or nobody ever is.
    proves_tokens: bool,
    tunnels: Arc<Semaphore>,
    tunnel_life: Duration,
    again: Again,
    stop: watch::Receiver<bool>,
}

impl Proxy {
    pub(crate) fn new(
        config: &Config,
        routes: Routes,
        again: Again,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let limits = config.limits;
        Self(Arc::new(Inner {
            name: config.name.clone(),
            routes,
            proves_tokens: config.tokens.is_some(),
            tunnels: Arc::new(Semaphore::new(limits.tunnels.min(Semaphore::MAX_PERMITS))),
            tunnel_life: limits.tunnel_life,
            again,
            stop,
        }))
    }

    async fn forward<B>(&self, request: Request<B>) -> Result<Response<Passed>, Rejection>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let (mut parts, body) = request.into_parts();
        // Without a context nobody has decided anything; without a host nobody was asked.
        let context = SecurityContext::of(&parts.extensions).cloned();
        let context = context.ok_or_else(|| Rejection::new(RejectionKind::Internal, NO_ROUTE))?;
        let host = framing::host(&parts).unwrap_or_default().to_owned();
        let target = context
            .template()
            .and_then(|it| self.0.routes.find(it, &host));
        let target = target.ok_or_else(|| {
            Rejection::new(RejectionKind::Misdirected, NO_ROUTE)
                .with_detail("nothing is served under this path and host")
        })?;
        //= RFC 9110 §9.3.1: content in a GET request may be an attempt to smuggle another.
        if matches!(parts.method, Method::GET | Method::HEAD) && !body.is_end_stream() {
            return Err(malformed(UNEXPECTED_BODY));
        }

        let websocket = target.websocket
            && headers::asks_for_websocket(&parts.method, parts.version, &parts.headers);
        let door = match websocket {
            true => Some(self.door(&mut parts)?),
            false => None,
        };
        let activity = Activity::new();
        let upload = Upload::new(body, activity.clone()).boxed_unsync();
        let version = parts.version;
        let outgoing = self.outgoing(parts, upload, &context, target, (&host, websocket))?;

        let limit = target.upstream.config.response;
        let response = tokio::select! {
            response = target.upstream.send(outgoing) => response,
            () = activity.silent_for(limit) => return Err(silent(&activity)),
        };
        let response = response.map_err(|rejection| match activity.client_failed() {
            true => malformed(CLIENT_FAILED),
            false => rejection,
        })?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return self.open(door, response, target, &context);
        }
        let (mut head, body) = response.into_parts();
        self.clean(&mut head, version);
        let body = Download::new(body, activity, target.upstream.config.idle);
        Ok(Response::from_parts(head, body.boxed_unsync()))
    }

    /// The request as the upstream gets it. Its path is the one that was decided on.
    fn outgoing(
        &self,
        mut parts: Parts,
        body: Passed,
        context: &SecurityContext,
        target: &Target,
        (host, websocket): (&str, bool),
    ) -> Result<Request<Passed>, Rejection> {
        let no_route =
            |error: BoxError| Rejection::new(RejectionKind::Malformed, NO_ROUTE).with_cause(error);
        let path = context.path().map_err(|error| no_route(error.into()))?;
        let path = match parts.uri.query() {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        let path = path
            .parse()
            .map_err(|error: http::uri::InvalidUri| no_route(error.into()))?;
        let uri = target
            .upstream
            .uri(path)
            .map_err(|error| no_route(error.into()))?;

        let connection = Connection::of(&parts.extensions);
        let tls = connection.is_some_and(|it| it.transport() == Transport::Tls);
        let arrival = Arrival {
            client: context.address(),
            host,
            scheme: if tls { "https" } else { "http" },
            version: parts.version,
        };
        let fields = &mut parts.headers;
        headers::prepare(
            fields,
            &arrival,
            context,
            &self.0.name,
            target.forward_token && self.may_forward_token(context),
        );
        if target.upstream.config.preserve_host
            && let Ok(host) = HeaderValue::from_str(host)
        {
            fields.insert(HOST, host);
        }
        if websocket {
            fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
        }
        // A new request: what the listener and the layers know of the old one stays here.
        let mut request = Request::new(body);
        *request.method_mut() = parts.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = parts.headers;
        Ok(request)
    }

    /// Whether a token may go further where a route says so: what the gateway would have refused, and
    /// only watches, it does not hand on.
    fn may_forward_token(&self, context: &SecurityContext) -> bool {
        !self.0.proves_tokens || context.principal().is_some()
    }

    /// The client's end of a WebSocket, and room for it.
    fn door(&self, parts: &mut Parts) -> Result<Door, Rejection> {
        let room = Arc::clone(&self.0.tunnels).try_acquire_owned();
        let room = room.map_err(|_| {
            Rejection::new(RejectionKind::Unavailable, TOO_MANY_TUNNELS)
                .with_detail("too many websockets are open")
        })?;
        let client = parts.extensions.remove::<OnUpgrade>();
        let client = client.ok_or_else(|| malformed(UNEXPECTED_BODY))?;
        let head = Head::of(parts);
        Ok(Door { client, room, head })
    }

    /// Joins both ends, if the upstream agreed to what it was asked for.
    fn open(
        &self,
        door: Option<Door>,
        response: Response<Incoming>,
        target: &Target,
        context: &SecurityContext,
    ) -> Result<Response<Passed>, Rejection> {
        let (mut head, _) = response.into_parts();
        let upstream = head.extensions.remove::<OnUpgrade>();
        let agreed = head.headers.get(UPGRADE);
        let agreed = agreed.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"websocket"));
        let (Some(door), Some(upstream), true) = (door, upstream, agreed) else {
            let unasked = "the upstream switched to a protocol that nobody asked for";
            return Err(unanswered(UPSTREAM_FAILED, unasked));
        };
        let tunnel = Tunnel {
            client: door.client,
            upstream,
            idle: target.upstream.config.idle,
            ends_in: tunnel::life(context, self.0.tunnel_life),
            again: (self.0.again.clone(), door.head),
            stop: self.0.stop.clone(),
        };
        tokio::spawn(async move {
            tunnel.run().await;
            drop(door.room);
        });
        self.clean(&mut head, Version::HTTP_11);
        head.headers
            .insert(CONNECTION, HeaderValue::from_static("upgrade"));
        head.headers
            .insert(UPGRADE, HeaderValue::from_static("websocket"));
        let nothing = Empty::new().map_err(|never: Infallible| match never {});
        Ok(Response::from_parts(head, nothing.boxed_unsync()))
    }

    /// Makes the head of a response that of one from the gateway.
    fn clean(&self, head: &mut response::Parts, version: Version) {
        headers::remove_hop_by_hop(&mut head.headers);
        headers::remove_reserved(&mut head.headers);
        headers::add_via(&mut head.headers, head.version, &self.0.name);
        head.version = version;
        head.extensions.clear();
    }
}

struct Door {
    client: OnUpgrade,
    room: OwnedSemaphorePermit,
    head: Head,
}

/// Nothing happened for too long, and whose fault that is.
fn silent(activity: &Activity) -> Rejection {
    match activity.client_is_waited_for() {
        true => Rejection::new(RejectionKind::Timeout, CLIENT_SLOW),
        false => unanswered(UPSTREAM_SLOW, "no response in time"),
    }
}

impl<B> Service<Request<B>> for Proxy
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Passed>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Passed>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let proxy = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let protocol = Protocol::of(&parts);
            let response = proxy.forward(Request::from_parts(parts, body)).await;
            Ok(response.unwrap_or_else(|rejection| {
                let refusal = rejection.into_response(protocol);
                refusal.map(|body| body.map_err(|never| match never {}).boxed_unsync())
            }))
        })
    }
}
