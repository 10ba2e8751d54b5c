//! What holds at compile time.

use std::fmt::Debug;

use bartizan_apikey::{
    ApiKey, ApiKeyConfig, ApiKeyConfigBuilder, ApiKeyGuard, ApiKeyInquiry, ApiKeyLayer, ApiKeyPass,
    KeyFile, KeyFormat, KeyHash, KeyId, KeyRecord, KeyRecordBuilder, KeySource, NewKey, Peppers,
    VerifiedKey,
};
use bartizan_core::{Authenticator, Chain, GuardLayer};
use bartizan_testkit::{Call, Host, HostLayer, HttpEcho};

use crate::support::{Town, with_key};

#[test]
fn values_are_cloneable_shareable_and_printable() {
    fn check<T: Clone + Send + Sync + Debug + 'static>() {}
    check::<ApiKey<HttpEcho>>();
    check::<ApiKeyConfig>();
    check::<ApiKeyConfigBuilder>();
    check::<ApiKeyGuard>();
    check::<ApiKeyLayer>();
    check::<KeyFile>();
    check::<KeyFormat>();
    check::<KeyHash>();
    check::<KeyId>();
    check::<KeyRecord>();
    check::<KeyRecordBuilder>();
    check::<Peppers>();

    fn check_owned<T: Send + Debug + 'static>() {}
    check_owned::<ApiKeyInquiry>();
    check_owned::<ApiKeyPass>();
    check_owned::<NewKey>();
    check_owned::<VerifiedKey>();

    fn check_seams<T: Authenticator>(_: Option<&dyn KeySource>) {}
    check_seams::<ApiKeyGuard>(None);
}

#[test]
fn the_layer_fits_every_host() {
    fn check<L: HostLayer>() {}
    check::<ApiKeyLayer>();
}

#[tokio::test]
async fn guards_chain_and_a_key_is_used_once() {
    let town = Town::new();
    let guard = town.layer().guard().clone();
    let twice = GuardLayer::new(Chain::new(guard.clone(), guard));
    let call = with_key(town.key.expose());
    for host in Host::WITHOUT_SOCKETS {
        // The first has taken it out.
        let answer = host.send(&twice, &call).await.unwrap();
        assert_eq!(
            answer.code().as_deref(),
            Some("apikey.missing"),
            "{answer:?}"
        );
        let answer = host.send(&town.layer(), &Call::echo("")).await.unwrap();
        assert!(!answer.is_success());
    }
}
