//! The layer on every host.

use std::sync::{Arc, Mutex};

use bartizan_authz::{
    AuthzLayer, Callers, ConfigError, EngineError, Facts, LivePolicy, PolicyEngine, Rule, Ruling,
    Targets,
};
use bartizan_core::{Challenge, Enforcement, Event, Outcome, SecurityContext, observe_fn};
use bartizan_testkit::Host;

use crate::support::{alice, call, context, layer, peer, policy};

const WEB: &str = "spiffe://example.org/web";

fn echo_for_web() -> Rule {
    Rule::allow("web echoes")
        .from(Callers::peer(WEB.parse().unwrap()))
        .to(Targets::method("POST")
            .path("/echo")
            .or_grpc("bartizan.testkit.Echo", Some("Unary")))
}

#[test]
fn rejects_when_unconfigured() {
    assert_eq!(
        AuthzLayer::builder().build().unwrap_err(),
        ConfigError::NoPolicy
    );
    let rule = Rule::allow("tenant").from(Callers::anybody().claim("tenant", ["acme"]));
    let unread = AuthzLayer::builder().with_policy(policy([rule])).build();
    assert_eq!(unread.unwrap_err(), ConfigError::ClaimsUnread);
}

#[tokio::test]
async fn whom_no_rule_allows_is_refused_on_every_host() {
    for host in Host::WITHOUT_SOCKETS {
        let layer = layer([echo_for_web()]);
        let path = if host.is_grpc() {
            "/bartizan.testkit.Echo/Unary"
        } else {
            "/echo"
        };
        let web = context(path, Some(peer(WEB)), None);
        let answer = host.send(&layer, &call(&web)).await.unwrap();
        assert!(answer.is_success(), "{host:?}");
        let decisions = web.decisions();
        assert_eq!(decisions[0].outcome(), Outcome::Allowed);
        assert_eq!(decisions[0].detail(), Some("web echoes"), "{host:?}");

        let other = context(path, Some(peer("spiffe://example.org/reports")), None);
        let answer = host.send(&layer, &call(&other)).await.unwrap();
        assert_eq!(answer.code().as_deref(), Some("authz.denied"), "{host:?}");
        let status = if host.is_grpc() { 200 } else { 403 };
        assert_eq!(answer.http_status, status, "{host:?}");
    }
}

#[tokio::test]
async fn renders_grpc_rejection() {
    let layer = layer([echo_for_web()]);
    let nobody = context("/bartizan.testkit.Echo/Unary", None, None);
    let refused = Host::TonicRoutes
        .send(&layer, &call(&nobody))
        .await
        .unwrap();
    assert_eq!(refused.http_status, 200);
    assert_eq!(refused.grpc_status, Some(7));
    assert_eq!(refused.ended_with_headers, Some(true));
    assert_eq!(refused.code().as_deref(), Some("authz.denied"));
}

#[tokio::test]
async fn shadow_mode_lets_pass_and_records() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let observer = Arc::clone(&seen);
    let layer = AuthzLayer::builder()
        .with_policy(policy([echo_for_web()]))
        .with_enforcement(Enforcement::Shadow)
        .with_observer(Arc::new(observe_fn(move |event| {
            if let Event::Decision(decision) = event {
                observer.lock().unwrap().push(decision.outcome());
            }
        })))
        .build()
        .unwrap();
    let nobody = context("/echo", None, None);
    let answer = Host::Hyper.send(&layer, &call(&nobody)).await.unwrap();
    assert!(answer.is_success());
    assert_eq!(nobody.decisions()[0].outcome(), Outcome::WouldHaveDenied);
    assert_eq!(*seen.lock().unwrap(), [Outcome::WouldHaveDenied]);
}

#[tokio::test]
async fn a_denial_in_shadow_is_recorded_and_does_not_deny() {
    let tried_out = Rule::deny("no echo")
        .to(Targets::any_method("/echo"))
        .in_shadow();
    let layer = layer([Rule::allow("all"), tried_out]);
    let nobody = context("/echo", None, None);
    let answer = Host::Hyper.send(&layer, &call(&nobody)).await.unwrap();
    assert!(answer.is_success());
    let decisions = nobody.decisions();
    let told = |at: usize| (decisions[at].outcome(), decisions[at].detail());
    assert_eq!(told(0), (Outcome::WouldHaveDenied, Some("no echo")));
    assert_eq!(told(1), (Outcome::Allowed, Some("all")));
}

#[tokio::test]
async fn nobody_is_asked_for_a_credential_where_one_would_help() {
    let rules = || [Rule::allow("readers").from(Callers::anybody().scope("read"))];
    let challenge = Challenge::new("Bearer").with_param("realm", "orders");
    let challenging = AuthzLayer::builder().with_policy(policy(rules()));
    let challenging = challenging.with_challenge(challenge).build().unwrap();
    let nobody = || context("/echo", None, None);
    let answer = Host::Hyper
        .send(&challenging, &call(&nobody()))
        .await
        .unwrap();
    assert_eq!(answer.http_status, 401);
    assert_eq!(answer.code().as_deref(), Some("authz.unauthenticated"));
    assert_eq!(
        answer.header("www-authenticate"),
        Some("Bearer realm=\"orders\"")
    );

    // Whoever is known and lacks the scope has nothing to gain from authenticating again.
    let known = context("/echo", None, Some(alice().assert_verified()));
    let answer = Host::Hyper.send(&challenging, &call(&known)).await.unwrap();
    assert_eq!(answer.http_status, 403);
    // Without a challenge to give, 401 would be against RFC 9110.
    let answer = Host::Hyper
        .send(&layer(rules()), &call(&nobody()))
        .await
        .unwrap();
    assert_eq!(answer.http_status, 403);
    assert_eq!(answer.header("www-authenticate"), None);
}

#[tokio::test]
async fn a_policy_is_replaced_while_requests_are_served() {
    let live = LivePolicy::new(policy([Rule::allow("all")]));
    let layer = AuthzLayer::builder()
        .with_policy(live.clone())
        .build()
        .unwrap();
    let send = async || {
        Host::Hyper
            .send(&layer, &call(&context("/echo", None, None)))
            .await
    };
    assert!(send().await.unwrap().is_success());
    live.replace(policy([
        Rule::allow("other").to(Targets::any_method("/other"))
    ]));
    assert_eq!(send().await.unwrap().http_status, 403);
}

#[derive(Debug)]
struct Broken;

impl PolicyEngine for Broken {
    fn decide(&self, _: &Facts<'_>, _: &mut dyn FnMut(&Arc<str>)) -> Result<Ruling, EngineError> {
        Err(EngineError("out of order".into()))
    }
}

#[tokio::test]
async fn an_engine_that_fails_denies() {
    let layer = AuthzLayer::builder().with_policy(Broken).build().unwrap();
    let nobody = context("/echo", None, None);
    let answer = Host::Hyper.send(&layer, &call(&nobody)).await.unwrap();
    assert_eq!(answer.http_status, 403);
    assert_eq!(answer.code().as_deref(), Some("authz.engine_failed"));
    assert!(!answer.text().contains("out of order"));
}

#[tokio::test]
async fn a_claim_that_a_later_policy_asks_for_and_nobody_reads_denies() {
    let live = LivePolicy::new(policy([Rule::allow("all")]));
    let layer = AuthzLayer::builder()
        .with_policy(live.clone())
        .build()
        .unwrap();
    let tenant = || Callers::anybody().claim("tenant", ["acme"]);
    // Though it would deny nobody else.
    let denial = Rule::deny("acme").from(tenant());
    live.replace(policy([denial, Rule::allow("all")]));
    let alice = context("/echo", None, Some(alice().assert_verified()));
    let answer = Host::Hyper.send(&layer, &call(&alice)).await.unwrap();
    assert_eq!(answer.http_status, 403);
    assert_eq!(answer.code().as_deref(), Some("authz.engine_failed"));
}

#[tokio::test]
async fn a_claim_is_read_as_the_layer_was_told() {
    struct Claims(&'static str);
    let read = |context: &SecurityContext, name: &str, tell: &mut dyn FnMut(&str)| {
        if let (Some(claims), "tenant") = (context.claims::<Claims>(), name) {
            tell(claims.0);
        }
    };
    let rule = Rule::allow("acme").from(Callers::anybody().claim("tenant", ["acme"]));
    let builder = AuthzLayer::builder().with_policy(policy([rule]));
    let layer = builder.with_claims(read).build().unwrap();
    for (tenant, expected) in [("acme", 200), ("other", 403)] {
        let context = context("/echo", None, Some(alice().assert_verified()));
        context.set_claims(Arc::new(Claims(tenant))).unwrap();
        let answer = Host::Hyper.send(&layer, &call(&context)).await.unwrap();
        assert_eq!(answer.http_status, expected, "{tenant}");
    }
}

/// A policy that is replaced while a request is decided on: after the layer looked what it asks
/// for, and before it is asked.
#[derive(Debug)]
struct ReplacedMeanwhile(LivePolicy);

impl PolicyEngine for ReplacedMeanwhile {
    fn decide(
        &self,
        facts: &Facts<'_>,
        shadow: &mut dyn FnMut(&Arc<str>),
    ) -> Result<Ruling, EngineError> {
        let banned = Callers::anybody().claim("banned", ["yes"]);
        let rules = [Rule::deny("banned").from(banned), Rule::allow("others")];
        self.0.replace(policy(rules));
        self.0.decide(facts, shadow)
    }

    fn asks_claims(&self) -> bool {
        self.0.asks_claims()
    }
}

#[tokio::test]
async fn a_policy_that_came_meanwhile_is_not_asked_what_nobody_can_tell_it() {
    let live = ReplacedMeanwhile(LivePolicy::new(policy([Rule::allow("all")])));
    let layer = AuthzLayer::builder().with_policy(live).build().unwrap();
    for _ in 0..2 {
        let context = context("/echo", None, Some(alice().assert_verified()));
        let answer = Host::Hyper.send(&layer, &call(&context)).await.unwrap();
        assert_eq!(answer.code().as_deref(), Some("authz.engine_failed"));
    }
}
