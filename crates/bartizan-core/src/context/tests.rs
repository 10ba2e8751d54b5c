use super::*;
use crate::clock::WallTime;
use crate::decision::Outcome;
use crate::forwarded::ForwardedBy;
use crate::peer::{PeerIdentity, VerifiedCertificate};
use crate::principal::Scheme;
use crate::spiffe_id::SpiffeId;

fn peer(id: &str) -> Peer {
    Peer::assert_verified(VerifiedCertificate {
        identity: PeerIdentity::Spiffe(SpiffeId::parse(id).unwrap()),
        certificate_sha256: [7; 32],
        serial: Box::from([1]),
        not_after: WallTime::from_unix_seconds(1),
    })
}

fn context(uri: &'static str) -> SecurityContext {
    SecurityContext::new(Uri::from_static(uri))
}

#[test]
fn a_fact_is_written_once() {
    let context = context("/");
    let (a, b) = (peer("spiffe://a/x"), peer("spiffe://a/y"));
    assert_eq!(context.set_peer(a.clone()), Ok(()));
    assert_eq!(context.set_peer(a.clone()), Ok(()));
    assert_eq!(context.set_peer(b).unwrap_err().field(), "peer");
    assert_eq!(context.peer(), Some(&a));
}

#[test]
fn what_a_proxy_asserts_is_written_once_and_kept_by_forks() {
    let context = context("/");
    let said = |id| {
        let id = SpiffeId::parse(id).unwrap();
        Forwarded::new(ForwardedBy::Xfcc, Some(id), None)
    };
    let web = said("spiffe://a/web");
    assert_eq!(context.forwarded(), None);
    context.set_forwarded(web.clone()).unwrap();
    context.set_forwarded(web.clone()).unwrap();
    let conflict = context.set_forwarded(said("spiffe://a/api")).unwrap_err();
    assert_eq!(conflict.field(), "forwarded");
    assert_eq!(context.forwarded(), Some(&web));
    let fork = context.fork(Uri::from_static("/b"));
    assert_eq!(fork.forwarded(), Some(&web));
}

#[test]
fn a_conflict_is_an_internal_error() {
    let conflict = ContextConflict { field: "peer" };
    assert!(conflict.to_string().ends_with("the request's peer"));
    let rejection = Rejection::from(conflict);
    assert_eq!(rejection.kind(), RejectionKind::Internal);
    assert_eq!(rejection.code().as_str(), "context.conflict");
}

#[test]
fn clones_share_the_slot_and_forks_do_not() {
    let outer = context("/a");
    let inner = outer.clone();
    let principal = Principal::builder(Scheme::Jwt, "i", "s").assert_verified();
    inner.set_principal(principal.clone()).unwrap();
    inner.set_peer(peer("spiffe://a/x")).unwrap();
    inner.record(Decision::new("jwt", Outcome::Allowed));
    assert_eq!(outer.principal(), Some(&principal));
    assert_eq!(outer.decisions().len(), 1);

    let fork = outer.fork(Uri::from_static("/b"));
    assert_eq!(fork.principal(), None);
    assert_eq!(fork.decisions(), []);
    assert_eq!(fork.peer(), outer.peer());
    assert_eq!(fork.uri(), "/b");
}

#[test]
fn claims_are_found_by_their_type_alone() {
    let context = context("/");
    let claims = Arc::new(String::from("verified"));
    context.set_claims(Arc::clone(&claims)).unwrap();
    context.set_claims(Arc::clone(&claims)).unwrap();
    assert_eq!(context.claims::<String>(), Some(claims));
    assert_eq!(context.claims::<u8>(), None);
    assert!(
        context
            .set_claims(Arc::new(String::from("verified")))
            .is_err()
    );
}

#[test]
fn decisions_keep_their_order_and_their_bound() {
    let context = context("/");
    const NAMES: [&str; 3] = ["a", "b", "c"];
    for name in NAMES.iter().cycle().take(70) {
        context.record(Decision::new(name, Outcome::Allowed));
    }
    let decisions = context.decisions();
    assert_eq!(decisions.len(), 64);
    assert_eq!(context.lost_decisions(), 6);
    for (decision, name) in decisions.iter().zip(NAMES.iter().cycle()) {
        assert_eq!(decision.layer(), *name);
    }
}

#[test]
fn resolves_the_template_of_the_path_as_it_was_received() {
    let table = RouteTable::new(["/orders/{id}"]).unwrap();
    let known = context("/orders/%37?secret=1");
    known.resolve(&table).unwrap();
    assert_eq!(known.path(), Ok("/orders/7"));
    assert_eq!(known.template(), Some("/orders/{id}"));
    assert!(!format!("{known:?}").contains("secret"));

    let unknown = context("/other");
    unknown.resolve(&table).unwrap();
    assert_eq!(unknown.template(), None);

    let ambiguous = context("/orders/%2e%2e/admin");
    assert_eq!(ambiguous.resolve(&table), Err(PathError::DotSegment));
    assert_eq!(ambiguous.path(), Err(PathError::DotSegment));
}

#[test]
fn a_path_whose_spelling_leads_a_router_elsewhere_is_refused() {
    let table = RouteTable::new(["/public/{x}", "/{tenant}/admin"]).unwrap();
    let disguised = context("/%70ublic/admin");
    assert_eq!(disguised.resolve(&table), Err(PathError::Spelling));
    assert_eq!(disguised.template(), None);
    let plain = context("/acme/admin");
    plain.resolve(&table).unwrap();
    assert_eq!(plain.template(), Some("/{tenant}/admin"));
}

#[test]
fn principal_and_claims_are_written_together_or_not_at_all() {
    let context = context("/");
    let alice = Principal::builder(Scheme::Jwt, "i", "alice").assert_verified();
    context.set_claims(Arc::new(7_u8)).unwrap();
    let conflict = context
        .set_authenticated(alice.clone(), Arc::new(String::new()))
        .unwrap_err();
    assert_eq!(conflict.field(), "claims");
    assert_eq!(context.principal(), None);
}

#[derive(Debug, PartialEq)]
struct Verified(Principal);

impl Authenticated for Verified {
    fn principal(&self) -> &Principal {
        &self.0
    }
}

fn verified(subject: &str) -> Arc<Verified> {
    let principal = Principal::builder(Scheme::Jwt, "i", subject).assert_verified();
    Arc::new(Verified(principal))
}

#[test]
fn what_was_verified_is_principal_and_claims_at_once() {
    let context = context("/");
    let alice = verified("alice");
    context.set_verified(Arc::clone(&alice)).unwrap();
    context.set_verified(Arc::clone(&alice)).unwrap();
    assert_eq!(context.principal(), Some(&alice.0));
    assert_eq!(context.claims::<Verified>(), Some(Arc::clone(&alice)));
    assert_eq!(context.claims::<String>(), None);
    // The same said otherwise is harmless.
    context.set_principal(alice.0.clone()).unwrap();
    context.set_claims(alice).unwrap();
}

#[test]
fn what_was_verified_is_written_once_by_whichever_way() {
    let field = |result: Result<(), ContextConflict>| result.unwrap_err().field();
    let bob = verified("bob").0.clone();

    let first = context("/");
    first.set_verified(verified("alice")).unwrap();
    assert_eq!(field(first.set_verified(verified("bob"))), "principal");
    assert_eq!(field(first.set_verified(verified("alice"))), "claims");
    assert_eq!(field(first.set_principal(bob.clone())), "principal");
    assert_eq!(field(first.set_claims(verified("alice"))), "claims");
    assert_eq!(
        field(first.set_authenticated(bob.clone(), Arc::new(7_u8))),
        "principal"
    );

    let second = context("/");
    second.set_principal(bob).unwrap();
    assert_eq!(field(second.set_verified(verified("alice"))), "principal");
    second.set_verified(verified("bob")).unwrap();

    let third = context("/");
    third.set_claims(Arc::new(7_u8)).unwrap();
    assert_eq!(field(third.set_verified(verified("alice"))), "claims");
    assert_eq!(third.principal(), None);
}

#[test]
fn what_the_connection_proved_is_the_peer_and_no_other() {
    let (web, api) = (peer("spiffe://a/web"), peer("spiffe://a/api"));
    let context = SecurityContext::of_connection(Uri::from_static("/"), Some(&web), None);
    assert_eq!(context.peer(), Some(&web));
    context.set_peer(web.clone()).unwrap();
    assert_eq!(context.set_peer(api.clone()).unwrap_err().field(), "peer");
    assert_eq!(context.peer(), Some(&web));
    assert_eq!(context.fork(Uri::from_static("/b")).peer(), Some(&web));
    let unconnected = SecurityContext::new(Uri::from_static("/"));
    unconnected.set_peer(api.clone()).unwrap();
    assert_eq!(unconnected.set_peer(web).unwrap_err().field(), "peer");
    assert_eq!(unconnected.fork(Uri::from_static("/b")).peer(), Some(&api));
}
