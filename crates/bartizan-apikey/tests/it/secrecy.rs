//! No key leaves through what is printed, observed or sent.

use bartizan_apikey::{ApiKeyLayer, KeyRecord, NewKey, Pepper, Peppers};
use bartizan_core::{Clock as _, Enforcement};
use bartizan_testkit::{Call, Host};

use crate::support::{Town, new_key, observer, with_header, with_key};

/// Where the secret of a key begins.
const SECRET: usize = "brt_live_0123456789Ab_".len();

#[tokio::test]
async fn nothing_that_is_printed_observed_or_sent_holds_a_key() {
    let town = Town::new();
    let (observer, observed) = observer();
    let pepper = *b"a pepper of thirty-two bytes, ok";
    let peppers = Peppers::new(Pepper::new("a", &pepper).unwrap());
    let [revoked, unknown] = [new_key(), new_key()];
    let now = town.clock.wall();
    let of = |key: &NewKey| KeyRecord::builder(key, &peppers, "reports", now);
    let records = [
        of(&town.key).build().unwrap(),
        of(&revoked).build().unwrap().revoked_at(now),
    ];
    let hashes = records.clone().map(|record| record.hash().to_string());
    let mut output = format!("{records:?} {peppers:?} {:?} {:?}", town.key, of(&town.key));
    let config = town
        .config_of(records)
        .with_peppers(peppers)
        .with_observer(observer);
    let mistyped = format!("{}x", revoked.expose());
    for enforcement in [Enforcement::Enforce, Enforcement::Shadow] {
        let config = config.clone().with_enforcement(enforcement);
        output += &format!("{config:?}");
        let config = config.build().unwrap();
        output += &format!("{config:?}");
        let layer = ApiKeyLayer::start(config).unwrap();
        output += &format!("{layer:?} {:?}", layer.guard());
        for key in [
            town.key.expose(),
            revoked.expose(),
            unknown.expose(),
            &mistyped,
        ] {
            let scheme = format!("ApiKey {key}");
            for call in [
                with_key(key),
                with_header(Call::echo(""), "authorization", &scheme),
            ] {
                for host in Host::WITHOUT_SOCKETS {
                    let answer = host.send(&layer, &call).await.unwrap();
                    output += &format!("{answer:?}");
                    assert!(!answer.body.is_empty() || answer.grpc_status.is_some());
                }
            }
        }
    }
    output += &observed.lock().unwrap().join("\n");
    for outcome in ["Allowed", "Denied", "WouldHaveDenied"] {
        assert!(output.contains(outcome), "{outcome} was observed");
    }
    for hidden in [town.key.expose(), revoked.expose(), unknown.expose()] {
        assert!(!output.contains(&hidden[SECRET..SECRET + 43]), "{hidden}");
    }
    for hidden in hashes {
        assert!(!output.contains(&hidden[5..]), "{hidden}");
    }
    assert!(!output.contains("thirty-two"));
    assert!(!output.contains(&format!("{:?}", &pepper[..4])[1..10]));
    assert!(
        !output.contains(unknown.id().as_str()),
        "what is only claimed is not told"
    );
    assert!(output.contains(revoked.id().as_str()));
}
