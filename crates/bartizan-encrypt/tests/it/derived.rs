//! Structs with sealed twins.

use bartizan_encrypt::{Encrypt, EncryptErrorKind, KeyScope};

use crate::support::{NUMBER, Setup};

/// Somebody.
#[derive(Encrypt)]
#[encrypt(collection = "patient", tenant = clinic, record = id, subject = name)]
#[encrypt(derive(Clone, Debug, serde::Serialize, serde::Deserialize))]
struct Patient {
    clinic: String,
    id: u64,
    name: String,
    #[encrypt]
    ssn: String,
    #[encrypt(path = "phone_number")]
    phone: Option<String>,
}

fn patient(id: u64) -> Patient {
    Patient {
        clinic: "acme".to_owned(),
        id,
        name: "alice".to_owned(),
        ssn: NUMBER.to_owned(),
        phone: None,
    }
}

#[tokio::test]
async fn a_struct_seals_its_fields_and_opens_them_one_by_one() {
    let setup = Setup::new();
    let scope = patient(1).scope();
    assert_eq!(scope, KeyScope::subject("acme", "alice"));
    let keys = setup
        .keyring
        .prepare(std::slice::from_ref(&scope))
        .await
        .unwrap();
    let sealed = patient(1).seal(&keys).unwrap();
    let json = serde_json::to_string(&sealed).unwrap();
    assert!(json.contains("\"name\":\"alice\"") && !json.contains(NUMBER));
    let mut back: PatientSealed = serde_json::from_str(&json).unwrap();
    assert_eq!(back.open_ssn(&keys).unwrap().expose(), NUMBER);
    assert_eq!(*back.open_phone(&keys).unwrap().expose(), None);
    assert_eq!((back.clinic.as_str(), back.id), ("acme", 1));
    assert!(!back.reseal(&keys).unwrap());

    let other = patient(2).seal(&keys).unwrap();
    back.ssn = other.ssn;
    let error = back.open_ssn(&keys).unwrap_err();
    assert_eq!(error.kind(), EncryptErrorKind::ContextMismatch);

    setup.keyring.rotate(&scope).await.unwrap();
    let keys = setup.keyring.prepare(&[scope]).await.unwrap();
    let mut sealed = sealed;
    assert!(sealed.reseal(&keys).unwrap());
    assert!(!sealed.reseal(&keys).unwrap());
    assert_eq!(sealed.open_ssn(&keys).unwrap().expose(), NUMBER);
}
