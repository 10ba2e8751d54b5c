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
    let upload: super::upload::Upload = table("");
    check(
        upload.rules().unwrap(),
        UploadRules::builder().build().unwrap(),
    );
    let route: super::upload::UploadRoute = table("templates = ['/a']");
    check(
        route.rules().unwrap(),
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
    check(listener.builder(material.clone(), &with), &builder);
    let hour = Duration::from_secs(3600);
    let aging: super::listener::Listener = table(&format!("max_connection_age = '1h'\n{text}"));
    let by_itself = MtlsListener::builder(material.clone()).with_max_connection_age(hour);
    check(aging.builder(material, &with), by_itself);

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

#[cfg(feature = "workload-api")]
#[test]
fn the_workload_api_is_asked_by_default_as_it_is() {
    use bartizan_mtls::WorkloadApi;
    use bartizan_source::Backoff;
    let with = Surroundings::default();
    let endpoint = "unix:///nowhere/agent.sock";
    let text = format!(
        "address = '127.0.0.1:0'\nidentity = 'workload_api'\nworkload_api = '{endpoint}'\n"
    );
    let listener: super::listener::Listener = table(&text);
    let by_itself = || WorkloadApi::new(endpoint).unwrap();
    check(listener.workload(&with).unwrap(), by_itself());
    let pauses = "workload_api_first_pause = '1s'\nworkload_api_longest_pause = '5min'";
    let listener: super::listener::Listener = table(&format!("{text}{pauses}"));
    let slower = Backoff::new(Duration::from_secs(1), Duration::from_secs(300));
    let by_itself = by_itself().with_backoff(slower);
    check(listener.workload(&with).unwrap(), by_itself);
    let hurried = "workload_api_first_pause = '9ms'";
    let listener: super::listener::Listener = table(&format!("{text}{hurried}"));
    let error = listener.check().unwrap_err().to_string();
    assert!(error.contains("is less than 10ms"), "{error}");
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
    super::follow::follow(Arc::downgrade(&built.0), file).await;
    assert_eq!(*told.lock().unwrap(), ["config.not_followed"]);
}

/// The settings that builders have in the source of a crate, as `Kind::method`.
fn settings_of(folder: &Path, found: &mut std::collections::BTreeSet<String>) {
    const VERBS: [&str; 9] = [
        "add_",
        "allow_",
        "create_",
        "dangerous_",
        "insecure_",
        "on_",
        "require_",
        "trust_",
        "with_",
    ];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() && name != "tests" {
            settings_of(&path, found);
        }
        if !name.ends_with(".rs") || name == "tests.rs" || name == "fuzzing.rs" {
            continue;
        }
        let mut kind = None;
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            if line.starts_with("impl") {
                let rest = line.trim_start_matches("impl").trim_start();
                // Behind the parameters of the impl, if it has some.
                let rest = rest.split_once("> ").map_or(rest, |(parameters, behind)| {
                    if parameters.starts_with('<') {
                        behind
                    } else {
                        rest
                    }
                });
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric());
                let own = !line.contains(" for ");
                kind = own.then(|| rest[..end.unwrap_or(rest.len())].to_owned());
            }
            let function = line.strip_prefix("    pub fn ");
            let function = function.or_else(|| line.strip_prefix("    pub const fn "));
            let (Some(function), Some(kind)) = (function, &kind) else {
                continue;
            };
            let (method, rest) = function.split_at(function.find(['(', '<']).unwrap());
            let rest = match rest.strip_prefix('(') {
                Some(rest) => rest,
                None => rest.split_once(">(").map_or("", |(_, rest)| rest),
            };
            let is_builder =
                rest.is_empty() || rest.starts_with("mut self") || rest.starts_with("self");
            if is_builder && VERBS.iter().any(|verb| method.starts_with(verb)) {
                found.insert(format!("{kind}::{method}"));
            }
        }
    }
}

#[test]
fn every_setting_of_the_family_is_in_the_file_or_says_why_not() {
    use super::options::{reasons, settings};
    let listed = settings();
    let mut options: Vec<String> = Vec::new();
    for (path, _, table) in tables(Root::description()) {
        let dot = if path.is_empty() { "" } else { "." };
        options.extend(
            table
                .fields
                .iter()
                .map(|it| format!("{path}{dot}{}", it.name)),
        );
    }
    let reasons: Vec<_> = reasons().map(|(name, _)| name).collect();
    for it in &listed {
        match it.reason() {
            Some(reason) => assert!(reasons.contains(&reason), "{it:?}"),
            None => {
                for option in it.place.split(',') {
                    assert!(
                        options.iter().any(|known| known == option),
                        "{it:?} {option}"
                    );
                }
            }
        }
    }
    for reason in reasons {
        assert!(
            listed.iter().any(|it| it.reason() == Some(reason)),
            "{reason}"
        );
    }
    let family = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut seen = 0;
    for name in [
        "apikey",
        "audit",
        "authz",
        "encrypt",
        "jwt",
        "mtls",
        "ratelimit",
        "telemetry",
    ] {
        let source = family.join(format!("bartizan-{name}/src"));
        // A package on its own has no family beside it.
        if !source.is_dir() {
            continue;
        }
        let mut found = std::collections::BTreeSet::new();
        settings_of(&source, &mut found);
        let of = listed.iter().filter(|it| it.crate_name == name);
        let listed: Vec<_> = of.map(|it| format!("{}::{}", it.kind, it.method)).collect();
        let told: std::collections::BTreeSet<_> = listed.iter().cloned().collect();
        assert_eq!(
            told.len(),
            listed.len(),
            "bartizan-{name}: something is listed twice"
        );
        let lacking: Vec<_> = found.difference(&told).collect();
        assert!(
            lacking.is_empty(),
            "bartizan-{name}: put these into the file, or into src/config/options.txt: {lacking:?}"
        );
        let gone: Vec<_> = told.difference(&found).collect();
        assert!(
            gone.is_empty(),
            "bartizan-{name}: these are no settings any more: {gone:?}"
        );
        seen += found.len();
    }
    assert!(seen == 0 || seen > 400, "{seen}");
}

#[test]
fn a_delivery_is_by_default_as_it_is() {
    let sink: super::sink::AuditSink = table("name = 'a'\nstdout = true");
    let audit: super::audit::Audit = table("folder = 'a'\norigin = 'b'");
    let lines = || {
        let renderer = bartizan_audit::Renderer::new(bartizan_audit::Format::Json, "b");
        bartizan_audit::Blocking::new(bartizan_audit::LineSink::new(renderer, std::io::sink()))
    };
    let by_itself = bartizan_audit::Delivery::builder(&audit.folder, "a", lines());
    let configured = sink.builder(&audit, &Surroundings::default(), lines());
    check(configured, by_itself);
}

#[cfg(feature = "telemetry")]
#[test]
fn telemetry_is_bounded_by_default_as_it_is() {
    let telemetry: super::telemetry::Telemetry = table("");
    check(telemetry.limits(), bartizan_telemetry::Limits::new());
}

#[cfg(feature = "aws-kms")]
#[test]
fn a_key_of_kms_is_by_default_as_it_is() {
    let with = Surroundings::default();
    let arn = "arn:aws:kms:eu-west-1:1:key/a";
    let entry: super::key_service::AwsKmsEntry = table(&format!("key = '{arn}'"));
    check(
        entry.builder(&with).unwrap(),
        bartizan_encrypt::AwsKms::builder(arn),
    );
    let more = "region = 'eu-west-2'\nendpoint = 'https://kms.internal'\n\
                context = [{ name = 'a', value = 'b' }]\ndeadline = '1s'";
    let entry: super::key_service::AwsKmsEntry = table(&format!("key = '{arn}'\n{more}"));
    let by_itself = bartizan_encrypt::AwsKms::builder(arn)
        .with_region("eu-west-2")
        .with_endpoint("https://kms.internal")
        .add_context("a", "b")
        .with_deadline(Duration::from_secs(1));
    check(entry.builder(&with).unwrap(), by_itself);
    let role = "credentials = 'web_identity'\nrole = 'arn:aws:iam::1:role/a'\ntoken_file = 'b'";
    let entry: super::key_service::AwsKmsEntry = table(&format!("key = '{arn}'\n{role}"));
    let identity =
        bartizan_encrypt::AwsWebIdentity::new("arn:aws:iam::1:role/a", "/nowhere/b", "eu-west-1");
    let by_itself = bartizan_encrypt::AwsKms::builder(arn).with_credentials(identity.unwrap());
    check(entry.builder(&with).unwrap(), by_itself);
}

#[cfg(feature = "vault")]
#[test]
fn a_key_of_vault_is_by_default_as_it_is() {
    use bartizan_encrypt::{VaultAuth, VaultTransit};
    let with = Surroundings::default();
    let url = "https://vault.internal:8200";
    let begin = || VaultTransit::builder(url, "k");
    let head = format!("url = '{url}'\nkey = 'k'\n");
    let of = |options: &str| -> super::key_service::VaultEntry {
        secret_table(&format!("{head}{options}"), "hunter2")
    };
    for (options, by_itself) in [
        (
            "token = '${T}'",
            begin().with_auth(VaultAuth::token("hunter2")),
        ),
        (
            "token_file = 't'",
            begin().with_auth(VaultAuth::token_file("/nowhere/t")),
        ),
        (
            "app_role = 'r'\nsecret_id = '${S}'\nauth_mount = 'm'",
            begin().with_auth(VaultAuth::app_role("r", "hunter2").with_mount("m")),
        ),
        (
            "kubernetes_role = 'r'\nmount = 'm'\nnamespace = 'n'\nderived_context = true",
            begin()
                .with_mount("m")
                .with_auth(VaultAuth::kubernetes("r"))
                .with_namespace("n")
                .with_derived_context(),
        ),
    ] {
        check(of(options).builder(&with).unwrap(), by_itself);
    }
    for options in [
        "",
        "token = '${T}'\ntoken_file = 't'",
        "app_role = 'r'",
        "secret_id = '${S}'",
    ] {
        let error = of(options).builder(&with).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
