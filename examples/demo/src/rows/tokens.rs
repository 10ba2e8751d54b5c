//! Tokens that only their owner can use, and that end before their time.

use bartizan_core::{Clock as _, SystemClock};
use bartizan_testkit::{SigningAlgorithm, SigningKey};
use http::Method;

use super::Rows;
use crate::client::{HttpCall, http};
use crate::scene::ORIGIN;

pub(super) fn add(rows: &mut Rows<'_>) -> anyhow::Result<()> {
    rows.group(
        "Stolen and spent: tokens bound to their owner",
        "A stolen token lacks the key or the certificate that it was bound to.",
    );
    let (scene, customers) = (rows.scene, rows.scene.customers);
    let web = scene.workload("/web")?;
    let read = || HttpCall::get("/customers/7");

    let key = SigningKey::generate(SigningAlgorithm::Es256, "alice")?;
    let token = scene.customer_token().bound_to_key(&key).sign()?;
    let proof = key.proof("GET", &format!("{ORIGIN}/customers/7"), SystemClock.wall());
    let proof = proof.for_token(&token).sign()?;
    let proven = read()
        .header("authorization", format!("DPoP {token}"))
        .header("dpop", proof);
    rows.send(
        "HTTP: bound to a key, with its proof",
        ("200", "card ****1111"),
        &web,
        customers,
        proven.clone(),
    );
    rows.send(
        "HTTP: the same proof again (DPoP replay)",
        ("401", "jwt.proof_replayed"),
        &web,
        customers,
        proven,
    );
    rows.send(
        "HTTP: the token alone, as bearer",
        ("401", "jwt.proof_missing"),
        &web,
        customers,
        read().token(Some(token)),
    );

    let own = scene.ca.workload("/web")?;
    let hash = own.sha256();
    let bound = scene.customer_token().bound_to_certificate(&hash).sign()?;
    let owner = scene.dialler(Some(&own))?;
    let call = read().token(Some(bound));
    rows.send(
        "HTTP: bound to a certificate, over it",
        ("200", "card ****1111"),
        &owner,
        customers,
        call.clone(),
    );
    rows.send(
        "HTTP: the same, over another of web's",
        ("401", "jwt.certificate_mismatch"),
        &web,
        customers,
        call,
    );

    let token = scene.customer_token().sign()?;
    let sign_out = HttpCall::new(Method::DELETE, "/session").token(Some(token.clone()));
    rows.add(
        "HTTP: alice signs out",
        ("200", "goodbye alice"),
        http(web.clone(), customers, sign_out),
    );
    rows.send(
        "HTTP: her token after that (revoked)",
        ("401", "jwt.revoked"),
        &web,
        customers,
        read().token(Some(token)),
    );
    Ok(())
}
