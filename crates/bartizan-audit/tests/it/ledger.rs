use std::time::Duration;

use bartizan_audit::{
    AuditConfig, AuditLayer, EntryProof, Kind, LedgerErrorKind, LedgerReader, Prover, Recovery,
    Verdict, Verifier, VerifierKey, verify_consistency,
};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Folder, ORIGIN, end, get, ok};

async fn requests(ledger: &bartizan_audit::Ledger, count: usize) {
    let layer = AuditLayer::new(AuditConfig::builder(ledger.clone()).build().unwrap());
    let service = layer.layer(service_fn(|_: Request<Full<Bytes>>| async { ok("") }));
    for _ in 0..count {
        service.clone().oneshot(get("/orders/1")).await.unwrap();
    }
}

#[tokio::test]
async fn runs_follow_each_other_in_one_ledger() {
    let folder = Folder::new();
    for _ in 0..3 {
        let ledger = folder.ledger();
        requests(&ledger, 3).await;
        let report = end(&ledger, &folder).await;
        assert_eq!(report.recovered, None);
        assert_eq!((report.totals.accepted, report.totals.durable), (3, 3));
    }
    let run = [
        Kind::Start,
        Kind::Request,
        Kind::Request,
        Kind::Request,
        Kind::Stop,
    ];
    assert_eq!(folder.kinds(), [run, run, run].concat());
    assert_eq!(folder.verify().runs, 3);
}

#[tokio::test]
async fn many_segments_and_epochs_verify_and_are_read_in_order() {
    let folder = Folder::new();
    let builder = folder.builder().with_segment_bytes(128 * 1024);
    let ledger = builder
        .with_epoch(500, Duration::from_secs(3600))
        .open()
        .unwrap();
    for _ in 0..10 {
        requests(&ledger, 600).await;
        // Batches of some size, whatever the machine does meanwhile.
        while ledger.totals().durable < ledger.totals().accepted {
            tokio::task::yield_now().await;
        }
    }
    end(&ledger, &folder).await;
    let verification = folder.verify();
    assert!(verification.segments > 2, "{verification:?}");
    assert!(verification.epoch > 2, "{verification:?}");
    let entries = folder.entries();
    assert_eq!(entries.len() as u64, verification.entries);
    assert!(
        entries
            .iter()
            .zip(0..)
            .all(|(entry, index)| entry.index == index)
    );
    // From anywhere in the middle it goes on the same.
    for start in [1, 499, 1000, 2999] {
        let mut reader = LedgerReader::open_at(folder.path(), start).unwrap();
        assert_eq!(reader.position(), start);
        let first = reader.next_batch().unwrap();
        let at = usize::try_from(start).unwrap();
        assert_eq!(first[0], entries[at], "{start}");
    }
}

#[tokio::test]
async fn a_reader_follows_a_ledger_that_is_being_written() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let mut reader = LedgerReader::open(folder.path()).unwrap();
    assert_eq!(reader.next_batch().unwrap().len(), 1, "the start");
    assert!(reader.next_batch().unwrap().is_empty());
    for round in 1..=3 {
        requests(&ledger, 10).await;
        let mut seen = 0;
        while seen < 10 {
            seen += reader.next_batch().unwrap().len();
            tokio::task::yield_now().await;
        }
        assert_eq!(reader.position(), 1 + round * 10);
    }
    let running = folder.verify();
    assert_eq!(running.verdict(), Verdict::Intact, "{:?}", running.findings);
    end(&ledger, &folder).await;
}

#[tokio::test]
async fn an_entry_is_proven_to_somebody_who_has_nothing_but_the_key() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    requests(&ledger, 20).await;
    let report = end(&ledger, &folder).await;
    let key = std::fs::read_to_string(folder.path().join("log.vkey")).unwrap();
    let key = VerifierKey::parse(key.trim_end()).unwrap();
    let prover = Prover::load(folder.path()).unwrap();
    assert_eq!(prover.size(), report.entries);
    for entry in folder.entries() {
        let hashes = prover.inclusion(entry.index, report.entries).unwrap();
        let proof = EntryProof::new(entry.index, hashes, &report.checkpoint);
        let proof = EntryProof::parse(&proof.to_string()).unwrap();
        let checkpoint = proof.verify(&entry.bytes, &key).unwrap();
        assert_eq!(
            (checkpoint.origin.as_str(), checkpoint.size),
            (ORIGIN, report.entries)
        );
        let mut other = entry.bytes.clone();
        *other.last_mut().unwrap() ^= 1;
        assert!(proof.verify(&other, &key).is_err());
    }
    let (old, new) = (7, report.entries);
    let proof = prover.consistency(old, new).unwrap();
    let (old_root, new_root) = (prover.root(old).unwrap(), prover.root(new).unwrap());
    assert_eq!(
        verify_consistency(old, new, &old_root, &new_root, &proof),
        Ok(())
    );
}

#[tokio::test]
async fn a_ledger_belongs_to_one_process_at_a_time() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let second = folder.builder().open().unwrap_err();
    assert_eq!(second.kind(), LedgerErrorKind::InUse);
    end(&ledger, &folder).await;
    // The lock goes with the thread.
    let again = loop {
        match folder.builder().open() {
            Err(error) if error.kind() == LedgerErrorKind::InUse => {
                tokio::task::yield_now().await;
            }
            opened => break opened.unwrap(),
        }
    };
    end(&again, &folder).await;
}

#[test]
fn rejects_what_cannot_work() {
    let folder = Folder::new();
    let check = |builder: bartizan_audit::LedgerBuilder| {
        let error = builder.open().unwrap_err();
        assert_eq!(error.kind(), LedgerErrorKind::Setting, "{error}");
    };
    check(folder.builder().with_segment_bytes(1000));
    check(folder.builder().with_buffer_bytes(1000));
    check(folder.builder().with_heartbeat(Duration::ZERO));
    check(folder.builder().with_epoch(0, Duration::from_secs(1)));
    check(bartizan_audit::Ledger::builder(folder.path(), "not a name"));
    check(bartizan_audit::Ledger::builder(folder.path(), ""));
}

#[tokio::test]
async fn a_cut_or_changed_ledger_is_not_continued() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    requests(&ledger, 5).await;
    end(&ledger, &folder).await;
    drop(ledger);
    let segment = folder.path().join("000000000000.segment");
    let bytes = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(folder.verify().verdict(), Verdict::Tampered);
    let refused = folder.builder().open().unwrap_err();
    assert_eq!(refused.kind(), LedgerErrorKind::Tampered, "{refused}");

    // Another key than the ledger's.
    std::fs::write(&segment, &bytes).unwrap();
    let other = "log.example+d9f7c5d8+AQ==";
    assert!(VerifierKey::parse(other).is_err());
    let foreign = Folder::new();
    let ledger = foreign.ledger();
    end(&ledger, &foreign).await;
    let key = std::fs::read_to_string(foreign.path().join("log.vkey")).unwrap();
    let pinned = Verifier::new().with_key(VerifierKey::parse(key.trim_end()).unwrap());
    assert_eq!(
        pinned.run(folder.path()).unwrap().verdict(),
        Verdict::Tampered
    );
}

#[tokio::test]
async fn what_opening_would_repair_is_told_and_nothing_is_touched() {
    let folder = Folder::new();
    let missing = Recovery::examine(folder.path()).unwrap_err();
    assert_eq!(missing.kind(), std::io::ErrorKind::NotFound, "{missing}");
    let ledger = folder.ledger();
    requests(&ledger, 5).await;
    while ledger.totals().durable < ledger.totals().accepted {
        tokio::task::yield_now().await;
    }
    let running = Recovery::examine(folder.path()).unwrap();
    assert!(running.running && !running.stopped, "{running:?}");
    assert_eq!((&*running.origin, running.segment), (ORIGIN, 0));
    assert_eq!((running.entries, running.damage), (6, None));

    let report = end(&ledger, &folder).await;
    let stopped = Recovery::examine(folder.path()).unwrap();
    assert!(stopped.stopped, "{stopped:?}");
    assert_eq!(
        (stopped.entries, stopped.unsealed, stopped.torn_bytes),
        (report.entries, 0, 0)
    );

    // As a crash leaves it that came in the middle of the last checkpoint.
    let crashed = Folder::new();
    copy(folder.path(), crashed.path());
    let segment = crashed.path().join("000000000000.segment");
    let whole = std::fs::read(&segment).unwrap();
    let written = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let torn = &whole[..written - 3];
    std::fs::write(&segment, torn).unwrap();
    let found = Recovery::examine(crashed.path()).unwrap();
    assert_eq!((&found.damage, found.running), (&None, false), "{found:?}");
    assert_eq!(found.entries, report.entries, "whole records are kept");
    assert!(found.torn_bytes > 0 && found.unsealed > 0, "{found:?}");
    assert_eq!(std::fs::read(&segment).unwrap(), torn, "nothing is touched");
    let again = crashed.ledger();
    let recovered = end(&again, &crashed).await.recovered.unwrap();
    assert_eq!(
        (recovered.unsealed, recovered.torn_bytes),
        (found.unsealed, found.torn_bytes)
    );

    // Less than the checkpoint beside it commits to is no crash.
    let cut = Folder::new();
    copy(folder.path(), cut.path());
    let segment = cut.path().join("000000000000.segment");
    let whole = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, &whole[..whole.len() / 2]).unwrap();
    let damage = Recovery::examine(cut.path()).unwrap().damage.unwrap();
    assert!(damage.contains("commits to"), "{damage}");
    std::fs::write(&segment, b"nothing of a ledger").unwrap();
    assert!(Recovery::examine(cut.path()).unwrap().damage.is_some());
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn silence_is_written_down() {
    let folder = Folder::new();
    let ledger = folder
        .builder()
        .with_heartbeat(Duration::from_millis(5))
        .open()
        .unwrap();
    while ledger.checkpoint().0 < 4 {
        tokio::task::yield_now().await;
    }
    end(&ledger, &folder).await;
    let beats = folder
        .kinds()
        .iter()
        .filter(|kind| **kind == Kind::Heartbeat)
        .count();
    assert!(beats >= 3, "{beats}");
}

#[tokio::test]
async fn a_full_buffer_is_counted_in_the_log() {
    let folder = Folder::new();
    let builder = folder.builder().with_buffer_bytes(256 * 1024);
    // Nothing is written before the buffer is full or an hour has passed.
    let ledger = builder
        .with_flush_interval(Duration::from_secs(3600))
        .open()
        .unwrap();
    requests(&ledger, 30_000).await;
    let report = end(&ledger, &folder).await;
    assert_eq!(report.totals.accepted, 30_000);
    let verification = folder.verify();
    assert_eq!(
        verification.lost, report.totals.lost,
        "what was lost is in the log"
    );
    let requests = folder
        .kinds()
        .iter()
        .filter(|kind| **kind == Kind::Request)
        .count();
    assert_eq!(requests as u64, report.totals.durable);
}

#[test]
fn what_waits_is_written_when_the_last_handle_is_dropped() {
    let folder = Folder::new();
    let ledger = folder
        .builder()
        .with_flush_interval(Duration::from_secs(3600))
        .open()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(requests(&ledger, 3));
    drop(ledger);
    assert_eq!(folder.verify().verdict(), Verdict::Intact);
    assert_eq!(folder.verify().totals.durable, 3);
}
