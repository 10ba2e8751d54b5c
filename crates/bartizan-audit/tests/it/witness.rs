//! Witnesses: what they answer, whom they believe, and what their word is worth.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_audit::{
    AddCheckpoint, Checkpoint, CosignerKey, FindingKind, Ledger, Note, Prover, SubmitErrorKind,
    Verdict, Verifier, VerifierKey, Witness, WitnessClient, WitnessError, WitnessKey,
    WitnessService, Witnessing,
};
use bartizan_core::{
    Connection, Event, Peer, PeerIdentity, SpiffeId, VerifiedCertificate, WallTime, observe_fn,
};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use tower::ServiceExt as _;

use crate::support::{Folder, ORIGIN, end};

const ORDERS: &str = "spiffe://example.org/orders";
const OTHER: &str = "spiffe://example.org/other";

fn peer(id: &str) -> Peer {
    let id: SpiffeId = id.parse().unwrap();
    let certificate = VerifiedCertificate {
        identity: PeerIdentity::Spiffe(id),
        certificate_sha256: [7; 32],
        serial: vec![1].into(),
        not_after: WallTime::MAX,
    };
    Peer::assert_verified(certificate)
}

fn first_key(ledger: &Path) -> VerifierKey {
    let text = std::fs::read_to_string(ledger.join("log.vkey")).unwrap();
    VerifierKey::parse(text.trim_end()).unwrap()
}

/// A witness of the ledger in that folder, of which orders may speak.
fn witness(folder: &Path, ledger: &Path) -> Witness {
    let key = folder.join("key");
    if !key.exists() {
        std::fs::create_dir_all(folder).unwrap();
        let made = WitnessKey::generate("witness.example/w1").unwrap();
        made.save_new(&key).unwrap();
    }
    let builder = Witness::builder(folder.join("state"), WitnessKey::load(&key).unwrap());
    let builder = builder.add_log(first_key(ledger), [ORDERS.parse().unwrap()]);
    builder.open().unwrap()
}

async fn ask(
    witness: &Witness,
    id: Option<&str>,
    path: &str,
    body: impl Into<Bytes>,
) -> (u16, String, String) {
    let mut request = Request::new(Full::new(body.into()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = path.parse().unwrap();
    let mut connection = Connection::from_remote("192.0.2.7:4000".parse().unwrap());
    if let Some(id) = id {
        connection = connection.with_peer(peer(id));
    }
    request.extensions_mut().insert(connection);
    let response = WitnessService::new(witness.clone()).oneshot(request).await;
    let (parts, body) = response.unwrap().into_parts();
    let content = parts.headers["content-type"].to_str().unwrap().to_owned();
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    (parts.status.as_u16(), content, body)
}

/// A client in this process, as orders.
fn client(witness: &Witness) -> WitnessClient {
    let (key, witness) = (witness.key().clone(), witness.clone());
    let send = move |request: Request<Bytes>| {
        let witness = witness.clone();
        async move {
            let (parts, body) = request.into_parts();
            let mut request = Request::from_parts(parts, Full::new(body));
            let connection = Connection::from_remote("192.0.2.7:4000".parse().unwrap());
            request
                .extensions_mut()
                .insert(connection.with_peer(peer(ORDERS)));
            let answer = WitnessService::new(witness).oneshot(request).await?;
            let (parts, body) = answer.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok::<_, Infallible>(Response::from_parts(parts, body))
        }
    };
    WitnessClient::new(key, "http://witness.test/witness/", send).unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A run that writes nothing but its beginning and its end.
async fn run(folder: &Folder) {
    let ledger = folder.ledger();
    end(&ledger, folder).await;
}

fn latest(folder: &Path) -> (u64, String) {
    let prover = Prover::load(folder).unwrap();
    (prover.size(), prover.checkpoint().unwrap())
}

fn request(folder: &Path, old: u64) -> AddCheckpoint {
    let prover = Prover::load(folder).unwrap();
    let (size, note) = latest(folder);
    let proof = match old {
        0 => Vec::new(),
        old if old == size => Vec::new(),
        old => prover.consistency(old, size).unwrap(),
    };
    AddCheckpoint::new(old, proof, &note)
}

const ADD: &str = "/witness/add-checkpoint";

#[tokio::test]
async fn a_witness_answers_as_c2sp_has_it() {
    let (folder, state) = (Folder::new(), Folder::new());
    run(&folder).await;
    let first = request(folder.path(), 0);
    let witness = witness(state.path(), folder.path());
    let check = async |id, path, body: String, expected: (u16, &str, &str)| {
        let (status, content, body) = ask(&witness, id, path, body).await;
        assert_eq!(
            (status, content.as_str()),
            (expected.0, expected.1),
            "{body}"
        );
        assert!(body.contains(expected.2), "{body}");
    };
    let problem = "application/problem+json";
    let text = "text/plain; charset=utf-8";
    let size = "text/x.tlog.size";
    let me = Some(ORDERS);
    let whole = first.to_string();
    check(
        None,
        ADD,
        whole.clone(),
        (401, problem, "audit.witness_anonymous"),
    )
    .await;
    check(
        Some(OTHER),
        ADD,
        whole.clone(),
        (403, problem, "audit.witness_peer"),
    )
    .await;
    check(me, "/witness", whole.clone(), (404, text, "")).await;
    check(
        me,
        ADD,
        "nothing".to_owned(),
        (400, problem, "audit.witness_request"),
    )
    .await;
    check(
        me,
        ADD,
        "x".repeat(70_000),
        (413, problem, "audit.witness_request"),
    )
    .await;
    let unknown = whole.replace(ORIGIN, "other.example/audit");
    check(me, ADD, unknown, (404, text, "")).await;
    let mut unsigned = first.clone();
    unsigned.checkpoint = unsigned.checkpoint.replacen("\n2\n", "\n3\n", 1);
    check(
        me,
        ADD,
        unsigned.to_string(),
        (403, "text/x.bartizan.epoch", "0\n"),
    )
    .await;
    let mut ahead = first.clone();
    ahead.old = 5;
    check(
        me,
        ADD,
        ahead.to_string(),
        (400, problem, "audit.witness_request"),
    )
    .await;
    check(
        me,
        ADD,
        whole.clone(),
        (200, text, "\u{2014} witness.example/w1 "),
    )
    .await;
    check(me, ADD, whole.clone(), (409, size, "2\n")).await;

    run(&folder).await;
    let second = request(folder.path(), 2);
    let mut wrong = second.clone();
    wrong.proof[0][0] ^= 1;
    check(me, ADD, wrong.to_string(), (422, text, "")).await;
    check(me, ADD, second.to_string(), (200, text, "\u{2014} ")).await;
    // A replay of the first request, and of the second.
    check(me, ADD, whole, (409, size, "4\n")).await;
    check(me, ADD, second.to_string(), (409, size, "4\n")).await;
    let again = request(folder.path(), 4).to_string();
    check(me, ADD, again, (200, text, "\u{2014} ")).await;

    let held = witness.checkpoint(ORIGIN).await.unwrap();
    let note = Note::parse(held.as_bytes()).unwrap();
    assert!(witness.key().cosigned(&note).is_some());
    assert_eq!(note.verified_by(&first_key(folder.path())), Ok(()));
}

#[tokio::test]
async fn what_was_cosigned_is_known_after_a_restart_and_by_one_process_alone() {
    let (folder, state) = (Folder::new(), Folder::new());
    run(&folder).await;
    let first = witness(state.path(), folder.path());
    client(&first).submit(folder.path()).await.unwrap();
    let key = || WitnessKey::load(state.path().join("key")).unwrap();
    let twice = Witness::builder(state.path().join("state"), key()).open();
    assert!(matches!(twice, Err(WitnessError::InUse(_))));
    drop(first);
    let again = witness(state.path(), folder.path());
    let replay = request(folder.path(), 0).to_string();
    let (status, _, body) = ask(&again, Some(ORDERS), ADD, replay).await;
    assert_eq!((status, body.as_str()), (409, "2\n"));
    drop(again);

    // A log of the same name that begins with another key is another log.
    let (foreign, builder) = (
        Folder::new(),
        Witness::builder(state.path().join("state"), key()),
    );
    run(&foreign).await;
    let opened = builder.add_public_log(first_key(foreign.path())).open();
    assert!(matches!(opened, Err(WitnessError::Key(_))));
    // What cannot be read is not begun anew.
    for entry in std::fs::read_dir(state.path().join("state")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "log") {
            std::fs::write(path, "nonsense").unwrap();
        }
    }
    let builder = Witness::builder(state.path().join("state"), key());
    let opened = builder.add_public_log(first_key(folder.path())).open();
    assert!(matches!(opened, Err(WitnessError::State(_))));
}

#[tokio::test]
async fn of_two_trees_of_one_size_one_is_cosigned_however_they_race() {
    let (folder, state) = (Folder::new(), Folder::new());
    run(&folder).await;
    let twin = Folder::new();
    copy(folder.path(), twin.path());
    run(&folder).await;
    run(&twin).await;
    for round in 0..8 {
        let place = state.path().join(round.to_string());
        let witness = witness(&place, folder.path());
        let seen = request(folder.path(), 0);
        let (one, two) = (seen.to_string(), request(twin.path(), 0).to_string());
        assert_ne!(one, two);
        let asks = [one.clone(), two.clone(), one, two].map(|body| {
            let witness = witness.clone();
            tokio::spawn(async move { ask(&witness, Some(ORDERS), ADD, body).await.0 })
        });
        let mut answers = Vec::new();
        for asked in asks {
            answers.push(asked.await.unwrap());
        }
        answers.sort_unstable();
        assert_eq!(answers, [200, 409, 409, 409]);
    }
}

#[tokio::test]
async fn a_witness_that_cannot_remember_cosigns_nothing() {
    let (folder, state) = (Folder::new(), Folder::new());
    run(&folder).await;
    let witness = witness(state.path(), folder.path());
    // Where its state is to be kept there is no folder any more.
    let (place, away) = (state.path().join("state"), state.path().join("away"));
    std::fs::rename(&place, &away).unwrap();
    let first = request(folder.path(), 0).to_string();
    let (status, _, body) = ask(&witness, Some(ORDERS), ADD, first.clone()).await;
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("audit.witness_state"), "{body}");
    std::fs::rename(&away, &place).unwrap();
    let (status, ..) = ask(&witness, Some(ORDERS), ADD, first).await;
    assert_eq!(status, 200, "nothing had changed");
}

#[tokio::test]
async fn a_witness_is_led_across_all_changes_of_the_key() {
    let (folder, state) = (Folder::new(), Folder::new());
    let builder = || folder.builder().with_epoch(1, Duration::from_secs(3600));
    for _ in 0..3 {
        let ledger = builder().open().unwrap();
        end(&ledger, &folder).await;
    }
    let epoch = folder.verify().epoch;
    assert!(epoch >= 3, "{epoch}");
    let witness = witness(state.path(), folder.path());
    let stranger = request(folder.path(), 0).to_string();
    let (status, _, body) = ask(&witness, Some(ORDERS), ADD, stranger).await;
    assert_eq!(
        (status, body.as_str()),
        (403, "0\n"),
        "it believes the first key alone"
    );
    let cosigned = client(&witness).submit(folder.path()).await.unwrap();
    assert_eq!(cosigned.size, latest(folder.path()).0);
    for _ in 0..2 {
        let ledger = builder().open().unwrap();
        end(&ledger, &folder).await;
    }
    client(&witness).submit(folder.path()).await.unwrap();
    assert!(folder.verify().epoch > epoch);
    let verifier = Verifier::new().add_witness(witness.key().clone());
    let verification = verifier.run(folder.path()).unwrap();
    assert_eq!(
        verification.verdict(),
        Verdict::Intact,
        "{:?}",
        verification.findings
    );
    assert_eq!(verification.witnessed.unwrap().size, verification.entries);
}

#[tokio::test]
async fn a_cut_tail_is_found_by_what_the_witness_signed() {
    let (folder, state) = (Folder::new(), Folder::new());
    run(&folder).await;
    // Somebody keeps a copy of the ledger from before what is to be forgotten.
    let before = Folder::new();
    copy(folder.path(), before.path());
    run(&folder).await;
    let witness = witness(state.path(), folder.path());
    let key = witness.key().clone();
    client(&witness).submit(folder.path()).await.unwrap();
    let cosigned = folder.path().join("checkpoint.cosigned");
    let word = std::fs::read_to_string(&cosigned).unwrap();

    let verifier = || Verifier::new().add_witness(key.clone());
    let verify = |verifier: Verifier, folder: &Folder| verifier.run(folder.path()).unwrap();
    assert_eq!(verify(verifier(), &folder).verdict(), Verdict::Intact);
    assert_eq!(
        before.verify().verdict(),
        Verdict::Intact,
        "by itself it looks right"
    );

    // The cut ledger with the word of the witness beside it, and with the word from elsewhere.
    let cut = verify(verifier().add_cosigned(&word), &before);
    assert_eq!(cut.verdict(), Verdict::Tampered);
    let kind = FindingKind::Truncated { committed: 4 };
    assert!(
        cut.findings.iter().any(|it| it.kind == kind),
        "{:?}",
        cut.findings
    );
    std::fs::copy(&cosigned, before.path().join("checkpoint.cosigned")).unwrap();
    assert_eq!(verify(verifier(), &before).verdict(), Verdict::Tampered);
    // Without any word it cannot be vouched for.
    std::fs::remove_file(before.path().join("checkpoint.cosigned")).unwrap();
    let silent = verify(verifier(), &before);
    assert_eq!(silent.verdict(), Verdict::Incomplete);
    let kind = FindingKind::Unwitnessed {
        found: 0,
        wanted: 1,
    };
    assert!(silent.findings.iter().any(|it| it.kind == kind));

    // The witness itself gives its word out, whoever removed it here.
    let held = witness.checkpoint(ORIGIN).await.unwrap();
    assert_eq!(
        verify(verifier().add_cosigned(&held), &before).verdict(),
        Verdict::Tampered
    );
    // And the service learns of it as soon as it submits.
    let told = client(&witness).submit(before.path()).await.unwrap_err();
    assert_eq!(told.kind(), SubmitErrorKind::Cut, "{told}");

    // A word that is too old does not count, nor one that was changed, nor too few of them.
    let old = verify(verifier().require_witnessed_since(u64::MAX), &folder);
    assert_eq!(old.verdict(), Verdict::Incomplete);
    let other = WitnessKey::generate("witness.example/w2").unwrap();
    let both = verify(verifier().add_witness(other.public().clone()), &folder);
    assert_eq!(both.verdict(), Verdict::Incomplete);
    let one = verifier()
        .add_witness(other.public().clone())
        .with_quorum(NonZeroUsize::MIN);
    assert_eq!(verify(one, &folder).verdict(), Verdict::Intact);
    let at = word.rfind("witness.example/w1 ").unwrap() + 40;
    let mut forged = word.clone().into_bytes();
    forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
    std::fs::write(&cosigned, forged).unwrap();
    assert_eq!(verify(verifier(), &folder).verdict(), Verdict::Tampered);
}

#[tokio::test]
async fn a_fork_is_found_by_witness_and_log_alike() {
    let (folder, state, twin) = (Folder::new(), Folder::new(), Folder::new());
    run(&folder).await;
    copy(folder.path(), twin.path());
    run(&folder).await;
    run(&twin).await;
    run(&twin).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let observer = observe_fn(move |event: &Event<'_>| {
        if let Event::Lifecycle(event) = event {
            sink.lock().unwrap().push(event.code().as_str());
        }
    });
    let key = WitnessKey::generate("witness.example/w1").unwrap();
    let builder = Witness::builder(state.path(), key).with_observer(Arc::new(observer));
    let witness = builder.add_log(first_key(folder.path()), [ORDERS.parse().unwrap()]);
    let witness = witness.open().unwrap();
    client(&witness).submit(folder.path()).await.unwrap();
    let refused = client(&witness).submit(twin.path()).await.unwrap_err();
    assert_eq!(refused.kind(), SubmitErrorKind::Forked, "{refused}");
    assert!(refused.kind().is_alarming());
    assert_eq!(*seen.lock().unwrap(), ["audit.log_forked"]);
    // The proof of it is kept: two notes of the log over trees that exclude each other.
    let names = std::fs::read_dir(state.path()).unwrap();
    let forked = names
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|it| it == "forked"));
    let note = std::fs::read_to_string(forked.unwrap()).unwrap();
    let note = Note::parse(note.as_bytes()).unwrap();
    assert_eq!(note.verified_by(&first_key(folder.path())), Ok(()));
    assert_eq!(Checkpoint::parse(note.text()).unwrap().size, 6);
}

#[tokio::test]
async fn a_running_ledger_is_witnessed_to_its_end() {
    let (folder, state) = (Folder::new(), Folder::new());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let observer = observe_fn(move |event: &Event<'_>| {
        if let Event::Lifecycle(event) = event {
            sink.lock().unwrap().push(event.code().as_str());
        }
    });
    let ledger: Ledger = folder
        .builder()
        .with_observer(Arc::new(observer))
        .open()
        .unwrap();
    let witness = witness(state.path(), folder.path());
    let away: CosignerKey = WitnessKey::generate("away.example/w")
        .unwrap()
        .public()
        .clone();
    let unreachable = WitnessClient::new(away, "http://away.test", |_| async {
        Err(std::io::Error::other("nobody there"))
    });
    let witnessing = Witnessing::builder(&ledger)
        .add_witness(client(&witness))
        .add_witness(unreachable.unwrap())
        .with_quorum(NonZeroUsize::MIN)
        .with_interval(Duration::from_millis(5))
        .start()
        .unwrap();
    while witnessing.status()[0].time.is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let report = end(&ledger, &folder).await;
    let status = witnessing.submit().await;
    assert_eq!((status[0].size, status[0].failure), (report.entries, None));
    assert_eq!(status[1].failure, Some(SubmitErrorKind::Unreachable));
    assert!(status[1].failures > 0);
    assert!(seen.lock().unwrap().contains(&"audit.witness_failed"));
    let verifier = Verifier::new().add_witness(witness.key().clone());
    let verification = verifier.run(folder.path()).unwrap();
    assert_eq!(
        verification.verdict(),
        Verdict::Intact,
        "{:?}",
        verification.findings
    );
    assert_eq!(verification.witnessed.unwrap().size, report.entries);
}

#[tokio::test]
async fn nothing_that_a_false_witness_answers_is_taken_for_a_cosignature() {
    let folder = Folder::new();
    run(&folder).await;
    let key = WitnessKey::generate("witness.example/w1").unwrap();
    let answer = |status: u16, content: &'static str, body: &'static str| {
        let client =
            WitnessClient::new(key.public().clone(), "http://w.test", move |_| async move {
                let response = Response::builder()
                    .status(status)
                    .header("content-type", content);
                Ok::<_, Infallible>(response.body(Bytes::from_static(body.as_bytes())).unwrap())
            });
        client.unwrap()
    };
    let line = "\u{2014} witness.example/w1 CMp+6LWBU0anHGH5aNDTJkH/gj79sG+T6+iP2ThYN5k=\n";
    let size = "text/x.tlog.size";
    let epoch = "text/x.bartizan.epoch";
    for (status, content, body, expected) in [
        (200, "text/plain", "", SubmitErrorKind::Answer),
        (200, "text/plain", line, SubmitErrorKind::Answer),
        (409, size, "", SubmitErrorKind::Answer),
        (409, size, "-1\n", SubmitErrorKind::Answer),
        (409, size, "1\n", SubmitErrorKind::Forked),
        (409, size, "2\n", SubmitErrorKind::Forked),
        (409, size, "3\n", SubmitErrorKind::Cut),
        (422, "text/plain", "", SubmitErrorKind::Forked),
        (403, epoch, "0\n", SubmitErrorKind::Refused),
        (403, epoch, "4294967295\n", SubmitErrorKind::Refused),
        (403, "text/plain", "0\n", SubmitErrorKind::Refused),
        (404, "text/plain", "", SubmitErrorKind::Unknown),
        (500, "text/plain", "", SubmitErrorKind::Unreachable),
        (302, "text/plain", "", SubmitErrorKind::Answer),
    ] {
        let refused = answer(status, content, body)
            .submit(folder.path())
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), expected, "{status} {body:?}: {refused}");
    }
    assert!(!folder.path().join("checkpoint.cosigned").exists());
}
