//! Old entries go, and everything that was proven stays proven.

use std::sync::Arc;
use std::time::Duration;

use bartizan_audit::{
    AuditConfig, AuditLayer, FindingKind, Kind, Ledger, Prover, Retention, StoredEntry, Verdict,
    Verifier, consistency_proof, inclusion_proof, verify_consistency, verify_inclusion,
};
use bartizan_core::{Clock as _, WallTime};
use bartizan_testkit::ManualClock;
use proptest::prelude::*;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{Folder, end, get, ok};

/// Fills some segments of 128 KiB.
async fn fill(ledger: &Ledger, count: usize) {
    let config = AuditConfig::builder(ledger.clone()).build().unwrap();
    let layer = AuditLayer::new(config);
    let service = layer.layer(service_fn(async |_| ok("done")));
    for number in 0..count {
        let request = get(&format!("/orders/{number}"));
        let answer = service.clone().oneshot(request).await.unwrap();
        http_body_util::BodyExt::collect(answer).await.unwrap();
    }
}

fn small(folder: &Folder) -> Ledger {
    let builder = folder.builder().with_segment_bytes(128 * 1024);
    builder
        .with_epoch(300, Duration::from_secs(3600))
        .open()
        .unwrap()
}

#[tokio::test]
async fn proofs_after_pruning_are_those_from_before() {
    let folder = Folder::new();
    let ledger = small(&folder);
    fill(&ledger, 5000).await;
    let leaves: Vec<_> = {
        let _ = end(&ledger, &folder).await;
        folder.entries().iter().map(|entry| entry.hash).collect()
    };
    drop(ledger);
    let size = leaves.len() as u64;
    let before = Prover::load(folder.path()).unwrap();
    assert_eq!(before.size(), size);

    let ledger = small(&folder);
    let pruned = ledger.prune(size * 2 / 3).unwrap().unwrap();
    assert!(
        pruned.entries > size / 3 && pruned.entries <= size * 2 / 3,
        "{pruned:?}"
    );
    assert!(!folder.path().join("000000000000.segment").exists());
    assert_eq!(folder.entries()[0].index, pruned.entries);
    end(&ledger, &folder).await;
    assert!(folder.kinds().contains(&Kind::Pruned));
    let verification = folder.verify();
    assert_eq!(verification.pruned, pruned.entries);
    let told = FindingKind::Pruned(pruned.entries);
    assert!(verification.findings.iter().any(|it| it.kind == told));

    let after = Prover::load(folder.path()).unwrap();
    let config = proptest::test_runner::Config::with_cases(200);
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner
        .run(&(1..=size, any::<u64>()), |(size, number)| {
            let tree = &leaves[..usize::try_from(size).unwrap()];
            let index = number % size;
            let root = after.root(size).unwrap();
            prop_assert_eq!(root, before.root(size).unwrap());
            let proof = after.inclusion(index, size).unwrap();
            prop_assert_eq!(Some(proof.clone()), inclusion_proof(index, tree));
            let leaf = tree[usize::try_from(index).unwrap()];
            prop_assert!(verify_inclusion(index, size, &leaf, &root, &proof).is_ok());
            let old = index + 1;
            let proof = after.consistency(old, size).unwrap();
            prop_assert_eq!(Some(proof.clone()), consistency_proof(old, tree));
            let old_root = after.root(old).unwrap();
            prop_assert!(verify_consistency(old, size, &old_root, &root, &proof).is_ok());
            Ok(())
        })
        .unwrap();
    assert!(after.inclusion(size, size).is_err());
    assert!(after.consistency(0, size).is_err());
    assert!(after.root(after.size() + 1).is_err());
}

#[tokio::test]
async fn old_segments_go_by_themselves_and_the_ledger_stays_intact() {
    let folder = Folder::new();
    let builder = folder.builder().with_segment_bytes(128 * 1024);
    let retention = Retention::forever().with_bytes(300 * 1024);
    let ledger = builder.with_retention(retention).open().unwrap();
    // Each new segment wakes the thread that looks.
    while folder.path().join("000000000000.segment").exists() {
        fill(&ledger, 200).await;
    }
    end(&ledger, &folder).await;
    assert!(folder.verify().pruned > 0);
    let key = std::fs::read_to_string(folder.path().join("log.vkey")).unwrap();
    let key = bartizan_audit::VerifierKey::parse(key.trim_end()).unwrap();
    let pinned = Verifier::new().with_key(key).run(folder.path()).unwrap();
    assert_eq!(pinned.verdict(), Verdict::Intact, "{:?}", pinned.findings);
    // One bit of a tile, of entries that are gone.
    let tile = folder.path().join("tile/0/000");
    let mut bytes = std::fs::read(&tile).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&tile, bytes).unwrap();
    assert_eq!(folder.verify().verdict(), Verdict::Tampered);
}

#[tokio::test]
async fn what_is_older_than_it_may_be_goes_and_nothing_younger() {
    let folder = Folder::new();
    let clock = ManualClock::at(WallTime::from_unix_seconds(1_800_000_000));
    let builder = folder.builder().with_segment_bytes(128 * 1024);
    let ledger = builder.with_clock(Arc::new(clock.clone())).open().unwrap();
    const HOUR: Duration = Duration::from_secs(3600);
    fill(&ledger, 3000).await;
    // All that was told is written with the time at which it was.
    while ledger.totals().durable < ledger.totals().accepted {
        tokio::task::yield_now().await;
    }
    clock.advance(2 * HOUR);
    fill(&ledger, 3000).await;
    while ledger.totals().durable < ledger.totals().accepted {
        tokio::task::yield_now().await;
    }
    let young = clock.wall().saturating_sub(HOUR).unix_seconds();
    let young = |entry: &StoredEntry| entry.record().unwrap().time() / 1_000_000_000 >= young;
    let before = folder.entries();
    let kept = |of_now: &[StoredEntry]| of_now.iter().filter(|it| young(it)).count();
    assert!(kept(&before) >= 3000 && before.len() - kept(&before) >= 3000);

    assert_eq!(ledger.prune_old(&Retention::forever()).unwrap(), None);
    let long = Retention::forever().with_age(3 * HOUR);
    assert_eq!(ledger.prune_old(&long).unwrap(), None);
    let pruned = ledger.prune_old(&Retention::forever().with_age(HOUR));
    let pruned = pruned.unwrap().unwrap();
    let after = folder.entries();
    assert_eq!(after[0].index, pruned.entries);
    let old = after.iter().take_while(|it| !young(it)).count();
    assert!(old * 2 < before.len() - kept(&before), "of {old} old ones");
    assert!(kept(&after) >= kept(&before), "nothing younger");
    // What is left of the old stands in one segment with the first that is young.
    let again = Retention::forever().with_age(HOUR);
    assert_eq!(ledger.prune_old(&again).unwrap(), None);
    end(&ledger, &folder).await;
    assert_eq!(folder.verify().pruned, pruned.entries);
}

#[test]
fn nothing_is_pruned_that_is_young_or_alone() {
    let folder = Folder::new();
    let ledger = small(&folder);
    assert_eq!(ledger.prune(u64::MAX).unwrap(), None, "one segment");
    ledger.shutdown_blocking(Duration::from_secs(5));
    assert!(ledger.prune(1).is_err(), "the run is over");
}
