//! The seam through which meters learn how requests went.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::Protocol;

/// Something that measures requests, told by a [`MeterLayer`](crate::MeterLayer).
///
/// Called on the request path: it must return quickly, must not block and must not panic.
pub trait Measure: fmt::Debug + Send + Sync + 'static {
    /// Takes note of one request that began or ended.
    fn measure(&self, event: &RequestEvent<'_>);
}

impl<M: Measure + ?Sized> Measure for Arc<M> {
    fn measure(&self, event: &RequestEvent<'_>) {
        (**self).measure(event);
    }
}

/// What happened to a request.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum RequestEvent<'a> {
    /// Its head is here. Each is followed by one `Ended`.
    Begun(RequestHead),
    /// The body of its response has ended, or it was abandoned before.
    Ended(RequestEnd<'a>),
}

/// What is known of a request from its head.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RequestHead {
    pub(crate) protocol: Protocol,
    pub(crate) method: &'static str,
    pub(crate) scheme: Option<&'static str>,
}

impl RequestHead {
    /// The protocol it speaks.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Its method, `_OTHER` for one that HTTP does not define: clients may make them up.
    pub fn method(&self) -> &'static str {
        self.method
    }

    /// `http` or `https`, if it is known which.
    pub fn scheme(&self) -> Option<&'static str> {
        self.scheme
    }
}

/// How a request went.
#[derive(Clone, Copy, Debug)]
pub struct RequestEnd<'a> {
    pub(crate) head: RequestHead,
    pub(crate) template: Option<&'a str>,
    pub(crate) status: Option<u16>,
    pub(crate) grpc_status: Option<u16>,
    pub(crate) duration: Duration,
}

impl<'a> RequestEnd<'a> {
    /// What was known from its head.
    pub fn head(&self) -> RequestHead {
        self.head
    }

    /// The route template, if a route table gave one.
    pub fn template(&self) -> Option<&'a str> {
        self.template
    }

    /// The HTTP status of the response; `None` if the request was abandoned before there was one.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// The gRPC status, if the head of the response tells it, as that of a refusal does. What is
    /// in trailers is not read.
    pub fn grpc_status(&self) -> Option<u16> {
        self.grpc_status
    }

    /// From the head of the request to the end of the response's body.
    pub fn duration(&self) -> Duration {
        self.duration
    }
}
