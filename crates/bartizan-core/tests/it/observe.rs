//! What is recorded and told of a decision.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bartizan_core::{
    Chain, Check, Connection, Duty, Entrance, Event, ForwardingHeader, Guard, GuardLayer,
    Inspection, Never, Observe, Outcome, Peer, PeerIdentity, Principal, RouteTable, Scheme,
    SecurityContext, TrustedProxies, VerifiedCertificate, WallTime, observe_fn,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{Gate, http};

async fn hello(_: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("hello")))
}

#[tokio::test]
async fn shadow_mode_lets_pass_and_records() {
    for gate in [Gate::new().shadow(), Gate::new().shadow().later()] {
        let context = SecurityContext::new("/hello".parse().unwrap());
        let mut request = http(false);
        request.extensions_mut().insert(context.clone());
        let service = GuardLayer::new(gate).layer(service_fn(hello));
        assert_eq!(service.oneshot(request).await.unwrap().status(), 200);
        let decisions = context.decisions();
        assert_eq!(decisions.len(), 1);
        assert_eq!(decisions[0].outcome(), Outcome::WouldHaveDenied);
        assert_eq!(decisions[0].code().unwrap().as_str(), "test.refused");
    }
}

#[tokio::test]
async fn an_observer_is_told_who_decided_what_about_whom() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let observer = observe_fn(move |event: &Event<'_>| {
        if let Event::Decision(d) = event {
            log.lock().unwrap().push((
                d.layer(),
                d.outcome(),
                d.code().map(|code| code.as_str()),
                d.address().map(|address| address.to_string()),
                d.template().map(str::to_owned),
            ));
        }
    });
    let entrance = Entrance::new()
        .with_proxies(TrustedProxies::networks(
            ForwardingHeader::XForwardedFor,
            ["10.0.0.0/8".parse().unwrap()],
        ))
        .with_routes(RouteTable::new(["/{greeting}"]).unwrap());
    let layer = GuardLayer::new(Gate::new().observer(Arc::new(observer))).with_entrance(entrance);
    let service = layer.layer(service_fn(hello));
    for passes in [true, false] {
        let mut request = http(passes);
        request
            .headers_mut()
            .insert("x-forwarded-for", "6.6.6.6, 203.0.113.9".parse().unwrap());
        let connection = Connection::from_remote("10.0.0.1:4000".parse().unwrap());
        request.extensions_mut().insert(connection);
        service.clone().oneshot(request).await.unwrap();
    }
    let whom = (
        Some("203.0.113.9".to_owned()),
        Some("/{greeting}".to_owned()),
    );
    assert_eq!(
        *seen.lock().unwrap(),
        [
            (
                "gate",
                Outcome::Allowed,
                None,
                whom.0.clone(),
                whom.1.clone()
            ),
            (
                "gate",
                Outcome::Denied,
                Some("test.refused"),
                whom.0,
                whom.1
            ),
        ]
    );
}

/// Names the peer and the principal, and says which of its rules matched.
#[derive(Clone, Debug)]
struct Names(Duty);

impl Guard for Names {
    type Pass = ();
    type Inquiry = Never;

    fn duty(&self) -> Option<&Duty> {
        Some(&self.0)
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Check<(), Never> {
        inspection.note(Arc::from("rule 7"));
        let (peer, principal) = (peer(), principal());
        let set = inspection.context.set_peer(peer);
        let set = set.and_then(|()| inspection.context.set_principal(principal));
        Check::Now(set.map_err(Into::into))
    }
}

fn peer() -> Peer {
    Peer::assert_verified(VerifiedCertificate {
        identity: PeerIdentity::Spiffe("spiffe://a.example/web".parse().unwrap()),
        certificate_sha256: [7; 32],
        serial: Box::new([1]),
        not_after: WallTime::MAX,
    })
}

fn principal() -> Principal {
    Principal::builder(Scheme::Jwt, "https://i.example", "alice").assert_verified()
}

#[tokio::test]
async fn an_observer_is_told_of_whoever_is_proven_and_by_which_rule() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let observer = observe_fn(move |event: &Event<'_>| {
        if let Event::Decision(d) = event {
            let detail = d.decision().detail().map(str::to_owned);
            let who = (d.peer().cloned(), d.principal().cloned());
            log.lock().unwrap().push((who, detail));
        }
    });
    let observer: Arc<dyn Observe> = Arc::new(observer);
    let duty = Duty::new("names").with_observer(Arc::clone(&observer));
    assert!(Arc::ptr_eq(duty.observer().unwrap(), &observer));
    let gate = Gate::new().observer(observer);
    let service = GuardLayer::new(Chain::new(gate, Names(duty))).layer(service_fn(hello));
    assert_eq!(service.oneshot(http(true)).await.unwrap().status(), 200);
    assert_eq!(
        *seen.lock().unwrap(),
        [
            ((None, None), None),
            ((Some(peer()), Some(principal())), Some("rule 7".to_owned())),
        ]
    );
    assert!(Duty::new("alone").observer().is_none());
}

#[tokio::test]
async fn a_path_with_two_meanings_is_refused_and_told_before_any_guard_is_asked() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let observer = Arc::new(observe_fn(move |event: &Event<'_>| {
        if let Event::Decision(d) = event {
            log.lock()
                .unwrap()
                .push((d.layer(), d.outcome(), d.code().unwrap().as_str()));
        }
    }));
    let entrance = Entrance::new()
        .with_routes(RouteTable::new(["/{greeting}"]).unwrap())
        .with_observer(observer.clone());
    let gate = Gate::new().shadow().observer(observer);
    let service = GuardLayer::new(gate)
        .with_entrance(entrance)
        .layer(service_fn(hello));
    for path in ["/a/%2e%2e/b", "//hello", "/a%2fb"] {
        let mut request = http(true);
        *request.uri_mut() = path.parse().unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 400, "{path}");
        let told = seen.lock().unwrap().drain(..).collect::<Vec<_>>();
        assert_eq!(told, [("route", Outcome::Denied, "route.ambiguous_path")]);
    }
}

#[tokio::test]
async fn the_context_is_read_outside_after_the_inner_future_was_dropped() {
    let context = SecurityContext::new("/hello".parse().unwrap());
    let mut request = http(true);
    request.extensions_mut().insert(context.clone());
    let service =
        GuardLayer::new(Gate::new()).layer(service_fn(async |_: Request<Full<Bytes>>| {
            std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>().await
        }));
    let mut response = Box::pin(service.oneshot(request));
    assert!(futures_poll(response.as_mut()).is_pending());
    drop(response);
    assert_eq!(context.decisions()[0].outcome(), Outcome::Allowed);
}

fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}
