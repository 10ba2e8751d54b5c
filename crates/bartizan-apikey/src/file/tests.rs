//! Documents of keys: what is read, what is refused, and what is written.

use std::time::Duration;

use bartizan_core::WallTime;
use proptest::prelude::*;

use super::*;
use crate::format::{KeyFormat, KeyId, NewKey};
use crate::hash::Peppers;

const NOW: WallTime = WallTime::from_unix_seconds(1_800_000_000);

fn record() -> KeyRecord {
    let key = NewKey::generate(&KeyFormat::live()).unwrap();
    KeyRecord::builder(&key, &Peppers::none(), "reports", NOW)
        .with_name("the nightly \"report\"")
        .with_client("nightly")
        .with_tenant("acme")
        .with_scopes(["orders:read", "orders:write"])
        .with_roles(["reader"])
        .with_networks([
            "10.0.0.0/8".parse().unwrap(),
            "2001:db8::/32".parse().unwrap(),
        ])
        .with_not_before(NOW)
        .with_expires(NOW + Duration::from_secs(60))
        .with_revoked(NOW + Duration::from_secs(30))
        .with_replaced_by(key.id())
        .build()
        .unwrap()
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("bartizan-apikey-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_is_written_is_read_back() {
    for records in [Vec::new(), vec![record()], vec![record(), record()]] {
        let text = document::print(&records).unwrap();
        assert_eq!(parse(text.as_bytes()).unwrap(), records);
    }
}

const KEY: &str = r#"{"id":"0123456789Ab","hash":"v1.-.HASH","subject":"a","created":1}"#;

fn document(keys: &str) -> String {
    let keys = keys.replace("HASH", &"A".repeat(43));
    format!(r#"{{"version":1,"keys":[{keys}]}}"#)
}

#[test]
fn what_is_no_document_of_keys_is_refused_with_its_reason() {
    assert_eq!(parse(document(KEY).as_bytes()).unwrap().len(), 1);
    for (text, reason) in [
        (String::new(), "no JSON"),
        ("{}".to_owned(), "missing field `version`"),
        (document(KEY).replace(":1,", ":2,"), "version 2"),
        (
            document(&format!("{KEY},{KEY}")),
            "0123456789Ab is there twice",
        ),
        (
            document(&KEY.replace("\"a\"", "7")),
            "a value of the wrong type at line 1",
        ),
        (
            document(&KEY.replace("subject", "subjekt")),
            "unknown field `subjekt`",
        ),
        (
            document(&KEY.replace(":1}", ":1,\"scope\":[]}")),
            "unknown field `scope`",
        ),
        (
            document(&KEY.replace(":1}", ":1,\"created\":2}")),
            "duplicate field `created`",
        ),
        (
            document(&KEY.replace(":1}", ":-1}")),
            "a value of the wrong type",
        ),
        (
            document(&KEY.replace("0123456789Ab", "0123456789A")),
            "12 characters",
        ),
        (
            document(&KEY.replace("v1.-.", "v2.-.")),
            "0123456789Ab: hash",
        ),
        (document(&KEY.replace("\"a\"", "\"\"")), "key 0123456789Ab"),
        (
            document(&KEY.replace(":1}", ":1,\"networks\":[\"10.0.0.0/33\"]}")),
            "0123456789Ab: networks: not a prefix length",
        ),
        (
            document(&KEY.replace(":1}", ":1,\"replaced_by\":\"x\"}")),
            "replaced_by",
        ),
    ] {
        let error = parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(reason), "{error} says {reason}");
    }
}

#[test]
fn a_key_that_stands_in_the_file_is_not_repeated_by_errors() {
    let key = NewKey::generate(&KeyFormat::live()).unwrap();
    let key = key.expose();
    for text in [
        document(&KEY.replace("0123456789Ab", key)),
        document(&KEY.replace("v1.-.HASH", key)),
        document(&KEY.replace(":1}", &format!(":\"{key}\"}}"))),
        document(&KEY.replace(":1}", &format!(":1,\"networks\":[\"{key}\"]}}"))),
        document(&KEY.replace(":1}", &format!(":1,\"replaced_by\":\"{key}\"}}"))),
    ] {
        let error = parse(text.as_bytes()).unwrap_err();
        let printed = format!("{error} {error:?}");
        assert!(!printed.contains(&key[22..]), "{printed}");
    }
}

#[test]
fn a_file_is_made_once_and_changed_in_one_step() {
    let folder = Folder::new("file");
    let file = KeyFile::new(folder.0.join("keys.json"));
    assert!(matches!(file.read(), Err(KeyFileError::Io { .. })));
    file.create().unwrap();
    assert!(matches!(file.create(), Err(KeyFileError::Exists(_))));
    let record = record();
    file.add(record.clone()).unwrap();
    assert!(matches!(
        file.add(record.clone()),
        Err(KeyFileError::Invalid(_))
    ));
    assert_eq!(file.read().unwrap(), std::slice::from_ref(&record));

    let before = std::fs::read(file.path()).unwrap();
    let refused = file.change(|records| {
        records.clear();
        Err::<(), KeyFileError>(RecordError::NotLive("revoked").into())
    });
    assert!(matches!(refused, Err(KeyFileError::Refused(_))));
    assert_eq!(std::fs::read(file.path()).unwrap(), before);

    let locked = file.change(|_| {
        let second = file.add(record.clone());
        assert!(matches!(second, Err(KeyFileError::Locked(_))));
        Ok::<_, KeyFileError>(())
    });
    assert!(locked.is_ok());
    let left: Vec<_> = std::fs::read_dir(&folder.0).unwrap().collect();
    assert_eq!(left.len(), 1, "neither locks nor temporary files are left");
}

#[cfg(unix)]
#[test]
fn a_file_is_for_its_owner_alone_unless_somebody_opened_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new("mode");
    let file = KeyFile::new(folder.0.join("keys.json"));
    let mode = || std::fs::metadata(file.path()).unwrap().permissions().mode() & 0o777;
    file.create().unwrap();
    assert_eq!(mode(), 0o600);
    for (given, kept) in [(0o640, 0o640), (0o644, 0o644), (0o600, 0o600)] {
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(given)).unwrap();
        file.change(|_| Ok::<_, KeyFileError>(())).unwrap();
        assert_eq!(mode(), kept);
    }
}

proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
        let _ = parse_uses(&bytes);
    }

    #[test]
    fn what_is_read_is_written_as_it_was(
        id in "[0-9A-Za-z]{12}",
        subject in "\\PC{1,40}",
        scopes in proptest::collection::vec("[!-~]{1,20}", 0..5),
        times in (any::<u32>(), proptest::option::of(any::<u32>())),
    ) {
        let id: KeyId = id.parse().unwrap();
        let hash = format!("v1.-.{}", "A".repeat(43)).parse().unwrap();
        let at = |seconds| WallTime::from_unix_seconds(u64::from(seconds));
        let mut record = KeyRecord::stored(id, hash, &subject, at(times.0)).with_scopes(scopes);
        if let Some(end) = times.1 {
            record = record.with_expires(at(end));
        }
        let record = record.build().unwrap();
        let text = document::print(std::slice::from_ref(&record)).unwrap();
        prop_assert_eq!(parse(text.as_bytes()).unwrap(), [record]);
    }
}
