use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::ciphertext::KeyId;
use crate::context::Place;
use crate::key::{KeyBytes, KeyStage};
use crate::keyring::Keyring;
use crate::value::Encrypted;

fn kek(byte: u8) -> LocalKek {
    LocalKek::new(&KeyBytes::from_slice(&[byte; 32]).expect("32 bytes"))
}

fn record(number: u32) -> KeyRecord {
    KeyRecord {
        id: KeyId::from_bytes(u64::from(number).to_be_bytes()),
        scope: KeyScope::tenant("acme"),
        version: number,
        stage: KeyStage::Active,
        created: 1,
        kek: "k".to_owned(),
        wrapped: vec![1],
    }
}

/// A disk that loses on a power cut what was not synced.
#[derive(Default)]
struct Fragile {
    running: Mutex<Vec<u8>>,
    synced: Mutex<Vec<u8>>,
    forgets_to_sync: bool,
    power: AtomicUsize,
    off: AtomicBool,
}

#[derive(Clone)]
struct Shared(Arc<Fragile>);

impl Fragile {
    fn with_power_for(steps: usize, forgets_to_sync: bool) -> Arc<Self> {
        Arc::new(Self {
            power: AtomicUsize::new(steps),
            forgets_to_sync,
            ..Self::default()
        })
    }

    fn step(&self) -> io::Result<()> {
        if self.power.load(Ordering::Relaxed) == 0 {
            self.off.store(true, Ordering::Relaxed);
            return Err(io::Error::other("no power"));
        }
        self.power.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }

    /// What is there once the power is back.
    fn restart(&self) -> Vec<u8> {
        self.synced.lock().expect("no panic").clone()
    }
}

impl Replace for Shared {
    fn read(&self) -> io::Result<Vec<u8>> {
        Ok(self.0.running.lock().expect("no panic").clone())
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.step()?;
        *self.0.running.lock().expect("no panic") = bytes.to_vec();
        self.0.step()?;
        if !self.0.forgets_to_sync {
            *self.0.synced.lock().expect("no panic") = bytes.to_vec();
        }
        self.0.step()
    }
}

/// A file that holds some records, and that was written to `disk` already.
fn file_on(disk: &Arc<Fragile>) -> Option<KeyFile> {
    let shared = Shared(Arc::clone(disk));
    let file = KeyFile::holding(Box::new(shared), kek(1), Arc::from([]));
    file.write(&[]).ok()?;
    // The empty file was there long before.
    *disk.synced.lock().expect("no panic") = disk.running.lock().expect("no panic").clone();
    Some(file)
}

/// Inserts, demotes and destroys keys until the power goes; says whether everything that was
/// told to be done is there afterwards, and nothing half done.
fn survives(steps: usize, forgets_to_sync: bool) -> bool {
    let disk = Fragile::with_power_for(steps + 3, forgets_to_sync);
    let file = file_on(&disk).expect("power for the first write");
    let mut told: Vec<KeyRecord> = Vec::new();
    let mut tried = Vec::new();
    for number in 1.. {
        let mut changes = vec![KeyChange::insert(record(number))];
        let mut next = told.clone();
        if let Some(last) = next.last_mut() {
            let before = last.clone();
            last.stage = match number % 3 {
                0 => KeyStage::Destroyed { at: 9 },
                _ => KeyStage::DecryptOnly,
            };
            changes.push(KeyChange::replace(before, last.clone()));
        }
        next.push(record(number));
        tried.clone_from(&next);
        match file.change(changes) {
            Ok(applied) => assert!(applied),
            Err(_) => break,
        }
        told = next;
    }
    assert!(disk.off.load(Ordering::Relaxed));
    let (header, sealed) = Header::parse(&disk.restart()).expect("a whole file");
    assert_eq!(header.kek(), kek(1).id());
    let found = Sealed::open(&kek(1), &sealed).expect("a whole file");
    found == told || found == tried
}

#[test]
fn a_power_cut_at_any_of_300_moments_loses_nothing_that_was_told() {
    for steps in 0..300 {
        assert!(survives(steps, false), "{steps}");
    }
}

#[test]
fn a_missing_sync_would_be_noticed() {
    assert!((0..300).any(|steps| !survives(steps, true)));
}

struct Ssn;

impl crate::Field for Ssn {
    const COLLECTION: &'static str = "patient";
    const PATH: &'static str = "ssn";
}

/// Rotates, introduces, activates and rewraps until the power goes, and seals under every key on
/// the way; says whether everything that was sealed opens when the power is back.
async fn keyring_survives(steps: usize, forgets_to_sync: bool) -> bool {
    let disk = Fragile::with_power_for(steps + 3, forgets_to_sync);
    let file = file_on(&disk).expect("power for the first write");
    let keyring = |file: &KeyFile, present, previous| {
        let builder = Keyring::builder("clinic", file.clone(), kek(present));
        builder
            .add_previous_kek(kek(previous))
            .build()
            .expect("sound settings")
    };
    let scope = [KeyScope::tenant("acme")];
    let place = Place::new("acme").expect("a part");
    let mut sealed = Vec::new();
    for round in 0_usize.. {
        // The key-encryption key changes every time.
        let present = if round % 2 == 0 { 1 } else { 2 };
        let keyring = keyring(&file, present, 3 - present);
        let Ok(keys) = keyring.prepare(&scope).await else {
            break;
        };
        let value: Encrypted<usize, Ssn> = keys.seal(&place, &round).expect("keys");
        sealed.push(value);
        let done = match round % 3 {
            0 => keyring.rotate(&scope[0]).await.map(drop),
            1 => match keyring.introduce(&scope[0]).await {
                Ok(id) => keyring.activate(&scope[0], id).await,
                Err(error) => Err(error),
            },
            _ => keyring.rewrap().await.map(drop),
        };
        if done.is_err() {
            break;
        }
    }
    assert!(disk.off.load(Ordering::Relaxed));
    let after = Arc::new(Fragile::default());
    *after.running.lock().expect("no panic") = disk.restart();
    let file = KeyFile::open_with(Box::new(Shared(after)), &[kek(1)]).expect("a whole file");
    let keys = keyring(&file, 1, 2)
        .prepare_open(&scope)
        .await
        .expect("keys");
    let opens = |(round, value): (usize, &Encrypted<usize, Ssn>)| {
        keys.open(&place, value)
            .is_ok_and(|opened| *opened.expose() == round)
    };
    sealed.iter().enumerate().all(opens)
}

#[tokio::test]
async fn what_was_sealed_opens_after_a_power_cut_at_any_of_210_moments_of_rotating_and_rewrapping()
{
    for steps in 0..210 {
        assert!(keyring_survives(steps, false).await, "{steps}");
    }
}

#[tokio::test]
async fn a_missing_sync_while_rotating_would_be_noticed() {
    let mut noticed = 0;
    for steps in 0..60 {
        noticed += usize::from(!keyring_survives(steps, true).await);
    }
    assert!(noticed > 30, "{noticed}");
}

#[test]
fn changes_apply_together_or_not_at_all() {
    let disk = Fragile::with_power_for(100, false);
    let file = file_on(&disk).expect("power");
    let first = vec![KeyChange::insert(record(1)), KeyChange::insert(record(2))];
    assert!(file.change(first).expect("power"));
    let demoted = KeyRecord {
        stage: KeyStage::DecryptOnly,
        ..record(1)
    };
    let moved = KeyRecord {
        version: 9,
        ..record(1)
    };
    let same_version = KeyRecord {
        id: KeyId::from_bytes([9; 8]),
        ..record(1)
    };
    for unfit in [
        vec![KeyChange::insert(record(3)), KeyChange::insert(record(1))],
        vec![
            KeyChange::insert(record(3)),
            KeyChange::insert(same_version),
        ],
        vec![
            KeyChange::insert(record(3)),
            KeyChange::replace(demoted.clone(), record(1)),
        ],
        vec![
            KeyChange::insert(record(3)),
            KeyChange::replace(record(1), moved),
        ],
        vec![KeyChange::replace(record(4), record(4))],
    ] {
        assert!(!file.change(unfit.clone()).expect("power"), "{unfit:?}");
        assert_eq!(
            *file.0.records.lock().expect("no panic"),
            [record(1), record(2)].into()
        );
    }
    assert!(
        file.change(vec![KeyChange::replace(record(1), demoted)])
            .expect("power")
    );
}

#[test]
fn any_changed_byte_of_the_file_is_refused() {
    let good = Sealed::seal(&kek(1), &[record(1)]).expect("sealed");
    let opens = |bytes: &[u8]| {
        let disk = Arc::new(Fragile::default());
        *disk.running.lock().expect("no panic") = bytes.to_vec();
        KeyFile::open_with(Box::new(Shared(disk)), &[kek(1)]).is_ok()
    };
    assert!(opens(&good));
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            // White space of the header may become other white space, and means the same.
            let whitespace = |bytes: &[u8]| bytes[at].is_ascii_whitespace();
            assert!(
                !opens(&bad) || whitespace(&good) && whitespace(&bad),
                "{at} {bit}"
            );
        }
    }
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("bartizan-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a writable folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_file_opens_under_its_key_and_moves_to_another() {
    let folder = Folder::new("key-file");
    let path = folder.0.join("keys.json");
    let file = KeyFile::create(&path, kek(1)).expect("new");
    assert!(
        file.change(vec![KeyChange::insert(record(1))])
            .expect("a disk")
    );
    assert!(matches!(
        KeyFile::create(&path, kek(1)),
        Err(KeyFileError::Exists(_))
    ));
    assert!(matches!(
        KeyFile::open(&path, &[kek(2)]),
        Err(KeyFileError::OtherKek { .. })
    ));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let moved = KeyFile::open(&path, &[kek(2), kek(1)]).expect("the old key is given");
    assert!(
        moved
            .change(vec![KeyChange::insert(record(2))])
            .expect("a disk")
    );
    assert!(matches!(
        KeyFile::open(&path, &[kek(1)]),
        Err(KeyFileError::OtherKek { .. })
    ));
    let again = KeyFile::open(&path, &[kek(2)]).expect("the new key");
    assert_eq!(again.0.records.lock().expect("no panic").len(), 2);
    let text = std::fs::read_to_string(&path).expect("there");
    assert!(!text.contains("acme"), "who has keys is not told");
}

#[test]
fn a_passphrase_opens_the_file_that_it_made() {
    let folder = Folder::new("passphrase");
    let path = folder.0.join("keys.json");
    let (file, _) = KeyFile::create_with_passphrase(&path, "correct horse battery").expect("new");
    assert!(
        file.change(vec![KeyChange::insert(record(1))])
            .expect("a disk")
    );
    let (file, _) = KeyFile::open_with_passphrase(&path, "correct horse battery").expect("right");
    assert_eq!(file.0.records.lock().expect("no panic").len(), 1);
    let wrong = KeyFile::open_with_passphrase(&path, "incorrect horse battery");
    assert!(matches!(wrong, Err(KeyFileError::OtherKek { .. })));
}
