//! What single routes require.

use bartizan_authz::{Callers, allow_peer, require, require_scope};
use bartizan_testkit::Host;

use crate::support::{alice, call, context, peer};

#[tokio::test]
async fn a_route_that_requires_a_scope_says_so_to_whom_it_refuses() {
    let layer = require_scope("orders:write");
    let writer = alice().with_scopes(["orders:write"]).assert_verified();
    let writer = context("/echo", None, Some(writer));
    for host in Host::WITHOUT_SOCKETS {
        assert!(
            host.send(&layer, &call(&writer))
                .await
                .unwrap()
                .is_success(),
            "{host:?}"
        );
    }
    let reader = alice().with_scopes(["orders:read"]).assert_verified();
    for principal in [Some(reader), None] {
        let context = context("/echo", None, principal);
        let answer = Host::Hyper.send(&layer, &call(&context)).await.unwrap();
        assert_eq!(answer.http_status, 403);
        assert_eq!(answer.code().as_deref(), Some("authz.insufficient_scope"));
        let challenge = answer.header("www-authenticate").unwrap();
        let expected = "Bearer error=\"insufficient_scope\", scope=\"orders:write\"";
        assert_eq!(challenge, expected);
        let decision = &context.decisions()[0];
        assert_eq!(decision.detail(), Some("scope orders:write"));
    }
}

#[tokio::test]
async fn a_route_that_requires_a_peer_is_closed_to_others() {
    let layer = allow_peer("spiffe://example.org/web".parse().unwrap());
    for (id, expected) in [
        (Some("spiffe://example.org/web"), 200),
        (Some("spiffe://example.org/webs"), 403),
        (None, 403),
    ] {
        let context = context("/echo", id.map(peer), None);
        let answer = Host::Hyper.send(&layer, &call(&context)).await.unwrap();
        assert_eq!(answer.http_status, expected, "{id:?}");
    }
}

#[tokio::test]
async fn a_route_can_require_any_callers() {
    let layer = require("clerks", Callers::anybody().role("clerk"));
    let clerk = alice().with_roles(["clerk"]).assert_verified();
    for (principal, expected) in [(clerk, 200), (alice().assert_verified(), 403)] {
        let context = context("/echo", None, Some(principal));
        let answer = Host::Hyper.send(&layer, &call(&context)).await.unwrap();
        assert_eq!(answer.http_status, expected);
    }
}
