//! What handlers demand of the context, on both hosts, and what they get if it is not there.

use bartizan_core::{
    Caller, Peer, PeerIdentity, Principal, Scheme, SecurityContext, SpiffeId, VerifiedCertificate,
    WallTime,
};

fn context(has_peer: bool, has_principal: bool) -> SecurityContext {
    let context = SecurityContext::new("/".parse().unwrap());
    if has_peer {
        context.set_peer(peer()).unwrap();
    }
    if has_principal {
        context.set_principal(principal()).unwrap();
    }
    context
}

fn peer() -> Peer {
    Peer::assert_verified(VerifiedCertificate {
        identity: PeerIdentity::Spiffe(SpiffeId::parse("spiffe://a.example/b").unwrap()),
        certificate_sha256: [7; 32],
        serial: Box::new([1]),
        not_after: WallTime::MAX,
    })
}

fn principal() -> Principal {
    Principal::builder(Scheme::Jwt, "https://i.example", "alice").assert_verified()
}

fn caller() -> Caller {
    let (peer, principal) = (peer(), principal());
    Caller { peer, principal }
}

#[cfg(feature = "axum")]
mod axum {
    use ::axum::extract::{FromRequestParts, OptionalFromRequestParts};
    use bartizan_core::Rejection;

    use super::*;

    /// With a context that has these, or without one.
    async fn demand<T: FromRequestParts<(), Rejection = Rejection>>(
        facts: Option<(bool, bool)>,
    ) -> Result<T, &'static str> {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        if let Some((has_peer, has_principal)) = facts {
            parts.extensions.insert(context(has_peer, has_principal));
        }
        let found = T::from_request_parts(&mut parts, &()).await;
        found.map_err(|rejection| rejection.code().as_str())
    }

    async fn ask<T: OptionalFromRequestParts<(), Rejection = Rejection>>(
        has_peer: bool,
        has_principal: bool,
    ) -> Option<T> {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.extensions.insert(context(has_peer, has_principal));
        T::from_request_parts(&mut parts, &()).await.unwrap()
    }

    #[tokio::test]
    async fn a_handler_gets_what_is_proven_or_the_reason_why_not() {
        let (all, none) = (Some((true, true)), Some((false, false)));
        assert_eq!(demand::<Peer>(all).await, Ok(peer()));
        assert_eq!(demand::<Principal>(all).await, Ok(principal()));
        assert_eq!(demand::<Caller>(all).await, Ok(caller()));
        assert!(demand::<SecurityContext>(none).await.is_ok());
        assert_eq!(demand::<Peer>(none).await, Err("context.no_peer"));
        assert_eq!(demand::<Principal>(none).await, Err("context.no_principal"));
        let only_peer = demand::<Caller>(Some((true, false))).await;
        assert_eq!(only_peer, Err("context.no_principal"));
        let only_principal = demand::<Caller>(Some((false, true))).await;
        assert_eq!(only_principal, Err("context.no_peer"));
        assert_eq!(demand::<Peer>(None).await, Err("context.missing"));
        assert_eq!(demand::<Caller>(None).await, Err("context.missing"));
    }

    #[tokio::test]
    async fn a_handler_that_may_do_without_is_told_that_there_is_none() {
        assert_eq!(ask::<Peer>(true, false).await, Some(peer()));
        assert_eq!(ask::<Peer>(false, true).await, None);
        assert_eq!(ask::<Principal>(false, true).await, Some(principal()));
        assert_eq!(ask::<Principal>(true, false).await, None);
        assert_eq!(ask::<Caller>(true, true).await, Some(caller()));
        assert_eq!(ask::<Caller>(true, false).await, None);
    }
}

#[cfg(feature = "tonic")]
mod tonic {
    use ::tonic::{Code, Request, Status};
    use bartizan_core::SecurityRequest as _;

    use super::*;

    fn call(has_peer: bool, has_principal: bool) -> Request<()> {
        let mut request = Request::new(());
        let context = context(has_peer, has_principal);
        request.extensions_mut().insert(context);
        request
    }

    fn refused<T>(result: Result<T, Status>) -> Option<Code> {
        result.err().map(|status| status.code())
    }

    #[test]
    fn a_method_gets_what_is_proven_or_the_reason_why_not() {
        let all = call(true, true);
        assert!(all.security_context().is_ok());
        assert_eq!(all.security_peer().unwrap(), &peer());
        assert_eq!(all.security_principal().unwrap(), &principal());
        assert_eq!(all.security_caller().unwrap(), caller());
        let none = call(false, false);
        assert_eq!(refused(none.security_peer()), Some(Code::Unauthenticated));
        let principal = none.security_principal();
        assert_eq!(refused(principal), Some(Code::Unauthenticated));
        let caller = call(true, false).security_caller();
        assert_eq!(refused(caller), Some(Code::Unauthenticated));
        let bare = Request::new(());
        assert_eq!(refused(bare.security_context()), Some(Code::Internal));
        assert_eq!(refused(bare.security_caller()), Some(Code::Internal));
    }
}
