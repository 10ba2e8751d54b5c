//! Names of others: a partner's workload, and what proxies say.

use super::Rows;
use crate::client::HttpCall;

pub(super) fn add(rows: &mut Rows<'_>) -> anyhow::Result<()> {
    rows.group(
        "Whose word counts: partners and proxies",
        "Each authority vouches for its own names, and a proxy is believed by name alone.",
    );
    let (scene, customers) = (rows.scene, rows.scene.customers);
    let read = |token: String| HttpCall::get("/customers/7").token(Some(token));
    let good = scene.customer_token().sign()?;

    let billing = scene.dialler(Some(&scene.partner.workload("/billing")?))?;
    rows.send(
        "HTTP: the partner's own workload",
        ("200", "card ****1111"),
        &billing,
        customers,
        read(good.clone()),
    );
    let forged = scene.partner.leaf().add_uri("spiffe://example.org/web");
    let forged = scene.dialler(Some(&forged.issue()?))?;
    rows.send(
        "HTTP: our name, from the partner's CA",
        ("TLS alert", "UnknownCA"),
        &forged,
        customers,
        read(good),
    );

    // A token that only the holder of alice's certificate may use, and what a proxy says of it.
    let alice = scene.ca.workload("/alice")?;
    let hash = alice.sha256();
    let bound = scene.customer_token().bound_to_certificate(&hash).sign()?;
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let behind = |by: &str| {
        let said = format!("By={by};Hash={hex};URI=spiffe://example.org/alice");
        read(bound.clone()).header("x-forwarded-client-cert", said)
    };
    let edge = scene.workload("/edge")?;
    rows.send(
        "HTTP: the edge proxy, for alice",
        ("200", "card ****1111"),
        &edge,
        customers,
        behind("spiffe://example.org/edge"),
    );
    let web = scene.workload("/web")?;
    rows.send(
        "HTTP: web says the same (spoofed XFCC)",
        ("401", "jwt.certificate_mismatch"),
        &web,
        customers,
        behind("spiffe://example.org/web"),
    );
    Ok(())
}
