//! Nothing secret is printed.

use std::sync::{Arc, Mutex};

use bartizan_core::{Event, Subject, observe_fn};
use bartizan_encrypt::{KeyBytes, KeyScope, LocalKek, Plain, Redacted};

use crate::support::{NUMBER, Setup, place, sealed};

#[tokio::test]
async fn nothing_that_is_printed_or_observed_holds_a_value_a_key_or_a_person() {
    let captured = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&captured);
    let observer = observe_fn(move |event: &Event<'_>| {
        *sink.lock().unwrap() += &format!("{event:?}\n");
    });
    let setup = Setup::with(|builder| builder.with_observer(Arc::new(observer)));
    let scope = KeyScope::subject("acme", "alice");
    let prepared = setup
        .keyring
        .prepare(std::slice::from_ref(&scope))
        .await
        .unwrap();
    let place = place().with_subject("alice").unwrap();
    let value = sealed(&prepared, &place);
    let opened = prepared.open(&place, &value).unwrap();
    let key = KeyBytes::from_slice(&[0x41; 32]).unwrap();
    let wrong = prepared.open::<String, crate::support::Ssn>(&crate::support::place(), &value);
    setup.keyring.rotate(&scope).await.unwrap();
    setup
        .keyring
        .erase(&Subject::new("acme", "alice"))
        .await
        .unwrap();
    setup.table.set_down(true);
    let failed = setup.keyring.rotate(&scope).await.unwrap_err();
    let mut output = captured.lock().unwrap().clone();
    output += &format!("{value:?} {opened:?} {place:?} {scope:?} {prepared:?} {failed:?} {failed}");
    output += &format!("{:?} {:?} {key:?}", setup.keyring, wrong.unwrap_err());
    output += &format!("{:?} {:?}", LocalKek::new(&key), setup.table.records());
    output += &format!(
        "{:?} {:?}",
        Plain::new(NUMBER.to_owned()),
        Redacted::new(NUMBER)
    );
    for expected in ["subject_forgotten", "key_created", "KeyId(", "planned"] {
        assert!(
            output.contains(expected),
            "{expected} was captured: {output}"
        );
    }
    for secret in [NUMBER, "alice", "AAAAAAAA", "65, 65, 65"] {
        assert!(!output.contains(secret), "{secret}: {output}");
    }
}
