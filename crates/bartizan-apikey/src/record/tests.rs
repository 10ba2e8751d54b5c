use super::*;
use crate::format::KeyFormat;

const NOW: WallTime = WallTime::from_unix_seconds(1_800_000_000);

fn after(seconds: u64) -> WallTime {
    NOW + Duration::from_secs(seconds)
}

fn new_key() -> NewKey {
    NewKey::generate(&KeyFormat::live()).unwrap()
}

fn record() -> KeyRecordBuilder {
    KeyRecord::builder(&new_key(), &Peppers::none(), "reports", NOW)
}

#[test]
fn a_key_lives_between_its_dates_and_until_it_is_revoked() {
    let record = record()
        .with_not_before(after(10))
        .with_expires(after(20))
        .build()
        .unwrap();
    for (at, state) in [
        (0, KeyState::NotYetValid),
        (9, KeyState::NotYetValid),
        (10, KeyState::Live),
        (19, KeyState::Live),
        (20, KeyState::Expired),
        (21, KeyState::Expired),
    ] {
        assert_eq!(record.state(after(at)), state, "{at}");
        let revoked = record.revoked_at(after(15));
        assert_eq!(revoked.state(after(at)), KeyState::Revoked, "{at}");
    }
    let twice = record.revoked_at(after(15)).revoked_at(after(16));
    assert_eq!(twice.revoked(), Some(after(15)));
}

#[test]
fn what_a_record_says_of_its_key_is_what_it_was_given() {
    let network: IpNetwork = "10.0.0.0/8".parse().unwrap();
    let given = record().with_networks([network]).with_not_before(after(10));
    let given = given.build().unwrap();
    assert_eq!(given.networks(), [network]);
    assert_eq!(
        (given.created(), given.not_before()),
        (NOW, Some(after(10)))
    );
    let error = given.rotated(&new_key(), &Peppers::none(), NOW, Duration::ZERO);
    assert_eq!(error.unwrap_err(), RecordError::NotLive("not_yet_valid"));
    assert_eq!(KeyState::Live.as_str(), "live");
}

#[test]
fn the_latest_use_counts_in_whatever_order_they_are_told() {
    let unused = record().build().unwrap();
    assert_eq!(unused.last_used(), None);
    let used = unused.used_at(after(60)).used_at(after(30));
    assert_eq!(used.last_used(), Some(after(60)));
    assert_eq!(used.used_at(after(90)).last_used(), Some(after(90)));
    assert_eq!(unused.last_used(), None, "a record is a value");
}

#[test]
fn a_rotation_keeps_the_rights_and_lets_both_live_for_a_while() {
    let old = record()
        .with_client("nightly")
        .with_scopes(["orders:read"])
        .with_expires(after(1000))
        .build()
        .unwrap();
    let key = new_key();
    let overlap = Duration::from_secs(60);
    let rotation = old
        .rotated(&key, &Peppers::none(), after(100), overlap)
        .unwrap();
    let Rotation { old, new, .. } = rotation;
    assert_eq!(old.replaced_by(), Some(key.id()));
    assert_eq!(
        (old.expires(), new.expires()),
        (Some(after(160)), Some(after(1100)))
    );
    assert_eq!(new.id(), key.id());
    assert_eq!(new.client(), Some("nightly"));
    assert!(new.scopes().eq(["orders:read"]));
    for (at, expected) in [
        (100, KeyState::Live),
        (159, KeyState::Live),
        (160, KeyState::Expired),
    ] {
        assert_eq!(old.state(after(at)), expected, "{at}");
        assert_eq!(new.state(after(at)), KeyState::Live, "{at}");
    }
    let again = old.rotated(&new_key(), &Peppers::none(), after(101), overlap);
    assert_eq!(again.unwrap_err(), RecordError::Replaced(key.id()));
}

#[test]
fn a_rotation_prolongs_nothing() {
    let overlap = Duration::from_secs(60);
    let rotate =
        |record: &KeyRecord, at| record.rotated(&new_key(), &Peppers::none(), after(at), overlap);
    let ends_soon = record().with_expires(after(30)).build().unwrap();
    assert_eq!(
        rotate(&ends_soon, 0).unwrap().old.expires(),
        Some(after(30))
    );
    assert_eq!(
        rotate(&ends_soon, 30).unwrap_err(),
        RecordError::NotLive("expired")
    );
    let revoked = record().build().unwrap().revoked_at(NOW);
    assert_eq!(
        rotate(&revoked, 0).unwrap_err(),
        RecordError::NotLive("revoked")
    );
    let endless = rotate(&record().build().unwrap(), 0).unwrap();
    assert_eq!(
        (endless.old.expires(), endless.new.expires()),
        (Some(after(60)), None)
    );
}
