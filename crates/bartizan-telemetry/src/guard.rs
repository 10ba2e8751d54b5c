//! Measures how long requests take, and refuses none.

use std::fmt;
use std::sync::Arc;

use bartizan_core::{
    Check, Clock, Connection, Duty, Guard, Inspection, MonotonicTime, Never, Pass, SecurityContext,
    SystemClock, Transport,
};
use http::request::Parts;
use http::{Method, response};

use crate::measure::{Measure, RequestEnd, RequestEvent, RequestHead};

/// What the semantic conventions of OpenTelemetry call a method that HTTP does not define.
const UNKNOWN_METHOD: &str = "_OTHER";

/// The guard of a [`MeterLayer`](crate::MeterLayer), to be chained with others.
#[derive(Clone)]
pub struct MeterGuard(Arc<Meters>);

struct Meters {
    meters: Vec<Arc<dyn Measure>>,
    clock: Arc<dyn Clock>,
}

/// A request that is being measured, until its response's body has ended.
pub struct MeterPass {
    meters: Arc<Meters>,
    context: SecurityContext,
    head: RequestHead,
    begun: MonotonicTime,
    status: Option<u16>,
    grpc_status: Option<u16>,
}

impl MeterGuard {
    pub(crate) fn new(meters: Vec<Arc<dyn Measure>>, clock: Option<Arc<dyn Clock>>) -> Self {
        let clock = clock.unwrap_or_else(|| Arc::new(SystemClock));
        Self(Arc::new(Meters { meters, clock }))
    }
}

impl Meters {
    fn tell(&self, event: &RequestEvent<'_>) {
        for meter in &self.meters {
            meter.measure(event);
        }
    }
}

impl Guard for MeterGuard {
    type Pass = MeterPass;
    type Inquiry = Never;

    /// It decides nothing, so that there is nothing to record.
    fn duty(&self) -> Option<&Duty> {
        None
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Check<MeterPass, Never> {
        let head = RequestHead {
            protocol: inspection.protocol,
            method: method(&inspection.parts.method),
            scheme: scheme(inspection.parts),
        };
        self.0.tell(&RequestEvent::Begun(head));
        Check::Now(Ok(MeterPass {
            meters: Arc::clone(&self.0),
            context: inspection.context.clone(),
            head,
            begun: self.0.clock.monotonic(),
            status: None,
            grpc_status: None,
        }))
    }
}

impl Pass for MeterPass {
    const MAY_CUT: bool = false;

    fn respond(&mut self, response: &mut response::Parts) {
        self.status = Some(response.status.as_u16());
        if self.head.protocol.is_grpc() {
            let status = response.headers.get("grpc-status");
            self.grpc_status = status.and_then(|it| it.to_str().ok()?.parse().ok());
        }
    }
}

impl Drop for MeterPass {
    fn drop(&mut self) {
        let now = self.meters.clock.monotonic();
        // The template is read now: a layer further in may be the one that knows the routes.
        self.meters.tell(&RequestEvent::Ended(RequestEnd {
            head: self.head,
            template: self.context.template(),
            status: self.status,
            grpc_status: self.grpc_status,
            duration: now.saturating_since(self.begun),
        }));
    }
}

/// The methods of [RFC 9110 §9], `PATCH`, and one word for all others.
///
/// [RFC 9110 §9]: https://www.rfc-editor.org/rfc/rfc9110#section-9
pub(crate) fn method(method: &Method) -> &'static str {
    match *method {
        Method::CONNECT => "CONNECT",
        Method::DELETE => "DELETE",
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::TRACE => "TRACE",
        _ => UNKNOWN_METHOD,
    }
}

/// What the listener says of the connection; what the request says, where it says nothing.
pub(crate) fn scheme(parts: &Parts) -> Option<&'static str> {
    let connection = Connection::of(&parts.extensions);
    match connection.map(Connection::transport).unwrap_or_default() {
        Transport::Plaintext => Some("http"),
        Transport::Tls => Some("https"),
        _ => match parts.uri.scheme_str() {
            Some("http") => Some("http"),
            Some("https") => Some("https"),
            _ => None,
        },
    }
}

impl fmt::Debug for MeterGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MeterGuard").field(&self.0.meters).finish()
    }
}

impl fmt::Debug for MeterPass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeterPass")
            .field("head", &self.head)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
