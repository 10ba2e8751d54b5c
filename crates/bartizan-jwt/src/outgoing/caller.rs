//! The token that a request came with, to be passed on.

use std::fmt;
use std::sync::Arc;

use bartizan_core::{Principal, WallTime};
use zeroize::Zeroizing;

use crate::token::VerifiedClaims;

/// The verified token of a request, for the calls that are made on its behalf.
///
/// [`JwtLayer`](crate::JwtLayer) puts it into the request's extensions, where
/// [`allow_forwarding`](crate::JwtConfigBuilder::allow_forwarding) asks for it and only once the
/// token was found to hold. There is no other way to make one. Whoever makes a call puts it into
/// the extensions of that call's request, and an [`OutgoingLayer`](crate::OutgoingLayer) takes it
/// from there.
///
/// With feature `axum` it is an extractor. The token itself cannot be read out of it, is not
/// printed, and is overwritten with zeros when the last clone goes.
///
/// ```
/// use bartizan_jwt::CallerToken;
/// use http::Request;
///
/// fn pass_on<A, B>(incoming: &Request<A>, outgoing: &mut Request<B>) {
///     if let Some(caller) = incoming.extensions().get::<CallerToken>() {
///         outgoing.extensions_mut().insert(caller.clone());
///     }
/// }
/// # let mut outgoing = Request::new(());
/// # pass_on(&Request::new(()), &mut outgoing);
/// # assert!(outgoing.extensions().get::<CallerToken>().is_none());
/// ```
#[derive(Clone)]
pub struct CallerToken(Arc<Held>);

struct Held {
    text: Zeroizing<Box<str>>,
    claims: Arc<VerifiedClaims>,
    /// When it stops being accepted here.
    ends: WallTime,
}

impl CallerToken {
    /// To be called with a token that was found to hold, and its claims.
    pub(crate) fn assert_verified(text: &str, claims: Arc<VerifiedClaims>, ends: WallTime) -> Self {
        Self(Arc::new(Held {
            text: Zeroizing::new(text.into()),
            claims,
            ends,
        }))
    }

    /// Whoever the token stands for.
    pub fn principal(&self) -> &Principal {
        self.0.claims.principal()
    }

    pub(crate) fn text(&self) -> &str {
        &self.0.text
    }

    /// Whether possession has to be proven with each use, which only the caller can.
    pub(crate) fn is_bound(&self) -> bool {
        self.0.claims.confirmation().is_some()
    }

    pub(crate) fn has_ended(&self, now: WallTime) -> bool {
        now >= self.0.ends
    }
}

impl fmt::Debug for CallerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallerToken")
            .field("principal", self.principal())
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "axum")]
impl<S: Send + Sync> axum_core::extract::FromRequestParts<S> for CallerToken {
    type Rejection = bartizan_core::Rejection;

    /// Refused (500, `outgoing.no_caller`) where no layer has put one there.
    async fn from_request_parts(
        parts: &mut http::request::Parts,
        _: &S,
    ) -> Result<Self, Self::Rejection> {
        let held = parts.extensions.get::<Self>().cloned();
        held.ok_or_else(|| super::TokenError::new(super::TokenErrorKind::NoCaller).into())
    }
}
