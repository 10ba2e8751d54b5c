//! Requests to a witness: whatever is asked, nothing is cosigned that does not continue what was,
//! under the key of the log.

use std::sync::OnceLock;
use std::time::Duration;

use bartizan_audit::{
    AddCheckpoint, AddKey, Checkpoint, Ledger, Note, VerifierKey, Witness, WitnessKey,
    WitnessService,
};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use tower::ServiceExt;

use crate::input::Input;

struct World {
    runtime: tokio::runtime::Runtime,
    witness: Witness,
    log: VerifierKey,
    genuine: String,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let place = std::env::temp_dir().join(format!("fuzz-witness-{}", std::process::id()));
        let ledger = Ledger::builder(place.join("ledger"), "log.example/audit");
        let ledger = ledger
            .with_segment_bytes(128 * 1024)
            .open()
            .expect("a ledger");
        let report = ledger.shutdown_blocking(Duration::from_secs(5));
        drop(ledger);
        let text = std::fs::read_to_string(place.join("ledger/log.vkey")).expect("a key");
        let log = VerifierKey::parse(text.trim_end()).expect("a key");
        let key = WitnessKey::generate("witness.example/w").expect("random bytes");
        let builder = Witness::builder(place.join("state"), key).add_public_log(log.clone());
        World {
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .expect("a runtime"),
            witness: builder.open().expect("a witness"),
            log,
            genuine: AddCheckpoint::new(0, Vec::new(), &report.checkpoint).to_string(),
        }
    })
}

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (key, at, cut) = (input.flag(), input.short(), input.byte());
    let bytes = input.rest();
    let world = world();
    // The genuine request, with a part of it replaced; or just any bytes.
    let mut body = world.genuine.clone().into_bytes();
    if cut == u8::MAX {
        body = bytes.to_vec();
    } else {
        let at = usize::from(at) % (body.len() + 1);
        let behind = (at + usize::from(cut)).min(body.len());
        body.splice(at..behind, bytes.iter().copied());
    }
    if let Some(request) = AddKey::parse(&body) {
        assert_eq!(request.to_string().as_bytes(), body);
    }
    let call = if key { "/add-key" } else { "/add-checkpoint" };
    let request = Request::post(call).body(Full::new(Bytes::from(body.clone())));
    let service = WitnessService::new(world.witness.clone());
    let answer = service.oneshot(request.expect("a request"));
    let answer = world.runtime.block_on(answer).expect("infallible");
    if answer.status() != 200 {
        return;
    }
    assert!(!key, "no key follows the first one");
    let request = AddCheckpoint::parse(&body).expect("what was cosigned is a request");
    let note = Note::parse(request.checkpoint.as_bytes()).expect("a note");
    note.verified_by(&world.log).expect("signed by the log");
    assert_eq!(
        Checkpoint::parse(note.text()).expect("a checkpoint").origin,
        world.log.name()
    );
    let line = world
        .runtime
        .block_on(answer.into_body().collect())
        .expect("infallible");
    let line = String::from_utf8(line.to_bytes().to_vec()).expect("text");
    let cosigned = request.checkpoint.clone() + &line;
    let note = Note::parse(cosigned.as_bytes()).expect("a note");
    assert!(world.witness.key().cosigned(&note).is_some());
}
