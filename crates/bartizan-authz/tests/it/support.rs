//! Callers, policies and requests.

use bartizan_authz::{AuthzLayer, Policy, Rule};
use bartizan_core::{
    Peer, PeerIdentity, Principal, PrincipalBuilder, Scheme, SecurityContext, VerifiedCertificate,
    WallTime,
};
use bartizan_testkit::Call;

pub(crate) const ISSUER: &str = "https://issuer.example";

pub(crate) fn peer(id: &str) -> Peer {
    Peer::assert_verified(VerifiedCertificate {
        identity: PeerIdentity::Spiffe(id.parse().unwrap()),
        certificate_sha256: [7; 32],
        serial: vec![1].into(),
        not_after: WallTime::from_unix_seconds(4_000_000_000),
    })
}

pub(crate) fn alice() -> PrincipalBuilder {
    Principal::builder(Scheme::Jwt, ISSUER, "alice")
}

/// A context as the layers further out leave it.
pub(crate) fn context(
    path: &str,
    peer: Option<Peer>,
    principal: Option<Principal>,
) -> SecurityContext {
    let context = SecurityContext::new(path.parse().unwrap());
    if let Some(peer) = peer {
        context.set_peer(peer).unwrap();
    }
    if let Some(principal) = principal {
        context.set_principal(principal).unwrap();
    }
    context
}

/// The echo, called by whoever this context knows.
pub(crate) fn call(context: &SecurityContext) -> Call {
    Call::echo("hello").add_extension(context.clone())
}

pub(crate) fn policy(rules: impl IntoIterator<Item = Rule>) -> Policy {
    let builder = rules
        .into_iter()
        .fold(Policy::builder(), |all, rule| all.add(rule));
    builder.build().unwrap()
}

pub(crate) fn layer(rules: impl IntoIterator<Item = Rule>) -> AuthzLayer {
    AuthzLayer::builder()
        .with_policy(policy(rules))
        .build()
        .unwrap()
}
