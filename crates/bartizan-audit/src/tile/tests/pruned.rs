//! Ledgers that are pruned: what stays provable, what is noticed, and what a crash leaves.

use crate::checkpoint::Checkpoint;
use crate::merkle::{Hash, consistency_proof, inclusion_proof};
use crate::note::Note;
use crate::record::{PrunedRecord, Record, Totals};
use crate::segment::{Header, put_frame, segment_name, segment_number};
use crate::storage::Storage;
use crate::storage::fragile::{FragileDisk, Operation};
use crate::tile::{Cut, cut_at, extend, remove_bodies, tiled};
use crate::verify::{FindingKind, Severity, Verdict, Verification, Verifier};
use crate::writer::tests::{NOW, settings};
use crate::writer::{CHECKPOINT_FILE, KEY_FILE, Writer, WriterSettings};

const ENTRIES: u64 = 700;

/// How many are written at once.
const BATCH: u64 = 14;

fn small() -> WriterSettings {
    WriterSettings {
        segment_bytes: 5 * 1024,
        epoch_leaves: 90,
        ..settings()
    }
}

fn open(disk: &FragileDisk) -> Option<Writer<FragileDisk>> {
    let opened = Writer::open(disk.clone(), small(), NOW).ok();
    opened.map(|(writer, _)| writer)
}

fn frames(from: u64, count: u64) -> Vec<u8> {
    let mut frames = Vec::new();
    for number in from..from + count {
        let record = Record::Heartbeat { time: NOW + number };
        put_frame(&mut frames, |out| record.encode(out));
    }
    frames
}

/// A ledger of many segments and some epochs, running.
fn running(disk: &FragileDisk) -> Writer<FragileDisk> {
    let mut writer = open(disk).unwrap();
    for from in (0..ENTRIES / BATCH).map(|batch| batch * BATCH) {
        writer.commit(&mut frames(from, BATCH), NOW).unwrap();
    }
    writer
}

/// As the ledger does it. Gives nothing if the power went.
fn prune(disk: &FragileDisk, writer: &mut Writer<FragileDisk>, index: u64) -> Option<Cut> {
    while extend(disk).ok()?.is_some() {}
    let cut = cut_at(disk, index).ok()??;
    let record = PrunedRecord::new(NOW, cut.segment, cut.entries, cut.length);
    writer.record(&Record::Pruned(record), NOW).ok()?;
    remove_bodies(disk, cut).ok()?;
    Some(cut)
}

fn verify(disk: &FragileDisk) -> Verification {
    Verifier::new().run_on(disk, false, |_| {}).unwrap()
}

fn worst(verification: &Verification) -> Vec<&FindingKind> {
    let kinds = verification.findings.iter().map(|finding| &finding.kind);
    kinds
        .filter(|kind| kind.severity() > Severity::Note)
        .collect()
}

fn segments(disk: &FragileDisk) -> Vec<u64> {
    let names = disk.list().unwrap();
    names
        .iter()
        .filter_map(|name| segment_number(name))
        .collect()
}

#[test]
fn a_pruned_ledger_is_intact_and_says_what_is_gone() {
    let disk = FragileDisk::default();
    let mut writer = running(&disk);
    assert!(segments(&disk).len() > 5, "{:?}", segments(&disk));
    let cut = prune(&disk, &mut writer, 400).unwrap();
    assert!(cut.entries > 300 && cut.entries <= 400, "{cut:?}");
    assert_eq!(segments(&disk).first(), Some(&cut.segment));
    // The checkpoint in the folder is over entries that are gone: of the last rotation.
    writer.close(Totals::default(), NOW).unwrap();
    let verification = verify(&disk);
    assert_eq!(worst(&verification), Vec::<&FindingKind>::new());
    assert_eq!(verification.pruned, cut.entries);
    let kinds: Vec<_> = verification.findings.iter().map(|it| &it.kind).collect();
    assert!(
        kinds.contains(&&FindingKind::Pruned(cut.entries)),
        "{kinds:?}"
    );
    assert!(verification.epoch >= 7);

    // Once more, in a later run: what says so the first time is pruned itself.
    let mut writer = open(&disk).unwrap();
    writer.commit(&mut frames(0, 300), NOW).unwrap();
    let again = prune(&disk, &mut writer, 900).unwrap();
    assert!(again.entries > cut.entries + 300);
    writer.close(Totals::default(), NOW).unwrap();
    assert_eq!(worst(&verify(&disk)), Vec::<&FindingKind>::new());
    assert_eq!(
        prune(&disk, &mut open(&disk).unwrap(), 900),
        None,
        "nothing more"
    );
}

#[test]
fn the_checkpoint_in_the_folder_may_be_over_entries_that_are_gone() {
    let disk = FragileDisk::default();
    let mut writer = running(&disk);
    let published = disk.read(CHECKPOINT_FILE).unwrap();
    let note = Note::parse(&published).unwrap();
    let size = Checkpoint::parse(note.text()).unwrap().size;
    let cut = prune(&disk, &mut writer, ENTRIES + 100).unwrap();
    assert!(size <= cut.entries, "{size} {cut:?}");
    let verification = Verifier::new().run_on(&disk, true, |_| {}).unwrap();
    assert_eq!(worst(&verification), Vec::<&FindingKind>::new());
    let mut forged = published;
    let last = forged.len() - 10;
    forged[last] ^= 1;
    disk.put(CHECKPOINT_FILE, forged);
    let verification = Verifier::new().run_on(&disk, true, |_| {}).unwrap();
    assert_eq!(verification.verdict(), Verdict::Tampered);
}

#[test]
fn a_checkpoint_kept_elsewhere_is_met_in_what_was_pruned() {
    let disk = FragileDisk::default();
    let mut writer = running(&disk);
    let published = disk.read(CHECKPOINT_FILE).unwrap();
    let kept = Checkpoint::parse(Note::parse(&published).unwrap().text()).unwrap();
    prune(&disk, &mut writer, ENTRIES + 100).unwrap();
    writer.close(Totals::default(), NOW).unwrap();
    let run = |checkpoint: Checkpoint| {
        let verifier = Verifier::new().add_checkpoint(checkpoint);
        verifier.run_on(&disk, false, |_| {}).unwrap().verdict()
    };
    assert_eq!(run(kept.clone()), Verdict::Intact);
    let mut other = kept;
    other.root = [7; 32];
    assert_eq!(run(other), Verdict::Tampered);
}

#[test]
fn every_flipped_bit_of_a_pruned_ledger_is_reported() {
    let disk = FragileDisk::default();
    let mut writer = running(&disk);
    prune(&disk, &mut writer, 300).unwrap();
    writer.close(Totals::default(), NOW).unwrap();
    assert_eq!(worst(&verify(&disk)), Vec::<&FindingKind>::new());
    let names = disk.list().unwrap();
    let names: Vec<_> = names.iter().filter(|name| *name != KEY_FILE).collect();
    let first = segment_name(segments(&disk)[0]);
    let mut flips = 0;
    for name in names {
        let bytes = disk.read(name).unwrap();
        // Each time another bit. The frames of segments are flipped elsewhere; here it is the
        // header behind what is gone, of which nothing else says the same.
        let count = if *name == first { 150 } else { 15 };
        let step = (bytes.len() / count).max(1);
        for at in (0..bytes.len()).step_by(step) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            disk.put(name, flipped);
            assert_eq!(
                verify(&disk).verdict(),
                Verdict::Tampered,
                "{name} byte {at}"
            );
            flips += 1;
        }
        disk.put(name, bytes);
    }
    assert!(flips > 400, "{flips}");
    assert_eq!(worst(&verify(&disk)), Vec::<&FindingKind>::new());
}

#[test]
fn whatever_of_a_pruned_ledger_is_missing_is_reported() {
    let disk = FragileDisk::default();
    let mut writer = running(&disk);
    prune(&disk, &mut writer, 300).unwrap();
    writer.close(Totals::default(), NOW).unwrap();
    let mut missed = 0;
    for name in disk.list().unwrap() {
        if name == KEY_FILE {
            continue;
        }
        let bytes = disk.read(&name).unwrap();
        disk.steal(&name);
        if verify(&disk).verdict() == Verdict::Intact {
            // What is derived from entries that are there, and the last word about the end.
            let derived = name == CHECKPOINT_FILE;
            assert!(derived, "{name}");
            missed += 1;
        }
        disk.put(&name, bytes);
    }
    assert!(missed > 0);
    // Segments that nobody pruned.
    let first = segments(&disk)[0];
    disk.steal(&segment_name(first));
    assert_eq!(verify(&disk).verdict(), Verdict::Tampered);
}

#[test]
fn segments_that_are_removed_without_a_record_are_missing() {
    let disk = FragileDisk::default();
    let mut writer = running(&disk);
    while extend(&disk).unwrap().is_some() {}
    let cut = cut_at(&disk, 300).unwrap().unwrap();
    remove_bodies(&disk, cut).unwrap();
    writer.close(Totals::default(), NOW).unwrap();
    let verification = verify(&disk);
    assert!(worst(&verification).contains(&&FindingKind::MissingSegment(0)));
}

/// All proofs of a ledger, from the hashes that are in tiles and in what is left of it.
fn proofs(disk: &FragileDisk, leaves: &[Hash]) {
    use crate::tile::{TileId, WIDTH, read_tile};
    let reach = tiled(disk).unwrap().unwrap().size;
    let mut found = Vec::new();
    for index in 0..reach.div_ceil(WIDTH as u64) {
        let id = TileId { level: 0, index };
        found.extend(read_tile(disk, id, id.width(reach)).unwrap());
    }
    assert_eq!(found, leaves[..found.len()]);
    assert_eq!(found.len() as u64, reach);
}

#[test]
fn tiles_hold_the_leaves_that_the_segments_held() {
    let disk = FragileDisk::default();
    let mut writer = running(&disk);
    let leaves = leaves(&disk);
    prune(&disk, &mut writer, 500).unwrap();
    proofs(&disk, &leaves);
    assert!(inclusion_proof(3, &leaves).is_some() && consistency_proof(3, &leaves).is_some());
}

/// Segments are read in pieces; frames lie across where they meet.
#[test]
fn tiles_of_a_segment_of_many_pieces_hold_its_leaves() {
    let disk = FragileDisk::default();
    let long = WriterSettings {
        segment_bytes: 5 * 1024 * 1024,
        ..settings()
    };
    let (mut writer, _) = Writer::open(disk.clone(), long, NOW).unwrap();
    for number in 0..300 {
        let mut frame = Vec::new();
        put_frame(&mut frame, |out| {
            Record::Heartbeat { time: NOW + number }.encode(out);
            let longest = crate::segment::LONGEST_FRAME;
            let length = usize::try_from(number * 7919).unwrap() % (longest - 100);
            out.resize(out.len() + length, 1);
        });
        writer.commit(&mut frame, NOW).unwrap();
    }
    let leaves = leaves(&disk);

    // One that is shorter than the next one says is not taken for whole.
    let short = FragileDisk::default();
    for name in disk.list().unwrap() {
        short.put(&name, disk.read(&name).unwrap());
    }
    let first = segment_name(segments(&disk)[0]);
    let mut bytes = disk.read(&first).unwrap();
    bytes.truncate(3 * 1024 * 1024);
    short.put(&first, bytes);
    assert!(extend(&short).is_err());

    let finished = extend(&disk).unwrap().expect("a finished segment");
    assert!(finished > 100, "{finished}");
    proofs(&disk, &leaves);
}

fn leaves(disk: &FragileDisk) -> Vec<Hash> {
    let mut leaves = Vec::new();
    for number in segments(disk) {
        let bytes = disk.read(&segment_name(number)).unwrap();
        let (_, mut at) = Header::decode(&bytes).unwrap();
        while let crate::segment::At::Frame(frame) = crate::segment::read_frame(&bytes[at..]) {
            if frame.kind != crate::record::Kind::Checkpoint {
                leaves.push(frame.hash);
            }
            at += frame.length;
        }
    }
    leaves
}

/// Writes, prunes, writes and prunes again, until the power is gone.
fn work_until_the_power_is_gone(disk: &FragileDisk) {
    let Some(mut writer) = open(disk) else {
        return;
    };
    for (from, index) in [(0, 100), (200, 250)] {
        for batch in 0..10 {
            let mut frames = frames(from + batch * 20, 20);
            if writer.commit(&mut frames, NOW).is_err() {
                return;
            }
        }
        if prune(disk, &mut writer, index).is_none() {
            return;
        }
    }
    let _ = writer.close(Totals::default(), NOW);
}

fn crashes(ignored: Option<Operation>) -> (usize, Vec<String>) {
    let whole = FragileDisk::default();
    work_until_the_power_is_gone(&whole);
    let (mut count, mut broken) = (0, Vec::new());
    for operations in 0..=whole.operations() {
        for luck in 0..4 {
            let disk = FragileDisk::default();
            if let Some(operation) = ignored {
                disk.ignore(operation);
            }
            disk.cut_power_after(operations);
            work_until_the_power_is_gone(&disk);
            let disk = disk.after_power_cut(luck);
            count += 1;
            if let Err(why) = goes_on(&disk) {
                broken.push(format!("after {operations}, luck {luck}: {why}"));
            }
        }
    }
    (count, broken)
}

/// Whether a ledger can be continued, pruned again, and is intact before and after.
fn goes_on(disk: &FragileDisk) -> Result<(), String> {
    let Ok((mut writer, _)) = Writer::open(disk.clone(), small(), NOW) else {
        return Err("not continued".to_owned());
    };
    let intact = |when: &str| {
        let verification = Verifier::new().run_on(disk, true, |_| {}).unwrap();
        match worst(&verification) {
            worst if worst.is_empty() => Ok(()),
            worst => Err(format!("{when}: {worst:?}")),
        }
    };
    intact("after the crash")?;
    for batch in 0..8 {
        writer.commit(&mut frames(1000 + batch, 30), NOW).unwrap();
    }
    let pruned = prune(disk, &mut writer, u64::MAX);
    pruned.ok_or("not pruned again")?;
    intact("after pruning again")
}

#[test]
fn no_crash_during_pruning_leaves_a_ledger_that_is_not_intact() {
    let (count, broken) = crashes(None);
    assert!(count >= 250, "{count}");
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn a_missing_sync_of_tiles_would_be_noticed() {
    let broken = crashes(Some(Operation::Persist)).1;
    assert!(
        broken.iter().any(|why| why.contains("BadTile")),
        "{broken:?}"
    );
}
