//! Data keys wrapped by SoftHSM, a module without hardware.
//!
//! SoftHSM takes its folder from an environment variable when it is loaded, and a process loads it
//! once: so the test that matters runs as a process of its own, started by the one before it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "../servers/programs.rs"]
mod programs;
#[path = "../servers/store.rs"]
mod store;
#[path = "../servers/values.rs"]
mod values;
#[path = "../servers/wait.rs"]
mod wait;

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bartizan_encrypt::{
    EncryptErrorKind, Kek, KekError, KeyBytes, Keyring, Pkcs11Kek, Pkcs11KekBuilder,
    ProviderConfigError,
};
use bartizan_testkit::ManualClock;

use crate::programs::{in_path, require};
use crate::store::Memory;
use crate::values::{acme, opens, sealed};
use crate::wait::Folder;

const FOLDER: &str = "BARTIZAN_TEST_TOKENS";
const PIN: &str = "123456";

fn module() -> Option<PathBuf> {
    let places = [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib64/softhsm/libsofthsm2.so",
        "/usr/lib64/pkcs11/libsofthsm2.so",
        "/opt/homebrew/lib/softhsm/libsofthsm2.so",
    ];
    require("SoftHSM", places.map(PathBuf::from))
}

/// Runs a test of this binary, which is ignored otherwise, on tokens in a folder of its own.
fn run_apart(test: &str) {
    let (Some(_), Some(utility), Some(_)) = (
        module(),
        require("softhsm2-util", in_path("softhsm2-util")),
        require("pkcs11-tool", in_path("pkcs11-tool")),
    ) else {
        return;
    };
    let folder = Folder::new(test);
    let config = folder.path().join("softhsm2.conf");
    let tokens = folder.path().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\n",
        tokens.display()
    );
    std::fs::write(&config, text).unwrap();
    let made = Command::new(utility)
        .env("SOFTHSM2_CONF", &config)
        .args([
            "--init-token",
            "--free",
            "--label",
            "clinic",
            "--so-pin",
            "654321",
            "--pin",
            PIN,
        ])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(made.success());
    let apart = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--ignored"])
        .env("SOFTHSM2_CONF", &config)
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&apart.stdout);
    // A name that nothing has would pass as well.
    assert!(
        apart.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

/// Whether this process is one that was started for it.
fn is_apart() -> bool {
    env::var_os(FOLDER).is_some()
}

/// What an administrator does, in a process of its own.
fn administer(arguments: &[&str]) {
    let status = Command::new("pkcs11-tool")
        .arg("--module")
        .arg(module().unwrap())
        .args(["--token-label", "clinic", "--login", "--pin", PIN])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(status.unwrap().success(), "{arguments:?}");
}

fn make(label: &str) {
    administer(&[
        "--keygen",
        "--key-type",
        "AES:32",
        "--sensitive",
        "--label",
        label,
    ]);
}

fn destroy(label: &str) {
    administer(&["--delete-object", "--type", "secrkey", "--label", label]);
}

fn builder(label: &str) -> Pkcs11KekBuilder {
    Pkcs11Kek::builder(module().unwrap(), "clinic", label).with_pin(PIN)
}

fn refused<T>(result: &Result<T, KekError>) -> bool {
    matches!(result, Err(KekError::Refused(_)))
}

#[test]
fn keys_come_back_in_their_context_alone() {
    run_apart("apart_wrapping");
}

#[tokio::test]
#[ignore = "started by keys_come_back_in_their_context_alone"]
async fn apart_wrapping() {
    if !is_apart() {
        return;
    }
    make("patients");
    let kek = builder("patients").open().unwrap();
    assert_eq!(kek.id(), "pkcs11:clinic/patients");
    let key = KeyBytes::generate().unwrap();
    let wrapped = kek.wrap(&key, b"alice").await.unwrap();
    assert_eq!(
        kek.unwrap(&wrapped, b"alice").await.unwrap().expose(),
        key.expose()
    );
    assert!(
        refused(&kek.unwrap(&wrapped, b"bob").await),
        "another context"
    );
    for at in 0..wrapped.len() {
        let mut changed = wrapped.clone();
        changed[at] ^= 1;
        assert!(refused(&kek.unwrap(&changed, b"alice").await), "{at}");
    }
    assert!(refused(&kek.unwrap(&wrapped[1..], b"alice").await));
    assert_ne!(
        kek.wrap(&key, b"alice").await.unwrap(),
        wrapped,
        "a fresh nonce"
    );

    // Many at once, over four sessions.
    let asking: Vec<_> = (0_u8..64)
        .map(|number| {
            let kek = kek.clone();
            tokio::spawn(async move {
                let key = KeyBytes::from_slice(&[number; 32]).unwrap();
                let wrapped = kek.wrap(&key, &[number]).await.unwrap();
                kek.unwrap(&wrapped, &[number]).await.unwrap().expose() == &[number; 32]
            })
        })
        .collect();
    for asked in asking {
        assert!(asked.await.unwrap());
    }

    make("twice");
    make("twice");
    administer(&[
        "--keygen",
        "--key-type",
        "AES:16",
        "--sensitive",
        "--label",
        "short",
    ]);
    administer(&[
        "--keygen",
        "--key-type",
        "AES:32",
        "--extractable",
        "--label",
        "loose",
    ]);
    for label in ["nobody", "twice", "short", "loose"] {
        let opened = builder(label).open();
        assert!(
            matches!(opened, Err(ProviderConfigError::Unusable(_))),
            "{label}"
        );
    }
    let nobody = Pkcs11Kek::builder(module().unwrap(), "elsewhere", "patients").with_pin(PIN);
    assert!(matches!(
        nobody.open(),
        Err(ProviderConfigError::Name { .. })
    ));
    let pinless = Pkcs11Kek::builder(module().unwrap(), "clinic", "patients").open();
    assert!(matches!(pinless, Err(ProviderConfigError::Missing("pin"))));
    let missing = Pkcs11Kek::builder("/no/such/module.so", "clinic", "patients").with_pin(PIN);
    assert!(matches!(
        missing.open(),
        Err(ProviderConfigError::Unusable(_))
    ));
    assert!(!format!("{:?} {kek:?}", builder("patients")).contains(PIN));
}

#[test]
fn a_wrong_pin_is_refused() {
    run_apart("apart_pin");
}

#[tokio::test]
#[ignore = "started by a_wrong_pin_is_refused"]
async fn apart_pin() {
    if !is_apart() {
        return;
    }
    make("patients");
    let opened = builder("patients").with_pin("000000").open();
    let error = opened.unwrap_err().to_string();
    assert!(error.to_lowercase().contains("pin"), "{error}");
    builder("patients").open().unwrap();
}

#[test]
fn a_key_that_is_destroyed_in_the_module_makes_everything_unreadable() {
    run_apart("apart_erasure");
}

#[tokio::test]
#[ignore = "started by a_key_that_is_destroyed_in_the_module_makes_everything_unreadable"]
async fn apart_erasure() {
    if !is_apart() {
        return;
    }
    make("old");
    make("new");
    let (store, clock) = (Memory::default(), ManualClock::default());
    let keyring = |kek: Pkcs11Kek| {
        let builder = Keyring::builder("clinic", store.clone(), kek);
        builder.with_clock(Arc::new(clock.clone())).build().unwrap()
    };
    let [old, new] = ["old", "new"].map(|label| builder(label).open().unwrap());
    let first = keyring(old.clone());
    let value = sealed(&first.prepare(&acme()).await.unwrap());

    // The key-encryption key rotates, and a copy of the key table is left from before.
    let backup = store.records();
    let moved = Keyring::builder("clinic", store.clone(), new).add_previous_kek(old);
    let moved = moved.build().unwrap();
    assert_eq!(moved.rewrap().await.unwrap().rewrapped, 1);
    destroy("old");
    assert!(
        opens(&moved.prepare(&acme()).await.unwrap(), &value),
        "the new one serves"
    );
    let current = store.records();
    store.replace(backup);
    let thief = keyring(builder("new").open().unwrap());
    assert!(
        thief.prepare(&acme()).await.is_err(),
        "the copy is of no use"
    );

    // What holds the key in memory serves it until the next fetch, and then no more.
    store.replace(current);
    let keeper = keyring(builder("new").open().unwrap());
    assert!(opens(&keeper.prepare(&acme()).await.unwrap(), &value));
    destroy("new");
    assert!(opens(&keeper.prepare(&acme()).await.unwrap(), &value));
    clock.advance(Duration::from_secs(331));
    let _ = keeper.prepare(&acme()).await;
    wait::until("the refusal is heeded", async || {
        keeper.prepare(&acme()).await.is_err()
    })
    .await;
    let error = keeper.prepare(&acme()).await.unwrap_err();
    assert_eq!(error.kind(), EncryptErrorKind::KeysUnavailable);
    let anew = builder("new").open();
    assert!(matches!(anew, Err(ProviderConfigError::Unusable(_))));
}
