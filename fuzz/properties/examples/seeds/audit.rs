//! Seeds of `bartizan-audit`: what a small ledger is made of, and what others answer to it.

use std::fs;
use std::time::Duration;

use bartizan_audit::{
    AuditObserver, Checkpoint, EntryProof, Ledger, LedgerReader, Note, Prover, VerifierKey,
    consistency_proof, inclusion_proof, leaf_hash,
};
use bartizan_core::{Code, Event, LifecycleEvent, LifecycleKind, Observe};

use crate::{Error, Seeds, piece};

/// A note that others published, to be verified.
const NOTE: &str = "If you think cryptography is the answer to your problem,
then you don't know what your problem is.

\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
";

pub(super) fn add(seeds: &mut Seeds) -> Result<(), Error> {
    let folder = std::env::temp_dir().join(format!("seeds-{}", std::process::id()));
    let ledger = Ledger::builder(&folder, "log.example/audit").with_segment_bytes(128 * 1024);
    let ledger = ledger.with_spare_segments(0).open()?;
    let observer = AuditObserver::new(ledger.clone());
    let kind = LifecycleKind::PolicyChanged;
    for detail in ["", "rules of 2027", "a=b|c\\d\n\u{1f600}"] {
        let event = LifecycleEvent::new("fuzz", kind, Code::new("fuzz.filled"));
        observer.observe(&Event::Lifecycle(event.with_detail(&detail)));
    }
    ledger.shutdown_blocking(Duration::from_secs(5));
    drop((observer, ledger));
    let mut reader = LedgerReader::open(&folder)?;
    let names = ["start", "empty", "text", "awkward", "stop", "more", "still"];
    for (name, entry) in names.into_iter().zip(reader.next_batch()?) {
        seeds.add("audit_record", name, entry.bytes);
    }
    let key = fs::read_to_string(folder.join("log.vkey"))?;
    let mut prover = Prover::load(&folder)?;
    prover.advance()?;
    let checkpoint = prover.checkpoint().ok_or("no checkpoint")?;
    seeds.add("audit_note", "key", key.trim_end());
    let note = Note::parse(checkpoint.as_bytes())?;
    note.verified_by(&VerifierKey::parse(key.trim_end())?)?;
    seeds.add(
        "audit_note",
        "text",
        Checkpoint::parse(note.text())?.to_string(),
    );
    let proof = prover.inclusion(1, prover.size())?;
    let proof = EntryProof::new(1, proof, &checkpoint);
    seeds.add("audit_note", "entry_proof", proof.to_string());
    seeds.add("audit_note", "checkpoint", checkpoint);
    seeds.add("audit_note", "published", NOTE);
    fs::remove_dir_all(&folder)?;

    let leaves: Vec<_> = (0..=7_u8).map(|leaf| leaf_hash(&[leaf])).collect();
    for (name, proof) in [
        ("inclusion", inclusion_proof(3, &leaves).ok_or("no leaf")?),
        (
            "consistency",
            consistency_proof(4, &leaves).ok_or("no beginning")?,
        ),
    ] {
        let numbers: Vec<u8> = [4_u64, 8, 2]
            .iter()
            .flat_map(|it| it.to_le_bytes())
            .collect();
        seeds.add(
            "audit_proof",
            name,
            [&[7, 3], &numbers[..], proof.as_flattened()].concat(),
        );
    }
    // Behind where to begin and how much goes.
    for (name, patch) in [
        ("whole", &[0, 0, 0][..]),
        ("one_byte", &[40, 0, 1, b'x']),
        ("behind", &[255, 255, 0, 0]),
    ] {
        seeds.add("audit_segment", name, patch);
        seeds.add("audit_recovery", name, patch);
        seeds.add("audit_witness", name, [&[0], patch].concat());
        seeds.add("audit_tiles", name, [&[1], patch, &[9, 0]].concat());
    }
    seeds.add(
        "audit_witness",
        "key",
        [&[1, 0, 0, 255][..], b"old 0\n\nlog\n"].concat(),
    );
    let texts = ["policy_changed", "authz", "authz.reloaded", "a|b=c\\"].map(piece);
    let line = [
        &1_800_000_000_u64.to_le_bytes(),
        &texts.concat()[..],
        b"rules\nof 2027",
    ]
    .concat();
    seeds.add("audit_render", "event", line);

    seeds.add("audit_cursor", "place", "log.example/audit\n17\n");
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for target in ["audit_trace", "trace_parent"] {
        seeds.add(target, "sampled", trace);
        seeds.add(target, "later", format!("cc{}-what", &trace[2..]));
        seeds.add(
            target,
            "nobody",
            trace.replace("00f067aa0ba902b7", "0000000000000000"),
        );
    }
    seeds.add_all(
        "audit_secrets",
        &[
            (
                "document",
                r#"{"id":17,"login":{"user":"alice","password":"x"},"notes":["fine",{"otp":1}]}"#,
            ),
            ("query", "state=1&code=abc"),
            ("link", "https://host.example/?page=1#access_token=abc"),
            ("plain", "Mozilla/5.0 (X11; Linux x86_64) q=0.9"),
        ],
    );
    seeds.add_all(
        "nats_answers",
        &[
            (
                "taken",
                "MSG _INBOX.a.7 1 27\n{\"stream\":\"AUDIT\",\"seq\":17}",
            ),
            (
                "with_headers",
                "HMSG _INBOX.a.7 1 16 43\nNATS/1.0\r\nA: b\r\n{\"stream\":\"AUDIT\",\"seq\":17}",
            ),
            (
                "refused",
                "PING\n{\"error\":{\"code\":503,\"err_code\":10077,\"description\":\"full\"}}",
            ),
            ("complains", "-ERR 'Authorization Violation'\n"),
            ("info", "INFO {\"headers\":true,\"max_payload\":1048576}\n"),
        ],
    );
    seeds.add_all(
        "otlp_answers",
        &[
            ("taken", "{}"),
            (
                "some",
                r#"{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"no\nway"}}"#,
            ),
            ("number", r#"{"partialSuccess":{"rejectedLogRecords":300}}"#),
            ("remark", r#"{"partialSuccess":{"errorMessage":"slow"}}"#),
        ],
    );
    let answer = |status: u16, body: &[u8]| [&status.to_le_bytes()[..], &piece(body)].concat();
    seeds.add(
        "witness_answers",
        "genuine",
        [answer(0, b""), answer(0, b"")].concat(),
    );
    seeds.add(
        "witness_answers",
        "patched",
        [answer(0, b""), answer(1, &[20, 0, 1, b'x'])].concat(),
    );
    seeds.add(
        "witness_answers",
        "elsewhere",
        [answer(409, b"7\n"), answer(409, b"0\n")].concat(),
    );
    seeds.add("witness_answers", "forked", answer(422, b""));
    seeds.add(
        "witness_answers",
        "epoch",
        [answer(403, b"0\n"), answer(403, b"1\n")].concat(),
    );
    seeds.add(
        "witness_answers",
        "forged",
        answer(200, b"\xe2\x80\x94 witness.example/w AAAA\n"),
    );
    Ok(())
}
