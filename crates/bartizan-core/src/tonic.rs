//! tonic: what is known of a request, and refusals as statuses.

use tonic::{Request, Status};

use crate::context::SecurityContext;
use crate::demand;
use crate::peer::Peer;
use crate::principal::{Caller, Principal};
use crate::protocol::Protocol;
use crate::rejection::Rejection;

impl From<Rejection> for Status {
    /// The refusal with its details and headers, as a layer would have sent it.
    fn from(rejection: Rejection) -> Self {
        let response = rejection.into_response(Protocol::Grpc);
        Self::from_header_map(response.headers())
            .unwrap_or_else(|| Self::internal("a refusal without a status"))
    }
}

/// What the family's layers know of a tonic request.
///
/// ```
/// use bartizan_core::SecurityRequest as _;
/// use tonic::{Request, Response, Status};
///
/// fn charge(request: Request<()>) -> Result<Response<String>, Status> {
///     let principal = request.security_principal()?;
///     Ok(Response::new(format!("charged for {}", principal.subject())))
/// }
///
/// // No layer stands in front of it: an internal error, never an anonymous pass.
/// assert_eq!(charge(Request::new(())).unwrap_err().code(), tonic::Code::Internal);
/// ```
pub trait SecurityRequest: sealed::Sealed {
    /// The request's context.
    ///
    /// # Errors
    ///
    /// `INTERNAL` if no layer of the family stands in front of the handler.
    fn security_context(&self) -> Result<&SecurityContext, Status>;

    /// The workload at the other end of the connection.
    ///
    /// # Errors
    ///
    /// `UNAUTHENTICATED` if none is proven, `INTERNAL` without a context.
    fn security_peer(&self) -> Result<&Peer, Status>;

    /// Whoever the request acts for.
    ///
    /// # Errors
    ///
    /// `UNAUTHENTICATED` if none is proven, `INTERNAL` without a context.
    fn security_principal(&self) -> Result<&Principal, Status>;

    /// Peer and principal together.
    ///
    /// # Errors
    ///
    /// `UNAUTHENTICATED` if either is missing, `INTERNAL` without a context.
    fn security_caller(&self) -> Result<Caller, Status>;
}

impl<T> SecurityRequest for Request<T> {
    fn security_context(&self) -> Result<&SecurityContext, Status> {
        Ok(demand::context(self.extensions())?)
    }

    fn security_peer(&self) -> Result<&Peer, Status> {
        Ok(demand::peer(self.extensions())?)
    }

    fn security_principal(&self) -> Result<&Principal, Status> {
        Ok(demand::principal(self.extensions())?)
    }

    fn security_caller(&self) -> Result<Caller, Status> {
        Ok(demand::caller(self.extensions())?)
    }
}

mod sealed {
    #[expect(unnameable_types, reason = "seals the trait")]
    pub trait Sealed {}

    impl<T> Sealed for tonic::Request<T> {}
}
