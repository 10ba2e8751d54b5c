//! The service under attack, as it is run.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the unexpected should panic"
)]

use std::fs;
use std::path::PathBuf;

use bartizan_attack::{Authority, Remote, Signer, Target, run_at};
use bartizan_testkit::{DevelopmentCa, SigningAlgorithm, TokenIssuer};
use clap::Parser as _;
use customers::{Config, Records};
use serde_json::json;
use tokio::sync::oneshot;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes half a minute: `cargo xtask deep attacks`"]
async fn no_attack_gets_in() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("customers-attacked");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let ca = DevelopmentCa::new("example.org").unwrap();
    ca.write_pem(&folder, "ca").unwrap();
    let own = ca.workload("/customers").unwrap();
    own.write_pem(&folder, "customers").unwrap();
    let partner = DevelopmentCa::new("partner.example").unwrap();
    partner.write_pem(&folder, "partner").unwrap();
    let revoked = ca.revoke([], 1).unwrap();
    ca.write_crl_pem(&folder, "crl", &revoked).unwrap();
    let file = |name: &str| folder.join(name).display().to_string();
    private(&folder.join("customers.kek"), &"BwcH".repeat(11)[..43]);
    let issuer = TokenIssuer::start(&ca, SigningAlgorithm::Es256).await;
    let issuer = issuer.unwrap();
    let config = Config::parse_from([
        "customers".to_owned(),
        "--listen=127.0.0.1:0".to_owned(),
        format!("--pki={}", folder.display()),
        format!("--issuer={}", issuer.issuer()),
        "--origin=https://localhost".to_owned(),
        format!("--keys={}", file("customers-keys.json")),
        format!("--wrapping-key={}", file("customers.kek")),
        format!("--audit={}", file("audit")),
    ]);
    let records = Records::default();
    records.put("7", json!({ "name": "Alice" }));
    let (listening, listens) = oneshot::channel();
    let tell = |at| {
        let _ = listening.send(at);
    };
    tokio::spawn(customers::run(
        config,
        records,
        tell,
        std::future::pending(),
    ));
    let address = listens.await.unwrap();

    let (token, key) = (issuer.token().audience("customers"), issuer.signing_key());
    let token = token.scope("customers:read");
    let (header, claims) = (token.headers().clone(), token.claims().clone());
    let sign = move |input: &[u8]| key.sign(input).unwrap();
    let target = Target::get("/customers/7")
        .with_signer(Signer::new(header.into(), claims.into(), sign))
        .with_key_set(issuer.jwks())
        .with_dpop("https://localhost")
        .with_forbidden("DELETE", "/customers/7/key");
    let (roots, web) = (ca.certificate_pem(), ca.workload("/web").unwrap());
    let authority = Authority::from_pem(&roots, &ca.key().pem()).unwrap();
    let remote = Remote::new(&format!("https://{address}")).unwrap();
    let remote = remote.with_certificate(&web.chain_pem(), &web.key_pem());
    let remote = remote.unwrap().with_roots(&roots).unwrap();
    let run = run_at(remote.with_authority(authority)).with_target(target);
    run.await.assert_none_got_in();
}

/// Writes a file for its owner alone.
fn private(path: &std::path::Path, text: &str) {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}
