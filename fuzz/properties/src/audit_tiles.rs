//! Tiles and what else is kept of pruned entries: whatever is changed of it is reported, and no
//! proof that is made from it proves anything that is not so.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use bartizan_audit::{
    AuditObserver, Hash, Ledger, Prover, Verdict, Verifier, verify_consistency, verify_inclusion,
};
use bartizan_core::{Code, Event, LifecycleEvent, LifecycleKind, Observe};

use crate::input::Input;

struct Genuine {
    /// What is kept of the entries that are gone.
    derived: Vec<(PathBuf, Vec<u8>)>,
    others: Vec<(PathBuf, Vec<u8>)>,
    size: u64,
    root: Hash,
}

fn files(folder: &Path, below: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder.join(below)).expect("a folder") {
        let entry = entry.expect("an entry");
        let name = below.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            files(folder, &name, found);
        } else {
            let bytes = std::fs::read(entry.path()).expect("a file");
            found.push((name, bytes));
        }
    }
}

/// A ledger of some segments and epochs, whose first ones are pruned.
fn genuine() -> &'static Genuine {
    static GENUINE: OnceLock<Genuine> = OnceLock::new();
    GENUINE.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("fuzz-tiles-made-{}", std::process::id()));
        let builder = Ledger::builder(&folder, "log.example/audit").with_spare_segments(0);
        let builder = builder.with_epoch(150, Duration::from_secs(3600));
        let ledger = builder
            .with_segment_bytes(128 * 1024)
            .open()
            .expect("a ledger");
        let observer = AuditObserver::new(ledger.clone());
        let detail = "x".repeat(1000);
        for _ in 0..400 {
            let kind = LifecycleKind::PolicyChanged;
            let event = LifecycleEvent::new("fuzz", kind, Code::new("fuzz.filled"));
            observer.observe(&Event::Lifecycle(event.with_detail(&detail)));
        }
        while ledger.checkpoint().0 < 400 {
            std::thread::yield_now();
        }
        ledger
            .prune(300)
            .expect("tiles")
            .expect("something to prune");
        ledger.shutdown_blocking(Duration::from_secs(5));
        drop((observer, ledger));
        let mut all = Vec::new();
        files(&folder, Path::new(""), &mut all);
        let prover = Prover::load(&folder).expect("tiles");
        let (size, root) = (prover.size(), prover.root(prover.size()).expect("tiles"));
        std::fs::remove_dir_all(&folder).expect("ours");
        let is_derived = |name: &Path| name.starts_with("tile") || name.starts_with("epoch");
        let (derived, others) = all.into_iter().partition(|(name, _)| is_derived(name));
        Genuine {
            derived,
            others,
            size,
            root,
        }
    })
}

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (which, at, cut) = (input.byte(), input.short(), input.byte());
    let (index, bytes) = (input.short(), input.rest());
    let genuine = genuine();
    let folder = std::env::temp_dir().join(format!("fuzz-tiles-{}", std::process::id()));
    let which = usize::from(which) % genuine.derived.len();
    let mut changed = false;
    for (number, (name, content)) in genuine.derived.iter().enumerate() {
        let mut content = content.clone();
        if number == which {
            let at = usize::from(at) % (content.len() + 1);
            let behind = (at + usize::from(cut)).min(content.len());
            content.splice(at..behind, bytes.iter().copied());
            changed = content != genuine.derived[number].1;
        }
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, content).expect("a file");
    }
    for (name, content) in &genuine.others {
        std::fs::write(folder.join(name), content).expect("a file");
    }
    let verified = Verifier::new()
        .run(&folder)
        .expect("files that can be read");
    let expected = if changed {
        Verdict::Tampered
    } else {
        Verdict::Intact
    };
    assert_eq!(verified.verdict(), expected, "{:?}", verified.findings);
    if let Ok(prover) = Prover::load(&folder) {
        let (size, old) = (genuine.size, u64::from(index) % genuine.size + 1);
        if let (Ok(proof), Ok(root)) = (prover.consistency(old, size), prover.root(old)) {
            let holds = verify_consistency(old, size, &root, &genuine.root, &proof).is_ok();
            assert!(holds || changed);
        }
        if let Ok(proof) = prover.inclusion(old - 1, size) {
            let nothing = [0; 32];
            assert!(verify_inclusion(old - 1, size, &nothing, &genuine.root, &proof).is_err());
        }
    }
    std::fs::remove_dir_all(&folder).expect("ours");
}
