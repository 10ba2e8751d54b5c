//! The service under attack, as its file has it run.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the unexpected should panic"
)]

use bartizan::apikey::KeyFile;
use bartizan_attack::{Authority, Remote, Signer, Target, run_at};
use bartizan_testkit::{DevelopmentCa, SigningAlgorithm, TokenIssuer};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes half a minute: `cargo xtask deep attacks`"]
async fn no_attack_gets_in() {
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("invoices-attacked");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let ca = DevelopmentCa::new("example.org").unwrap();
    ca.write_pem(&folder, "ca").unwrap();
    let own = ca.workload("/invoices").unwrap();
    own.write_pem(&folder, "invoices").unwrap();
    KeyFile::new(folder.join("invoices-apikeys.json"))
        .create()
        .unwrap();
    let issuer = TokenIssuer::start(&ca, SigningAlgorithm::Es256).await;
    let issuer = issuer.unwrap();
    let text = include_str!("../invoices.toml")
        .replace("127.0.0.1:8447", "127.0.0.1:0")
        .replace("https://127.0.0.1:8445", issuer.issuer());
    let file = folder.join("invoices.toml");
    std::fs::write(&file, text).unwrap();
    let (listening, listens) = tokio::sync::oneshot::channel();
    let tell = |at| {
        let _ = listening.send(at);
    };
    tokio::spawn(async move { invoices::run(&file, tell, std::future::pending()).await });
    let address = listens.await.unwrap();

    let (token, key) = (issuer.token().audience("invoices"), issuer.signing_key());
    let token = token.scope("invoices:read");
    let (header, claims) = (token.headers().clone(), token.claims().clone());
    let sign = move |input: &[u8]| key.sign(input).unwrap();
    let target = Target::get("/invoices/7")
        .with_signer(Signer::new(header.into(), claims.into(), sign))
        .with_key_set(issuer.jwks())
        .with_open_path("/healthz")
        .with_forbidden("GET", "/invoices/drafts")
        .allow(
            "protocol.forbidden-percent-encoded",
            "encoded twice it is the name of another invoice; once is refused, as authz shows",
        )
        .allow(
            "protocol.forbidden-with-more-behind",
            "with more behind it is the name of another invoice",
        );
    let (roots, web) = (ca.certificate_pem(), ca.workload("/web").unwrap());
    let authority = Authority::from_pem(&roots, &ca.key().pem()).unwrap();
    let remote = Remote::new(&format!("https://{address}")).unwrap();
    let remote = remote.with_certificate(&web.chain_pem(), &web.key_pem());
    let remote = remote.unwrap().with_roots(&roots).unwrap();
    let run = run_at(remote.with_authority(authority)).with_target(target);
    run.await.assert_none_got_in();
}
