//! What single routes require.

use bartizan_authz::{Callers, Condition, Fact, allow_peer, require, require_scope};
use bartizan_core::{Connection, Scheme};
use bartizan_testkit::Host;
use http::{HeaderName, HeaderValue};

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

/// A mistake in what is asked for must not come to be that nothing is asked for.
#[tokio::test]
async fn callers_that_cannot_be_meant_let_nobody_in() {
    let claim = |name: &str| Condition::on(Fact::Claim(vec![name.to_owned()]));
    let everybody = Callers::anybody;
    for callers in [
        // No network: the list of those that are is empty.
        everybody().when(Condition::on(Fact::SourceAddress).one_of(["10.0.0.0/33"])),
        everybody().when(Condition::on(Fact::DestinationPort).one_of(["https"])),
        everybody().when(Condition::on(Fact::Role)),
        everybody().when(Condition::on(Fact::Header("not a name".into())).none_of(["x"])),
        everybody().any_scope([]),
        Callers::anonymous().scope("read"),
        // What nobody reads is no reason to keep somebody out.
        everybody().when(claim("banned").none_of(["yes"])),
        everybody().except(everybody().claim("banned", ["yes"])),
        everybody().claim("tenant", ["acme"]),
        everybody().except(everybody().any_scope([])),
    ] {
        let layer = require("somebody", callers.clone());
        let alice = alice().with_scopes(["read"]).assert_verified();
        assert_eq!(alice.scheme(), Scheme::Jwt);
        let context = context("/echo", None, Some(alice));
        let from = Connection::from_remote(([192, 0, 2, 1], 7).into());
        let call = call(&context).with_connection(from);
        let answer = Host::Hyper.send(&layer, &call).await.unwrap();
        let told = (answer.http_status.as_u16(), answer.code());
        let expected = (403, Some("authz.engine_failed".to_owned()));
        assert_eq!(told, expected, "{callers:?}");
    }
}

#[tokio::test]
async fn what_a_route_asks_of_a_request_is_read_from_that_request() {
    let header = Fact::Header("x-tenant".into());
    for (condition, expected) in [
        (Condition::on(Fact::Path).one_of(["/echo"]), 200),
        (Condition::on(Fact::Path).one_of(["/"]), 403),
        (Condition::on(Fact::Path).none_of(["/echo"]), 403),
        (Condition::on(Fact::Authority).one_of(["shop.example"]), 200),
        (Condition::on(Fact::Authority).none_of(["shop.*"]), 403),
        (Condition::on(header.clone()).one_of(["acme"]), 200),
        (Condition::on(header).none_of(["acme"]), 403),
        (
            Condition::on(Fact::SourceAddress).one_of(["192.0.2.0/24"]),
            200,
        ),
        (
            Condition::on(Fact::SourceAddress).none_of(["192.0.2.1"]),
            403,
        ),
        (Condition::on(Fact::DestinationPort).one_of(["8443"]), 200),
        (Condition::on(Fact::DestinationPort).none_of(["8443"]), 403),
        // What is not known is held against the request.
        (Condition::on(Fact::ServerName).none_of(["other"]), 403),
    ] {
        let layer = require("it", Callers::anybody().when(condition.clone()));
        let connection = Connection::from_remote(([192, 0, 2, 1], 7).into());
        let connection = connection.with_local(([192, 0, 2, 2], 8443).into());
        let context = context("/echo", None, None);
        let call = call(&context)
            .with_connection(connection)
            .add_header(
                HeaderName::from_static("host"),
                HeaderValue::from_static("shop.example"),
            )
            .add_header(
                HeaderName::from_static("x-tenant"),
                HeaderValue::from_static("acme"),
            );
        let answer = Host::Hyper.send(&layer, &call).await.unwrap();
        assert_eq!(answer.http_status, expected, "{condition:?}");
    }
}
