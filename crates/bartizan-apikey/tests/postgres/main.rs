//! Keys in a real PostgreSQL.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

mod server;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_apikey::{
    ApiKeyConfig, ApiKeyConfigBuilder, ApiKeyLayer, KeyFormat, KeyRead, KeyRecord,
    KeyRecordBuilder, KeySource, KeyUse, NewKey, Pepper, Peppers, PostgresKeys,
};
use bartizan_core::{Clock as _, Event, WallTime, observe_fn};
use bartizan_testkit::{Call, DevelopmentCa, Host, ManualClock};
use http::{HeaderName, HeaderValue};

use crate::server::{Postgres, until};

const NOW: WallTime = WallTime::from_unix_seconds(1_800_000_000);

async fn migrated() -> Option<(Postgres, PostgresKeys)> {
    let postgres = Postgres::start().await?;
    let store = postgres.keys().build().unwrap();
    store.migrate().await.unwrap();
    store.migrate().await.unwrap();
    Some((postgres, store))
}

fn new_key() -> NewKey {
    NewKey::generate(&KeyFormat::live()).unwrap()
}

fn peppers() -> Peppers {
    Peppers::new(Pepper::new("2027", &[7; 32]).unwrap())
}

fn record(key: &NewKey) -> KeyRecordBuilder {
    KeyRecord::builder(key, &peppers(), "reports", NOW)
}

fn after(seconds: u64) -> WallTime {
    NOW + Duration::from_secs(seconds)
}

fn config(store: &PostgresKeys, clock: &ManualClock) -> ApiKeyConfigBuilder {
    ApiKeyConfig::builder("orders-keys")
        .with_source(store.clone())
        .with_peppers(peppers())
        .with_clock(Arc::new(clock.clone()))
        .with_patience(Duration::from_secs(10))
        .with_key_lifetime(Duration::from_secs(1))
}

async fn loaded(config: ApiKeyConfigBuilder) -> ApiKeyLayer {
    ApiKeyLayer::load(config.build().unwrap()).await.unwrap()
}

/// Status and code of what a client sees that sends this key.
async fn outcome(layer: &ApiKeyLayer, key: &NewKey) -> (u16, Option<String>) {
    let value = HeaderValue::try_from(key.expose()).unwrap();
    let call = Call::echo("").add_header(HeaderName::from_static("x-api-key"), value);
    let answer = Host::Hyper.send(layer, &call).await.unwrap();
    let code = answer.code().filter(|_| !answer.is_success());
    (answer.http_status.as_u16(), code)
}

fn refused(status: u16, code: &str) -> (u16, Option<String>) {
    (status, Some(code.to_owned()))
}

#[tokio::test]
async fn records_come_back_as_they_were() {
    let Some((_postgres, store)) = migrated().await else {
        return;
    };
    assert!(store.records().await.unwrap().is_empty());
    let keys = [new_key(), new_key()];
    let full = record(&keys[0])
        .with_name("the \"nightly\" report'; --")
        .with_client("nightly")
        .with_tenant("acmé")
        .with_scopes(["orders:read", "a,b", "{c}", "\"d\""])
        .with_roles(["reader"])
        .with_networks([
            "10.0.0.0/8".parse().unwrap(),
            "2001:db8::/32".parse().unwrap(),
        ])
        .with_not_before(after(1))
        .with_expires(after(2))
        .with_revoked(after(3))
        .with_replaced_by(keys[1].id())
        .build()
        .unwrap();
    let bare = record(&keys[1]).build().unwrap();
    for record in [&full, &bare] {
        assert!(store.add(record).await.unwrap());
        assert!(!store.add(record).await.unwrap(), "it is there already");
    }
    let mut found = store.records().await.unwrap();
    found.sort_by_key(|record| record.id() != full.id());
    assert_eq!(found, [full, bare]);
}

#[tokio::test]
async fn a_service_follows_the_table_through_the_life_of_a_key() {
    let Some((_postgres, store)) = migrated().await else {
        return;
    };
    let clock = ManualClock::default();
    let layer = loaded(config(&store, &clock)).await;
    let key = new_key();
    assert_eq!(outcome(&layer, &key).await, refused(401, "apikey.invalid"));
    clock.advance(Duration::from_secs(1));
    let first = record(&key).build().unwrap();
    store.add(&first).await.unwrap();
    assert_eq!(
        outcome(&layer, &key).await,
        (200, None),
        "known to its first request"
    );

    let second = new_key();
    let overlap = Duration::from_secs(600);
    let rotation = first
        .rotated(&second, &peppers(), clock.wall(), overlap)
        .unwrap();
    assert!(store.rotate(&rotation).await.unwrap());
    assert!(!store.rotate(&rotation).await.unwrap(), "once");
    clock.advance(Duration::from_secs(1));
    assert_eq!(outcome(&layer, &second).await, (200, None));
    assert_eq!(outcome(&layer, &key).await, (200, None));

    assert!(store.revoke(key.id(), clock.wall()).await.unwrap());
    assert!(!store.revoke(new_key().id(), clock.wall()).await.unwrap());
    until("the revoked key is refused", async || {
        outcome(&layer, &key).await == refused(401, "apikey.revoked")
    })
    .await;
    assert_eq!(outcome(&layer, &second).await, (200, None));
    let records = store.records().await.unwrap();
    let old = records.iter().find(|it| it.id() == key.id()).unwrap();
    assert_eq!(old.replaced_by(), Some(second.id()));
    assert_eq!(old.expires(), rotation.old.expires());
    let since = old.revoked();
    store
        .revoke(key.id(), clock.wall() + overlap)
        .await
        .unwrap();
    let records = store.records().await.unwrap();
    let old = records.iter().find(|it| it.id() == key.id()).unwrap();
    assert_eq!(
        old.revoked(),
        since,
        "it stays revoked since the first time"
    );
}

#[tokio::test]
async fn changes_are_counted_whoever_makes_them_and_uses_are_none() {
    let Some((postgres, store)) = migrated().await else {
        return;
    };
    let key = new_key();
    let revision = async |known| match store.read(known).await.unwrap() {
        KeyRead::Records { records, revision } => Some((records.len(), revision.unwrap())),
        _ => None,
    };
    let (count, first) = revision(None).await.unwrap();
    assert_eq!(count, 0);
    assert_eq!(revision(Some(first)).await, None, "nothing changed");
    store.add(&record(&key).build().unwrap()).await.unwrap();
    let (count, second) = revision(Some(first)).await.unwrap();
    assert_eq!(count, 1);
    assert_ne!(first, second);

    let used = KeyUse {
        id: key.id(),
        at: after(60),
    };
    store.record_uses(&[used]).await.unwrap();
    assert_eq!(revision(Some(second)).await, None, "a use is no change");
    store
        .record_uses(&[KeyUse {
            at: after(0),
            ..used
        }])
        .await
        .unwrap();
    store
        .record_uses(&[KeyUse {
            id: new_key().id(),
            ..used
        }])
        .await
        .unwrap();
    let records = store.records().await.unwrap();
    assert_eq!(
        records[0].last_used(),
        Some(after(60)),
        "the latest one counts"
    );

    let client = postgres.client().await;
    let mut known = second;
    for change in [
        "update bartizan_api_keys set scopes = '{a}'",
        "delete from bartizan_api_keys",
        "truncate bartizan_api_keys",
    ] {
        client.batch_execute(change).await.unwrap();
        let (_, revision) = revision(Some(known)).await.expect(change);
        known = revision;
    }
}

#[tokio::test]
async fn of_two_who_rotate_one_key_at_once_one_does() {
    let Some((postgres, store)) = migrated().await else {
        return;
    };
    for _ in 0..10 {
        let first = record(&new_key()).build().unwrap();
        store.add(&first).await.unwrap();
        let rotating: Vec<_> = (0..4)
            .map(|_| {
                let store = postgres.keys().build().unwrap();
                let overlap = Duration::from_secs(60);
                let rotation = first.rotated(&new_key(), &peppers(), NOW, overlap).unwrap();
                tokio::spawn(async move { store.rotate(&rotation).await.unwrap() })
            })
            .collect();
        let mut done = 0;
        for rotated in rotating {
            done += usize::from(rotated.await.unwrap());
        }
        assert_eq!(done, 1);
    }
    assert_eq!(
        store.records().await.unwrap().len(),
        20,
        "no key without its owner"
    );
}

#[tokio::test]
async fn a_rotation_undoes_nothing_that_somebody_changed_meanwhile() {
    let Some((postgres, store)) = migrated().await else {
        return;
    };
    let client = postgres.client().await;
    let overlap = Duration::from_secs(600);
    let full = |key: &NewKey| {
        record(key)
            .with_scopes(["orders:read", "orders:write"])
            .with_roles(["clerk"])
            .with_networks(["10.0.0.0/8".parse().unwrap()])
            .with_expires(after(1000))
    };
    for bare in [true, false] {
        for change in [
            "expires = 1800000100",
            "expires = 1800000900",
            "not_before = 1800000050",
            "scopes = '{orders:list}'",
            "roles = '{}'",
            "roles = '{guest}'",
            "networks = '{10.1.0.0/16}'",
            "tenant = 'acme'",
            "subject = 'nobody'",
            "revoked = 1800000001",
        ] {
            let key = new_key();
            let builder = if bare { record(&key) } else { full(&key) };
            let read = builder.build().unwrap();
            store.add(&read).await.unwrap();
            if bare && change == "roles = '{}'" {
                continue;
            }
            let rotation = read.rotated(&new_key(), &peppers(), NOW, overlap).unwrap();
            let update = format!(
                "update bartizan_api_keys set {change} where id = '{}'",
                key.id()
            );
            client.batch_execute(&update).await.unwrap();
            let before = store.records().await.unwrap();
            assert!(!store.rotate(&rotation).await.unwrap(), "{change}");
            assert_eq!(store.records().await.unwrap(), before, "{change}");
            // Whoever reads again does it right.
            let now = before.iter().find(|it| it.id() == key.id()).unwrap();
            let at = after(60);
            if let Ok(rotation) = now.rotated(&new_key(), &peppers(), at, overlap) {
                assert!(store.rotate(&rotation).await.unwrap(), "{change}");
            } else {
                assert!(now.revoked().is_some(), "{change}");
            }
        }
    }
}

#[tokio::test]
async fn instances_write_uses_beside_each_other() {
    let Some((postgres, store)) = migrated().await else {
        return;
    };
    let keys: Vec<_> = (0..200).map(|_| new_key()).collect();
    for key in &keys {
        store.add(&record(key).build().unwrap()).await.unwrap();
    }
    let writing: Vec<_> = (0..8_u64)
        .map(|instance| {
            let store = postgres.keys().build().unwrap();
            let at = after(60 * (instance + 1));
            let mut uses: Vec<_> = keys.iter().map(|key| KeyUse { id: key.id(), at }).collect();
            // Each in an order of its own.
            uses.rotate_left(usize::try_from(instance).unwrap() * 23);
            tokio::spawn(async move { store.record_uses(&uses).await })
        })
        .collect();
    for written in writing {
        written.await.unwrap().unwrap();
    }
    let records = store.records().await.unwrap();
    assert!(records.iter().all(|it| it.last_used() == Some(after(480))));
}

#[tokio::test]
async fn an_outage_is_served_from_memory_and_then_503_and_never_401() {
    let Some((mut postgres, store)) = migrated().await else {
        return;
    };
    let clock = ManualClock::default();
    let key = new_key();
    store.add(&record(&key).build().unwrap()).await.unwrap();
    let limit = Duration::from_secs(60);
    let layer = loaded(config(&store, &clock).with_stale_limit(limit)).await;
    assert_eq!(outcome(&layer, &key).await, (200, None));
    postgres.crash();
    let unavailable = refused(503, "apikey.keys_unavailable");
    assert_eq!(outcome(&layer, &new_key()).await, unavailable);
    assert_eq!(outcome(&layer, &key).await, (200, None));
    clock.advance(limit);
    assert_eq!(outcome(&layer, &key).await, unavailable);
    postgres.run().await;
    until("the keys are back", async || {
        clock.advance(Duration::from_secs(1));
        outcome(&layer, &key).await == (200, None)
    })
    .await;
    assert_eq!(
        outcome(&layer, &new_key()).await,
        refused(401, "apikey.invalid")
    );
}

#[tokio::test]
async fn a_table_with_more_rows_than_are_read_is_refused() {
    let Some((postgres, store)) = migrated().await else {
        return;
    };
    for _ in 0..3 {
        store
            .add(&record(&new_key()).build().unwrap())
            .await
            .unwrap();
    }
    let of = |rows| postgres.keys().with_max_rows(rows).build().unwrap();
    assert_eq!(of(3).records().await.unwrap().len(), 3);
    let error = of(2).records().await.unwrap_err();
    assert!(error.to_string().contains("more than 2 keys"), "{error}");
}

#[tokio::test]
async fn rows_that_are_no_records_are_kept_out_by_the_table() {
    let Some((postgres, store)) = migrated().await else {
        return;
    };
    store
        .add(&record(&new_key()).build().unwrap())
        .await
        .unwrap();
    let client = postgres.client().await;
    for change in [
        "id = 'short'",
        "hash = 'v1.-.short'",
        "subject = ''",
        "subject = repeat('x', 257)",
        "created = -1",
        "replaced_by = 'x'",
        "networks = '{10.0.0.1/8}'",
        "scopes = array_fill('x'::text, array[65])",
        "hash = replace(hash, 'v1.2027.', 'v1.-2027.')",
        "subject = E'a\\nb'",
        "name = E'\\u0085'",
        "client = ''",
        "tenant = E'a\\x1b'",
        "scopes = '{a b}'",
        "scopes = '{NULL}'",
        "roles = array['']",
        "roles = array[E'a\\u2003']",
        "networks = '{NULL}'",
        "not_before = 2, expires = 1",
    ] {
        let update = format!("update bartizan_api_keys set {change}");
        assert!(client.batch_execute(&update).await.is_err(), "{change}");
    }
    assert_eq!(store.records().await.unwrap().len(), 1);
}

/// Of a table that somebody made without the checks.
#[tokio::test]
async fn a_bad_row_holds_no_revocation_back() {
    let Some((postgres, store)) = migrated().await else {
        return;
    };
    let client = postgres.client().await;
    let unchecked = "do $$ declare it record; begin for it in \
         select conname from pg_constraint \
         where conrelid = 'bartizan_api_keys'::regclass and contype = 'c' loop \
         execute format('alter table bartizan_api_keys drop constraint %I', it.conname); \
         end loop; end $$";
    client.batch_execute(unchecked).await.unwrap();
    let good = new_key();
    store.add(&record(&good).build().unwrap()).await.unwrap();
    let changes = [
        "subject = E'a\\nb'",
        "name = ''",
        "scopes = '{a b}'",
        "roles = '{NULL}'",
        "not_before = 2, expires = 1",
        "hash = 'v1.-2027.x'",
        "replaced_by = '?'",
        "created = -1",
    ];
    let mut bad = Vec::new();
    for change in changes {
        let key = new_key();
        store.add(&record(&key).build().unwrap()).await.unwrap();
        let update = format!(
            "update bartizan_api_keys set {change} where id = '{}'",
            key.id()
        );
        client.batch_execute(&update).await.unwrap();
        bad.push(key);
    }
    let clock = ManualClock::default();
    let told = Arc::new(Mutex::new(Vec::new()));
    let teller = Arc::clone(&told);
    let observer = observe_fn(move |event| {
        if let Event::Lifecycle(event) = event
            && event.code().as_str() == "apikey.key_ignored"
        {
            let id = event.subject().unwrap().to_owned();
            teller.lock().unwrap().push(id);
        }
    });
    let layer = loaded(config(&store, &clock).with_observer(Arc::new(observer))).await;
    assert_eq!(outcome(&layer, &good).await, (200, None));
    for key in &bad {
        clock.advance(Duration::from_secs(1));
        assert_eq!(outcome(&layer, key).await, refused(401, "apikey.invalid"));
        let told = told.lock().unwrap();
        assert!(told.contains(&key.id().to_string()), "{told:?}");
    }
    store.revoke(good.id(), clock.wall()).await.unwrap();
    until("the revoked key is refused", async || {
        clock.advance(Duration::from_secs(1));
        outcome(&layer, &good).await == refused(401, "apikey.revoked")
    })
    .await;
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
    assert!(store.records().await.unwrap().is_empty());
    let client = postgres.client().await;
    let query = "select count(*) from pg_stat_ssl join pg_stat_activity using (pid) \
                 where ssl and application_name = 'bartizan-apikey'";
    let encrypted: i64 = client.query_one(query, &[]).await.unwrap().get(0);
    assert_eq!(encrypted, 1);
    let stranger = DevelopmentCa::new("db.test").unwrap();
    let error = with(&stranger).records().await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[tokio::test]
async fn a_service_may_have_no_right_but_to_read_and_to_note_uses() {
    let Some((postgres, store)) = migrated().await else {
        return;
    };
    let key = new_key();
    store.add(&record(&key).build().unwrap()).await.unwrap();
    let client = postgres.client().await;
    let rights = "create role service login; \
         grant select on bartizan_api_keys, bartizan_api_keys_revision to service; \
         grant update (last_used) on bartizan_api_keys to service";
    client.batch_execute(rights).await.unwrap();
    let url = postgres.url().replace("orders@", "service@");
    let service = PostgresKeys::builder(&url)
        .allow_plaintext_loopback()
        .build()
        .unwrap();
    assert_eq!(service.records().await.unwrap().len(), 1);
    let used = KeyUse {
        id: key.id(),
        at: after(60),
    };
    service.record_uses(&[used]).await.unwrap();
    assert!(service.revoke(key.id(), NOW).await.is_err());
    assert!(
        service
            .add(&record(&new_key()).build().unwrap())
            .await
            .is_err()
    );
    assert_eq!(
        store.records().await.unwrap()[0].last_used(),
        Some(after(60))
    );
}
