//! The registry under attack: who asks is proven by a certificate, and by nothing else.

use bartizan_attack::{Authority, Remote, Target, run_at};

use crate::support::Town;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes half a minute: `cargo xtask deep attacks`"]
async fn no_attack_gets_in() {
    let often = |text: String| text.replace("[limits]", "[limits]\n    per_second = 100000");
    let town = Town::with(often).await;
    let target = Target::get("/services/payments")
        .with_forbidden("DELETE", "/services/payments/instances/8443");
    let (roots, orders) = (
        town.ca.certificate_pem(),
        town.ca.workload("/orders").unwrap(),
    );
    let authority = Authority::from_pem(&roots, &town.ca.key().pem()).unwrap();
    let remote = Remote::new(&format!("https://{}", town.address)).unwrap();
    let remote = remote.with_certificate(&orders.chain_pem(), &orders.key_pem());
    let remote = remote.unwrap().with_roots(&roots).unwrap();
    let run = run_at(remote.with_authority(authority)).with_target(target);
    run.await.assert_none_got_in();
}
