//! Finding sealed values, and pseudonyms.

use std::collections::HashSet;

use bartizan_encrypt::{
    BlindIndex, ConfigError, EncryptErrorKind, KeyPurpose, KeyScope, Normalizer, PseudonymDomain,
};

use crate::support::{Setup, acme};

fn index_keys(tenant: &str) -> KeyScope {
    KeyScope::tenant(tenant).with_purpose(KeyPurpose::Index)
}

fn pseudonym_keys() -> KeyScope {
    acme().with_purpose(KeyPurpose::Pseudonyms)
}

#[tokio::test]
async fn equal_values_have_equal_index_values_within_one_field_and_tenant() {
    let setup = Setup::new();
    let scopes = [index_keys("acme"), index_keys("other")];
    let prepared = setup.keyring.prepare(&scopes).await.unwrap();
    let index = BlindIndex::new("patient", "ssn", 24).unwrap();
    let digits = index.clone().with_normalizer(Normalizer::Digits);
    let stored = |tenant: &str, index: &BlindIndex, value: &str| {
        let values = prepared.index(tenant, index, value).unwrap();
        values.stored().unwrap().to_string()
    };
    let one = stored("acme", &index, "078-05-1120");
    assert_eq!(one.len(), 6);
    assert_eq!(one, stored("acme", &index, "078-05-1120"));
    assert_ne!(one, stored("acme", &index, "078 05 1120"));
    assert_eq!(
        stored("acme", &digits, "078-05-1120"),
        stored("acme", &digits, "078 05 1120")
    );
    assert_ne!(one, stored("other", &index, "078-05-1120"));
    let phone = BlindIndex::new("patient", "phone", 24).unwrap();
    assert_ne!(one, stored("acme", &phone, "078-05-1120"));
    let names = phone.with_normalizer(Normalizer::LowercaseTrimmed);
    assert_eq!(
        stored("acme", &names, " Alice "),
        stored("acme", &names, "alice")
    );
    let error = prepared.index("third", &index, "").unwrap_err();
    assert_eq!(error.kind(), EncryptErrorKind::NotPrepared);
    for bits in [0, 7, 65] {
        let refused = BlindIndex::new("patient", "ssn", bits);
        assert!(matches!(refused, Err(ConfigError::IndexBits(_))));
    }
}

#[tokio::test]
async fn while_an_index_key_is_replaced_there_is_a_candidate_for_each() {
    let setup = Setup::new();
    let index = BlindIndex::new("patient", "ssn", 64).unwrap();
    let values = async || {
        let prepared = setup.keyring.prepare(&[index_keys("acme")]).await.unwrap();
        prepared.index("acme", &index, "078-05-1120").unwrap()
    };
    let before = values().await;
    assert_eq!(before.candidates().len(), 1);
    setup.keyring.rotate(&index_keys("acme")).await.unwrap();
    let during = values().await;
    assert_eq!(during.candidates().len(), 2);
    assert_ne!(during.stored(), before.stored());
    assert_eq!(during.candidates()[1..], *before.candidates());
    let scope = index_keys("acme");
    setup
        .keyring
        .require_minimum_version(&scope, 2)
        .await
        .unwrap();
    assert_eq!(values().await.candidates().len(), 1);
}

#[tokio::test]
async fn few_bits_stand_for_several_values() {
    let setup = Setup::new();
    let prepared = setup.keyring.prepare(&[index_keys("acme")]).await.unwrap();
    let index = BlindIndex::new("patient", "ssn", 8).unwrap();
    let distinct: HashSet<_> = (0..2000)
        .map(|n| prepared.index("acme", &index, &n.to_string()).unwrap())
        .filter_map(|values| values.stored().cloned())
        .collect();
    assert!((200..=256).contains(&distinct.len()), "{}", distinct.len());
}

#[tokio::test]
async fn a_pseudonym_is_of_use_in_its_domain_alone() {
    let setup = Setup::new();
    let prepared = setup.keyring.prepare(&[pseudonym_keys()]).await.unwrap();
    let name = |domain: &str, value: &str| {
        let domain = PseudonymDomain::new(domain);
        prepared.pseudonym("acme", &domain, value).unwrap()
    };
    assert_eq!(name("analytics", "alice"), name("analytics", "alice"));
    assert_ne!(name("analytics", "alice"), name("research", "alice"));
    assert_ne!(name("analytics", "alice"), name("analytics", "bob"));
    assert_ne!(name("a", "bc"), name("ab", "c"));
    assert_eq!(name("analytics", "alice").len(), "psn_".len() + 22);
}
