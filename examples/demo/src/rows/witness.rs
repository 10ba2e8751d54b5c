//! What others know of the log of customers: a witness, and a file of lines.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bartizan_audit::{
    Blocking, Delivery, Format, LedgerReader, LineSink, Recovery, Renderer, Severity, Verifier,
};

use super::Rows;
use super::log::{copy, verdict};
use crate::client::{BoxError, HttpCall, http, measured};
use crate::scene::{CARD, Neighbour};
use crate::wire::Alert;

pub(super) fn add(rows: &mut Rows<'_>) -> anyhow::Result<()> {
    rows.group(
        "The log of customers, in the memory of others",
        "Who has the host can put back an older log, signed and whole; a witness has seen the rest.",
    );
    let scene = rows.scene;
    let folder = scene.folder.clone();
    let (log, old) = (
        folder.join("customers-audit"),
        folder.join("customers-audit-old"),
    );

    // A copy of the log as it is, and then one more request that the copy knows nothing of.
    let token = scene.customer_token().sign()?;
    let request = http(
        scene.workload("/web")?,
        scene.customers,
        HttpCall::get("/customers/7").token(Some(token)),
    );
    let (own, kept, witness) = (log.clone(), old.clone(), scene.witness.clone());
    let pki = folder.clone();
    rows.add(
        "witness: customers shows it its log",
        ("cosigned", "all of it"),
        measured(Alert::default(), async move {
            copy(&own, &kept)?;
            request.await;
            // The log went on while it was copied: what counts is what has come along.
            let copied = Recovery::examine(&kept)?.entries;
            submit(&witness, &pki, "customers", &own, copied).await
        }),
    );
    let (own, witness, pki) = (log.clone(), scene.witness.clone(), folder.clone());
    rows.add(
        "witness: web speaks of that log",
        ("not cosigned", "refused"),
        measured(Alert::default(), async move {
            submit(&witness, &pki, "web", &own, 0).await
        }),
    );
    let kept = old.clone();
    rows.add(
        "log: an older copy, by itself",
        ("intact", "nothing found"),
        measured(Alert::default(), async move {
            verify(&Verifier::new().allow_running(), &kept)
        }),
    );
    let (own, key) = (log.clone(), scene.witness.key.clone());
    rows.add(
        "log: the same, and the witness is heard",
        ("tampered", "truncated"),
        measured(Alert::default(), async move {
            // Kept beside the log, and wherever else somebody likes: the signature is the witness's.
            let word = fs::read_to_string(own.join("checkpoint.cosigned"))?;
            let verifier = Verifier::new().allow_running();
            verify(&verifier.add_witness(key).add_cosigned(&word), &old)
        }),
    );
    let lines = folder.join("customers.ocsf");
    rows.add(
        "sink: the log as a file of OCSF lines",
        ("delivered", "none missing, no card in it"),
        measured(Alert::default(), async move { deliver(&log, lines).await }),
    );
    Ok(())
}

/// Has the log cosigned once it has more than so many entries, and says how much of it was.
async fn submit(
    witness: &Neighbour,
    pki: &Path,
    who: &str,
    log: &Path,
    beyond: u64,
) -> Result<(String, String), BoxError> {
    let client = witness.client(pki, who)?;
    loop {
        match client.submit(log).await {
            Ok(cosigned) if cosigned.size > beyond => {
                return Ok(("cosigned".to_owned(), "all of it".to_owned()));
            }
            // What was asked for last is still on its way to the disk.
            Ok(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(error) => {
                return Ok(("not cosigned".to_owned(), error.kind().as_str().to_owned()));
            }
        }
    }
}

/// How many entries a log has committed to: the second line of its checkpoint.
fn entries(log: &Path) -> Result<u64, BoxError> {
    let checkpoint = fs::read_to_string(log.join("checkpoint"))?;
    let size = checkpoint.lines().nth(1).ok_or("no checkpoint")?;
    Ok(size.parse()?)
}

fn verify(verifier: &Verifier, log: &Path) -> Result<(String, String), BoxError> {
    let found = verifier.run(log)?;
    let mut findings = found.findings.iter();
    let worst = findings.find(|finding| finding.severity() == Severity::Tampered);
    let said = worst.map_or("nothing found", |finding| finding.kind.as_str());
    Ok((verdict(found.verdict()), said.to_owned()))
}

/// Delivers the log to a file, in two runs with a restart between them, and looks at what is there.
async fn deliver(log: &Path, lines: PathBuf) -> Result<(String, String), BoxError> {
    let cursor = lines.with_extension("cursor");
    for file in [&lines, &cursor] {
        let _ = fs::remove_file(file);
    }
    let origin = LedgerReader::open(log)?.origin().to_owned();
    let there = entries(log)?;
    for goal in [there / 2, there] {
        let renderer = Renderer::new(Format::Ocsf, &origin);
        let sink = Blocking::new(LineSink::append(renderer, &lines)?);
        let delivery = Delivery::builder(log, "lines", sink)
            .with_cursor(&cursor)
            .start()?;
        delivery.wait_for(|status| status.position >= goal).await;
        delivery.shutdown(Duration::from_secs(2)).await;
    }
    let text = fs::read_to_string(&lines)?;
    // At least once: the place in the log tells a line that came twice.
    let places: BTreeSet<u64> = text.lines().filter_map(place).collect();
    let said = match (places.range(..there).count() as u64, text.contains(CARD)) {
        (found, false) if found == there => "none missing, no card in it".to_owned(),
        (found, false) => format!("{found} of {there}"),
        (_, true) => "a card number".to_owned(),
    };
    Ok(("delivered".to_owned(), said))
}

/// The place in the log that a line of OCSF speaks of.
fn place(line: &str) -> Option<u64> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    event.get("metadata")?.get("sequence")?.as_u64()
}
