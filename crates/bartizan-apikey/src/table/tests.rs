//! Which keys hold, and what is told to whom.

use super::*;
use crate::format::{KeyFormat, NewKey};
use crate::hash::Pepper;
use crate::hash::tests::COUNT;
use crate::record::{KeyRecordBuilder, KeyState};

const NOW: WallTime = WallTime::from_unix_seconds(1_800_000_000);

/// What an entry says of its state is what its record says.
#[test]
fn entries_and_records_agree() {
    let key = new_key();
    for revoked in [false, true] {
        let record = record(&key)
            .with_not_before(after(10))
            .with_expires(after(20));
        let record = record.build().unwrap();
        let record = if revoked {
            record.revoked_at(NOW)
        } else {
            record
        };
        let table = table(&rules(), vec![record.clone()]);
        for at in 0..30 {
            let expected = match record.state(after(at)) {
                KeyState::Live => Ok(()),
                KeyState::Expired => Err(ApiKeyErrorKind::Expired),
                KeyState::NotYetValid => Err(ApiKeyErrorKind::NotYetValid),
                KeyState::Revoked => Err(ApiKeyErrorKind::Revoked),
            };
            check(&table, &key, None, at, expected);
        }
    }
}

fn after(seconds: u64) -> WallTime {
    NOW + Duration::from_secs(seconds)
}

fn rules() -> TableRules {
    TableRules {
        issuer: "orders-keys".into(),
        peppers: Peppers::none(),
        max_keys: 100,
        max_lifetime: None,
    }
}

fn new_key() -> NewKey {
    NewKey::generate(&KeyFormat::live()).unwrap()
}

fn record(key: &NewKey) -> KeyRecordBuilder {
    KeyRecord::builder(key, &Peppers::none(), "reports", NOW)
}

fn table(rules: &TableRules, records: Vec<KeyRecord>) -> KeyTable {
    KeyTable::new(rules, records, &Uses::default()).unwrap()
}

#[track_caller]
fn check(
    table: &KeyTable,
    key: &NewKey,
    address: Option<&str>,
    at: u64,
    expected: Result<(), ApiKeyErrorKind>,
) {
    let address = address.map(|address| address.parse().unwrap());
    let judged = table.judge(&key.presented(), address, after(at));
    let judged = judged.map(|_| ()).map_err(|refused| refused.error.kind());
    assert_eq!(judged, expected);
}

#[test]
fn a_key_holds_for_its_time_and_from_its_networks() {
    let key = new_key();
    let record = record(&key)
        .with_not_before(after(10))
        .with_expires(after(20))
        .with_networks(["10.0.0.0/8".parse().unwrap()])
        .build()
        .unwrap();
    let revoked = table(&rules(), vec![record.revoked_at(NOW)]);
    let table = table(&rules(), vec![record]);
    check(
        &table,
        &key,
        Some("10.1.2.3"),
        9,
        Err(ApiKeyErrorKind::NotYetValid),
    );
    check(&table, &key, Some("10.1.2.3"), 10, Ok(()));
    check(&table, &key, Some("::ffff:10.1.2.3"), 10, Ok(()));
    check(
        &table,
        &key,
        Some("11.1.2.3"),
        10,
        Err(ApiKeyErrorKind::AddressNotAllowed),
    );
    check(
        &table,
        &key,
        None,
        10,
        Err(ApiKeyErrorKind::AddressNotAllowed),
    );
    check(&table, &key, Some("10.1.2.3"), 19, Ok(()));
    check(
        &table,
        &key,
        Some("10.1.2.3"),
        20,
        Err(ApiKeyErrorKind::Expired),
    );
    check(
        &revoked,
        &key,
        Some("10.1.2.3"),
        10,
        Err(ApiKeyErrorKind::Revoked),
    );
}

#[test]
fn an_unknown_key_is_compared_and_refused_as_a_wrong_secret_is() {
    let (known, unknown) = (new_key(), new_key());
    let revoked = record(&known).build().unwrap().revoked_at(NOW);
    let table = table(&rules(), vec![revoked]);
    // The identifier of the one with the secret of the other.
    let text = known.presented();
    let forged = PresentedKey {
        id: known.id(),
        signed: unknown.presented().signed,
    };
    for key in [&forged, &unknown.presented()] {
        COUNT.set(0);
        let refused = table.judge(key, None, NOW).map(|_| ()).unwrap_err();
        assert_eq!(COUNT.get(), 1, "as often as a good one");
        assert_eq!(refused.error.kind(), ApiKeyErrorKind::Invalid);
        assert!(refused.proven.is_none());
    }
    COUNT.set(0);
    let refused = table.judge(&text, None, NOW).map(|_| ()).unwrap_err();
    assert_eq!(COUNT.get(), 1);
    assert_eq!(refused.error.kind(), ApiKeyErrorKind::Revoked);
    assert_eq!(refused.proven.unwrap().id(), known.id());
}

#[test]
fn keys_that_live_too_long_are_refused_where_that_is_asked() {
    let (short, long, endless) = (new_key(), new_key(), new_key());
    let records = vec![
        record(&short).with_expires(after(3600)).build().unwrap(),
        record(&long).with_expires(after(3601)).build().unwrap(),
        record(&endless).build().unwrap(),
    ];
    let strict = TableRules {
        max_lifetime: Some(Duration::from_secs(3600)),
        ..rules()
    };
    let table = table(&strict, records);
    check(&table, &short, None, 0, Ok(()));
    check(
        &table,
        &long,
        None,
        0,
        Err(ApiKeyErrorKind::LifetimeTooLong),
    );
    check(
        &table,
        &endless,
        None,
        0,
        Err(ApiKeyErrorKind::LifetimeTooLong),
    );
}

#[test]
fn tables_are_bounded_and_hold_each_key_once() {
    let records: Vec<_> = (0..4)
        .map(|_| record(&new_key()).build().unwrap())
        .collect();
    let of = |max_keys, records: &[KeyRecord]| {
        let rules = TableRules {
            max_keys,
            ..rules()
        };
        KeyTable::new(&rules, records.to_vec(), &Uses::default()).map(|table| table.len())
    };
    assert_eq!(of(4, &records), Ok(4));
    assert_eq!(
        of(3, &records),
        Err(TableError::TooMany { count: 4, most: 3 })
    );
    let twice = [records.clone(), records[..1].to_vec()].concat();
    assert_eq!(of(9, &twice), Err(TableError::Twice(records[0].id)));
}

#[test]
fn records_of_an_unknown_pepper_are_set_apart() {
    let (key, other) = (new_key(), new_key());
    let peppers = Peppers::new(Pepper::new("a", &[1; 32]).unwrap());
    let peppered = KeyRecord::builder(&other, &peppers, "reports", NOW)
        .build()
        .unwrap();
    let table = table(&rules(), vec![record(&key).build().unwrap(), peppered]);
    assert_eq!(table.unusable(), [other.id()]);
    check(&table, &key, None, 0, Ok(()));
    check(&table, &other, None, 0, Err(ApiKeyErrorKind::Invalid));
}

#[test]
fn a_table_is_the_same_whenever_its_keys_were_used() {
    let key = new_key();
    let one = record(&key).build().unwrap();
    let used = record(&key).with_last_used(after(9)).build().unwrap();
    let renamed = record(&key).with_name("x").build().unwrap();
    let of = |record: &KeyRecord| table(&rules(), vec![record.clone()]);
    assert_eq!(of(&one), of(&used));
    assert_ne!(of(&one), of(&renamed));
    assert_ne!(of(&one), table(&rules(), Vec::new()));
    assert_eq!(of(&used).last_used(key.id()), Some(after(9)));
}
