//! The one file of invoices changes while the service runs: for the worse, and for the better.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bartizan::config::Config;
use tokio::time::sleep;

use super::Rows;
use crate::client::{BoxError, HttpCall, http, measured};
use crate::wire::Alert;

/// Between two looks at what is in force, and how many there are while it should stay.
const PAUSE: Duration = Duration::from_millis(50);
const LOOKS: usize = 20;

pub(super) fn add(rows: &mut Rows<'_>) -> anyhow::Result<()> {
    rows.group(
        "While that file changes",
        "A slip is told with its line, and the last good file stays; what holds is in force soon.",
    );
    let (scene, invoices) = (rows.scene, &rows.scene.invoices);
    let (file, good) = (invoices.file.clone(), fs::read_to_string(&invoices.file)?);
    let slip = good.replace("audiences =", "audience =");
    let (folder, wrong) = (scene.folder.clone(), slip.clone());
    rows.add(
        "file: `audience` for `audiences`, checked",
        ("refused", "line 30, `audiences`?"),
        measured(Alert::default(), async move { check(&wrong, &folder) }),
    );

    let web = scene.workload("/web")?;
    let token = scene.token().audience("invoices").scope("invoices:read");
    let call = HttpCall::get("/invoices/7").token(Some(token.sign()?));
    let address = invoices.address;
    let ask = move || http(web.clone(), address, call.clone());
    let (asks, place) = (ask.clone(), file.clone());
    rows.add(
        "HTTP: alice, while the file is wrong",
        ("200", "hello alice"),
        measured(Alert::default(), async move {
            fs::write(place, slip)?;
            let mut got = asks().await;
            // The service looks at its file five times meanwhile.
            for _ in 0..LOOKS {
                if got.answer != "200" {
                    break;
                }
                sleep(PAUSE).await;
                got = asks().await;
            }
            Ok((got.answer, got.said))
        }),
    );
    rows.add(
        "HTTP: alice, after a rule was tightened",
        ("403", "authz.denied"),
        async move {
            let tightened = good.replace("invoices:read", "invoices:audit");
            let changed = measured(Alert::default(), async {
                fs::write(&file, tightened)?;
                loop {
                    let got = ask().await;
                    if got.answer != "200" {
                        return Ok((got.answer, got.said));
                    }
                    sleep(PAUSE).await;
                }
            });
            let got = changed.await;
            // As it was, for whoever goes on with --serve.
            let _ = fs::write(&file, good);
            got
        },
    );
    Ok(())
}

/// What `bartizan check` says of this text, in short.
fn check(text: &str, folder: &Path) -> Result<(String, String), BoxError> {
    let Err(error) = Config::from_toml(text, folder) else {
        return Ok(("accepted".to_owned(), "nothing".to_owned()));
    };
    let problem = error.problems().first().ok_or("refused without a reason")?;
    let (_, hint) = problem
        .message()
        .split_once("did you mean ")
        .ok_or("no suggestion")?;
    let line = problem.line().unwrap_or_default();
    Ok(("refused".to_owned(), format!("line {line}, {hint}")))
}
