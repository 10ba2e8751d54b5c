//! Why the gateway refuses, or has nothing to pass on.

use bartizan::core::{Code, Rejection, RejectionKind};

/// `Host` is absent, is there twice, or is not what the request's target says.
pub(crate) const AMBIGUOUS_HOST: Code = Code::new("gateway.ambiguous_host");
/// The body of a request broke off, or is no HTTP.
pub(crate) const CLIENT_FAILED: Code = Code::new("gateway.client_failed");
/// The client did not send its request in time.
pub(crate) const CLIENT_SLOW: Code = Code::new("gateway.client_slow");
/// `Connection` names a header that is for everybody on the way.
pub(crate) const HOP_BY_HOP: Code = Code::new("gateway.hop_by_hop");
/// The request has come through this gateway before.
pub(crate) const LOOP: Code = Code::new("gateway.loop");
/// A method that no upstream is asked with.
pub(crate) const METHOD: Code = Code::new("gateway.method");
/// No route leads anywhere.
pub(crate) const NO_ROUTE: Code = Code::new("gateway.no_route");
/// So many WebSockets are open that there is no room for another.
pub(crate) const TOO_MANY_TUNNELS: Code = Code::new("gateway.too_many_tunnels");
/// A request without a body brought one.
pub(crate) const UNEXPECTED_BODY: Code = Code::new("gateway.unexpected_body");
/// The upstream broke off, or what it said is no HTTP.
pub(crate) const UPSTREAM_FAILED: Code = Code::new("gateway.upstream_failed");
/// The upstream did not begin to answer in time.
pub(crate) const UPSTREAM_SLOW: Code = Code::new("gateway.upstream_slow");
/// The upstream could not be connected to, or did not prove who it is.
pub(crate) const UPSTREAM_UNREACHABLE: Code = Code::new("gateway.upstream_unreachable");

/// A request that cannot be passed on as it is.
pub(crate) fn malformed(code: Code) -> Rejection {
    let detail = match code {
        AMBIGUOUS_HOST => "the request names no host, or more than one",
        CLIENT_FAILED => "the body of the request broke off",
        HOP_BY_HOP => "the connection header names what is not the connection's",
        LOOP => "the request goes in circles",
        METHOD => "the method is not passed on",
        _ => "the request has a body that its method does not go with",
    };
    Rejection::new(RejectionKind::Malformed, code).with_detail(detail)
}

/// An upstream that does not answer.
pub(crate) fn unanswered(code: Code, cause: impl Into<crate::body::BoxError>) -> Rejection {
    let (kind, detail) = match code {
        UPSTREAM_SLOW => (
            RejectionKind::DeadlineExceeded,
            "the service did not answer in time",
        ),
        UPSTREAM_UNREACHABLE => (RejectionKind::BadGateway, "the service cannot be reached"),
        _ => (
            RejectionKind::BadGateway,
            "the service did not answer properly",
        ),
    };
    Rejection::new(kind, code)
        .with_detail(detail)
        .with_cause(cause)
}
