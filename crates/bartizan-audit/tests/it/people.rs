use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bartizan_audit::{
    AuditConfig, AuditLayer, Ending, EntryProof, Kind, Privacy, Prover, VerifierKey, open_person,
    person_handle,
};
use bartizan_core::{
    Connection, KeyRequest, KeyState, KeyringAnswer, KeyringUnavailable, Principal, Scheme,
    SecurityContext, Subject, SubjectKey, SubjectKeyring, WallTime,
};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Folder, ORIGIN, authenticate, end, get, ok, with_requests};

/// Keys in memory, and whether they cannot be had. A destroyed one is `None`.
#[derive(Debug, Default)]
struct Keys(Mutex<Held>);

type Held = (HashMap<Subject, Option<Arc<SubjectKey>>>, bool);

impl SubjectKeyring for Keys {
    fn request<'k>(&'k self, subject: &'k Subject, request: KeyRequest) -> KeyringAnswer<'k> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let (keys, down) = &mut *self.0.lock().unwrap();
            if *down {
                let reason = "planned".to_owned();
                return Err(KeyringUnavailable { reason });
            }
            let at = WallTime::from_unix_seconds(1);
            let count = u8::try_from(keys.len()).unwrap();
            Ok(match request {
                KeyRequest::Forget => {
                    keys.insert(subject.clone(), None);
                    KeyState::Shredded { at }
                }
                KeyRequest::Seal => {
                    let made = || Some(Arc::new(SubjectKey::new(&mut [count + 1; 32])));
                    match keys.entry(subject.clone()).or_insert_with(made) {
                        Some(key) => KeyState::Present(Arc::clone(key)),
                        None => KeyState::Shredded { at },
                    }
                }
                _ => match keys.get(subject) {
                    Some(Some(key)) => KeyState::Present(Arc::clone(key)),
                    Some(None) => KeyState::Shredded { at },
                    None => KeyState::Absent,
                },
            })
        })
    }
}

fn subject() -> Subject {
    Subject::new("https://issuer.example", "alice")
}

#[tokio::test]
async fn a_person_is_sealed_and_can_be_forgotten_while_proofs_stay() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let keys = Arc::new(Keys::default());
    let privacy = Privacy::new(Arc::clone(&keys) as _);
    let config = AuditConfig::builder(ledger.clone())
        .with_privacy(privacy.clone())
        .with_address_prefix(24, 48);
    let layer = AuditLayer::new(config.build().unwrap());
    let service = layer.layer(service_fn(|request: Request<Full<Bytes>>| async move {
        authenticate(&request);
        ok("")
    }));
    for _ in 0..2 {
        service.clone().oneshot(get("/orders/1")).await.unwrap();
    }
    let KeyState::Present(key) = keys.request(&subject(), KeyRequest::Open).await.unwrap() else {
        panic!("a key");
    };
    privacy.forget(&ledger, &subject()).await.unwrap();
    service.clone().oneshot(get("/orders/2")).await.unwrap();
    keys.0.lock().unwrap().1 = true;
    service.oneshot(get("/orders/3")).await.unwrap();
    end(&ledger, &folder).await;

    with_requests(&folder, |requests| {
        let [first, second, forgotten, unavailable] = requests else {
            panic!("four requests");
        };
        for request in [first, second] {
            assert_eq!((request.subject, request.token_id), (None, None));
            assert_eq!(request.issuer, Some("https://issuer.example"));
            assert_eq!(request.network, Some("192.0.2.0/24".parse().unwrap()));
            assert_eq!(request.sealed.unwrap().handle, person_handle(&key));
            let person = open_person(ORIGIN, request, &key).unwrap();
            assert_eq!(person.subject, "alice");
            assert_eq!(person.token_id.as_deref(), Some("t-1"));
            assert_eq!(person.address, Some("192.0.2.7".parse().unwrap()));
            assert_eq!(format!("{person:?}"), "Person(..)");
            let other = SubjectKey::new(&mut [9; 32]);
            assert_eq!(open_person(ORIGIN, request, &other), None);
            assert_eq!(open_person("another", request, &key), None);
        }
        // What was sealed for one record does not open in another.
        let mut moved = first.clone();
        moved.sealed = second.sealed;
        assert_eq!(open_person(ORIGIN, &moved, &key), None);
        for request in [forgotten, unavailable] {
            assert_eq!((request.subject, request.token_id), (None, None));
            assert_eq!(request.sealed.unwrap().ciphertext, b"");
        }
    });
    assert!(folder.kinds().contains(&Kind::Erased));
    let all = folder.entries();
    // What was sealed for somebody who is forgotten is proven as before.
    let (size, note) = ledger.checkpoint();
    let vkey = std::fs::read_to_string(folder.path().join("log.vkey")).unwrap();
    let vkey = VerifierKey::parse(vkey.trim_end()).unwrap();
    let prover = Prover::load(folder.path()).unwrap();
    for entry in &all {
        let hashes = prover.inclusion(entry.index, size).unwrap();
        let proof = EntryProof::new(entry.index, hashes, &note);
        assert_eq!(proof.verify(&entry.bytes, &vkey).unwrap().size, size);
    }
    let named = all
        .iter()
        .any(|entry| entry.bytes.windows(5).any(|it| it == b"alice"));
    assert!(!named, "nobody is named in the clear");
}

#[tokio::test]
async fn a_person_is_read_back_from_wherever_the_call_came_and_without_a_token_too() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let keys = Arc::new(Keys::default());
    let privacy = Privacy::new(Arc::clone(&keys) as _);
    assert!(!format!("{privacy:?}").contains("alice"));
    let config = AuditConfig::builder(ledger.clone()).with_privacy(privacy);
    let layer = AuditLayer::new(config.build().unwrap());
    let service = layer.layer(service_fn(|request: Request<Full<Bytes>>| async move {
        let context = SecurityContext::of(request.extensions()).unwrap();
        let bare = Principal::builder(Scheme::Jwt, "https://issuer.example", "alice");
        context.set_principal(bare.assert_verified()).unwrap();
        ok("")
    }));
    let addresses = [Some("[2001:db8::7]:4000"), Some("192.0.2.7:4000"), None];
    for address in addresses {
        let mut request = get("/orders/1");
        request.extensions_mut().clear();
        if let Some(address) = address {
            let connection = Connection::from_remote(address.parse().unwrap());
            request.extensions_mut().insert(connection);
        }
        service.clone().oneshot(request).await.unwrap();
    }
    let KeyState::Present(key) = keys.request(&subject(), KeyRequest::Open).await.unwrap() else {
        panic!("a key");
    };
    end(&ledger, &folder).await;
    with_requests(&folder, |requests| {
        assert_eq!(requests.len(), addresses.len());
        for (request, address) in requests.iter().zip(addresses) {
            let person = open_person(ORIGIN, request, &key).unwrap();
            assert_eq!((&*person.subject, person.token_id), ("alice", None));
            let address: Option<SocketAddr> = address.map(|it| it.parse().unwrap());
            assert_eq!(person.address, address.map(|it| it.ip()));
        }
    });
}

#[tokio::test]
async fn a_request_that_ends_before_its_key_is_there_names_nobody() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let privacy = Privacy::new(Arc::new(Keys::default()));
    let config = AuditConfig::builder(ledger.clone()).with_privacy(privacy);
    let layer = AuditLayer::new(config.build().unwrap());
    let service = layer.layer(service_fn(|request: Request<Full<Bytes>>| async move {
        authenticate(&request);
        ok("")
    }));
    let mut call = Box::pin(service.oneshot(get("/orders/1")));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(
        call.as_mut().poll(&mut cx).is_pending(),
        "the key is asked for"
    );
    drop(call);
    end(&ledger, &folder).await;
    with_requests(&folder, |requests| {
        assert_eq!(requests[0].ending, Ending::Disconnected);
        assert_eq!(requests[0].subject, None);
        assert_eq!(requests[0].sealed.unwrap().ciphertext, b"");
    });
}
