//! Material from an agent that speaks the real protocol on a unix socket.

use std::sync::Arc;
use std::time::Duration;

use bartizan_mtls::{
    EndpointError, FEDERATED_BUNDLE_IGNORED, Material, MtlsListener, UNKNOWN_AUTHORITY,
    WORKLOAD_API_FAILED, WORKLOAD_API_STOPPED, WORKLOAD_API_UPDATED, WorkloadApi,
};
use bartizan_source::{Backoff, Published};
use bartizan_testkit::{DevelopmentCa, ManualClock, WorkloadApiAgent, WorkloadUpdate};
use http::StatusCode;
use tokio::time::timeout;
use tonic::Code;

use crate::support::*;

/// A socket of its own for each test, with a path that is short enough for one.
fn agent(name: &str) -> WorkloadApiAgent {
    let socket = std::env::temp_dir().join(format!("bartizan-{}-{name}.sock", std::process::id()));
    let _ = std::fs::remove_file(&socket);
    WorkloadApiAgent::start(&socket).expect("a socket")
}

fn api(agent: &WorkloadApiAgent) -> WorkloadApi {
    // Tests do not wait for what a service would.
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(10));
    WorkloadApi::new(&agent.endpoint())
        .expect("an endpoint")
        .with_backoff(backoff)
}

/// A fresh SVID of payments, and its serial number.
fn svid(ca: &DevelopmentCa) -> (WorkloadUpdate, Vec<u8>) {
    let issued = ca.workload("/ns/shop/sa/payments").unwrap();
    let update = WorkloadUpdate::new(PAYMENTS, &issued, ca);
    (update, issued.serial().to_vec())
}

/// Waits until the material has this serial number.
async fn until_serial(published: &Published<Material>, serial: &[u8]) {
    let mut changes = published.subscribe();
    let arrived = async {
        loop {
            let now = published.load();
            if now.is_some_and(|version| version.value().identity().serial() == serial) {
                return;
            }
            changes.next().await.expect("the task lives");
        }
    };
    timeout(PATIENCE, arrived).await.expect("in time");
}

async fn serial_seen(ca: &DevelopmentCa, address: std::net::SocketAddr) -> Vec<u8> {
    let answer = get(&client(orders(ca), only(PAYMENTS)), address).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, StatusCode::OK);
    answer.server.unwrap().peer().unwrap().serial().to_vec()
}

#[tokio::test]
async fn rotates_with_the_agent() {
    let (ca, agent) = (ca(), agent("rotates"));
    let (first, first_serial) = svid(&ca);
    agent.publish(&first);
    let material = api(&agent).start().unwrap();
    timeout(PATIENCE, material.ready()).await.unwrap().unwrap();
    let address = serve(MtlsListener::builder(material.clone()), allow(ORDERS)).await;
    assert_eq!(serial_seen(&ca, address).await, first_serial);
    for _ in 0..3 {
        let (next, serial) = svid(&ca);
        agent.publish(&next);
        until_serial(&material, &serial).await;
        assert_eq!(serial_seen(&ca, address).await, serial);
    }
    assert_eq!(agent.requests(), 1, "one stream for all of it");
}

#[tokio::test]
async fn federated_partners_come_and_go_and_never_bear_our_names() {
    let (ca, agent) = (ca(), agent("federated"));
    let partner = DevelopmentCa::new("partner.example").unwrap();
    let (alone, _) = svid(&ca);
    let recorder = Recorder::default();
    let (update, _) = svid(&ca);
    agent.publish(&update.add_federated(&partner));
    let material = api(&agent).start().unwrap();
    timeout(PATIENCE, material.ready()).await.unwrap().unwrap();
    let layer = bartizan_mtls::MtlsLayer::builder()
        .allow_peer(ORDERS.parse().unwrap())
        .allow_trust_domain("partner.example".parse().unwrap());
    let listener = MtlsListener::builder(material.clone()).with_observer(recorder.shared());
    let address = serve(listener, layer.build().unwrap()).await;

    let theirs = partner.workload("/ns/billing/sa/caller").unwrap();
    let answer = foreign_get(&ca, Some(&theirs), address).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body, "spiffe://partner.example/ns/billing/sa/caller");

    let forged = partner.leaf().add_uri(ORDERS).issue().unwrap();
    assert!(foreign_get(&ca, Some(&forged), address).await.is_err());
    assert_eq!(recorder.wait_for(1).await[0].0, UNKNOWN_AUTHORITY);
    let ours = ca.workload("/ns/shop/sa/orders").unwrap();
    assert!(foreign_get(&ca, Some(&ours), address).await.is_ok());

    // What a message does not have is withdrawn.
    let mut changes = material.subscribe();
    agent.publish(&alone);
    timeout(PATIENCE, changes.next()).await.unwrap().unwrap();
    assert!(foreign_get(&ca, Some(&theirs), address).await.is_err());
    assert_eq!(recorder.wait_for(2).await[1].0, UNKNOWN_AUTHORITY);
    assert!(foreign_get(&ca, Some(&ours), address).await.is_ok());
}

#[tokio::test]
async fn a_foreign_bundle_under_our_own_name_does_not_count() {
    let (ca, agent) = (ca(), agent("own-name"));
    let usurper = DevelopmentCa::new("example.org").unwrap();
    let (update, _) = svid(&ca);
    agent.publish(&update.add_federated(&usurper));
    let material = api(&agent).start().unwrap();
    timeout(PATIENCE, material.ready()).await.unwrap().unwrap();
    let address = serve(MtlsListener::builder(material), allow(ORDERS)).await;
    let forged = usurper.workload("/ns/shop/sa/orders").unwrap();
    assert!(foreign_get(&ca, Some(&forged), address).await.is_err());
    let ours = ca.workload("/ns/shop/sa/orders").unwrap();
    assert!(foreign_get(&ca, Some(&ours), address).await.is_ok());
}

#[tokio::test]
async fn keeps_the_last_good_material_when_something_else_comes() {
    let (ca, agent, recorder) = (ca(), agent("garbage"), Recorder::default());
    let (good, serial) = svid(&ca);
    agent.publish(&good);
    let api = api(&agent).with_observer(recorder.shared());
    let material = api.start().unwrap();
    timeout(PATIENCE, material.ready()).await.unwrap().unwrap();
    assert_eq!(recorder.wait_for(1).await[0].0, WORKLOAD_API_UPDATED);

    let expired = ca
        .leaf()
        .add_uri(PAYMENTS)
        .with_not_after(ca.reference_time().saturating_sub(Duration::from_secs(60)));
    let expired = expired.issue().unwrap();
    let other = ca.workload("/ns/shop/sa/orders").unwrap();
    let foreign_key = ca.leaf().add_uri(PAYMENTS).issue().unwrap();
    let two_names = ca.leaf().add_uri(PAYMENTS).add_uri(ORDERS).issue().unwrap();
    let good_svid = ca.workload("/ns/shop/sa/payments").unwrap();
    let mixed = {
        // The chain of one and the key of another, as a torn write would leave them.
        let mut first = WorkloadUpdate::new(PAYMENTS, &good_svid, &ca).encode();
        let second = WorkloadUpdate::new(PAYMENTS, &foreign_key, &ca).encode();
        let (mine, theirs) = (good_svid.key().pkcs8_der(), foreign_key.key().pkcs8_der());
        assert_eq!(mine.len(), theirs.len());
        let at = first.windows(mine.len()).position(|window| window == mine);
        first.splice(
            at.unwrap()..at.unwrap() + mine.len(),
            theirs.iter().copied(),
        );
        assert_ne!(first, second);
        first
    };
    let mut cut = WorkloadUpdate::new(PAYMENTS, &good_svid, &ca).encode();
    cut.truncate(cut.len() - 8);
    let messages = [
        (WorkloadUpdate::withdrawn().encode(), "no svid"),
        (
            WorkloadUpdate::new(PAYMENTS, &expired, &ca).encode(),
            "expired",
        ),
        (
            WorkloadUpdate::new(PAYMENTS, &other, &ca).encode(),
            "another spiffe id",
        ),
        (
            WorkloadUpdate::new(PAYMENTS, &two_names, &ca).encode(),
            "no identity",
        ),
        (mixed, "does not belong"),
        (cut, ""),
        (b"\xff\xff\xff garbage".to_vec(), ""),
        // An unknown field of five megabytes.
        (
            [&[0x7a, 0x80, 0x80, 0xc0, 0x02][..], &vec![0; 5 << 20]].concat(),
            "too large",
        ),
    ];
    let mut told = 1;
    for (message, reason) in messages {
        agent.publish_bytes(message);
        told += 1;
        let events = recorder.wait_for(told).await;
        let (code, detail) = &events[told - 1];
        assert_eq!(*code, WORKLOAD_API_FAILED, "{detail}");
        assert!(detail.contains(reason), "{detail} is not {reason}");
        assert_eq!(material.load().unwrap().value().identity().serial(), serial);
        assert!(material.status().last_failure().is_some());

        // A stream that broke is opened anew, and meets the same message again; so say something
        // good before the next.
        agent.publish(&good);
        loop {
            told += 1;
            if recorder.wait_for(told).await[told - 1].0 == WORKLOAD_API_UPDATED {
                break;
            }
        }
    }
}

#[tokio::test]
async fn outlives_an_agent_that_is_killed_and_restarted() {
    let (ca, mut agent) = (ca(), agent("killed"));
    let (first, first_serial) = svid(&ca);
    agent.publish(&first);
    let recorder = Recorder::default();
    let material = api(&agent)
        .with_observer(recorder.shared())
        .start()
        .unwrap();
    timeout(PATIENCE, material.ready()).await.unwrap().unwrap();
    let address = serve(MtlsListener::builder(material.clone()), allow(ORDERS)).await;
    assert_eq!(serial_seen(&ca, address).await, first_serial);

    agent.kill().await;
    // The stream broke, and at least one attempt met no socket.
    let events = recorder.wait_for(3).await;
    assert!(
        events[1..]
            .iter()
            .all(|(code, _)| *code == WORKLOAD_API_FAILED)
    );
    assert_eq!(serial_seen(&ca, address).await, first_serial);

    let (second, second_serial) = svid(&ca);
    agent.publish(&second);
    agent.restart().unwrap();
    until_serial(&material, &second_serial).await;
    assert_eq!(serial_seen(&ca, address).await, second_serial);
}

#[tokio::test]
async fn asks_again_after_a_refusal_that_may_pass() {
    for code in [Code::PermissionDenied, Code::Unavailable] {
        let (ca, agent) = (ca(), agent(&format!("refused-{}", code as i32)));
        agent.refuse(code);
        let material = api(&agent).start().unwrap();
        let asked_again = async {
            while agent.requests() < 3 {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, asked_again).await.unwrap();
        assert!(material.load().is_none());
        let (good, serial) = svid(&ca);
        agent.publish(&good);
        until_serial(&material, &serial).await;
    }
}

#[tokio::test]
async fn a_refusal_keeps_what_was_given_before() {
    let (ca, agent, recorder) = (ca(), agent("kept"), Recorder::default());
    let (good, serial) = svid(&ca);
    agent.publish(&good);
    let material = api(&agent)
        .with_observer(recorder.shared())
        .start()
        .unwrap();
    until_serial(&material, &serial).await;
    agent.refuse(Code::PermissionDenied);
    assert_eq!(recorder.wait_for(2).await[1].0, WORKLOAD_API_FAILED);
    assert_eq!(material.load().unwrap().value().identity().serial(), serial);
}

#[tokio::test]
async fn stops_where_asking_again_changes_nothing() {
    for code in [Code::InvalidArgument, Code::Unimplemented] {
        let (agent, recorder) = (
            agent(&format!("stopped-{}", code as i32)),
            Recorder::default(),
        );
        agent.refuse(code);
        let material = api(&agent)
            .with_observer(recorder.shared())
            .start()
            .unwrap();
        assert!(timeout(PATIENCE, material.ready()).await.unwrap().is_none());
        assert_eq!(recorder.codes(), [WORKLOAD_API_STOPPED]);
        assert_eq!(agent.requests(), 1);
    }
}

#[tokio::test]
async fn an_unfit_federated_bundle_harms_its_own_trust_domain_alone() {
    let (ca, agent, recorder) = (ca(), agent("unfit"), Recorder::default());
    let partner = DevelopmentCa::new("partner.example").unwrap();
    let leaf = partner.workload("/a").unwrap();
    let (update, _) = svid(&ca);
    agent.publish(
        &update
            .add_federated(&partner)
            .add_federated_der("spiffe://broken.example", b"\x30\x05cut")
            .add_federated_der("spiffe://leaf.example", leaf.certificate_der())
            .add_federated_der("spiffe://with.path/a", partner.root_der())
            .add_federated_der("spiffe://withdrawn.example", b""),
    );
    let material = api(&agent)
        .with_observer(recorder.shared())
        .start()
        .unwrap();
    let version = timeout(PATIENCE, material.ready()).await.unwrap().unwrap();
    let events = recorder.wait_for(4).await;
    let ignored = events
        .iter()
        .filter(|(code, _)| *code == FEDERATED_BUNDLE_IGNORED);
    assert_eq!(ignored.count(), 3, "{events:?}");
    let trust = version.value().trust();
    let domains = [
        "example.org",
        "partner.example",
        "broken.example",
        "leaf.example",
    ];
    let roots = domains.map(|domain| roots_of(trust, domain));
    assert_eq!(roots, [Some(1), Some(1), None, None]);
    assert_eq!(roots_of(trust, "withdrawn.example"), Some(0));
}

fn roots_of(trust: &bartizan_mtls::Trust, domain: &str) -> Option<usize> {
    trust
        .bundles()?
        .roots_of(domain)
        .map(bartizan_mtls::Roots::len)
}

#[tokio::test]
async fn chooses_by_hint_and_takes_the_first_otherwise() {
    let (ca, agent) = (ca(), agent("hint"));
    let (internal, external) = (
        ca.workload("/ns/shop/sa/payments").unwrap(),
        ca.workload("/ns/shop/sa/orders").unwrap(),
    );
    let update = WorkloadUpdate::withdrawn()
        .add_svid(PAYMENTS, "internal", &internal, &ca)
        .add_svid(ORDERS, "external", &external, &ca);
    agent.publish(&update);
    for (hint, expected) in [
        (None, PAYMENTS),
        (Some("internal"), PAYMENTS),
        (Some("external"), ORDERS),
    ] {
        let api = hint.into_iter().fold(api(&agent), WorkloadApi::with_hint);
        let material = api.start().unwrap();
        let version = timeout(PATIENCE, material.ready()).await.unwrap().unwrap();
        let id = version.value().identity().spiffe_id().unwrap().to_string();
        assert_eq!(id, expected);
    }
}

#[tokio::test]
async fn obeys_revocation_lists_of_the_agent() {
    let (ca, agent) = (ca(), agent("lists"));
    let partner = DevelopmentCa::new("partner.example").unwrap();
    let (good, revoked) = (
        ca.workload("/ns/shop/sa/orders").unwrap(),
        ca.workload("/ns/shop/sa/orders").unwrap(),
    );
    let theirs = partner.workload("/a").unwrap();
    let (update, _) = svid(&ca);
    let update = update.add_federated(&partner);
    agent.publish(&update);
    let material = api(&agent).start().unwrap();
    timeout(PATIENCE, material.ready()).await.unwrap().unwrap();
    let layer = bartizan_mtls::MtlsLayer::builder()
        .allow_trust_domain("example.org".parse().unwrap())
        .allow_trust_domain("partner.example".parse().unwrap());
    let layer = layer.build().unwrap();
    let address = serve(MtlsListener::builder(material.clone()), layer.clone()).await;
    let admitted = async |issued| foreign_get(&ca, Some(issued), address).await.is_ok();
    assert!(admitted(&good).await && admitted(&revoked).await && admitted(&theirs).await);

    let list = ca.revoke([revoked.serial()], 7).unwrap();
    let mut changes = material.subscribe();
    agent.publish(&update.clone().add_revocation_list(&list));
    timeout(PATIENCE, changes.next()).await.unwrap().unwrap();
    assert!(admitted(&good).await && !admitted(&revoked).await);
    assert!(admitted(&theirs).await, "no list tells of the partner's");

    // The same, where every status must be known.
    let strict = api(&agent).require_revocation_status().start().unwrap();
    timeout(PATIENCE, strict.ready()).await.unwrap().unwrap();
    let address = serve(MtlsListener::builder(strict.clone()), layer).await;
    let admitted = async |issued| foreign_get(&ca, Some(issued), address).await.is_ok();
    assert!(admitted(&good).await && !admitted(&revoked).await && !admitted(&theirs).await);
    let mut changes = strict.subscribe();
    let theirs_list = partner.revoke([&[9_u8][..]], 1).unwrap();
    let both = update
        .add_revocation_list(&list)
        .add_revocation_list(&theirs_list);
    agent.publish(&both);
    timeout(PATIENCE, changes.next()).await.unwrap().unwrap();
    assert!(admitted(&theirs).await);
}

#[tokio::test]
async fn refuses_messages_without_lists_where_they_are_required() {
    let (ca, agent, recorder) = (ca(), agent("no-lists"), Recorder::default());
    agent.publish(&svid(&ca).0);
    let api = api(&agent)
        .require_revocation_status()
        .with_observer(recorder.shared());
    let material = api.start().unwrap();
    let (code, detail) = recorder.wait_for(1).await.swap_remove(0);
    assert_eq!(code, WORKLOAD_API_FAILED);
    assert!(detail.contains("no revocation lists"), "{detail}");
    assert!(material.load().is_none());
}

#[tokio::test]
async fn compares_validity_with_the_given_clock() {
    let (ca, agent, recorder) = (ca(), agent("clock"), Recorder::default());
    let late = ManualClock::at(ca.reference_time() + Duration::from_secs(400 * 86_400));
    agent.publish(&svid(&ca).0);
    let api = api(&agent)
        .with_observer(recorder.shared())
        .with_clock(clock(&late));
    let material = api.start().unwrap();
    assert_eq!(recorder.wait_for(1).await[0].0, WORKLOAD_API_FAILED);
    assert!(material.load().is_none());
}

#[tokio::test]
async fn ends_with_the_last_reader() {
    let (ca, agent, recorder) = (ca(), agent("ends"), Arc::new(Recorder::default()));
    agent.publish(&svid(&ca).0);
    let material = api(&agent).with_observer(recorder.clone()).start().unwrap();
    timeout(PATIENCE, material.ready()).await.unwrap().unwrap();
    assert!(Arc::strong_count(&recorder) > 1, "the task tells it");
    drop(material);
    let ended = async {
        while Arc::strong_count(&recorder) > 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, ended).await.unwrap();
}

#[test]
fn needs_a_runtime() {
    let api = WorkloadApi::new("unix:///nowhere").unwrap();
    assert_eq!(api.start().unwrap_err(), EndpointError::NoRuntime);
}

/// A client that shares no code with ours takes the same messages from the agent, so that what
/// ours reads is the protocol and no dialect of it.
#[tokio::test]
async fn the_agent_serves_a_foreign_client() {
    let (ca, mut agent) = (ca(), agent("foreign"));
    let partner = DevelopmentCa::new("partner.example").unwrap();
    let (first, first_serial) = svid(&ca);
    agent.publish(&first.add_federated(&partner));
    let builder = spiffe::X509Source::builder().endpoint(agent.endpoint());
    let foreign = timeout(PATIENCE, builder.build()).await.unwrap().unwrap();
    let ours = api(&agent).start().unwrap();
    until_serial(&ours, &first_serial).await;
    let chain = |svid: &spiffe::X509Svid| {
        let certificates = svid.cert_chain().iter();
        certificates
            .map(|der| der.as_bytes().to_vec())
            .collect::<Vec<_>>()
    };
    let our_chain = || {
        let version = ours.load().unwrap();
        let certificates = version.value().identity().chain().iter();
        certificates.map(|der| der.to_vec()).collect::<Vec<_>>()
    };
    let svid_seen = foreign.svid().unwrap();
    assert_eq!(svid_seen.spiffe_id().to_string(), PAYMENTS);
    assert_eq!(chain(&svid_seen), our_chain());
    for (domain, authority) in [("example.org", &ca), ("partner.example", &partner)] {
        let domain = spiffe::TrustDomain::new(domain).unwrap();
        let bundle = foreign.try_bundle_for_trust_domain(&domain).unwrap();
        let seen = bundle.authorities().iter().map(|der| der.as_bytes());
        assert_eq!(seen.collect::<Vec<_>>(), [authority.root_der().as_ref()]);
    }

    // Both come back to an agent that was away.
    let mut updates = foreign.updated();
    agent.kill().await;
    let (second, second_serial) = svid(&ca);
    agent.publish(&second);
    agent.restart().unwrap();
    until_serial(&ours, &second_serial).await;
    timeout(PATIENCE, updates.changed()).await.unwrap().unwrap();
    assert_eq!(chain(&foreign.svid().unwrap()), our_chain());
}

#[tokio::test]
async fn talks_to_an_agent_over_tcp_as_well() {
    let (ca, agent) = (ca(), agent("tcp"));
    let (update, serial) = svid(&ca);
    agent.publish(&update);
    let socket = agent.endpoint().replace("unix://", "");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let mut unix = tokio::net::UnixStream::connect(&socket).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut tcp, &mut unix).await });
        }
    });
    let api = WorkloadApi::new(&format!("tcp://{address}")).unwrap();
    until_serial(&api.start().unwrap(), &serial).await;
}
