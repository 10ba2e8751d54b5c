//! Columns that are being migrated.

use std::sync::Arc;
use std::time::Duration;

use bartizan_core::Clock;
use bartizan_encrypt::{EncryptErrorKind, Encrypted, Migration, Stored};

use crate::support::{NUMBER, Setup, Ssn, place, sealed};

#[tokio::test]
async fn both_kinds_are_read_until_the_day_and_what_is_not_sealed_is_counted() {
    let setup = Setup::new();
    let keys = setup.acme().await;
    let end = setup.clock.wall() + Duration::from_secs(60);
    let migration = Migration::until(end).with_clock(Arc::new(setup.clock.clone()));
    let value = sealed(&keys, &place()).to_string();
    let read = |column: &str| {
        let stored = Stored::<String, Ssn>::from_text(column)?;
        let opened = migration.open(&keys, &place(), stored)?;
        Ok(opened.expose().clone())
    };
    let kind = |found: Result<String, bartizan_encrypt::EncryptError>| {
        found.map_err(bartizan_encrypt::EncryptError::kind)
    };
    assert_eq!(kind(read(&value)).as_deref(), Ok(NUMBER));
    assert_eq!(migration.met(), 0);
    assert_eq!(kind(read(NUMBER)).as_deref(), Ok(NUMBER));
    assert_eq!(migration.clone().met(), 1);
    // What claims to be sealed is never taken for a value.
    assert_eq!(
        kind(read("fe1.AA")),
        Err(EncryptErrorKind::UnsupportedVersion)
    );
    setup.clock.advance(Duration::from_secs(59));
    assert!(read(NUMBER).is_ok());
    setup.clock.advance(Duration::from_secs(1));
    assert_eq!(kind(read(NUMBER)), Err(EncryptErrorKind::PlaintextFound));
    assert_eq!(kind(read(&value)).as_deref(), Ok(NUMBER));
    assert_eq!(migration.met(), 3);
    assert!(!format!("{migration:?}").contains("078"));
}

#[tokio::test]
async fn a_json_column_keeps_its_type() {
    let keys = Setup::new().acme().await;
    let value: Encrypted<u32, Ssn> = keys.seal(&place(), &17).unwrap();
    let json = serde_json::to_string(&value).unwrap();
    for (json, plain) in [(json.as_str(), false), ("17", true)] {
        let stored = Stored::<u32, Ssn>::from_json(json).unwrap();
        assert_eq!(matches!(stored, Stored::Plain(_)), plain, "{json}");
    }
    for bad in ["\"x\"", "", "\"fe1.\"", "-1"] {
        assert!(Stored::<u32, Ssn>::from_json(bad).is_err(), "{bad}");
    }
    let text = String::from(value.clone());
    assert_eq!(Encrypted::<u32, Ssn>::try_from(text).unwrap(), value);
    let bytes = Vec::<u8>::from(value.clone());
    assert_eq!(Encrypted::<u32, Ssn>::try_from(bytes).unwrap(), value);
}
