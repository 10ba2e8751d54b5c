//! The layer with keys at hand, on every host.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_apikey::{
    ApiKeyConfig, ApiKeyConfigBuilder, ApiKeyLayer, ConfigError, KeyFormat, KeyRecord, NewKey,
    Pepper, Peppers,
};
use bartizan_core::{Clock as _, Connection, Enforcement, Event, SecurityContext, observe_fn};
use bartizan_testkit::{Call, Host};
use serde_json::json;

use crate::support::{
    STORE, Town, in_short, new_key, outcome, passed, refused, send, started, with_key,
};

#[tokio::test]
async fn a_good_key_passes_on_every_host_and_names_the_principal() {
    let town = Town::new();
    let layer = town.layer();
    let call = with_key(town.key.expose());
    for host in Host::WITHOUT_SOCKETS.into_iter().chain(Host::WITH_SOCKETS) {
        let answer = host.send(&layer, &call).await.unwrap();
        assert!(answer.is_success(), "{answer:?}");
        let context = &answer.json()["context"];
        assert_eq!(
            context["principal"],
            json!({
                "scheme": "api_key",
                "issuer": STORE,
                "subject": "reports",
                "client": "nightly",
                "scopes": ["orders:read"],
                "roles": ["reader"],
            }),
            "{host:?}"
        );
        let decision = &context["decisions"][0];
        assert_eq!(decision["layer"], "apikey");
        assert_eq!(decision["outcome"], "allowed");
        assert!(
            answer.json()["headers"].get("x-api-key").is_none(),
            "{host:?}"
        );
    }
}

#[tokio::test]
async fn absent_bad_and_uncheckable_are_three_outcomes_on_every_host() {
    let town = Town::new();
    let layer = town.layer();
    let file = "/no/such/file";
    let nowhere = ApiKeyConfig::builder(STORE).with_key_file(file);
    let unready = ApiKeyLayer::start(nowhere.build().unwrap()).unwrap();
    let good = with_key(town.key.expose());
    for host in Host::WITHOUT_SOCKETS.into_iter().chain(Host::WITH_SOCKETS) {
        for (layer, call, status, grpc, code) in [
            (&layer, &Call::echo(""), 401, 16, "apikey.missing"),
            (
                &layer,
                &with_key(new_key().expose()),
                401,
                16,
                "apikey.invalid",
            ),
            (&unready, &good, 503, 14, "apikey.keys_unavailable"),
            (&unready, &Call::echo(""), 401, 16, "apikey.missing"),
        ] {
            let answer = host.send(layer, call).await.unwrap();
            match host.is_grpc() {
                true => assert_eq!(answer.grpc_status, Some(grpc), "{answer:?}"),
                false => assert_eq!(answer.http_status, status, "{answer:?}"),
            }
            assert_eq!(answer.code().as_deref(), Some(code), "{host:?}");
            let challenge = answer.header("www-authenticate").is_some();
            assert_eq!(challenge, status == 401, "{answer:?}");
            let retry = answer.header("retry-after").is_some();
            assert_eq!(retry && !host.is_grpc(), status == 503 && !host.is_grpc());
        }
    }
}

#[tokio::test]
async fn keys_that_do_not_hold_are_refused_with_their_reason() {
    let town = Town::new();
    let hour = Duration::from_secs(3600);
    let now = town.clock.wall();
    let [expired, early, revoked, endless] = [new_key(), new_key(), new_key(), new_key()];
    let records = [
        town.record().with_expires(now + hour).build().unwrap(),
        town.record_of(&expired).with_expires(now).build().unwrap(),
        town.record_of(&early)
            .with_not_before(now + Duration::from_secs(1))
            .with_expires(now + hour)
            .build()
            .unwrap(),
        town.record_of(&revoked).build().unwrap().revoked_at(now),
        town.record_of(&endless).build().unwrap(),
    ];
    let config = town.config_of(records).require_max_lifetime(hour);
    let layer = started(config);
    let test = NewKey::generate(&KeyFormat::test()).unwrap();
    let good = town.key.expose();
    let wrong = with_secret_of(&town.key, &new_key());
    for (key, code) in [
        (expired.expose(), "apikey.expired"),
        (early.expose(), "apikey.not_yet_valid"),
        (revoked.expose(), "apikey.revoked"),
        (endless.expose(), "apikey.lifetime_too_long"),
        (test.expose(), "apikey.wrong_environment"),
        (new_key().expose(), "apikey.invalid"),
        (&wrong, "apikey.invalid"),
        (&mistyped(good), "apikey.mistyped"),
        (&good[..good.len() - 1], "apikey.malformed"),
        (&format!("{good}{good}"), "apikey.malformed"),
        (&good.to_uppercase(), "apikey.malformed"),
        ("hunter2", "apikey.malformed"),
        (&"a".repeat(9000), "apikey.malformed"),
    ] {
        let context = SecurityContext::new("/echo".parse().unwrap());
        let call = with_key(key).add_extension(context.clone());
        let answer = send(&layer, &call).await;
        assert_eq!(in_short(&answer), refused(401, code), "{key}");
        // Which key it was is recorded where its secret was proven, and nowhere else.
        let mut proven = [&expired, &early, &revoked, &endless].into_iter();
        let proven = proven.find(|proven| proven.expose() == key);
        let detail = proven.map(|proven| format!("key {}", proven.id()));
        assert_eq!(context.decisions()[0].detail(), detail.as_deref());
        assert_eq!(
            answer.header("www-authenticate"),
            Some(r#"ApiKey realm="orders-keys", header="x-api-key", error="invalid_key""#)
        );
    }
    assert_eq!(
        outcome(&layer, &town.key).await,
        passed(),
        "the control request"
    );
}

/// A key of one identifier with the secret of another, and the checksum that fits.
fn with_secret_of(one: &NewKey, other: &NewKey) -> String {
    let split = "brt_live_0123456789Ab_".len();
    let text = format!(
        "{}{}",
        &one.expose()[..split],
        &other.expose()[split..split + 43]
    );
    sealed(&text)
}

/// The checksum by the words of the documentation: CRC-32 in base 62.
fn sealed(text: &str) -> String {
    const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut crc = u32::MAX;
    for byte in text.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 * (crc & 1));
        }
    }
    let mut rest = !crc as usize;
    let mut digits = Vec::new();
    for _ in 0..6 {
        digits.push(char::from(DIGITS[rest % 62]));
        rest /= 62;
    }
    digits
        .iter()
        .rev()
        .fold(text.to_owned(), |mut text, digit| {
            text.push(*digit);
            text
        })
}

fn mistyped(key: &str) -> String {
    let place = "brt_live_0123456789Ab_".len();
    let other = if &key[place..=place] == "x" { "y" } else { "x" };
    format!("{}{other}{}", &key[..place], &key[place + 1..])
}

#[test]
fn checksums_are_as_documented() {
    let key = new_key();
    let key = key.expose();
    assert_eq!(sealed(&key[..key.len() - 6]), key);
}

#[tokio::test]
async fn a_key_is_used_from_its_networks_alone() {
    let town = Town::new();
    let networks = ["192.0.2.0/24".parse().unwrap()];
    let record = town.record().with_networks(networks).build().unwrap();
    let layer = started(town.config_of([record]));
    for (address, expected) in [
        (Some("192.0.2.7"), passed()),
        (
            Some("198.51.100.7"),
            refused(403, "apikey.address_not_allowed"),
        ),
        (Some("::ffff:192.0.2.7"), passed()),
        (None, refused(403, "apikey.address_not_allowed")),
    ] {
        let call = with_key(town.key.expose());
        let call = match address {
            Some(address) => {
                let remote = SocketAddr::new(address.parse().unwrap(), 4000);
                call.with_connection(Connection::from_remote(remote))
            }
            None => call,
        };
        assert_eq!(
            in_short(&send(&layer, &call).await),
            expected,
            "{address:?}"
        );
    }
}

#[tokio::test]
async fn a_key_expires_while_the_clock_moves() {
    let town = Town::new();
    let end = town.clock.wall() + Duration::from_secs(60);
    let layer = started(town.config_of([town.record().with_expires(end).build().unwrap()]));
    town.clock.advance(Duration::from_secs(59));
    assert_eq!(outcome(&layer, &town.key).await, passed());
    town.clock.advance(Duration::from_secs(1));
    assert_eq!(
        outcome(&layer, &town.key).await,
        refused(401, "apikey.expired")
    );
    town.clock.set_wall_back(Duration::from_secs(1));
    assert_eq!(outcome(&layer, &town.key).await, passed());
}

#[tokio::test]
async fn a_rotation_loses_no_request() {
    let town = Town::new();
    let old = town.record().build().unwrap();
    let new = new_key();
    let overlap = Duration::from_secs(600);
    let rotation = old
        .rotated(&new, &Peppers::none(), town.clock.wall(), overlap)
        .unwrap();
    let layer = started(town.config_of([rotation.old, rotation.new]));
    let both = |at: &'static str, old, new_is| {
        let (layer, town, new) = (&layer, &town, &new);
        async move {
            assert_eq!(outcome(layer, &town.key).await, old, "{at}");
            assert_eq!(outcome(layer, new).await, new_is, "{at}");
        }
    };
    both("at once", passed(), passed()).await;
    town.clock.advance(overlap - Duration::from_secs(1));
    both("to the end", passed(), passed()).await;
    town.clock.advance(Duration::from_secs(1));
    both("after that", refused(401, "apikey.expired"), passed()).await;
}

#[tokio::test]
async fn renders_grpc_rejection() {
    let layer = Town::new().layer();
    let call = with_key(new_key().expose());
    let answer = Host::TonicRoutes.send(&layer, &call).await.unwrap();
    assert_eq!(answer.http_status, 200);
    assert_eq!(answer.grpc_status, Some(16));
    assert_eq!(answer.ended_with_headers, Some(true));
    assert_eq!(answer.code().as_deref(), Some("apikey.invalid"));
    assert_eq!(
        answer.grpc_message.as_deref(),
        Some("the API key is not valid")
    );
    assert!(
        answer
            .header("www-authenticate")
            .unwrap()
            .starts_with("ApiKey ")
    );
}

#[tokio::test]
async fn shadow_mode_lets_pass_and_records() {
    let town = Town::new();
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&events);
    let observer = observe_fn(move |event| {
        if let Event::Decision(decision) = event {
            let code = decision.code().map(|code| code.as_str());
            sink.lock()
                .unwrap()
                .push((decision.outcome().as_str(), code));
        }
    });
    let config = town
        .config()
        .with_enforcement(Enforcement::Shadow)
        .with_observer(Arc::new(observer));
    let layer = started(config);
    let leaked = Call::echo("").with_http_path(format!("/echo?k={}", town.key.expose()));
    for (call, code) in [
        (Call::echo(""), "apikey.missing"),
        (with_key(new_key().expose()), "apikey.invalid"),
        (leaked, "apikey.in_url"),
    ] {
        let answer = send(&layer, &call).await;
        assert!(answer.is_success(), "{answer:?}");
        let context = &answer.json()["context"];
        assert!(context["principal"].is_null(), "a refused key names nobody");
        assert_eq!(context["decisions"][0]["outcome"], "would_have_denied");
        assert_eq!(context["decisions"][0]["code"], code);
    }
    let answer = send(&layer, &with_key(town.key.expose())).await.json();
    assert_eq!(answer["context"]["principal"]["subject"], "reports");
    assert!(
        answer["headers"].get("x-api-key").is_some(),
        "whoever decides as yet still finds it"
    );
    assert_eq!(
        *events.lock().unwrap(),
        [
            ("would_have_denied", Some("apikey.missing")),
            ("would_have_denied", Some("apikey.invalid")),
            ("would_have_denied", Some("apikey.in_url")),
            ("allowed", None),
        ]
    );
}

#[tokio::test]
async fn rejects_when_unconfigured() {
    let nowhere = ApiKeyConfig::builder(STORE).build();
    assert!(matches!(nowhere, Err(ConfigError::NoKeys)));
    // A store without keys is nobody's permission.
    let town = Town::new();
    let empty = started(town.config_of([]));
    for host in Host::WITHOUT_SOCKETS {
        let call = with_key(town.key.expose());
        let answer = host.send(&empty, &call).await.unwrap();
        assert_eq!(answer.code().as_deref(), Some("apikey.invalid"), "{host:?}");
        let answer = host.send(&empty, &Call::echo("")).await.unwrap();
        assert_eq!(answer.code().as_deref(), Some("apikey.missing"), "{host:?}");
    }
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let town = Town::new();
    let refused = |config: ApiKeyConfigBuilder| config.build().unwrap_err().to_string();
    let config = || town.config();
    let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
    assert!(refused(ApiKeyConfig::builder("").with_keys([])).contains("name of a store"));
    assert!(refused(ApiKeyConfig::builder("a\nb").with_keys([])).contains("name of a store"));
    assert!(refused(config().with_max_keys(0)).contains("the most keys is 0"));
    assert!(refused(config().with_patience(second * 31)).contains("patience"));
    assert!(refused(config().with_key_lifetime(Duration::ZERO)).contains("key lifetime"));
    assert!(refused(config().with_stale_limit(second)).contains("stale limit"));
    assert!(refused(config().with_cool_down(day * 2)).contains("cool-down"));
    assert!(refused(config().with_uses_interval(Duration::ZERO)).contains("interval of uses"));
    assert!(refused(config().require_max_lifetime(Duration::ZERO)).contains("most lifetime"));
    let pepper = Peppers::new(Pepper::new("a", &[1; 32]).unwrap());
    let unknown = refused(config().with_peppers(pepper));
    assert!(unknown.contains(town.key.id().as_str()), "{unknown}");

    let records = vec![town.record().build().unwrap(); 2];
    let twice = ApiKeyLayer::start(town.config_of(records).build().unwrap());
    assert!(matches!(twice, Err(ConfigError::InvalidKeys(text)) if text.contains("twice")));
    let two = [new_key(), new_key()].map(|key| town.record_of(&key).build().unwrap());
    let many = town.config_of(two).with_max_keys(1).build().unwrap();
    assert!(matches!(
        ApiKeyLayer::start(many),
        Err(ConfigError::InvalidKeys(_))
    ));
}

#[test]
fn starting_without_a_runtime_is_an_error_where_keys_are_read() {
    let config = ApiKeyConfig::builder(STORE).with_key_file("/no/such/file");
    let started = ApiKeyLayer::start(config.build().unwrap());
    assert!(matches!(started, Err(ConfigError::KeysNotLoaded(_))));
}

#[tokio::test]
async fn a_pepper_takes_turns_without_a_lost_request() {
    let town = Town::new();
    let pepper = |name: &str, byte| Pepper::new(name, &[byte; 32]).unwrap();
    let old = Peppers::new(pepper("2026", 1));
    let both = Peppers::new(pepper("2027", 2)).add_previous(pepper("2026", 1));
    let now = town.clock.wall();
    let new_one = new_key();
    let records = [
        KeyRecord::builder(&town.key, &old, "reports", now)
            .build()
            .unwrap(),
        KeyRecord::builder(&new_one, &both, "reports", now)
            .build()
            .unwrap(),
    ];
    let layer = started(town.config_of(records).with_peppers(both));
    assert_eq!(outcome(&layer, &town.key).await, passed());
    assert_eq!(outcome(&layer, &new_one).await, passed());
}
