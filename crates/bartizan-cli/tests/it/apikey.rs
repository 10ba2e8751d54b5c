//! `bartizan apikey`, on a file.

use std::process::{Command, Stdio};
use std::task::{Context, Poll};

use bartizan::apikey::{ApiKeyConfig, ApiKeyLayer, KeyFile, KeyFormat, Pepper, Peppers, UsesFile};
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Folder, Said, mode};

fn run(folder: &Folder, arguments: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bartizan"));
    command.arg("apikey").args(arguments);
    command.current_dir(folder.path("."));
    command.env_remove("BARTIZAN_APIKEYS").stdin(Stdio::null());
    let output = command.output().unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn on_file(folder: &Folder, arguments: &[&str]) -> Said {
    run(folder, &[&["--file", "keys.json"], arguments].concat())
}

fn done(folder: &Folder, arguments: &[&str]) -> String {
    let said = on_file(folder, arguments);
    assert_eq!(said.code, Some(0), "{said:?}");
    said.out
}

fn json(folder: &Folder, arguments: &[&str]) -> Value {
    serde_json::from_str(&done(folder, &[&["--json"], arguments].concat())).unwrap()
}

#[track_caller]
fn refused(said: &Said, because: &str) {
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.is_empty(), "{said:?}");
    assert!(said.err.contains(because), "{said:?}");
}

fn made(name: &str) -> Folder {
    let folder = Folder::new(name);
    assert_eq!(done(&folder, &["init"]), "made keys.json\n");
    folder
}

const REPORTS: [&str; 9] = [
    "create",
    "--subject",
    "reports",
    "--client",
    "nightly",
    "--scope",
    "orders:read",
    "--expires-in",
    "90d",
];

/// The status that a service with these keys answers a request with.
fn status(folder: &Folder, key: &str, peppers: Peppers) -> u16 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let config = ApiKeyConfig::builder("orders-keys")
            .with_key_file(folder.path("keys.json"))
            .with_peppers(peppers);
        let layer = ApiKeyLayer::load(config.build().unwrap()).await.unwrap();
        let service = layer.layer(service_fn(async |_: http::Request<()>| {
            Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
        }));
        let request = http::Request::get("/")
            .header("x-api-key", key)
            .body(())
            .unwrap();
        service.oneshot(request).await.unwrap().status().as_u16()
    })
}

#[test]
fn a_key_is_printed_once_and_opens_the_service() {
    let folder = made("apikey-create");
    assert_eq!(mode(&folder.path("keys.json")), 0o600);
    let said = on_file(&folder, &REPORTS);
    assert_eq!(said.code, Some(0), "{said:?}");
    let key = said.out.trim_end();
    assert!(
        KeyFormat::live().is_key(key),
        "nothing but the key, for scripts: {said:?}"
    );
    assert!(said.err.contains("shown this once") && !said.err.contains(key));
    assert_eq!(status(&folder, key, Peppers::none()), 200);
    let stored = std::fs::read_to_string(folder.path("keys.json")).unwrap();
    assert!(!stored.contains(&key[22..]));

    let second = json(&folder, &REPORTS);
    let key = second["key"].as_str().unwrap();
    assert_eq!(status(&folder, key, Peppers::none()), 200);
    assert!(key.contains(second["id"].as_str().unwrap()));
    let record = &KeyFile::new(folder.path("keys.json")).read().unwrap()[1];
    let expires = record.expires().unwrap();
    assert_eq!(second["expires"], expires.unix_seconds());
    assert_eq!(
        expires.saturating_since(record.created()).as_secs(),
        90 * 86_400
    );
    assert_eq!(record.client(), Some("nightly"));
    assert!(record.scopes().eq(["orders:read"]));
}

#[test]
fn a_list_shows_everything_but_keys() {
    let folder = made("apikey-list");
    let key = done(&folder, &REPORTS);
    let more = [
        "create",
        "--subject",
        "a\u{301} b",
        "--name",
        "the report",
        "--tenant",
        "acme",
        "--role",
        "reader",
        "--network",
        "10.0.0.0/8",
        "--never-expires",
        "--not-before",
        "1d",
    ];
    done(&folder, &more);
    let listed = json(&folder, &["list"]);
    // Keys of one second are in the order of their names.
    let of = |subject: &str| {
        let mut keys = listed["keys"].as_array().unwrap().iter();
        keys.find(|key| key["subject"] == subject).unwrap()
    };
    let (first, second) = (of("reports"), of("a\u{301} b"));
    assert_eq!(first["state"], "live");
    assert_eq!(first["scopes"][0], "orders:read");
    assert_eq!(
        (&second["state"], &second["tenant"]),
        (&"not_yet_valid".into(), &"acme".into())
    );
    assert_eq!(
        (&second["networks"][0], &second["roles"][0]),
        (&"10.0.0.0/8".into(), &"reader".into())
    );
    assert!(second["expires"].is_null());
    let table = done(&folder, &["list"]);
    assert!(table.starts_with("KEY "), "{table}");
    assert_eq!(table.lines().count(), 3);
    for text in [table, listed.to_string()] {
        assert!(
            !text.contains(&key[22..65]) && !text.contains("v1."),
            "{text}"
        );
    }
    let id = first["id"].as_str().unwrap();
    let uses = format!("{{\"{id}\": 1800000000}}");
    std::fs::write(folder.path("uses.json"), uses).unwrap();
    assert_eq!(
        UsesFile::new(folder.path("uses.json"))
            .read()
            .unwrap()
            .count(),
        1
    );
    let listed = done(&folder, &["--uses-file", "uses.json", "list"]);
    assert!(listed.contains("2027-01-15 08:00Z"), "{listed}");
}

#[test]
fn a_revoked_key_opens_nothing_and_is_listed_where_that_is_asked() {
    let folder = made("apikey-revoke");
    let made = json(&folder, &REPORTS);
    let (key, id) = (made["key"].as_str().unwrap(), made["id"].as_str().unwrap());
    assert_eq!(
        done(&folder, &["revoke", id]),
        format!("key {id} is revoked\n")
    );
    assert_eq!(status(&folder, key, Peppers::none()), 401);
    assert_eq!(
        json(&folder, &["list"])["keys"].as_array().unwrap().len(),
        0
    );
    let all = json(&folder, &["list", "--all"]);
    assert_eq!(all["keys"][0]["state"], "revoked");
    refused(
        &on_file(&folder, &["revoke", "000000000000"]),
        "there is no key 000000000000",
    );
    refused(&on_file(&folder, &["rotate", id]), "the key is revoked");
    // A whole key is none of its names.
    let said = on_file(&folder, &["revoke", key]);
    assert_eq!(said.code, Some(2), "{said:?}");
}

#[test]
fn a_rotation_lets_both_live_for_a_while() {
    let folder = made("apikey-rotate");
    let old = json(&folder, &REPORTS);
    let id = old["id"].as_str().unwrap();
    let new = json(&folder, &["rotate", id, "--overlap", "7d"]);
    assert_eq!(new["replaces"], id);
    for made in [&old, &new] {
        let key = made["key"].as_str().unwrap();
        assert_eq!(status(&folder, key, Peppers::none()), 200);
    }
    let records = KeyFile::new(folder.path("keys.json")).read().unwrap();
    assert_eq!(records[0].replaced_by(), Some(records[1].id()));
    assert_eq!(records[1].client(), Some("nightly"));
    let left = records[0]
        .expires()
        .unwrap()
        .saturating_since(records[1].created());
    assert_eq!(left.as_secs(), 7 * 86_400);
    assert_eq!(
        new["replaced_expires"],
        records[0].expires().unwrap().unix_seconds()
    );
    refused(&on_file(&folder, &["rotate", id]), "was replaced by");
    let said = on_file(&folder, &["rotate", new["id"].as_str().unwrap()]);
    assert!(KeyFormat::live().is_key(said.out.trim_end()), "{said:?}");
    assert!(said.err.contains("may be used until 20"), "{said:?}");
}

#[test]
fn keys_open_a_service_whose_configuration_names_the_same_pepper() {
    let raw: Vec<u8> = (1..=40).map(|at| at * 6).collect();
    let encoded = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
    let hexadecimal = "07".repeat(32);
    for (number, pepper) in [
        raw.clone(),
        [&raw[..], b"\n"].concat(),
        encoded.into(),
        format!("{encoded}\r\n").into(),
        hexadecimal.clone().into(),
        format!("{hexadecimal}\n").into(),
        b"thirty-two bytes of a phrase and more!\n".to_vec(),
    ]
    .into_iter()
    .enumerate()
    {
        let folder = made(&format!("apikey-configured-{number}"));
        std::fs::write(folder.path("pepper"), pepper).unwrap();
        let arguments = ["--pepper-name", "2027", "--pepper-file", "pepper"];
        let key = done(&folder, &[&arguments[..], &REPORTS].concat());
        let text = "[api_keys]\nissuer = 'orders-keys'\nfile = 'keys.json'\n\
                    pepper = { name = '2027', secret = 'file:pepper' }\n\
                    [rules]\ninsecure_allow_everything = true\n";
        assert_eq!(configured(&folder, text, key.trim_end()), 200, "{number}");
        assert_eq!(
            configured(&folder, text, &key.trim_end().replace('_', "-")),
            401
        );
    }
    // 32 digits are 16 bytes, whoever reads them.
    let folder = made("apikey-configured-short");
    std::fs::write(folder.path("pepper"), "07".repeat(16)).unwrap();
    let arguments = ["--pepper-name", "2027", "--pepper-file", "pepper"];
    let said = on_file(&folder, &[&arguments[..], &REPORTS].concat());
    assert_eq!(said.code, Some(1), "{said:?}");
}

/// Whatever is asked.
#[derive(Clone)]
struct Fine;

impl<B> tower::Service<http::Request<B>> for Fine {
    type Response = http::Response<String>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<B>) -> Self::Future {
        std::future::ready(Ok(http::Response::new(String::new())))
    }
}

/// The status that a service with this configuration answers a request with.
fn configured(folder: &Folder, text: &str, key: &str) -> u16 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let config = bartizan::config::Config::from_toml(text, folder.path(".")).unwrap();
        let configured = config.build().await.unwrap();
        let service = configured.layer().layer(Fine);
        let request = http::Request::get("/").header("x-api-key", key);
        let request = request
            .body(http_body_util::Empty::<bytes::Bytes>::new())
            .unwrap();
        service.oneshot(request).await.unwrap().status().as_u16()
    })
}

#[test]
fn keys_are_hashed_under_the_pepper_that_is_given() {
    let folder = made("apikey-pepper");
    std::fs::write(folder.path("pepper"), [7; 32]).unwrap();
    let pepper = ["--pepper-name", "2027", "--pepper-file", "pepper"];
    let key = done(&folder, &[&pepper[..], &REPORTS].concat());
    let peppers = Peppers::new(Pepper::new("2027", &[7; 32]).unwrap());
    assert_eq!(status(&folder, key.trim_end(), peppers), 200);
    let said = on_file(
        &folder,
        &[&["--pepper-file", "pepper"][..], &REPORTS].concat(),
    );
    assert_eq!(said.code, Some(2), "a pepper has a name: {said:?}");
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let folder = made("apikey-refused");
    let before = std::fs::read(folder.path("keys.json")).unwrap();
    refused(&on_file(&folder, &["init"]), "exists already");
    let create = |more: &[&str]| on_file(&folder, &[&["create", "--subject", "a"], more].concat());
    for (said, code) in [
        (create(&[]), 2),
        (create(&["--expires-in", "90d", "--never-expires"]), 2),
        (create(&["--expires-in", "90"]), 2),
        (create(&["--never-expires", "--network", "10.0.0.0/33"]), 2),
        (create(&["--never-expires", "--scope", "a b"]), 1),
        (create(&["--never-expires", "--product", "BRT"]), 1),
        (run(&folder, &["list"]), 1),
        (run(&folder, &["--file", "absent.json", "list"]), 1),
        (
            run(
                &folder,
                &[
                    "--file",
                    "absent.json",
                    "create",
                    "--subject",
                    "a",
                    "--never-expires",
                ],
            ),
            1,
        ),
    ] {
        assert_eq!(said.code, Some(code), "{said:?}");
        assert!(said.out.is_empty(), "no key that nobody knows of: {said:?}");
    }
    assert_eq!(std::fs::read(folder.path("keys.json")).unwrap(), before);
    std::fs::write(folder.path("keys.json.lock"), "").unwrap();
    refused(&create(&["--never-expires"]), "somebody changes the keys");
}

#[test]
fn scanners_are_told_what_to_look_for() {
    let folder = Folder::new("apikey-pattern");
    let said = run(&folder, &["pattern", "--product", "shop"]);
    assert_eq!(
        said.out,
        "\\bshop_[a-z][a-z0-9]{1,9}_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}\\b\n"
    );
}
