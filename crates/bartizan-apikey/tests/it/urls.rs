//! Keys in URLs.

use std::net::SocketAddr;

use bartizan_apikey::{KeyFormat, NewKey};
use bartizan_core::Connection;
use bartizan_testkit::{Call, Host};

use crate::support::{
    Town, count, in_short, new_key, observer, passed, refused, send, started, with_header, with_key,
};

fn at(path: &str) -> Call {
    let remote = SocketAddr::new("192.0.2.7".parse().unwrap(), 4000);
    let connection = Connection::from_remote(remote);
    Call::echo("")
        .with_http_path(path)
        .with_connection(connection)
}

#[tokio::test]
async fn a_key_in_the_url_is_refused_and_its_owner_is_told_to_revoke_it() {
    let town = Town::new();
    let (observer, observed) = observer();
    let layer = started(town.config().with_observer(observer));
    let key = town.key.expose();
    for path in [
        format!("/echo?api_key={key}"),
        format!("/echo?a=b&x={}", key.replace('_', "%5f")),
        format!("/echo/{key}"),
    ] {
        for host in [
            Host::Hyper,
            Host::AxumLayer,
            Host::AxumNest,
            Host::AxumServe,
        ] {
            // Where the path leads nowhere, nobody is asked.
            if host == Host::AxumNest && !path.contains('?') {
                continue;
            }
            // A good key beside it does not help.
            let call = with_header(at(&path), "x-api-key", key);
            let answer = host.send(&layer, &call).await.unwrap();
            assert_eq!(
                in_short(&answer),
                refused(400, "apikey.in_url"),
                "{host:?} {path}"
            );
            assert!(answer.text().contains("must be revoked"), "{answer:?}");
            assert!(!answer.text().contains(key), "it is not repeated");
        }
    }
    assert_eq!(count(&observed, "apikey.key_leaked"), 11);
    let events = observed.lock().unwrap().join("\n");
    assert!(
        events.contains(town.key.id().as_str()),
        "operators see which"
    );
    assert!(events.contains("192.0.2.7"));
    assert!(!events.contains(&key[22..]));
}

#[tokio::test]
async fn nobody_is_accused_of_losing_a_key_that_was_only_named() {
    let town = Town::new();
    let (observer, observed) = observer();
    let layer = started(town.config().with_observer(observer));
    let key = town.key.expose();
    let mistyped = format!("{}0{}", &key[..22], &key[23..]);
    let test = NewKey::generate(&KeyFormat::test()).unwrap();
    for key in [new_key().expose(), &mistyped, test.expose()] {
        let answer = send(&layer, &at(&format!("/echo?k={key}"))).await;
        assert_eq!(in_short(&answer), refused(400, "apikey.in_url"));
    }
    // Unless chance had it that the mistyped one is the key itself.
    assert_eq!(
        count(&observed, "apikey.key_leaked"),
        usize::from(mistyped == key)
    );
}

#[tokio::test]
async fn other_urls_are_none_of_our_business() {
    let town = Town::new();
    let layer = town.layer();
    for path in [
        "/echo?api_key=hunter2",
        "/echo?next=%2Forders%3Fbrt_live",
        "/echo?x=brt_live_0123456789Ab_short",
        "/echo?%",
    ] {
        let call = with_header(
            Call::echo("").with_http_path(path),
            "x-api-key",
            town.key.expose(),
        );
        assert_eq!(in_short(&send(&layer, &call).await), passed(), "{path}");
    }
    assert_eq!(
        in_short(&send(&layer, &with_key(town.key.expose())).await),
        passed()
    );
}
