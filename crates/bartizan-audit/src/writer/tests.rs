//! Crashes, failures and tampering, on a disk that loses what was not synced.

use std::io;

use super::*;
use crate::storage::fragile::{FragileDisk, Operation, Planned};
use crate::verify::{FindingKind, Verdict, Verification, Verifier};

pub(crate) const NOW: u64 = 1_800_000_000_000_000_000;

pub(crate) fn settings() -> WriterSettings {
    WriterSettings {
        origin: "log.example/audit".to_owned(),
        service: "orders".to_owned(),
        detail: String::new(),
        segment_bytes: 6 * 1024,
        epoch_leaves: 40,
        epoch_nanoseconds: u64::MAX,
    }
}

pub(crate) fn frames(from: u64, count: u64) -> Vec<u8> {
    let mut frames = Vec::new();
    for number in from..from + count {
        let record = Record::Heartbeat { time: NOW + number };
        put_frame(&mut frames, |out| record.encode(out));
    }
    frames
}

fn verify(disk: &FragileDisk) -> Verification {
    Verifier::new().run_on(disk, false, |_| {}).unwrap()
}

fn worst(verification: &Verification) -> Vec<&FindingKind> {
    verification
        .findings
        .iter()
        .map(|finding| &finding.kind)
        .filter(|kind| kind.severity() > crate::verify::Severity::Note)
        .collect()
}

/// Which of the numbers from 1 on are in the ledger, in order.
pub(crate) fn numbers(disk: &FragileDisk) -> Vec<u64> {
    let mut found = Vec::new();
    entries(disk, |entry| {
        if let Ok(Record::Heartbeat { time }) = Record::decode(entry) {
            found.push(time - NOW);
        }
    });
    found
}

/// Looks at every entry of the ledger, in order.
pub(crate) fn entries(disk: &FragileDisk, mut look: impl FnMut(&[u8])) {
    let mut names: Vec<_> = disk.list().unwrap();
    names.retain(|name| crate::segment::segment_number(name).is_some());
    let headers: Vec<_> = names
        .iter()
        .map(|name| Header::decode(&disk.read(name).unwrap()).unwrap().0)
        .collect();
    for (index, name) in names.iter().enumerate() {
        let bytes = disk.read(name).unwrap();
        let (_, mut at) = Header::decode(&bytes).unwrap();
        let end = headers.get(index + 1).map_or(bytes.len(), |next| {
            usize::try_from(next.previous_length).unwrap()
        });
        while let crate::segment::At::Frame(frame) = crate::segment::read_frame(&bytes[at..end]) {
            look(frame.entry);
            at += frame.length;
        }
    }
}

fn open(disk: &FragileDisk) -> (Writer<FragileDisk>, Option<crate::record::RecoveredRecord>) {
    Writer::open(disk.clone(), settings(), NOW).unwrap()
}

/// Writes batches of growing size until the power is gone, and says up to which number the writer
/// was told that they are durable.
fn write_until_the_power_is_gone(disk: &FragileDisk, from: u64) -> u64 {
    let Ok((mut writer, _)) = Writer::open(disk.clone(), settings(), NOW) else {
        return from - 1;
    };
    let mut acknowledged = from - 1;
    for batch in 1..=12 {
        let mut frames = frames(acknowledged + 1, batch);
        match writer.commit(&mut frames, NOW) {
            Ok(()) => acknowledged += batch,
            Err(_) => return acknowledged,
        }
    }
    let _ = writer.close(Totals::default(), NOW);
    acknowledged
}

/// Whether what was acknowledged is there after a crash, in order, without gap, and the ledger can
/// be continued and verifies.
fn law_holds(disk: &FragileDisk, luck: u64, acknowledged: u64) -> Result<(), String> {
    let disk = disk.after_power_cut(luck);
    match Writer::open(disk.clone(), settings(), NOW) {
        Ok((mut writer, _)) => writer
            .close(Totals::default(), NOW)
            .map_err(|error| error.to_string())?,
        Err(error) => return Err(error.to_string()),
    }
    let found = numbers(&disk);
    let count = found.len() as u64;
    if count < acknowledged {
        return Err(format!("{acknowledged} acknowledged, {count} found"));
    }
    if found != (1..=count).collect::<Vec<_>>() {
        return Err(format!("out of order: {found:?}"));
    }
    let verification = verify(&disk);
    match verification.verdict() {
        Verdict::Intact => Ok(()),
        other => Err(format!("{other:?}: {:?}", verification.findings)),
    }
}

/// How many operations a whole run takes.
fn operations() -> usize {
    let disk = FragileDisk::default();
    assert_eq!(write_until_the_power_is_gone(&disk, 1), 78);
    disk.operations()
}

fn crashes(ignored: Option<Operation>) -> (usize, Vec<String>) {
    let (mut count, mut broken) = (0, Vec::new());
    for operations in 0..=operations() {
        for luck in 0..10 {
            let disk = FragileDisk::default();
            if let Some(operation) = ignored {
                disk.ignore(operation);
            }
            disk.cut_power_after(operations);
            let acknowledged = write_until_the_power_is_gone(&disk, 1);
            count += 1;
            if let Err(why) = law_holds(&disk, luck, acknowledged) {
                broken.push(format!("after {operations} operations, luck {luck}: {why}"));
            }
        }
    }
    (count, broken)
}

#[test]
fn no_crash_loses_what_was_acknowledged() {
    let (count, broken) = crashes(None);
    assert!(count >= 500, "{count}");
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn a_missing_sync_of_contents_would_be_noticed() {
    assert_ne!(crashes(Some(Operation::Sync)).1, Vec::<String>::new());
}

#[test]
fn a_missing_sync_of_names_would_be_noticed() {
    assert_ne!(crashes(Some(Operation::SyncNames)).1, Vec::<String>::new());
}

/// Whether a crash soon after one sync of this kind was left out is noticed; `None` if there are
/// not so many of them.
fn is_noticed(operation: Operation, skip: usize) -> Option<bool> {
    let whole = FragileDisk::default();
    whole.omit(operation, skip);
    write_until_the_power_is_gone(&whole, 1);
    let begin = whole.omitted()?;
    let crash = |operations: usize, luck: u64| {
        let disk = FragileDisk::default();
        disk.omit(operation, skip);
        disk.cut_power_after(operations);
        let acknowledged = write_until_the_power_is_gone(&disk, 1);
        law_holds(&disk, luck, acknowledged).is_err()
    };
    let soon = begin..=(begin + 12).min(whole.operations());
    Some(
        soon.into_iter()
            .any(|operations| (0..4).any(|luck| crash(operations, luck))),
    )
}

#[test]
fn each_single_sync_that_is_left_out_would_be_noticed() {
    for (operation, least) in [(Operation::Sync, 12), (Operation::SyncNames, 1)] {
        let noticed: Vec<bool> = (0..)
            .map_while(|skip| is_noticed(operation, skip))
            .collect();
        assert!(noticed.len() >= least, "{operation:?}: {noticed:?}");
        let unnoticed: Vec<usize> = (0..)
            .zip(&noticed)
            .filter(|it| !it.1)
            .map(|it| it.0)
            .collect();
        assert_eq!(
            unnoticed,
            Vec::<usize>::new(),
            "{operation:?} of {}",
            noticed.len()
        );
    }
}

#[test]
fn a_second_crash_while_recovering_loses_nothing_either() {
    let first = FragileDisk::default();
    first.cut_power_after(operations() / 2);
    let acknowledged = write_until_the_power_is_gone(&first, 1);
    for luck in 0..16 {
        for operations in 0..40 {
            let second = first.after_power_cut(luck);
            let before = numbers_kept(&second);
            second.cut_power_after(operations);
            let _ = Writer::open(second.clone(), settings(), NOW);
            law_holds(&second, luck + 1, before.max(acknowledged)).unwrap();
        }
    }
}

/// How many whole records a recovery would keep.
fn numbers_kept(disk: &FragileDisk) -> u64 {
    numbers(disk).len() as u64
}

#[test]
fn a_run_in_order_is_intact_and_the_next_one_continues_it() {
    let disk = FragileDisk::default();
    let (mut writer, recovered) = open(&disk);
    assert_eq!(recovered, None);
    writer.commit(&mut frames(1, 50), NOW).unwrap();
    writer.close(Totals::default(), NOW).unwrap();
    let verification = verify(&disk);
    assert_eq!(worst(&verification), Vec::<&FindingKind>::new());
    assert!(verification.epoch >= 1, "the epoch has changed");
    let (mut writer, recovered) = open(&disk);
    assert_eq!(recovered, None, "nothing to repair");
    writer.commit(&mut frames(51, 50), NOW).unwrap();
    writer.close(Totals::default(), NOW).unwrap();
    let verification = verify(&disk);
    assert_eq!(
        verification.verdict(),
        Verdict::Intact,
        "{:?}",
        verification.findings
    );
    assert_eq!(verification.runs, 2);
    assert_eq!(numbers(&disk), (1..=100).collect::<Vec<_>>());
}

#[test]
fn the_end_of_a_run_is_its_last_record_also_when_an_epoch_is_over() {
    let disk = FragileDisk::default();
    let settings = WriterSettings {
        epoch_leaves: 1,
        ..settings()
    };
    for run in 0..3 {
        let opened = Writer::open(disk.clone(), settings.clone(), NOW);
        let (mut writer, recovered) = opened.unwrap();
        assert_eq!(recovered, None, "run {run} found nothing to repair");
        writer.close(Totals::default(), NOW).unwrap();
        let verification = verify(&disk);
        assert_eq!(worst(&verification), Vec::<&FindingKind>::new(), "{run}");
    }
    assert!(verify(&disk).epoch == 3);
}

/// Commits until it works, as the ledger's thread does.
fn persist(writer: &mut Writer<FragileDisk>, mut frames: &mut [u8], tries: usize) -> usize {
    for failed in 0..tries {
        match writer.commit(frames, NOW) {
            Ok(()) => return failed,
            Err(interrupted) => frames = frames.get_mut(interrupted.written..).unwrap(),
        }
    }
    panic!("never written");
}

#[test]
fn a_failing_disk_loses_nothing_that_is_tried_again() {
    for operation in [
        Operation::Write,
        Operation::Sync,
        Operation::SyncNames,
        Operation::Create,
        Operation::Rename,
    ] {
        for error in [io::ErrorKind::StorageFull, io::ErrorKind::Other] {
            for skip in 0..24 {
                for times in [1, 3] {
                    let disk = FragileDisk::default();
                    let (mut writer, _) = open(&disk);
                    disk.plan(Planned {
                        operation,
                        skip,
                        times,
                        error,
                    });
                    let mut from = 1;
                    for batch in 1..=12 {
                        persist(&mut writer, &mut frames(from, batch), 8);
                        from += batch;
                    }
                    while writer.close(Totals::default(), NOW).is_err() {}
                    let what = format!("{operation:?} {error:?} {skip} {times}");
                    // Nothing more is written: a sync that failed must not have been trusted.
                    let disk = disk.after_power_cut(skip as u64);
                    assert_eq!(numbers(&disk), (1..=78).collect::<Vec<_>>(), "{what}");
                    let verification = verify(&disk);
                    let worst = worst(&verification);
                    assert!(worst.is_empty(), "{what}: {worst:?}");
                }
            }
        }
    }
}

#[test]
fn short_writes_are_continued() {
    let disk = FragileDisk::default();
    disk.limit_writes(7);
    let (mut writer, _) = open(&disk);
    writer.commit(&mut frames(1, 60), NOW).unwrap();
    writer.close(Totals::default(), NOW).unwrap();
    assert_eq!(
        numbers(&disk.after_power_cut(1)),
        (1..=60).collect::<Vec<_>>()
    );
    assert_eq!(verify(&disk).verdict(), Verdict::Intact);
}

#[test]
fn a_deleted_segment_is_noticed_and_reported() {
    let disk = FragileDisk::default();
    let (mut writer, _) = open(&disk);
    writer.commit(&mut frames(1, 3), NOW).unwrap();
    disk.steal("000000000000.segment");
    let later = NOW + 2 * LOOK_EVERY;
    writer.commit(&mut frames(4, 3), later).unwrap();
    writer.close(Totals::default(), later).unwrap();
    assert_eq!(numbers(&disk), [4, 5, 6], "what comes later is kept");
    assert!(worst(&verify(&disk)).contains(&&FindingKind::MissingSegment(0)));
}

#[test]
fn a_ledger_that_was_changed_is_not_continued() {
    let disk = FragileDisk::default();
    let (mut writer, _) = open(&disk);
    writer.commit(&mut frames(1, 3), NOW).unwrap();
    drop(writer);
    let name = "000000000000.segment";
    let whole = disk.read(name).unwrap();

    // The last checkpoint is cut away, which no crash does once it was published.
    let (_, begin) = Header::decode(&whole).unwrap();
    let cut = disk.after_power_cut(0);
    cut.put(name, whole[..begin].to_vec());
    let refused = Writer::open(cut, settings(), NOW).map(drop).unwrap_err();
    assert!(matches!(refused, OpenError::Truncated { .. }), "{refused}");

    // A record is replaced by another one, with a hash that fits.
    let forged = disk.after_power_cut(0);
    let mut bytes = whole.clone();
    let crate::segment::At::Frame(first) = crate::segment::read_frame(&bytes[begin..]) else {
        panic!("a frame");
    };
    let length = first.length;
    bytes[begin + length - 1] ^= 1;
    seal_frame(&mut bytes[begin..begin + length]);
    forged.put(name, bytes);
    let refused = Writer::open(forged, settings(), NOW).map(drop).unwrap_err();
    assert!(matches!(refused, OpenError::Damaged { .. }), "{refused}");

    // Keys of another ledger.
    let foreign = disk.after_power_cut(0);
    let other = EpochKey::generate(&settings().origin, 0).unwrap();
    foreign.put(KEY_FILE, KeyFile::print(&other, None).as_bytes().to_vec());
    let refused = Writer::open(foreign, settings(), NOW)
        .map(drop)
        .unwrap_err();
    assert!(matches!(refused, OpenError::Keys), "{refused}");
}

#[test]
fn no_changed_bit_of_the_first_header_is_continued() {
    let disk = FragileDisk::default();
    let (mut writer, _) = open(&disk);
    writer.close(Totals::default(), NOW).unwrap();
    let name = "000000000000.segment";
    let whole = disk.read(name).unwrap();
    let (_, begin) = Header::decode(&whole).unwrap();
    for bit in 0..begin * 8 {
        let changed = disk.after_power_cut(0);
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        changed.put(name, bytes);
        let refused = Writer::open(changed, settings(), NOW).map(drop);
        assert!(refused.is_err(), "bit {bit} of {}", begin * 8);
    }
}

#[test]
fn a_clock_that_goes_back_is_told_and_harms_nothing() {
    let disk = FragileDisk::default();
    let (mut writer, _) = open(&disk);
    writer.heartbeat(NOW + 100 * LOOK_EVERY).unwrap();
    writer.heartbeat(NOW + 10 * LOOK_EVERY).unwrap();
    writer
        .close(Totals::default(), NOW + 11 * LOOK_EVERY)
        .unwrap();
    let verification = verify(&disk);
    assert_eq!(verification.verdict(), Verdict::Intact);
    let back = FindingKind::ClockWentBack(90 * LOOK_EVERY);
    assert!(verification.findings.iter().any(|it| it.kind == back));
}
