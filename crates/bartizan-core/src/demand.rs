//! What a handler demands of the context, and the refusal when it is not there.

use http::Extensions;

use crate::code::Code;
use crate::context::SecurityContext;
use crate::peer::Peer;
use crate::principal::{Caller, Principal};
use crate::rejection::{Rejection, RejectionKind};

/// No layer of the family stands in front of the handler.
const NO_CONTEXT: Code = Code::new("context.missing");
/// The handler wants a peer, and none is proven.
const NO_PEER: Code = Code::new("context.no_peer");
/// The handler wants a principal, and none is proven.
const NO_PRINCIPAL: Code = Code::new("context.no_principal");

/// The context, whose absence is a fault of the service's set-up and not of the caller.
pub(crate) fn context(extensions: &Extensions) -> Result<&SecurityContext, Rejection> {
    SecurityContext::of(extensions)
        .ok_or_else(|| Rejection::new(RejectionKind::Internal, NO_CONTEXT))
}

pub(crate) fn peer(extensions: &Extensions) -> Result<&Peer, Rejection> {
    context(extensions)?
        .peer()
        .ok_or_else(|| Rejection::new(RejectionKind::Unauthenticated, NO_PEER))
}

pub(crate) fn principal(extensions: &Extensions) -> Result<&Principal, Rejection> {
    context(extensions)?
        .principal()
        .ok_or_else(|| Rejection::new(RejectionKind::Unauthenticated, NO_PRINCIPAL))
}

pub(crate) fn caller(extensions: &Extensions) -> Result<Caller, Rejection> {
    Ok(Caller {
        peer: peer(extensions)?.clone(),
        principal: principal(extensions)?.clone(),
    })
}
