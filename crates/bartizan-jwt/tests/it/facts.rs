//! What holds at compile time.

use std::fmt::Debug;

use bartizan_core::{Chain, GuardLayer};
use bartizan_jwt::{
    AlgorithmSet, Jwt, JwtConfig, JwtConfigBuilder, JwtGuard, JwtInquiry, JwtLayer, KeySet, Rules,
    RulesBuilder, VerificationKey, VerifiedClaims, VerifiedToken,
};
use bartizan_testkit::{Call, Host, HostLayer, HttpEcho, SigningAlgorithm};

use crate::support::Offline;

#[test]
fn values_are_cloneable_shareable_and_printable() {
    fn check<T: Clone + Send + Sync + Debug + 'static>() {}
    check::<AlgorithmSet>();
    check::<Jwt<HttpEcho>>();
    check::<JwtConfig>();
    check::<JwtConfigBuilder>();
    check::<JwtGuard>();
    check::<JwtLayer>();
    check::<KeySet>();
    check::<Rules>();
    check::<RulesBuilder>();
    check::<VerificationKey>();
    check::<VerifiedToken>();

    fn check_owned<T: Send + Debug + 'static>() {}
    check_owned::<JwtInquiry>();
    check_owned::<VerifiedClaims>();
}

#[test]
fn the_layer_fits_every_host() {
    fn check<L: HostLayer>() {}
    check::<JwtLayer>();
}

#[tokio::test]
async fn guards_chain_and_each_has_its_say() {
    let first = Offline::new(SigningAlgorithm::Es256);
    let other = Offline::new(SigningAlgorithm::EdDsa);
    let once = first.layer();
    let twice = GuardLayer::new(Chain::new(once.guard().clone(), once.guard().clone()));
    let both = GuardLayer::new(Chain::new(
        once.guard().clone(),
        other.layer().guard().clone(),
    ));
    let call = Call::echo("")
        .with_bearer(&first.token().sign().unwrap())
        .unwrap();
    for host in Host::WITHOUT_SOCKETS {
        // The same token verified twice is no conflict.
        let answer = host.send(&twice, &call).await.unwrap();
        assert!(answer.is_success(), "{answer:?}");
        let answer = host.send(&both, &call).await.unwrap();
        assert_eq!(
            answer.code().as_deref(),
            Some("jwt.algorithm_not_allowed"),
            "{answer:?}"
        );
    }
}
