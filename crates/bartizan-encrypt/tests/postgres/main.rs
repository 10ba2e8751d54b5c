//! Key records in a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod reseal;
mod server;
#[path = "../servers/values.rs"]
mod values;
#[allow(dead_code, reason = "each binary uses a part of it")]
#[path = "../servers/wait.rs"]
mod wait;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::Subject;
use bartizan_encrypt::{
    EncryptErrorKind, KeyBytes, KeyChange, KeyChangeError, KeyId, KeyPurpose, KeyRecord, KeyScope,
    KeyStage, KeyStore, Keyring, LocalKek, PostgresKeys,
};
use bartizan_testkit::{DevelopmentCa, ManualClock};

use crate::server::Postgres;
use crate::values::{acme, opens, sealed};
use crate::wait::until;

fn kek() -> LocalKek {
    LocalKek::new(&KeyBytes::from_slice(&[7; 32]).unwrap())
}

fn keyring(postgres: &Postgres) -> Keyring {
    let store = postgres.keys().build().unwrap();
    Keyring::builder("clinic", store, kek()).build().unwrap()
}

async fn migrated() -> Option<(Postgres, PostgresKeys)> {
    let postgres = Postgres::start().await?;
    let store = postgres.keys().build().unwrap();
    store.migrate().await.unwrap();
    store.migrate().await.unwrap();
    Some((postgres, store))
}

#[tokio::test]
async fn records_come_back_as_they_were_and_change_by_comparison_alone() {
    let Some((_postgres, store)) = migrated().await else {
        return;
    };
    let scopes = [
        KeyScope::tenant("acme"),
        KeyScope::tenant("acme").with_purpose(KeyPurpose::Index),
        KeyScope::subject("acme", "ålice 'or' 1=1; --").with_purpose(KeyPurpose::Pseudonyms),
    ];
    let stages = [
        KeyStage::PreActive,
        KeyStage::Active,
        KeyStage::DecryptOnly,
        KeyStage::Disabled,
        KeyStage::Destroyed { at: 17 },
    ];
    let mut records = Vec::new();
    for (scope, byte) in scopes.iter().zip(1..) {
        for (stage, version) in stages.into_iter().zip(1..) {
            let gone = matches!(stage, KeyStage::Destroyed { .. });
            records.push(KeyRecord {
                id: KeyId::from_bytes([byte, 0, 0, 0, 0, 0, 0, version]),
                scope: scope.clone(),
                version: u32::from(version),
                stage,
                created: 1_800_000_000,
                kek: "k".to_owned(),
                wrapped: if gone {
                    Vec::new()
                } else {
                    vec![0, 255, byte, version]
                },
            });
        }
    }
    let inserts = records.iter().cloned().map(KeyChange::insert).collect();
    assert!(store.apply(inserts).await.unwrap());
    let sorted = async |scope: Option<&KeyScope>| {
        let mut found = store.read(scope).await.unwrap();
        found.sort_by_key(|record| (record.scope.clone(), record.version));
        found
    };
    assert_eq!(sorted(None).await, records);
    assert_eq!(sorted(Some(&scopes[2])).await, records[10..]);
    assert!(sorted(Some(&KeyScope::tenant("other"))).await.is_empty());

    let first = records[0].clone();
    let with = |change: fn(&mut KeyRecord)| {
        let mut record = first.clone();
        change(&mut record);
        record
    };
    let new = with(|record| {
        record.id = KeyId::from_bytes([9; 8]);
        record.version = 9;
    });
    let unfit = [
        KeyChange::insert(with(|record| record.version = 77)),
        KeyChange::insert(with(|record| record.id = KeyId::from_bytes([8; 8]))),
        KeyChange::replace(with(|record| record.kek.push('x')), first.clone()),
        KeyChange::replace(with(|record| record.wrapped.push(1)), first.clone()),
        KeyChange::replace(
            with(|record| record.stage = KeyStage::Active),
            first.clone(),
        ),
        KeyChange::replace(with(|record| record.created += 1), first.clone()),
        KeyChange::replace(first.clone(), with(|record| record.created += 1)),
        KeyChange::replace(first.clone(), with(|record| record.version = 78)),
        KeyChange::replace(new.clone(), new.clone()),
    ];
    for change in unfit {
        let both = vec![KeyChange::insert(new.clone()), change.clone()];
        if change.before.as_ref() != Some(&new) {
            assert!(!store.apply(both).await.unwrap(), "{change:?}");
        }
        assert!(!store.apply(vec![change]).await.unwrap());
        assert_eq!(sorted(None).await, records, "all or nothing");
    }
    let disabled = with(|record| record.stage = KeyStage::Disabled);
    let fit = vec![
        KeyChange::insert(new),
        KeyChange::replace(first.clone(), disabled),
    ];
    assert!(store.apply(fit).await.unwrap());
    assert_eq!(sorted(None).await.len(), records.len() + 1);

    let nameless = KeyScope::subject("acme", "");
    assert!(
        store.read(Some(&nameless)).await.is_err(),
        "it would be the tenant's"
    );
}

#[tokio::test]
async fn of_instances_that_make_a_first_key_at_once_one_does() {
    let Some((postgres, store)) = migrated().await else {
        return;
    };
    for round in 0..10 {
        let scope = KeyScope::tenant(&format!("tenant-{round}"));
        let instances: Vec<_> = (0..6).map(|_| keyring(&postgres)).collect();
        let preparing: Vec<_> = instances
            .iter()
            .map(|keyring| {
                let (keyring, scope) = (keyring.clone(), scope.clone());
                tokio::spawn(async move { keyring.prepare(&[scope]).await.map(drop) })
            })
            .collect();
        for prepared in preparing {
            prepared.await.unwrap().unwrap();
        }
        assert_eq!(store.read(Some(&scope)).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn of_instances_that_rotate_at_once_one_does_and_the_others_learn_of_it() {
    let Some((postgres, store)) = migrated().await else {
        return;
    };
    let [scope] = acme();
    let value = sealed(&keyring(&postgres).prepare(&acme()).await.unwrap());
    let mut rotated = 0;
    for _ in 0..10 {
        let rotating: Vec<_> = (0..4)
            .map(|_| {
                let (keyring, scope) = (keyring(&postgres), scope.clone());
                tokio::spawn(async move { keyring.rotate(&scope).await })
            })
            .collect();
        for done in rotating {
            match done.await.unwrap() {
                Ok(_) => rotated += 1,
                Err(error) => assert!(matches!(error, KeyChangeError::Conflict), "{error}"),
            }
        }
    }
    assert!(rotated >= 10, "in each round at least one did");
    let records = store.read(Some(&scope)).await.unwrap();
    assert_eq!(records.len(), rotated + 1);
    let versions: HashSet<_> = records.iter().map(|record| record.version).collect();
    assert_eq!(versions.len(), records.len());
    let active = |record: &&KeyRecord| record.stage == KeyStage::Active;
    assert_eq!(records.iter().filter(active).count(), 1);
    assert!(opens(
        &keyring(&postgres).prepare(&acme()).await.unwrap(),
        &value
    ));
}

#[tokio::test]
async fn others_hear_of_changes_long_before_their_ttl_ends() {
    let Some((postgres, _store)) = migrated().await else {
        return;
    };
    let [scope] = acme();
    let (here, there) = (keyring(&postgres), keyring(&postgres));
    let value = sealed(&here.prepare(&acme()).await.unwrap());
    let old = value.ciphertext().key_id();
    assert!(opens(&there.prepare(&acme()).await.unwrap(), &value));
    let client = postgres.client().await;
    until("the other listens", async || {
        let query = "select count(*) from pg_stat_activity where query = 'listen bartizan_keys'";
        let count: i64 = client.query_one(query, &[]).await.unwrap().get(0);
        count == 2
    })
    .await;
    let new = here.rotate(&scope).await.unwrap();
    until("the other seals under the new key", async || {
        let prepared = there.prepare(&acme()).await.unwrap();
        sealed(&prepared).ciphertext().key_id() == new
    })
    .await;
    here.destroy(&scope, old).await.unwrap();
    until("what was destroyed does not open there", async || {
        let prepared = there.prepare(&acme()).await.unwrap();
        !opens(&prepared, &value)
    })
    .await;
}

#[tokio::test]
async fn whoever_is_erased_leaves_a_tombstone_and_no_key() {
    let Some((postgres, _store)) = migrated().await else {
        return;
    };
    let keyring = keyring(&postgres);
    let scope = [KeyScope::subject("acme", "4711")];
    keyring.prepare(&scope).await.unwrap();
    keyring.rotate(&scope[0]).await.unwrap();
    keyring.erase(&Subject::new("acme", "4711")).await.unwrap();
    let client = postgres.client().await;
    let left = "select count(*), count(*) filter (where octet_length(wrapped) = 0) \
                from bartizan_keys where subject = '4711' and stage = 'destroyed'";
    let row = client.query_one(left, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (2, 2));
    let prepared = keyring.prepare(&scope).await.unwrap();
    let place = values::place().with_subject("4711").unwrap();
    let error = prepared.seal::<_, values::Ssn>(&place, &1).unwrap_err();
    assert_eq!(error.kind(), EncryptErrorKind::Shredded);
    let undo = "update bartizan_keys set stage = 'active' where subject = '4711'";
    assert!(
        client.execute(undo, &[]).await.is_err(),
        "a tombstone without a date is none"
    );
}

#[tokio::test]
async fn an_outage_is_served_from_memory_and_what_was_told_survives_a_crash() {
    let Some((mut postgres, store)) = migrated().await else {
        return;
    };
    let clock = ManualClock::default();
    let keyring = Keyring::builder("clinic", store.clone(), kek())
        .with_clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    let value = sealed(&keyring.prepare(&acme()).await.unwrap());
    let [scope] = acme();
    let mut told = 0;
    for round in 0..2 {
        keyring.rotate(&scope).await.unwrap();
        told += 1;
        postgres.crash();
        assert!(keyring.rotate(&scope).await.is_err());
        postgres.run().await;
        let records = store.read(Some(&scope)).await.unwrap();
        assert_eq!(records.len(), told + 1, "round {round}");
    }
    assert!(opens(&keyring.prepare(&acme()).await.unwrap(), &value));

    postgres.crash();
    clock.advance(Duration::from_secs(3599));
    assert!(opens(&keyring.prepare(&acme()).await.unwrap(), &value));
    clock.advance(Duration::from_secs(1));
    let error = keyring.prepare(&acme()).await.unwrap_err();
    assert_eq!(error.kind(), EncryptErrorKind::KeysUnavailable);
    postgres.run().await;
    clock.advance(Duration::from_secs(1));
    assert!(opens(&keyring.prepare(&acme()).await.unwrap(), &value));
}

#[tokio::test]
async fn a_private_authority_is_believed_and_no_other() {
    let Some((postgres, _store)) = migrated().await else {
        return;
    };
    let with = |ca: &DevelopmentCa| {
        let builder = PostgresKeys::builder(&postgres.url());
        builder
            .with_root_pem(ca.certificate_pem().as_bytes())
            .build()
            .unwrap()
    };
    let store = with(postgres.ca());
    assert!(store.read(None).await.unwrap().is_empty());
    let client = postgres.client().await;
    let query = "select count(*) from pg_stat_ssl join pg_stat_activity using (pid) \
                 where ssl and application_name = 'bartizan'";
    let encrypted: i64 = client.query_one(query, &[]).await.unwrap().get(0);
    assert_eq!(encrypted, 1);
    let stranger = DevelopmentCa::new("db.test").unwrap();
    let error = with(&stranger).read(None).await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}
