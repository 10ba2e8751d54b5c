//! Everything that `bartizan-attack` knows, on a copy of orders.

use std::sync::Arc;
use std::time::Duration;

use bartizan_attack::{Authority, Remote, Report, Signer, Target, Verdict, run_at};
use bartizan_testkit::TokenIssuer;

use super::Rows;
use crate::client::{Got, measured_within};
use crate::scene::Scene;
use crate::wire::Alert;

/// It takes some seconds where there is nothing else to do.
const PATIENCE: Duration = Duration::from_secs(300);

/// Others need what orders has not: gRPC, an open route, proofs of possession. With fewer than
/// these, something was not given that should have been.
const LEAST: usize = 450;

pub(super) fn add(rows: &mut Rows<'_>) -> anyhow::Result<()> {
    rows.group(
        "Attacked by `bartizan-attack`, as users attack their own services in their tests",
        "Beside each attack stands a request that lacks what is wrong with it: that one has to be accepted.",
    );
    let (remote, issuer) = (remote(rows.scene)?, rows.scene.issuer.clone());
    rows.add(
        "HTTP: every attack that fits, on orders",
        ("0 got in", "every control accepted"),
        async move {
            let mut note = None;
            let attacked = measured_within(PATIENCE, Alert::default(), async {
                // The issuer has another key by now than when the rows were written down.
                let report = run_at(remote).with_target(target(issuer)).await;
                note = Some(summary(&report));
                Ok(judge(&report))
            });
            let got = attacked.await;
            Got { note, ..got }
        },
    );
    Ok(())
}

fn target(issuer: Arc<TokenIssuer>) -> Target {
    let mint = issuer.mint();
    let token = mint.token().audience("orders").scope("orders:read");
    let (header, claims) = (token.headers().clone(), token.claims().clone());
    let (key, keys) = (mint.signing_key(), mint.jwks());
    // A signature that fails is none, and not accepted.
    let sign = move |input: &[u8]| key.sign(input).unwrap_or_default();
    let signer = Signer::new(header.into(), claims.into(), sign);
    Target::get("/orders/7")
        // Whoever it is may ask thirty times.
        .with_signer(signer.vary_claim("sub"))
        .with_key_set(keys)
        .with_forbidden("POST", "/orders")
}

fn remote(scene: &Scene) -> anyhow::Result<Remote> {
    let (roots, web) = (scene.ca.certificate_pem(), scene.ca.workload("/web")?);
    let authority = Authority::from_pem(&roots, &scene.ca.key().pem())?;
    Ok(Remote::new(&format!("https://{}", scene.attacked))?
        .with_certificate(&web.chain_pem(), &web.key_pem())?
        .with_roots(&roots)?
        .with_authority(authority))
}

fn judge(report: &Report) -> (String, String) {
    let counts = report.counts(None);
    let said = match (counts.unjudged, counts.held) {
        (0, held) if held >= LEAST => "every control accepted".to_owned(),
        (0, held) => format!("{held} attacks were run"),
        (unjudged, _) => format!("{unjudged} controls were not"),
    };
    (format!("{} got in", counts.findings), said)
}

fn summary(report: &Report) -> String {
    let counts = report.counts(None);
    let mut text = format!(
        "{} attacks, {} got in, {} controls accepted",
        counts.held + counts.findings + counts.unjudged,
        counts.findings,
        counts.held + counts.findings,
    );
    if counts.not_run > 0 {
        text += &format!("; {} more need what orders has not", counts.not_run);
    }
    for entry in report.findings().chain(report.unjudged()).take(8) {
        if let Verdict::Finding(why) | Verdict::Unjudged(why) = &entry.verdict {
            text += &format!("\n      {}: {why}", entry.name);
        }
    }
    text
}
