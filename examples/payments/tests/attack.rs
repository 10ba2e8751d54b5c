//! The service under attack, as it is run.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the unexpected should panic"
)]

use std::path::PathBuf;

use bartizan_attack::{Authority, Remote, Signer, Target, run_at};
use bartizan_testkit::{DevelopmentCa, SigningAlgorithm, TokenIssuer};
use clap::Parser as _;
use payments::Config;
use payments::proto::ChargeRequest;
use prost::Message as _;
use tokio::sync::oneshot;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes half a minute: `cargo xtask deep attacks`"]
async fn no_attack_gets_in() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("payments-attacked");
    std::fs::create_dir_all(&folder).unwrap();
    let ca = DevelopmentCa::new("example.org").unwrap();
    ca.write_pem(&folder, "ca").unwrap();
    let own = ca.workload("/payments").unwrap();
    own.write_pem(&folder, "payments").unwrap();
    let issuer = TokenIssuer::start(&ca, SigningAlgorithm::Es256).await;
    let issuer = issuer.unwrap();
    let file = |name: &str| folder.join(name).display().to_string();
    let config = Config::parse_from([
        "payments".to_owned(),
        "--listen=127.0.0.1:0".to_owned(),
        format!("--certificate={}", file("payments.pem")),
        format!("--key={}", file("payments-key.pem")),
        format!("--bundle={}", file("ca.pem")),
        format!("--issuer={}", issuer.issuer()),
        format!("--issuer-bundle={}", file("ca.pem")),
    ]);
    let (listening, listens) = oneshot::channel();
    let tell = |at| {
        let _ = listening.send(at);
    };
    tokio::spawn(payments::run(config, tell));
    let address = listens.await.unwrap();

    let (token, key) = (issuer.token().audience("payments"), issuer.signing_key());
    let token = token.scope("payments:charge");
    let (header, claims) = (token.headers().clone(), token.claims().clone());
    let sign = move |input: &[u8]| key.sign(input).unwrap();
    let message = ChargeRequest {
        order: "7".to_owned(),
        cents: 4_200,
    };
    let target = Target::grpc(
        "/shop.payments.v1.Payments/Charge",
        &message.encode_to_vec(),
    )
    .with_signer(Signer::new(header.into(), claims.into(), sign))
    .with_key_set(issuer.jwks());
    let (roots, orders) = (ca.certificate_pem(), ca.workload("/orders").unwrap());
    let authority = Authority::from_pem(&roots, &ca.key().pem()).unwrap();
    let remote = Remote::new(&format!("https://{address}")).unwrap();
    let remote = remote.with_certificate(&orders.chain_pem(), &orders.key_pem());
    let remote = remote.unwrap().with_roots(&roots).unwrap();
    let run = run_at(remote.with_authority(authority)).with_target(target);
    run.await.assert_none_got_in();
}
