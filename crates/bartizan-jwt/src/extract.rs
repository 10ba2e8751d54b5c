//! Claims for handlers.

use bartizan_core::{Rejection, SecurityContext};
use serde::de::DeserializeOwned;

use crate::error::{JwtError, JwtErrorKind};
use crate::token::VerifiedClaims;

/// The claims of the request's token, read as a type of the application's own.
///
/// With feature `axum` it is an extractor; with feature `tonic`, [`ClaimsRequest`] gives the like
/// of a tonic request. `T` need only name the claims that the handler uses.
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use bartizan_jwt::Claims;
///
/// #[derive(serde::Deserialize)]
/// struct Tenancy {
///     tenant: String,
/// }
///
/// async fn handler(Claims(tenancy): Claims<Tenancy>) -> String {
///     tenancy.tenant
/// }
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::get(handler));
/// # }
/// ```
///
/// Refused where the token lacks what `T` asks for (403, `jwt.claims_mismatch`), where the request
/// has no principal (401, `context.no_principal`), and where no layer of the family stands in
/// front of the handler (500, `context.missing`).
///
/// [`ClaimsRequest`]: crate::Claims
#[cfg(feature = "axum")]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(
    clippy::exhaustive_structs,
    reason = "an extractor is taken apart by its pattern"
)]
pub struct Claims<T>(pub T);

/// Reads the claims of a request that has a principal. One whose principal was proven otherwise
/// than by a token has no claims, and so not those that are asked for.
fn read<T: DeserializeOwned>(context: &SecurityContext) -> Result<T, Rejection> {
    let mismatch = JwtError::new(JwtErrorKind::ClaimsMismatch);
    let claims = context.claims::<VerifiedClaims>().ok_or(mismatch);
    claims
        .and_then(|claims| claims.deserialize())
        .map_err(JwtError::into_handler_rejection)
}

#[cfg(feature = "axum")]
mod axum {
    use axum_core::extract::FromRequestParts;
    use bartizan_core::{Principal, Rejection, SecurityContext};
    use http::request::Parts;
    use serde::de::DeserializeOwned;

    use super::{Claims, read};

    impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Claims<T> {
        type Rejection = Rejection;

        async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
            Principal::from_request_parts(parts, state).await?;
            let context = SecurityContext::from_request_parts(parts, state).await?;
            read(&context).map(Self)
        }
    }
}

#[cfg(feature = "tonic")]
mod tonic {
    use bartizan_core::SecurityRequest;
    use serde::de::DeserializeOwned;
    use tonic::{Request, Status};

    use super::read;

    /// The claims of a tonic request.
    pub trait ClaimsRequest: SecurityRequest {
        /// The claims of the request's token, read as a type of the application's own, which need
        /// only name the claims that the handler uses.
        ///
        /// # Errors
        ///
        /// `PERMISSION_DENIED` if the token lacks what `T` asks for, `UNAUTHENTICATED` if the
        /// request has no principal, `INTERNAL` if no layer of the family stands in front of the
        /// handler.
        fn claims<T: DeserializeOwned>(&self) -> Result<T, Status> {
            self.security_principal()?;
            Ok(read(self.security_context()?)?)
        }
    }

    impl<T> ClaimsRequest for Request<T> {}
}

#[cfg(feature = "tonic")]
pub use self::tonic::ClaimsRequest;
