//! Values open where they were sealed, and nowhere else.

use bartizan_encrypt::{Ciphertext, EncryptErrorKind, Encrypted, KeyScope, Keyring, Place, Suite};
use proptest::prelude::*;

use crate::support::{NUMBER, Phone, Setup, Ssn, acme, kek, place, sealed};

#[tokio::test]
async fn a_value_opens_where_it_was_sealed() {
    let prepared = Setup::new().acme().await;
    let value = sealed(&prepared, &place());
    assert_eq!(prepared.open(&place(), &value).unwrap().expose(), NUMBER);
    assert_ne!(
        value,
        sealed(&prepared, &place()),
        "two of one value differ"
    );
    let json = serde_json::to_string(&value).unwrap();
    assert!(json.starts_with("\"fe1.A"), "{json}");
    let back: Encrypted<String, Ssn> = serde_json::from_str(&json).unwrap();
    assert_eq!(prepared.open(&place(), &back).unwrap().expose(), NUMBER);
    assert_eq!(
        prepared
            .open_json(&place(), &value)
            .unwrap()
            .expose()
            .as_slice(),
        b"\"078-05-1120\""
    );
    let raw: Encrypted<String, Ssn> = prepared.seal_json(&place(), b"\"x\"").unwrap();
    assert_eq!(prepared.open(&place(), &raw).unwrap().expose(), "x");
    let bytes = value.ciphertext().as_bytes().to_vec();
    assert_eq!(Encrypted::<String, Ssn>::try_from(bytes).unwrap(), value);
    assert_eq!(
        value.to_string().parse::<Encrypted<String, Ssn>>().unwrap(),
        value
    );
}

#[tokio::test]
async fn types_survive_byte_for_byte() {
    let prepared = Setup::new().acme().await;
    for value in [0.1_f64, -0.0, 1e300, f64::MIN_POSITIVE] {
        let sealed: Encrypted<f64, Ssn> = prepared.seal(&place(), &value).unwrap();
        let opened = prepared.open(&place(), &sealed).unwrap();
        assert_eq!(opened.expose().to_bits(), value.to_bits());
    }
    let sealed: Encrypted<Option<bool>, Ssn> = prepared.seal(&place(), &None).unwrap();
    assert_eq!(*prepared.open(&place(), &sealed).unwrap().expose(), None);
    let length = |value| {
        let sealed: Encrypted<bool, Ssn> = prepared.seal(&place(), &value).unwrap();
        sealed.to_string().len()
    };
    assert_eq!(length(true), length(false), "short values look alike");
}

#[tokio::test]
async fn a_value_that_was_moved_does_not_open() {
    let setup = Setup::new();
    let scopes = [
        acme(),
        KeyScope::tenant("other"),
        KeyScope::subject("acme", "alice"),
    ];
    let prepared = setup.keyring.prepare(&scopes).await.unwrap();
    let value = sealed(&prepared, &place());
    let kind = |place: &Place| prepared.open(place, &value).unwrap_err().kind();
    let mismatch = EncryptErrorKind::ContextMismatch;
    let acme_place = || Place::new("acme").unwrap();
    assert_eq!(kind(&acme_place()), mismatch);
    assert_eq!(kind(&acme_place().with_record("18").unwrap()), mismatch);
    assert_eq!(kind(&place().with_schema_version(1)), mismatch);
    assert_eq!(kind(&place().with_purpose("billing").unwrap()), mismatch);
    // Other keys: none of the same id is there.
    let other = Place::new("other").unwrap().with_record("17").unwrap();
    assert_eq!(kind(&other), EncryptErrorKind::UnknownKey);
    assert_eq!(
        kind(&place().with_subject("alice").unwrap()),
        EncryptErrorKind::UnknownKey
    );
    let third = Place::new("third").unwrap();
    assert_eq!(kind(&third), EncryptErrorKind::NotPrepared);

    let phone = Encrypted::<String, Phone>::from_ciphertext(value.ciphertext().clone());
    assert_eq!(
        prepared.open(&place(), &phone).unwrap_err().kind(),
        mismatch
    );
    assert_eq!(
        prepared.open(&place(), &value).unwrap().expose(),
        NUMBER,
        "the control"
    );

    let elsewhere = Keyring::builder("billing", setup.table.clone(), kek(1))
        .build()
        .unwrap();
    let prepared = elsewhere.prepare(&[acme()]).await.unwrap();
    assert_eq!(
        prepared.open(&place(), &value).unwrap_err().kind(),
        mismatch
    );
}

#[tokio::test]
async fn a_value_of_another_type_is_told_from_a_changed_one() {
    let prepared = Setup::new().acme().await;
    let value = sealed(&prepared, &place());
    let number = Encrypted::<u32, Ssn>::from_ciphertext(value.ciphertext().clone());
    let error = prepared.open(&place(), &number).unwrap_err();
    assert_eq!(error.kind(), EncryptErrorKind::InvalidValue);
    assert!(!format!("{error} {error:?}").contains("078"));
}

#[tokio::test]
async fn either_suite_opens_what_it_sealed_and_what_the_other_did() {
    let long = Setup::new();
    let short = long
        .another(kek(1))
        .with_suite(Suite::Cobblestone128)
        .build()
        .unwrap();
    let (long, short) = (long.acme().await, short.prepare(&[acme()]).await.unwrap());
    let (one, two) = (sealed(&long, &place()), sealed(&short, &place()));
    assert_eq!(one.ciphertext().suite(), Suite::Cobblestone256);
    assert_eq!(two.ciphertext().suite(), Suite::Cobblestone128);
    for prepared in [&long, &short] {
        for value in [&one, &two] {
            assert_eq!(prepared.open(&place(), value).unwrap().expose(), NUMBER);
        }
    }
    assert!(long.reseal(&place(), &one).unwrap().is_none());
    let moved = long.reseal(&place(), &two).unwrap().unwrap();
    assert_eq!(moved.ciphertext().suite(), Suite::Cobblestone256);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_single_bit_change_is_refused(value in "\\PC{0,60}", which: prop::sample::Index) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let prepared = runtime.block_on(async { Setup::new().acme().await });
        let sealed: Encrypted<String, Ssn> = prepared.seal(&place(), &value).unwrap();
        let opened = prepared.open(&place(), &sealed).unwrap();
        prop_assert_eq!(opened.expose(), &value);
        let mut bytes = sealed.ciphertext().as_bytes().to_vec();
        let bit = which.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(changed) = Ciphertext::from_bytes(bytes) {
            let changed = Encrypted::<String, Ssn>::from_ciphertext(changed);
            prop_assert!(prepared.open(&place(), &changed).is_err());
        }
    }
}
