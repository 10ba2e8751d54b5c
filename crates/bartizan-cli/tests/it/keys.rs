//! `bartizan keys`.

use bartizan::encrypt::{
    DocumentFields, EncryptErrorKind, Encrypted, Field, FieldRule, KeyFile, KeyScope, Keyring,
    LocalKek, Place, Prepared,
};
use serde_json::{Value, json};

use crate::support::{Folder, Said, mode};

const ACME: [&str; 2] = ["--tenant", "acme"];

fn made(name: &str) -> Folder {
    let folder = Folder::new(name);
    let said = folder.keys(&["init", "--new-kek"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.out.starts_with("made keys.json, sealed under local:"),
        "{said:?}"
    );
    folder
}

fn with<'a>(command: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec![command];
    all.extend_from_slice(&ACME);
    all.extend_from_slice(more);
    all
}

#[track_caller]
fn refused(said: &Said, because: &str) {
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.out.is_empty() && said.err.starts_with("bartizan: "),
        "{said:?}"
    );
    assert!(said.err.contains(because), "{said:?}");
}

struct Ssn;

impl Field for Ssn {
    const COLLECTION: &'static str = "patient";
    const PATH: &'static str = "ssn";
}

struct Path;

impl Field for Path {
    const COLLECTION: &'static str = "patient";
    const PATH: &'static str = "/ssn";
}

/// The keys as a service has them.
fn service(folder: &Folder, kek: &str, scope: &KeyScope) -> Prepared {
    let kek = LocalKek::from_file(&folder.path(kek)).unwrap();
    let file = KeyFile::open(&folder.path("keys.json"), std::slice::from_ref(&kek)).unwrap();
    let keyring = Keyring::builder("clinic", file, kek).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime
        .block_on(keyring.prepare(std::slice::from_ref(scope)))
        .unwrap()
}

fn sealed(keys: &Prepared, place: &Place) -> Encrypted<String, Ssn> {
    keys.seal(place, &"078-05-1120".to_owned()).unwrap()
}

#[test]
fn what_is_made_is_for_its_owner_alone_and_nothing_is_overwritten() {
    let folder = made("init");
    for file in ["keys.json", "kek.key"] {
        assert_eq!(mode(&folder.path(file)), 0o600, "{file}");
    }
    let before = std::fs::read(folder.path("kek.key")).unwrap();
    assert_eq!(before.len(), 32);
    refused(&folder.keys(&["init", "--new-kek"]), "exists already");
    refused(&folder.keys(&["init"]), "exists already");
    assert_eq!(std::fs::read(folder.path("kek.key")).unwrap(), before);
    // The key's file is in the way, the keyset's is not.
    std::fs::remove_file(folder.path("keys.json")).unwrap();
    refused(&folder.keys(&["init", "--new-kek"]), "cannot make kek.key");
    assert!(!folder.path("keys.json").exists());
    assert_eq!(folder.keys(&["init"]).code, Some(0));
}

#[test]
fn a_key_rotates_and_what_the_old_one_sealed_still_opens() {
    let folder = made("rotate");
    let scope = KeyScope::tenant("acme");
    let place = Place::new("acme").unwrap();
    let old = sealed(&service(&folder, "kek.key", &scope), &place);
    let said = folder.json(&with("rotate", &[]));
    let keys = service(&folder, "kek.key", &scope);
    let new = sealed(&keys, &place);
    assert_eq!(
        said,
        json!({"key": new.ciphertext().key_id().to_string(), "is": "active"})
    );
    assert_eq!(keys.open(&place, &old).unwrap().expose(), "078-05-1120");

    let listed = folder.json(&["list"]);
    let stages: Vec<_> = listed["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| &key["stage"])
        .collect();
    assert_eq!(stages, ["decrypt-only", "active"]);
    let said = folder.keys(&["list"]);
    assert!(said.out.starts_with("KEY "), "{said:?}");
    assert_eq!(said.out.lines().count(), 3, "{said:?}");
    assert!(said.out.contains(&new.ciphertext().key_id().to_string()));
    assert_eq!(
        folder.json(&["list", "--tenant", "other"]),
        json!({"keys": []})
    );

    let introduced = folder.json(&with("rotate", &["--introduce"]));
    let keys = service(&folder, "kek.key", &scope);
    assert_eq!(
        sealed(&keys, &place).ciphertext().key_id(),
        new.ciphertext().key_id()
    );
    let id = introduced["key"].as_str().unwrap();
    assert_eq!(folder.keys(&with("activate", &[id])).code, Some(0));
    let keys = service(&folder, "kek.key", &scope);
    assert_eq!(sealed(&keys, &place).ciphertext().key_id().to_string(), id);
    let status = folder.json(&["status"]);
    let counts = json!({
        "pre_active": 0, "active": 1, "decrypt_only": 2, "disabled": 0, "destroyed": 0,
    });
    assert_eq!(
        (&status["keys"], &status["to_reseal"]),
        (&counts, &json!(0))
    );
}

#[test]
fn a_key_is_disabled_enabled_and_destroyed() {
    let folder = made("stages");
    let scope = KeyScope::tenant("acme");
    let place = Place::new("acme").unwrap();
    let value = sealed(&service(&folder, "kek.key", &scope), &place);
    let id = value.ciphertext().key_id().to_string();
    folder.json(&with("rotate", &[]));
    let kind = || match service(&folder, "kek.key", &scope).open(&place, &value) {
        Ok(_) => None,
        Err(error) => Some(error.kind()),
    };
    folder.json(&with("disable", &[&id]));
    assert_eq!(kind(), Some(EncryptErrorKind::KeyDisabled));
    folder.json(&with("enable", &[&id]));
    assert_eq!(kind(), None);
    refused(&folder.keys(&with("destroy", &[&id])), "--yes");
    assert_eq!(kind(), None, "nothing was destroyed");
    folder.json(&with("destroy", &[&id, "--yes"]));
    assert_eq!(kind(), Some(EncryptErrorKind::Shredded));
    refused(&folder.keys(&with("enable", &[&id])), "cannot become");
    refused(
        &folder.keys(&with("enable", &["0000000000000000"])),
        "no key",
    );
    // The one that seals is not taken away without another.
    let active = folder.json(&["list"])["keys"][1]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    refused(
        &folder.keys(&with("destroy", &[&active, "--yes"])),
        "cannot become",
    );
}

#[test]
fn a_person_is_forgotten_and_not_named_unless_asked_for() {
    let folder = made("forget");
    let scope = KeyScope::subject("acme", "alice");
    let place = Place::new("acme")
        .and_then(|place| place.with_subject("alice"))
        .unwrap();
    let value = sealed(&service(&folder, "kek.key", &scope), &place);
    assert!(!folder.keys(&["list"]).out.contains("alice"));
    assert!(
        folder
            .keys(&["list", "--show-subjects"])
            .out
            .contains("alice")
    );
    let person = ["--subject", "alice", "--forget"];
    refused(&folder.keys(&with("destroy", &person)), "--yes");
    let forgotten = folder.json(&with("destroy", &[&person[..], &["--yes"]].concat()));
    assert_eq!(forgotten["forgotten"], true);
    let error = service(&folder, "kek.key", &scope)
        .open(&place, &value)
        .unwrap_err();
    assert_eq!(error.kind(), EncryptErrorKind::Shredded);
    let again = folder.json(&with("destroy", &[&person[..], &["--yes"]].concat()));
    assert_eq!(again["at"], forgotten["at"], "repeating changes nothing");
    let without = folder.keys(&with("destroy", &["--forget", "--yes"]));
    assert_eq!(without.code, Some(2), "{without:?}");
}

#[test]
fn a_new_kek_takes_the_place_of_the_old_one_and_no_data_is_touched() {
    let folder = made("reseal");
    let scope = KeyScope::tenant("acme");
    let place = Place::new("acme").unwrap();
    let value = sealed(&service(&folder, "kek.key", &scope), &place);
    std::fs::rename(folder.path("kek.key"), folder.path("old.key")).unwrap();
    std::fs::copy(folder.path("old.key"), folder.path("kek.key")).unwrap();
    std::fs::write(folder.path("kek.key"), [9; 32]).unwrap();
    refused(&folder.keys(&["status"]), "sealed under");
    let done = folder.json(&["reseal", "--previous-kek-file", "old.key"]);
    assert_eq!(
        done,
        json!({"rewrapped": 1, "current": 0, "left": 0, "keys": 1})
    );
    let again = folder.json(&["reseal", "--previous-kek-file", "old.key"]);
    assert_eq!(
        again,
        json!({"rewrapped": 0, "current": 1, "left": 0, "keys": 1})
    );
    let keys = service(&folder, "kek.key", &scope);
    assert_eq!(keys.open(&place, &value).unwrap().expose(), "078-05-1120");
    let old = folder.run(&["--kek-file", "old.key"], &["status"], "");
    refused(&old, "sealed under");
    let missing = folder.keys(&["reseal"]);
    assert_eq!(missing.code, Some(2), "{missing:?}");
}

#[test]
fn an_empty_keyset_is_sealed_under_the_new_kek_too() {
    let folder = made("empty");
    std::fs::copy(folder.path("kek.key"), folder.path("old.key")).unwrap();
    std::fs::write(folder.path("kek.key"), [9; 32]).unwrap();
    let done = folder.json(&["reseal", "--previous-kek-file", "old.key"]);
    assert_eq!(done["rewrapped"], 0);
    std::fs::remove_file(folder.path("old.key")).unwrap();
    assert_eq!(folder.keys(&["status"]).code, Some(0));
}

#[test]
fn a_kek_comes_from_a_variable_or_a_passphrase() {
    let folder = Folder::new("env");
    let env = ["--kek-env", "TEST_KEK"];
    assert_eq!(folder.run(&env, &["init"], "").code, Some(0));
    assert_eq!(folder.run(&env, &with("rotate", &[]), "").code, Some(0));
    refused(
        &folder.run(&["--kek-env", "NO_SUCH_KEK"], &["status"], ""),
        "not set",
    );
    refused(
        &folder.run(&["--passphrase"], &["status"], "correct horse battery\n"),
        "passphrase",
    );

    let folder = Folder::new("passphrase");
    let asked = ["--passphrase"];
    let twice = "correct horse battery\ncorrect horse battery\n";
    refused(
        &folder.run(&asked, &["init"], "short\nshort\n"),
        "shorter than 12",
    );
    let typo = "correct horse battery\ncorrect horse buttery\n";
    refused(&folder.run(&asked, &["init"], typo), "differ");
    assert!(!folder.path("keys.json").exists());
    let said = folder.run(&asked, &["init"], twice);
    assert_eq!(said.code, Some(0), "{said:?}");
    let good = "correct horse battery\n";
    assert_eq!(folder.run(&asked, &with("rotate", &[]), good).code, Some(0));
    refused(
        &folder.run(&asked, &["status"], "another passphrase\n"),
        "sealed under",
    );
    std::fs::write(folder.path("phrase"), good).unwrap();
    let said = folder.run(&["--passphrase-file", "phrase"], &["--json", "status"], "");
    let status: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(status["keys"]["active"], 1);
    refused(&folder.run(&asked, &["status"], ""), "empty");
}

#[test]
fn records_come_under_the_present_key_and_nothing_else_changes() {
    let folder = made("records");
    let scope = KeyScope::tenant("acme");
    let keys = service(&folder, "kek.key", &scope);
    let record = |id: u32| {
        let place = Place::new("acme")
            .unwrap()
            .with_record(&id.to_string())
            .unwrap();
        let ssn: Encrypted<String, Path> = keys.seal(&place, &"078-05-1120".to_owned()).unwrap();
        format!("{{\"id\": {id},  \"n\":1.10, \"ssn\":\"{ssn}\"}}\n")
    };
    let stored = format!(
        "{}\n{}{{\"id\":\"c\",\"ssn\":\"plain\"}}",
        record(1),
        record(2)
    );
    std::fs::write(folder.path("people.ndjson"), &stored).unwrap();
    let reseal = |more: &[&str]| {
        let what = ["--records", "people.ndjson", "--application", "clinic"];
        let of = [
            "--collection",
            "patient",
            "--field",
            "/ssn",
            "--record-at",
            "/id",
        ];
        folder.json(&with("reseal", &[&what[..], &of, more].concat()))
    };
    let now = || std::fs::read_to_string(folder.path("people.ndjson")).unwrap();
    let counted = |resealed: u32, current: u32, plaintext: u32| json!({"records": 3, "resealed": resealed, "current": current, "plaintext": plaintext, "lost": 0});
    let paths = || DocumentFields::new("patient", [FieldRule::new("ssn")]);
    assert!(paths().is_err(), "paths begin with a slash, here as there");
    assert_eq!((reseal(&[]), now()), (counted(0, 2, 1), stored.clone()));
    std::fs::write(folder.path("people.ndjson.resealing"), "cut short").unwrap();
    folder.json(&with("rotate", &[]));
    assert_eq!(reseal(&[]), counted(2, 0, 1));
    let moved = now();
    assert!(
        moved.ends_with("\n{\"id\":\"c\",\"ssn\":\"plain\"}"),
        "{moved}"
    );
    assert!(
        moved.starts_with("{\"id\": 1,  \"n\":1.10, \"ssn\":\"fe1."),
        "{moved}"
    );
    assert_eq!(reseal(&["--seal-plaintext"]), counted(1, 2, 0));
    assert_eq!(reseal(&[]), counted(0, 3, 0));

    let keys = service(&folder, "kek.key", &scope);
    let last = now();
    let last: Value = serde_json::from_str(last.lines().last().unwrap()).unwrap();
    let value: Encrypted<String, Path> = last["ssn"].as_str().unwrap().parse().unwrap();
    let place = Place::new("acme").unwrap().with_record("c").unwrap();
    assert_eq!(keys.open(&place, &value).unwrap().expose(), "plain");
}

#[test]
fn records_that_cannot_be_done_stay_as_they_are() {
    let folder = made("refused");
    folder.json(&with("rotate", &[]));
    let reseal = |more: &[&str]| {
        let what = [
            "--records",
            "r",
            "--application",
            "clinic",
            "--collection",
            "patient",
        ];
        folder.keys(&with("reseal", &[&what[..], more].concat()))
    };
    refused(&reseal(&["--field", "/ssn"]), "cannot read r");
    let good = "{\"id\":1,\"ssn\":\"078-05-1120\"}\n";
    for (bad, because) in [
        (
            "{\"id\":2,\"ssn\":\"078-05-1121\"",
            "line 2: not a JSON document",
        ),
        (
            "{\"id\":2,\"ssn\":1,\"ssn\":2}",
            "line 2: a sealed member is there twice",
        ),
        (
            "{\"id\":null,\"ssn\":1}",
            "line 2: no text and no number at /id",
        ),
    ] {
        let stored = format!("{good}{bad}\n");
        std::fs::write(folder.path("r"), &stored).unwrap();
        let said = reseal(&["--field", "/ssn", "--record-at", "/id", "--seal-plaintext"]);
        refused(&said, because);
        assert!(!said.err.contains("078"), "{said:?}");
        assert_eq!(std::fs::read_to_string(folder.path("r")).unwrap(), stored);
        assert!(!folder.path("r.resealing").exists());
    }
    refused(&reseal(&[]), "no field");
    let mixed = reseal(&["--field", "/ssn", "--previous-kek-file", "kek.key"]);
    assert_eq!(mixed.code, Some(2), "{mixed:?}");
    let half = folder.keys(&["reseal", "--records", "r", "--field", "/ssn"]);
    assert_ne!(half.code, Some(0), "{half:?}");
}

#[test]
fn no_key_is_printed() {
    let folder = made("secrecy");
    folder.json(&with("rotate", &[]));
    let kek = std::fs::read(folder.path("kek.key")).unwrap();
    let file = std::fs::read_to_string(folder.path("keys.json")).unwrap();
    let file: Value = serde_json::from_str(&file).unwrap();
    let hex: String = kek.iter().map(|byte| format!("{byte:02x}")).collect();
    for arguments in [
        &["list"][..],
        &["status"],
        &["--json", "list", "--show-subjects"],
    ] {
        let said = folder.keys(arguments);
        let printed = said.out + &said.err;
        assert!(
            !printed.contains("wrapped") && !printed.contains(&hex),
            "{printed}"
        );
        assert!(
            !printed.contains(file["sealed"].as_str().unwrap()),
            "{printed}"
        );
    }
    let debug = std::fs::write(folder.path("kek.key"), b"not a key");
    debug.unwrap();
    let said = folder.keys(&["status"]);
    refused(&said, "neither 32 bytes");
    assert!(!said.err.contains("not a key"), "{said:?}");
}

#[test]
fn what_cannot_be_understood_ends_with_2() {
    let folder = made("usage");
    for arguments in [
        &["list", "--nonsense"][..],
        &["rotate"],
        &["rotate", "--tenant", "acme", "--purpose", "fun"],
        &["disable", "--tenant", "acme", "not-an-id"],
        &[],
    ] {
        let said = folder.keys(arguments);
        assert_eq!(said.code, Some(2), "{said:?}");
    }
    let none = folder.run(&[], &["status"], "");
    assert_eq!(
        none.code,
        Some(2),
        "a key-encryption key is needed: {none:?}"
    );
    let both = folder.run(&["--passphrase", "--kek-file", "kek.key"], &["status"], "");
    assert_eq!(both.code, Some(2), "and only one: {both:?}");
    let changed = std::fs::read_to_string(folder.path("keys.json")).unwrap();
    std::fs::write(
        folder.path("keys.json"),
        changed.replacen("sealed\": \"", "sealed\": \"A", 1),
    )
    .unwrap();
    assert_eq!(folder.keys(&["status"]).code, Some(1));
}
