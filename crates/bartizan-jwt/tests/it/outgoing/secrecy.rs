//! No token and no secret leaves through what is printed or observed.

use std::sync::{Arc, Mutex};

use bartizan_core::{Event, Protocol, Rejection, observe_fn};
use bartizan_jwt::{OutgoingConfig, OutgoingError, OutgoingLayer, TokenRequest};
use bartizan_testkit::{Endpoint, Fault};
use bytes::Bytes;
use tower::{Layer as _, ServiceExt as _};

use super::{Bench, PAYMENTS, Payments, SECRET, bearer, call, call_for};

#[tokio::test]
async fn nothing_that_is_printed_or_observed_holds_a_token_or_secret() {
    let bench = Bench::new().await;
    let output = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&output);
    let print = move |text: &str| sink.lock().unwrap().push_str(text);
    let observed = print.clone();
    let observer = Arc::new(observe_fn(move |event: &Event<'_>| {
        observed(&format!("{event:?}"))
    }));
    let caller = bench.caller_named("alice").await;
    print(&format!("{caller:?}"));
    let mut secrets = vec![bench.token_of("alice"), SECRET.to_owned()];
    let request = || {
        let request = TokenRequest::new(bench.endpoint(super::basic())).add_audience(PAYMENTS);
        request.with_scopes(["payments:create"])
    };
    let builders = [
        OutgoingConfig::forward(),
        OutgoingConfig::client_credentials(request()),
        OutgoingConfig::exchange(request()),
        OutgoingConfig::exchange_as_actor(request(), request()),
    ];
    for builder in builders {
        let builder = builder
            .add_destination(PAYMENTS)
            .with_clock(Arc::new(bench.online.clock.clone()))
            .with_observer(observer.clone());
        print(&format!("{builder:?}"));
        let config = builder.build().unwrap();
        print(&format!("{config:?}"));
        let layer = OutgoingLayer::new(config);
        let service = Payments::default().behind(&layer);
        let seen = service
            .clone()
            .oneshot(call_for(&caller))
            .await
            .unwrap()
            .into_body();
        secrets.push(bearer(&seen));
        print(&format!(
            "{layer:?} {:?} {:?}",
            seen.headers(),
            layer.layer(())
        ));
        bench
            .online
            .clock
            .advance(std::time::Duration::from_secs(1));
        for fault in [
            Fault::Status(500),
            Fault::Html,
            Fault::Body(Bytes::from_static(b"{\"access_token\":\"leak ed\"}")),
        ] {
            bench.online.issuer.set_fault(Endpoint::Token, fault);
            let again = OutgoingLayer::new(
                OutgoingConfig::exchange(request())
                    .add_destination(PAYMENTS)
                    .with_observer(observer.clone())
                    .with_clock(Arc::new(bench.online.clock.clone()))
                    .build()
                    .unwrap(),
            );
            let refused = Payments::default()
                .behind(&again)
                .oneshot(call_for(&caller))
                .await;
            let Err(OutgoingError::Token(error)) = refused else {
                panic!()
            };
            print(&format!("{error:?} {error} {again:?}"));
            let rejection = Rejection::from(error);
            print(&format!("{rejection:?}"));
            let response = rejection.into_response(Protocol::Http);
            print(&format!("{:?} {:?}", response.headers(), response.body()));
        }
        bench.online.issuer.clear_fault(Endpoint::Token);
    }
    let refused = Payments::default()
        .behind(&bench.exchanging())
        .oneshot(call())
        .await;
    print(&format!("{:?}", refused.err()));
    let output = output.lock().unwrap();
    assert!(
        output.contains("alice") && output.contains("orders"),
        "something was printed"
    );
    assert!(
        output.contains("outgoing.unavailable"),
        "something was observed"
    );
    for secret in &secrets {
        for part in secret.split('.') {
            assert!(!output.contains(part), "{part}");
        }
    }
    assert!(!output.contains("leak ed"));
}
