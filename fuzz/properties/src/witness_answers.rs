//! Answers of a witness: whatever comes back, nothing is kept beside the ledger that its key did not
//! sign, and it comes to an end.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bartizan_audit::{
    Ledger, Note, SubmitErrorKind, VerifierKey, Witness, WitnessClient, WitnessKey, WitnessService,
};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::ServiceExt;

use crate::input::Input;

/// As many requests as one submission may take: it is led from size to size.
const MOST: usize = 32;

struct World {
    runtime: tokio::runtime::Runtime,
    folder: PathBuf,
    witness: Witness,
}

/// How one request is answered.
enum Answer {
    Forged(Response<Bytes>),
    /// As the witness does.
    Genuine,
    /// As the witness does, with a part replaced.
    Patched(Vec<u8>),
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let place = std::env::temp_dir().join(format!("fuzz-answers-{}", std::process::id()));
        let folder = place.join("ledger");
        let ledger = Ledger::builder(&folder, "log.example/audit");
        let ledger = ledger.with_segment_bytes(128 * 1024).with_spare_segments(0);
        let ledger = ledger.open().expect("a ledger");
        ledger.shutdown_blocking(Duration::from_secs(5));
        drop(ledger);
        let text = std::fs::read_to_string(folder.join("log.vkey")).expect("a key");
        let log = VerifierKey::parse(text.trim_end()).expect("a key");
        let key = WitnessKey::generate("witness.example/w").expect("random bytes");
        let witness = Witness::builder(place.join("state"), key).add_public_log(log);
        World {
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .expect("a runtime"),
            folder,
            witness: witness.open().expect("a witness"),
        }
    })
}

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let world = world();
    let mut input = Input::new(bytes);
    let mut answers = Vec::new();
    while !input.is_empty() && answers.len() < MOST {
        let (status, body) = (input.short(), input.piece());
        answers.push(match status {
            0 => Answer::Genuine,
            1 => Answer::Patched(body.to_vec()),
            _ => Answer::Forged(forged(status, body)),
        });
    }
    answers.reverse();
    let answers = Arc::new(Mutex::new(answers));
    let send = move |request: Request<Bytes>| {
        let answer = answers.lock().expect("no panic").pop();
        async move {
            match answer.ok_or("nobody answers")? {
                Answer::Forged(answer) => Ok(answer),
                Answer::Genuine => Ok::<_, &str>(genuine(request).await),
                Answer::Patched(patch) => {
                    let answer = genuine(request).await;
                    Ok(answer.map(|body| Input::new(&patch).patched(&body).into()))
                }
            }
        }
    };
    let key = world.witness.key();
    let client = WitnessClient::new(key.clone(), "https://witness.example", send).expect("a URL");
    let kept = world.folder.join("checkpoint.cosigned");
    match world.runtime.block_on(client.submit(&world.folder)) {
        Ok(cosignature) => {
            let text = std::fs::read_to_string(&kept).expect("it was kept");
            let note = Note::parse(text.as_bytes()).expect("a note");
            assert_eq!(key.cosigned(&note), Some(cosignature.time));
            std::fs::remove_file(&kept).expect("ours");
        }
        Err(error) => {
            assert!(!kept.exists(), "{error}");
            assert_ne!(error.kind(), SubmitErrorKind::Ledger, "{error}");
        }
    }
}

fn forged(status: u16, body: &[u8]) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::copy_from_slice(body));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    // Where a witness says which epoch of the log it knows.
    if status == 403 {
        let epoch = HeaderValue::from_static("text/x.bartizan.epoch");
        answer.headers_mut().insert(CONTENT_TYPE, epoch);
    }
    answer
}

async fn genuine(request: Request<Bytes>) -> Response<Bytes> {
    let service = WitnessService::new(world().witness.clone());
    let answer = service.oneshot(request.map(Full::new)).await;
    let (head, body) = answer.expect("infallible").into_parts();
    let body = body.collect().await.expect("infallible").to_bytes();
    Response::from_parts(head, body)
}
