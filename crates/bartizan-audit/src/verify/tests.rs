//! A small ledger, changed in every way.

use zeroize::Zeroizing;

use super::*;
use crate::merkle::EMPTY_ROOT;
use crate::record::{LossRecord, Record};
use crate::segment::{At, Header, put_frame, read_frame, seal_frame};
use crate::storage::fragile::FragileDisk;
use crate::witness::WitnessKey;
use crate::writer::tests::{NOW, settings};
use crate::writer::{COSIGNED_FILE, KEY_FILE, Writer, WriterSettings};

fn frames(from: u64, count: u64) -> Vec<u8> {
    let mut frames = Vec::new();
    for number in from..from + count {
        let record = Record::Heartbeat { time: NOW + number };
        put_frame(&mut frames, |out| record.encode(out));
    }
    frames
}

/// Two segments, two epochs, ended in order.
fn ledger() -> FragileDisk {
    let disk = FragileDisk::default();
    let settings = WriterSettings {
        segment_bytes: 1950,
        epoch_leaves: 5,
        ..settings()
    };
    let (mut writer, _) = Writer::open(disk.clone(), settings, NOW).unwrap();
    for batch in 0..2 {
        writer.commit(&mut frames(batch * 3, 3), NOW).unwrap();
    }
    writer.close(Totals::default(), NOW).unwrap();
    disk
}

fn run(disk: &FragileDisk) -> Verification {
    Verifier::new().run_on(disk, false, |_| {}).unwrap()
}

fn kinds(verification: &Verification) -> Vec<&FindingKind> {
    verification.findings.iter().map(|it| &it.kind).collect()
}

/// The files that verification reads.
fn public_files(disk: &FragileDisk) -> Vec<String> {
    let mut names = disk.list().unwrap();
    names.retain(|name| name != KEY_FILE);
    names
}

#[test]
fn the_ledger_of_these_tests_is_intact() {
    let verification = run(&ledger());
    assert_eq!(kinds(&verification), [&FindingKind::Unpinned]);
    assert_eq!(verification.verdict(), Verdict::Intact);
    assert!(verification.segments >= 2, "{verification:?}");
    assert!(verification.epoch >= 1, "{verification:?}");
}

#[test]
fn every_flipped_bit_is_reported() {
    let disk = ledger();
    let mut flips = 0;
    for name in public_files(&disk) {
        let bytes = disk.read(&name).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            disk.put(&name, flipped);
            assert_eq!(run(&disk).verdict(), Verdict::Tampered, "{name} bit {bit}");
            flips += 1;
        }
        disk.put(&name, bytes);
    }
    assert!(flips > 10_000, "{flips}");
    assert_eq!(run(&disk).verdict(), Verdict::Intact);
}

#[test]
fn every_truncation_is_reported() {
    let disk = ledger();
    for name in public_files(&disk) {
        let bytes = disk.read(&name).unwrap();
        for length in 0..bytes.len() {
            disk.put(&name, bytes[..length].to_vec());
            assert_ne!(
                run(&disk).verdict(),
                Verdict::Intact,
                "{name} cut to {length}"
            );
        }
        disk.put(&name, bytes.clone());
        let mut longer = bytes.clone();
        longer.push(7);
        disk.put(&name, longer);
        assert_ne!(
            run(&disk).verdict(),
            Verdict::Intact,
            "{name} with a byte more"
        );
        disk.put(&name, bytes);
    }
}

#[test]
fn a_missing_segment_is_reported() {
    for missing in 0..2 {
        let disk = ledger();
        disk.steal(&segment_name(missing));
        assert_eq!(run(&disk).verdict(), Verdict::Tampered, "{missing}");
    }
}

/// Where the frames of a segment begin and end.
fn places(segment: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (_, mut at) = Header::decode(segment).unwrap();
    let mut places = Vec::new();
    while let At::Frame(frame) = read_frame(&segment[at..]) {
        places.push(at..at + frame.length);
        at += frame.length;
    }
    places
}

#[test]
fn records_that_change_places_are_reported() {
    let disk = ledger();
    let name = segment_name(0);
    let bytes = disk.read(&name).unwrap();
    let places = places(&bytes);
    let mut swaps = 0;
    for first in 0..places.len() {
        for second in first + 1..places.len() {
            let (a, b) = (places[first].clone(), places[second].clone());
            if bytes[a.clone()] == bytes[b.clone()] {
                continue;
            }
            let mut changed = bytes[..a.start].to_vec();
            changed.extend(&bytes[b.clone()]);
            changed.extend(&bytes[a.end..b.start]);
            changed.extend(&bytes[a]);
            changed.extend(&bytes[b.end..]);
            disk.put(&name, changed);
            assert_eq!(
                run(&disk).verdict(),
                Verdict::Tampered,
                "{first} and {second}"
            );
            swaps += 1;
        }
    }
    assert!(swaps > 5, "{swaps}");
}

#[test]
fn records_left_out_or_put_in_are_reported() {
    let disk = ledger();
    let name = segment_name(0);
    let bytes = disk.read(&name).unwrap();
    for place in places(&bytes) {
        let mut without = bytes.clone();
        without.drain(place.clone());
        disk.put(&name, without);
        assert_eq!(run(&disk).verdict(), Verdict::Tampered, "without {place:?}");
        let mut twice = bytes.clone();
        twice.splice(place.end..place.end, bytes[place.clone()].to_vec());
        disk.put(&name, twice);
        assert_eq!(run(&disk).verdict(), Verdict::Tampered, "twice {place:?}");
    }
}

/// CVE-2023-31439: a journal accepted old entries that were sealed anew with a newer key. Here
/// somebody breaks in after the first epoch, takes the keys, changes a record of the first epoch
/// and signs its checkpoints anew.
#[test]
fn old_records_that_are_sealed_with_a_newer_key_are_reported() {
    let disk = ledger();
    let keys = crate::epoch::KeyFile::parse(&settings().origin, &disk.read(KEY_FILE).unwrap());
    let stolen = keys.unwrap().current;
    assert!(stolen.epoch() >= 1, "the first epoch's key is gone");
    let name = segment_name(0);
    let bytes = disk.read(&name).unwrap();
    let (header, begin) = Header::decode(&bytes).unwrap();
    let mut forged = bytes[..begin].to_vec();
    let mut scan = crate::recovery::Scan::new(&header);
    for (index, place) in places(&bytes).into_iter().enumerate() {
        let mut frame = bytes[place].to_vec();
        let At::Frame(read) = read_frame(&frame) else {
            panic!("a frame");
        };
        if read.kind == crate::record::Kind::Checkpoint {
            let text = Checkpoint::new(&header.origin, scan.tree.size(), scan.tree.root());
            let note = stolen.sign(&text.to_string());
            frame = Vec::new();
            put_frame(&mut frame, |out| {
                out.extend([1, 1]);
                out.extend_from_slice(note.as_bytes());
            });
            seal_frame(&mut frame);
        } else {
            if index == 2 {
                let last = frame.len() - 1;
                frame[last] ^= 1;
                seal_frame(&mut frame);
            }
            let At::Frame(read) = read_frame(&frame) else {
                panic!("a frame");
            };
            let _ = scan.take(&read);
        }
        forged.extend(frame);
    }
    disk.put(&name, forged);
    let verification = run(&disk);
    assert_eq!(verification.verdict(), Verdict::Tampered);
    assert!(kinds(&verification).contains(&&FindingKind::ForeignSignature));
}

#[test]
fn a_whole_ledger_made_anew_is_told_by_the_pinned_key() {
    let genuine = ledger();
    let key = own_key(&genuine).unwrap().unwrap();
    let verifier = Verifier::new().with_key(key);
    let pinned = |disk: &FragileDisk| verifier.run_on(disk, false, |_| {}).unwrap().verdict();
    assert_eq!(pinned(&genuine), Verdict::Intact);
    assert_eq!(
        run(&ledger()).verdict(),
        Verdict::Intact,
        "by itself it looks right"
    );
    assert_eq!(pinned(&ledger()), Verdict::Tampered);
}

#[test]
fn a_cut_back_to_an_earlier_end_is_told_by_a_checkpoint_kept_elsewhere() {
    let disk = FragileDisk::default();
    let (mut writer, _) = Writer::open(disk.clone(), settings(), NOW).unwrap();
    writer.commit(&mut frames(0, 3), NOW).unwrap();
    writer.close(Totals::default(), NOW).unwrap();
    let earlier = disk.after_power_cut(0);
    let (mut writer, _) = Writer::open(disk.clone(), settings(), NOW).unwrap();
    writer.commit(&mut frames(3, 3), NOW).unwrap();
    writer.close(Totals::default(), NOW).unwrap();
    let (_, note) = own_checkpoint(&disk).unwrap();
    let kept = Checkpoint::parse(Note::parse(&note).unwrap().text()).unwrap();

    assert_eq!(
        run(&earlier).verdict(),
        Verdict::Intact,
        "by itself it looks right"
    );
    let verifier = Verifier::new().add_checkpoint(kept.clone());
    let verification = verifier.run_on(&earlier, false, |_| {}).unwrap();
    let cut = FindingKind::Truncated {
        committed: kept.size,
    };
    assert!(kinds(&verification).contains(&&cut), "{verification:?}");
    assert_eq!(
        verifier.run_on(&disk, false, |_| {}).unwrap().verdict(),
        Verdict::Intact
    );

    let mut other = kept;
    other.root = [7; 32];
    let verification = Verifier::new().add_checkpoint(other);
    let verification = verification.run_on(&disk, false, |_| {}).unwrap();
    assert!(kinds(&verification).contains(&&FindingKind::WrongRoot));
}

#[test]
fn an_unsealed_end_and_a_run_without_end_are_incomplete() {
    let disk = FragileDisk::default();
    let (mut writer, _) = Writer::open(disk.clone(), settings(), NOW).unwrap();
    writer.commit(&mut frames(0, 3), NOW).unwrap();
    drop(writer);
    assert_eq!(run(&disk).verdict(), Verdict::Incomplete);
    let running = Verifier::new().run_on(&disk, true, |_| {}).unwrap();
    assert_eq!(running.verdict(), Verdict::Intact);

    let name = segment_name(0);
    let mut bytes = disk.read(&name).unwrap();
    let last = places(&bytes).pop().unwrap();
    bytes[last].fill(0);
    disk.put(&name, bytes);
    let verification = run(&disk);
    assert_eq!(verification.verdict(), Verdict::Incomplete);
    assert!(kinds(&verification).contains(&&FindingKind::Unsealed(3)));
}

#[test]
fn what_is_worth_a_note_hides_nothing_that_is_worse() {
    let disk = FragileDisk::default();
    let settings = WriterSettings {
        segment_bytes: 1 << 20,
        ..settings()
    };
    let (mut writer, _) = Writer::open(disk.clone(), settings, NOW).unwrap();
    let mut losses = Vec::new();
    for _ in 0..1_200 {
        let lost = Record::Loss(LossRecord::new(NOW, 1, 0, 0));
        put_frame(&mut losses, |out| lost.encode(out));
    }
    writer.commit(&mut losses, NOW).unwrap();
    writer.close(Totals::default(), NOW).unwrap();
    let verification = run(&disk);
    assert_eq!(verification.verdict(), Verdict::Intact);
    assert_eq!(verification.findings.len(), 1_000);

    let name = segment_name(0);
    let mut bytes = disk.read(&name).unwrap();
    let last_of_them = places(&bytes)[1_190].end - 1;
    bytes[last_of_them] ^= 1;
    disk.put(&name, bytes);
    let verification = run(&disk);
    assert_eq!(verification.verdict(), Verdict::Tampered);
    assert_eq!(verification.findings.len(), 1_000);
}

#[test]
fn what_a_witness_signed_of_another_log_is_no_word_for_this_one() {
    let witness = WitnessKey::from_seed("witness.example/w1", Zeroizing::new([7; 32])).unwrap();
    for size in [0, 1] {
        let disk = ledger();
        let text = Checkpoint::new("log.example/another", size, EMPTY_ROOT).to_string();
        let note = format!("{text}\n{}", witness.cosign(&text, NOW));
        disk.put(COSIGNED_FILE, note.into_bytes());
        let verifier = Verifier::new().add_witness(witness.public().clone());
        let verification = verifier.run_on(&disk, false, |_| {}).unwrap();
        let kinds = kinds(&verification);
        assert!(
            kinds.contains(&&FindingKind::WrongRoot),
            "{size}: {kinds:?}"
        );
    }
}
