//! Responses that go on for longer than their key holds.

use std::time::Duration;

use bartizan_apikey::ApiKeyLayer;
use bartizan_core::{Clock as _, Enforcement};
use bartizan_testkit::{Answer, Call, Host};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::sources::Store;
use crate::support::{Town, started, with_header};

/// A stream that ends when somebody ends it.
fn open(layer: &ApiKeyLayer, town: &Town, host: Host) -> JoinHandle<Answer> {
    let layer = layer.clone();
    let call = with_header(Call::open_stream(2), "x-api-key", town.key.expose());
    tokio::spawn(async move { host.send(&layer, &call).await.unwrap() })
}

/// Time is paused: it passes as soon as nobody has anything to do.
async fn goes_on(stream: &mut JoinHandle<Answer>) {
    assert!(timeout(Duration::from_secs(60), stream).await.is_err());
}

#[track_caller]
fn was_cut(answer: &Answer, code: &str) {
    if answer.host.is_grpc() {
        assert_eq!(answer.grpc_status, Some(16), "{answer:?}");
        assert_eq!(answer.code().as_deref(), Some(code), "{answer:?}");
    } else {
        assert_eq!(answer.http_status, 200);
        assert!(answer.body_error.is_some(), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_its_key_expires() {
    for host in [Host::Hyper, Host::AxumLayer, Host::TonicRoutes] {
        let town = Town::new();
        let end = town.clock.wall() + Duration::from_secs(3600);
        let record = town.record().with_expires(end).build().unwrap();
        let layer = started(town.config_of([record]));
        let mut stream = open(&layer, &town, host);
        goes_on(&mut stream).await;
        town.clock.advance(Duration::from_secs(3600));
        was_cut(&stream.await.unwrap(), "apikey.expired");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_soon_after_its_key_is_revoked_or_removed() {
    for host in [Host::Hyper, Host::TonicRoutes] {
        for removed in [false, true] {
            let town = Town::new();
            let record = town.record().build().unwrap();
            let store = Store::with([record.clone()]);
            let config = store.config(&town.clock).build().unwrap();
            let layer = ApiKeyLayer::load(config).await.unwrap();
            let mut stream = open(&layer, &town, host);
            goes_on(&mut stream).await;
            let code = match removed {
                true => {
                    store.set(Vec::new());
                    "apikey.invalid"
                }
                false => {
                    store.set(vec![record.revoked_at(town.clock.wall())]);
                    "apikey.revoked"
                }
            };
            let answer = timeout(Duration::from_secs(11), stream).await.unwrap();
            was_cut(&answer.unwrap(), code);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_goes_on_where_that_was_chosen_and_in_shadow_mode() {
    let town = Town::new();
    let end = town.clock.wall() + Duration::from_secs(60);
    let record = || town.record().with_expires(end).build().unwrap();
    let config = || town.config_of([record()]);
    let layers = [
        started(config().allow_streams_past_expiry()),
        started(config().with_enforcement(Enforcement::Shadow)),
    ];
    for layer in layers {
        let mut stream = open(&layer, &town, Host::Hyper);
        // Let it begin before its key ends.
        sleep(Duration::from_secs(1)).await;
        town.clock.advance(Duration::from_secs(120));
        goes_on(&mut stream).await;
        stream.abort();
        town.clock.set_wall_back(Duration::from_secs(120));
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_ends_no_stream() {
    let town = Town::new();
    let store = Store::with([town.record().build().unwrap()]);
    let limit = Duration::from_secs(30);
    let config = store.config(&town.clock).with_stale_limit(limit);
    let layer = ApiKeyLayer::load(config.build().unwrap()).await.unwrap();
    let mut stream = open(&layer, &town, Host::Hyper);
    sleep(Duration::from_secs(1)).await;
    store.down(true);
    town.clock.advance(limit * 2);
    assert!(!layer.guard().is_ready());
    goes_on(&mut stream).await;
    stream.abort();
}
