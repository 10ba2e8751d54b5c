//! What the description says is what the layers do.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bartizan_audit::{AuditConfig, Ledger};
use bartizan_authz::PolicyFile;
use bartizan_core::{SystemClock, TrustedProxies};
use bartizan_jwt::{
    ClientAuthentication, Dpop, HttpsFetcher, Introspection, JwtConfig, MemoryReplayStore, Rules,
};
use bartizan_mtls::{MaterialFiles, MtlsListener, serve};
use bartizan_ratelimit::{Bans, IntakeRules, Policy, Rate, UploadRules};
use bartizan_source::Publisher;

use super::describe::{Kind, Need, tables};
use super::node::Node;
use super::reader::Reader;
use super::root::Root;
use super::setting::Setting;
use super::surroundings::Surroundings;
use super::{document::Config, listening, toml_text};

const NOWHERE: &str = "/nowhere";

/// Reads one value, and says what it is shown as.
fn read<T: Setting>(node: &Node) -> (T, Vec<super::reader::Shown>) {
    let mut reader = Reader::new(&|_| None, Path::new(NOWHERE), Root::description);
    let value = T::read(node, &mut reader);
    let (problems, shown, _) = reader.finish();
    assert!(problems.is_empty(), "{problems:?}");
    (value.unwrap(), shown)
}

/// A table that says no more than it must.
fn table<T: Setting>(text: &str) -> T {
    read(&toml_text::read(text).unwrap()).0
}

/// The same, with a secret in the environment.
#[allow(dead_code, reason = "some builds have nothing that takes one")]
fn secret_table<T: Setting>(text: &str, secret: &str) -> T {
    let environment = |_: &str| Some(secret.to_owned());
    let mut reader = Reader::new(&environment, Path::new(NOWHERE), Root::description);
    let value = T::read(&toml_text::read(text).unwrap(), &mut reader);
    let (problems, shown, _) = reader.finish();
    assert!(problems.is_empty(), "{problems:?}");
    assert!(!format!("{shown:?}").contains(secret), "{shown:?}");
    value.unwrap()
}

#[track_caller]
fn check(configured: impl Debug, by_itself: impl Debug) {
    assert_eq!(format!("{configured:?}"), format!("{by_itself:?}"));
}

#[test]
fn what_stands_in_front_of_everybody_is_by_default_as_the_layers_have_it() {
    let with = Surroundings::default();
    let intake: super::requests::Intake = table("");
    check(
        intake.rules().unwrap(),
        IntakeRules::builder().build().unwrap(),
    );
    let upload: super::requests::Upload = table("");
    check(
        upload.rules().unwrap(),
        UploadRules::builder().build().unwrap(),
    );
    let bans: super::requests::Bans = table("");
    check(
        bans.builder(&TrustedProxies::none(), &with),
        Bans::builder(),
    );
    let policy: super::limits::LimitPolicy = table("name = 'a'\nrate = '1/s'");
    check(policy.build(&with), Policy::new("a", Rate::per_second(1)));
}

#[test]
fn tokens_are_by_default_as_the_layer_has_it() {
    let with = Surroundings::default();
    let rules = || Rules::builder("https://a.example", "b").build().unwrap();
    let text = "issuer = [{ issuer = 'https://a.example', audiences = ['b'] }]";
    let tokens: super::tokens::Tokens = table(text);
    let remembered = tokens.remembered(None);
    let config = tokens.config(&with, &remembered).unwrap();
    check(config, JwtConfig::builder(rules()).build().unwrap());
    assert!(remembered.revocations.is_none());

    let fetch: super::issuer::Fetch = table("");
    check(fetch.builder(), HttpsFetcher::builder());
    let dpop: super::tokens::DpopEntry = table("origins = ['https://b.example']");
    let by_itself = Dpop::builder("https://b.example").build().unwrap();
    let store = MemoryReplayStore::new(dpop.replay_capacity);
    check(dpop.build(&Arc::new(store)).unwrap(), by_itself);

    // The secret is one of the environment.
    let url = "https://a.example/i";
    let text = format!("url = '{url}'\nclient_id = 'b'\nsecret = '${{SECRET}}'");
    let node = toml_text::read(&text).unwrap();
    let environment = |_: &str| Some("s".to_owned());
    let mut reader = Reader::new(&environment, Path::new(NOWHERE), Root::description);
    let entry = super::introspection::IntrospectionEntry::read(&node, &mut reader).unwrap();
    let secret = ClientAuthentication::basic("b", "s");
    let by_itself = Introspection::builder(rules(), url, secret);
    check(
        entry.build(rules(), &with).unwrap(),
        by_itself.build().unwrap(),
    );
}

#[test]
fn encryption_is_by_default_as_the_layer_has_it() {
    use bartizan_encrypt::{KeyBytes, KeyFile, Keyring, LocalKek};
    let with = Surroundings::default();
    let text = "application = 'a'\ncollection = 'b'\nkey_file = 'c'\nkek_env = 'D'\n\
                field = [{ path = '/e' }]";
    let encryption: super::encryption::Encryption = table(text);
    encryption.check(&with).unwrap();
    let path = std::env::temp_dir().join(format!("bartizan-keys-{}", std::process::id()));
    let kek = LocalKek::new(&KeyBytes::generate().unwrap());
    let file = KeyFile::create(&path, kek.clone()).unwrap();
    let _ = std::fs::remove_file(&path);
    let configured = encryption.keyring_builder(file.clone(), kek.clone(), &with);
    check(configured, Keyring::builder("a", file, kek));
}

#[test]
fn api_keys_are_by_default_as_the_layer_has_it() {
    use bartizan_apikey::ApiKeyConfig;
    let with = Surroundings::default();
    let keys: super::api_keys::ApiKeys = table("issuer = 'a'\nfile = 'b'");
    let by_itself = ApiKeyConfig::builder("a").with_key_file("/nowhere/b");
    check(keys.config(&with).unwrap(), by_itself.build().unwrap());
}

#[cfg(feature = "apikey-postgres")]
#[test]
fn a_database_of_api_keys_is_by_default_as_it_is() {
    use bartizan_apikey::PostgresKeys;
    let url = "postgresql://orders:hunter2@localhost/orders";
    let text = "url = '${SECRET}'\nallow_plaintext_loopback = true";
    let entry: super::api_key_database::ApiKeyDatabase = secret_table(text, url);
    let by_itself = PostgresKeys::builder(url).allow_plaintext_loopback();
    let store = entry.store(&Surroundings::default()).unwrap();
    check(store, by_itself.build().unwrap());
    assert_eq!(entry.deadline, Duration::from_secs(10));
    assert_eq!(entry.max_rows, 1_000_000);
}

#[tokio::test]
async fn the_listener_is_by_default_as_it_is() {
    let with = Surroundings::default();
    let text = "address = '127.0.0.1:0'\nchain = 'a'\nkey = 'b'\n\
                trust = [{ domain = 'example.org', bundle = 'c' }]\nserve = {}";
    let listener: super::listener::Listener = table(text);
    let path = |name: &str| Path::new(NOWHERE).join(name);
    let files = MaterialFiles::new(path("a"), path("b"));
    let files = files.with_bundle("example.org".parse().unwrap(), path("c"));
    check(listener.files(&with).unwrap(), files);

    let material = Publisher::new(Arc::new(SystemClock)).published();
    let builder = MtlsListener::builder(material.clone());
    check(listener.builder(material, &with), &builder);

    let served = serve(builder.bind("127.0.0.1:0").await.unwrap(), ());
    let by_itself = format!("{served:?}");
    let limited = listening::serving::limited(served, Some(&listener));
    assert_eq!(format!("{limited:?}"), by_itself);
}

#[test]
fn rules_and_the_audit_log_are_by_default_as_they_are() {
    let with = Surroundings::default();
    let rules: super::rules::Rules = table("file = 'a'");
    let by_itself = PolicyFile::new("/nowhere/a");
    check(rules.policy_file(Path::new("/nowhere/a"), &with), by_itself);

    let folder = std::env::temp_dir().join(format!("bartizan-defaults-{}", std::process::id()));
    let text = format!("folder = '{}'\norigin = 'a.example'", folder.display());
    let audit: super::audit::Audit = table(&text);
    check(
        audit.ledger_builder(&with),
        Ledger::builder(&folder, "a.example"),
    );
    let ledger = Ledger::builder(&folder, "a.example").with_segment_bytes(128 * 1024);
    let ledger = ledger.open().unwrap();
    check(
        audit.config_builder(ledger.clone()),
        AuditConfig::builder(ledger.clone()),
    );
    drop(ledger);
    let _ = std::fs::remove_dir_all(&folder);
}

#[cfg(feature = "redis")]
#[test]
fn a_store_is_by_default_as_it_is() {
    let text = "addresses = ['localhost:1']\nsecret = '${S}'\ninstances = 3";
    let node = toml_text::read(text).unwrap();
    let environment = |_: &str| Some("thirty-two bytes of real secrets".to_owned());
    let mut reader = Reader::new(&environment, Path::new(NOWHERE), Root::description);
    let redis = super::limits::Redis::read(&node, &mut reader).unwrap();
    check(redis.sharing(), bartizan_ratelimit::Sharing::among(3));
    assert_eq!(redis.namespace, "bartizan");
    assert_eq!(
        (redis.database, redis.connect_deadline),
        (0, Duration::from_secs(1))
    );
    assert!(redis.check(&Surroundings::default()).is_ok());
}

#[test]
fn every_default_is_written_as_it_is_shown() {
    fn shown(kind: &Kind, text: &'static str) -> Option<String> {
        let node = Node::literal(text);
        let shown = match kind {
            Kind::Bool => read::<bool>(&node).1,
            Kind::Count(..) => read::<u64>(&node).1,
            Kind::Size => read::<super::setting::Size>(&node).1,
            Kind::Span => read::<Duration>(&node).1,
            Kind::Text(..) => read::<String>(&node).1,
            Kind::Choice(words) => {
                assert!(words.iter().any(|(word, _)| *word == text), "{text}");
                assert_eq!(node.kind(), "a text", "{text}");
                return Some(text.to_owned());
            }
            _ => return None,
        };
        Some(shown.first()?.value.clone())
    }
    let mut seen = 0;
    for (path, _, table) in tables(Root::description()) {
        for field in table.fields {
            assert!(!field.about.trim().is_empty(), "{path}.{}", field.name);
            let about = field.about.trim();
            assert!(about.ends_with('.'), "{path}.{}: {about}", field.name);
            if let Need::Default(text) = field.need {
                assert_eq!(
                    shown(&field.kind, text).as_deref(),
                    Some(text),
                    "{}",
                    field.name
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn what_is_in_force_without_a_word_is_what_is_documented() {
    let text = "[bans]\n[intake]\n[upload]\n[deadline]\nlimit = '30s'\n[load]\nlimit = 10\n\
                [audit]\nfolder = 'a'\norigin = 'a'\n[exempt]\n[entrance]\n\
                [[tokens.issuer]]\nissuer = 'https://a.example'\naudiences = ['b']\nfetch = {}\n\
                [tokens.dpop]\norigins = ['https://b.example']\n\
                [[rules.rule]]\nname = 'all'\neffect = 'allow'\n\
                [[address_limit.policy]]\nname = 'a'\nrate = '1/s'\n[peers]\nallow = ['spiffe://a/b']";
    let config = Config::from_toml(text, NOWHERE).unwrap();
    let tables = tables(Root::description());
    let mut seen = 0;
    for entry in config.effective().entries() {
        if entry.line().is_some() {
            continue;
        }
        let (path, name) = entry.path().rsplit_once('.').unwrap_or(("", entry.path()));
        // The tables of a list are one table, and the limits are.
        let path = path.replace("[0]", "");
        let found = tables.iter().find(|(known, ..)| *known == path);
        let (_, _, table) = found.unwrap();
        let field = table.field(name).unwrap();
        assert_eq!(
            field.need,
            documented(entry.value(), field.need),
            "{}",
            entry.path()
        );
        seen += 1;
    }
    assert!(seen > 70, "{seen}");
}

/// The default that shows like this.
fn documented(value: &str, need: Need) -> Need {
    match need {
        Need::Default(text) if text == value => need,
        _ => Need::Required,
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_followed_says_so() {
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let observer = bartizan_core::observe_fn(move |event: &bartizan_core::Event<'_>| {
        if let bartizan_core::Event::Lifecycle(event) = event {
            heard.lock().unwrap().push(event.code().as_str().to_owned());
        }
    });
    let config = Config::from_toml("reload_interval = '0s'", NOWHERE).unwrap();
    let config = config.add_observer(Arc::new(observer));
    let built = config.build().await.unwrap();
    let file = Path::new(NOWHERE).to_owned();
    super::reload::follow(Arc::downgrade(&built.0), file).await;
    assert_eq!(*told.lock().unwrap(), ["config.not_followed"]);
}
