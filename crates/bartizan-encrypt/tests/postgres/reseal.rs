//! Resealing a real table.

use std::num::NonZeroUsize;

use bartizan_encrypt::{
    Ciphertext, Encrypted, KeyScope, Place, Prepared, Replacement, Reseal, ResealProgress,
    SealedValues, StoreAnswer, StoreError, StoredValue,
};
use tokio_postgres::{Client, NoTls};

use crate::server::Postgres;
use crate::values::{Ssn, acme};

/// A column of patients, each value bound to its row.
#[derive(Debug)]
struct Patients {
    url: String,
}

impl Patients {
    async fn client(&self) -> Result<Client, StoreError> {
        let (client, connection) = tokio_postgres::connect(&self.url, NoTls)
            .await
            .map_err(StoreError::new)?;
        tokio::spawn(connection);
        // The server of these tests does not wait for the disk otherwise, and a crash shows it.
        let durable = client.batch_execute("set synchronous_commit = on").await;
        durable.map_err(StoreError::new)?;
        Ok(client)
    }
}

impl SealedValues for Patients {
    fn read<'s>(
        &'s self,
        after: Option<&'s str>,
        limit: usize,
    ) -> StoreAnswer<'s, Vec<StoredValue>> {
        Box::pin(async move {
            let query = "select id, ssn from patients where id > $1 order by id limit $2";
            let limit = i64::try_from(limit).map_err(StoreError::new)?;
            let rows = self.client().await?;
            let rows = rows.query(query, &[&after.unwrap_or(""), &limit]).await;
            let rows = rows.map_err(StoreError::new)?;
            let stored = |row: &tokio_postgres::Row| {
                let value = Ciphertext::from_bytes(row.get::<_, Vec<u8>>("ssn")).unwrap();
                let value: Encrypted<String, Ssn> = Encrypted::from_ciphertext(value);
                let id: &str = row.get("id");
                StoredValue::new(id, place(id), &value)
            };
            Ok(rows.iter().map(stored).collect())
        })
    }

    fn replace<'s>(&'s self, replacements: &'s [Replacement]) -> StoreAnswer<'s, u64> {
        Box::pin(async move {
            let column = |of: fn(&Replacement) -> &[u8]| -> Vec<&[u8]> {
                replacements.iter().map(of).collect()
            };
            let ids: Vec<&str> = replacements.iter().map(|it| it.position.as_str()).collect();
            let before = column(|it| it.before.as_bytes());
            let after = column(|it| it.after.as_bytes());
            let update = "update patients set ssn = new.after \
                from unnest($1::text[], $2::bytea[], $3::bytea[]) as new(id, before, after) \
                where patients.id = new.id and patients.ssn = new.before";
            let client = self.client().await?;
            let done = client.execute(update, &[&ids, &before, &after]).await;
            done.map_err(StoreError::new)
        })
    }

    fn count<'s>(&'s self, after: Option<&'s str>) -> StoreAnswer<'s, u64> {
        Box::pin(async move {
            let query = "select count(*) from patients where id > $1";
            let client = self.client().await?;
            let row = client.query_one(query, &[&after.unwrap_or("")]).await;
            let count: i64 = row.map_err(StoreError::new)?.get(0);
            count.try_into().map_err(StoreError::new)
        })
    }

    fn cursor(&self) -> StoreAnswer<'_, Option<String>> {
        Box::pin(async move {
            let client = self.client().await?;
            let row = client.query_opt("select position from progress", &[]).await;
            Ok(row.map_err(StoreError::new)?.map(|row| row.get(0)))
        })
    }

    fn set_cursor<'s>(&'s self, cursor: Option<&'s str>) -> StoreAnswer<'s, ()> {
        Box::pin(async move {
            let client = self.client().await?;
            let kept = match cursor {
                None => client.execute("delete from progress", &[]).await,
                Some(cursor) => {
                    let keep = "insert into progress values (1, $1) \
                                on conflict (one) do update set position = $1";
                    client.execute(keep, &[&cursor]).await
                }
            };
            kept.map(drop).map_err(StoreError::new)
        })
    }
}

const ROWS: usize = 2000;

fn place(id: &str) -> Place {
    Place::new("acme")
        .and_then(|place| place.with_record(id))
        .unwrap()
}

fn sealed(keys: &Prepared, id: &str) -> Encrypted<String, Ssn> {
    keys.seal(&place(id), &format!("number {id}")).unwrap()
}

/// How many rows open to what they were, and how many are under the key that seals.
async fn state(postgres: &Postgres, keys: &Prepared) -> (usize, usize) {
    let client = postgres.client().await;
    let rows = client
        .query("select id, ssn from patients", &[])
        .await
        .unwrap();
    let (mut opens, mut current) = (0, 0);
    for row in rows {
        let (id, value): (String, Vec<u8>) = (row.get(0), row.get(1));
        let value = Ciphertext::from_bytes(value).unwrap();
        current += usize::from(keys.is_current(&place(&id), &value).unwrap());
        let opened = keys.open(
            &place(&id),
            &Encrypted::<String, Ssn>::from_ciphertext(value),
        );
        opens += usize::from(opened.is_ok_and(|opened| *opened.expose() == format!("number {id}")));
    }
    (opens, current)
}

#[tokio::test]
async fn a_table_is_resealed_through_a_crash_and_beside_a_writer() {
    let Some((mut postgres, _store)) = crate::migrated().await else {
        return;
    };
    let keyring = crate::keyring(&postgres);
    let keys = keyring.prepare(&acme()).await.unwrap();
    let client = postgres.client().await;
    let tables = "create table patients (id text primary key, ssn bytea not null); \
                  create table progress (one integer primary key, position text not null)";
    client.batch_execute(tables).await.unwrap();
    let ids: Vec<String> = (0..ROWS).map(|row| format!("{row:06}")).collect();
    let values: Vec<_> = ids.iter().map(|id| sealed(&keys, id)).collect();
    let bytes: Vec<&[u8]> = values
        .iter()
        .map(|value| value.ciphertext().as_bytes())
        .collect();
    let insert = "insert into patients select * from unnest($1::text[], $2::bytea[])";
    client.execute(insert, &[&ids, &bytes]).await.unwrap();
    keyring.rotate(&KeyScope::tenant("acme")).await.unwrap();

    let url = postgres.url();
    let reseal = |keyring| {
        Reseal::new(keyring, Patients { url: url.clone() })
            .with_page(NonZeroUsize::new(100).unwrap())
    };
    let mut told = ResealProgress::default();
    let cut = reseal(keyring.clone())
        .run(|progress| {
            told = *progress;
            if progress.examined() >= 500 {
                postgres.crash();
            }
        })
        .await;
    assert!(cut.is_err(), "the database went away");
    assert!(told.examined() >= 500 && told.left <= 1500, "{told:?}");
    postgres.run().await;
    let keys = keyring.prepare(&acme()).await.unwrap();
    let (opens, current) = state(&postgres, &keys).await;
    assert_eq!(opens, ROWS);
    assert!((500..ROWS).contains(&current), "{current}");

    // Somebody writes the last row while it is resealed; the row is theirs.
    let client = postgres.client().await;
    let theirs = sealed(&keys, "001999");
    let blocked = "begin; select 1 from patients where id = '001999' for update";
    client.batch_execute(blocked).await.unwrap();
    let second = reseal(keyring.clone());
    let running = tokio::spawn(async move { second.run(|_| {}).await });
    let watcher = postgres.client().await;
    crate::wait::until("the last page waits for the row", async || {
        let waiting = "select count(*) from pg_locks where not granted";
        watcher
            .query_one(waiting, &[])
            .await
            .unwrap()
            .get::<_, i64>(0)
            > 0
    })
    .await;
    let write = "update patients set ssn = $1 where id = '001999'";
    client
        .execute(write, &[&theirs.ciphertext().as_bytes()])
        .await
        .unwrap();
    client.batch_execute("commit").await.unwrap();
    let done = running.await.unwrap().unwrap();
    assert_eq!((done.missed, done.left, done.unreadable), (1, 0, 0));
    assert!(
        done.examined() <= ROWS as u64 - 500,
        "behind the cursor: {done:?}"
    );
    assert!(!done.is_complete());

    let last = reseal(keyring.clone()).run(|_| {}).await.unwrap();
    assert!(last.is_complete());
    assert_eq!((last.resealed, last.current), (0, ROWS as u64));
    assert_eq!(state(&postgres, &keys).await, (ROWS, ROWS));
}
