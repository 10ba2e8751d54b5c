//! Stored documents, sealed anew in bulk.

use bartizan_core::Subject;
use bartizan_encrypt::{
    ConfigError, DocumentFields, EncryptErrorKind, FieldRule, KeyScope, Place, Prepared,
};
use serde_json::Value;

use crate::support::{Setup, acme, place};

const STORED: &str =
    "{ \"n\":1.10, \"ssn\" : \"078-05-1120\",\"cards\":[{\"number\":4111},{\"number\":null}]}\n";

fn fields() -> DocumentFields {
    let rules = ["/ssn", "/cards/*/number"].map(FieldRule::new);
    DocumentFields::new("patient", rules).unwrap()
}

fn sealed(keys: &Prepared, place: &Place) -> String {
    let sealed = fields().allow_plaintext().reseal(keys, place, STORED);
    let sealed = sealed.unwrap();
    assert_eq!((sealed.resealed, sealed.plaintext), (2, 0));
    String::from_utf8(sealed.document.unwrap()).unwrap()
}

#[tokio::test]
async fn documents_come_under_the_present_key_and_every_other_byte_stays() {
    let setup = Setup::new();
    let old = setup.acme().await;
    let plain = fields().reseal(&old, &place(), STORED).unwrap();
    assert_eq!((plain.plaintext, plain.resealed), (2, 0));
    assert!(plain.document.is_none(), "what is not sealed is counted");

    let stored = sealed(&old, &place());
    assert!(
        stored.starts_with("{ \"n\":1.10, \"ssn\" : \"fe1."),
        "{stored}"
    );
    assert!(stored.ends_with("},{\"number\":null}]}\n"), "{stored}");
    let current = fields().reseal(&old, &place(), &stored).unwrap();
    assert_eq!((current.current, current.document), (2, None));

    let id = setup.keyring.rotate(&acme()).await.unwrap();
    let new = setup.acme().await;
    let moved = fields().reseal(&new, &place(), &stored).unwrap();
    assert_eq!((moved.resealed, moved.current), (2, 0));
    let moved = String::from_utf8(moved.document.unwrap()).unwrap();
    let document: Value = serde_json::from_str(&moved).unwrap();
    for value in [&document["ssn"], &document["cards"][0]["number"]] {
        let value: bartizan_encrypt::Ciphertext = value.as_str().unwrap().parse().unwrap();
        assert_eq!(value.key_id(), id);
    }
    // Cut short and run again: nothing is left to do.
    let again = fields().reseal(&new, &place(), &moved).unwrap();
    assert_eq!((again.current, again.resealed), (2, 0));
}

#[tokio::test]
async fn what_does_not_belong_there_is_not_made_to() {
    let setup = Setup::new();
    let keys = setup.acme().await;
    let stored = sealed(&keys, &place());
    setup.keyring.rotate(&acme()).await.unwrap();
    let keys = setup.acme().await;
    let elsewhere = Place::new("acme").unwrap().with_record("18").unwrap();
    let refused = fields().reseal(&keys, &elsewhere, &stored).unwrap_err();
    assert_eq!(refused.kind(), EncryptErrorKind::ContextMismatch);
    for (bad, kind) in [
        ("{\"ssn\":1,\"ssn\":2}", EncryptErrorKind::DuplicateMember),
        ("{\"ssn\":\"fe1.%\"}", EncryptErrorKind::MalformedCiphertext),
        ("{", EncryptErrorKind::MalformedJson),
    ] {
        let refused = fields().reseal(&keys, &place(), bad).unwrap_err();
        assert_eq!(refused.kind(), kind, "{bad}");
    }
    let none = DocumentFields::new("patient", []);
    assert!(matches!(none, Err(ConfigError::NoField)));
}

#[tokio::test]
async fn fields_of_whoever_was_erased_stay_as_they_are() {
    let setup = Setup::new();
    let scope = [KeyScope::subject("acme", "alice")];
    let hers = place().with_subject("alice").unwrap();
    let keys = setup.keyring.prepare(&scope).await.unwrap();
    let stored = sealed(&keys, &hers);
    let alice = Subject::new("acme", "alice");
    setup.keyring.erase(&alice).await.unwrap();
    let keys = setup.keyring.prepare(&scope).await.unwrap();
    let done = fields().reseal(&keys, &hers, &stored).unwrap();
    assert_eq!((done.lost, done.document), (2, None));
}
