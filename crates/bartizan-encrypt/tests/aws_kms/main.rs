//! Data keys wrapped by what plays AWS KMS.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod moto;
#[path = "../servers/process.rs"]
mod process;
#[path = "../servers/programs.rs"]
mod programs;
#[path = "../servers/store.rs"]
mod store;
#[path = "../servers/values.rs"]
mod values;
#[path = "../servers/wait.rs"]
mod wait;

use std::sync::Arc;
use std::time::Duration;

use bartizan_encrypt::{
    AwsCredentialSource, AwsCredentials, AwsWebIdentity, EncryptErrorKind, Kek, KekError, KeyBytes,
    Keyring, ProviderConfigError,
};
use bartizan_source::Roots;
use bartizan_testkit::ManualClock;
use serde_json::json;

use crate::moto::{Moto, REGION};
use crate::store::Memory;
use crate::values::{acme, opens, sealed};
use crate::wait::Folder;

fn refused<T>(result: &Result<T, KekError>) -> bool {
    matches!(result, Err(KekError::Refused(_)))
}

#[tokio::test]
async fn keys_come_back_in_their_context_and_to_a_good_signature_alone() {
    let Some(moto) = Moto::start().await else {
        return;
    };
    let key = moto.key().await;
    moto.check_signatures().await;
    let kek = moto.kek(&key).build().unwrap();
    let (made, wrapped) = kek.generate(b"alice").await.unwrap();
    let unwrapped = kek.unwrap(&wrapped, b"alice").await.unwrap();
    assert_eq!(made.expose(), unwrapped.expose());
    let own = KeyBytes::generate().unwrap();
    let other = kek.wrap(&own, b"bob").await.unwrap();
    assert_eq!(
        kek.unwrap(&other, b"bob").await.unwrap().expose(),
        own.expose()
    );

    assert!(
        refused(&kek.unwrap(&wrapped, b"bob").await),
        "another context"
    );
    let more = moto
        .kek(&key)
        .add_context("service", "clinic")
        .build()
        .unwrap();
    assert!(
        refused(&more.unwrap(&wrapped, b"alice").await),
        "one entry more"
    );
    let mut changed = wrapped.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert!(
        refused(&kek.unwrap(&changed, b"alice").await),
        "a changed bit"
    );

    let credentials = AwsCredentials::new(moto.user.access_key_id(), "not the secret");
    let forged = moto
        .kek(&key)
        .with_credentials(credentials)
        .build()
        .unwrap();
    let error = forged.unwrap(&wrapped, b"alice").await.unwrap_err();
    assert!(
        error.to_string().contains("SignatureDoesNotMatch"),
        "{error}"
    );
    let stranger = AwsCredentials::new("AKIASTRANGER", &*moto.secret);
    let stranger = moto.kek(&key).with_credentials(stranger).build().unwrap();
    assert!(stranger.unwrap(&wrapped, b"alice").await.is_err());
    // The control: it was neither key nor server.
    kek.unwrap(&wrapped, b"alice").await.unwrap();
}

#[tokio::test]
async fn keys_move_from_one_kms_key_to_another_inside_kms() {
    let Some(moto) = Moto::start().await else {
        return;
    };
    let (old, new) = (moto.key().await, moto.key().await);
    let alias = json!({ "AliasName": "alias/patients", "TargetKeyId": new });
    moto.kms("CreateAlias", &alias).await;
    let disabled = moto.key().await;
    let id = disabled.rsplit('/').next();
    moto.kms("DisableKey", &json!({ "KeyId": id })).await;
    moto.check_signatures().await;

    let kek = moto.kek("alias/patients").connect().await.unwrap();
    assert_eq!(
        kek.id(),
        format!("aws-kms:{new}"),
        "the key itself, not its alias"
    );
    let unusable = moto.kek(&disabled).connect().await;
    assert!(matches!(unusable, Err(ProviderConfigError::Unusable(_))));
    assert!(moto.kek("alias/nobody").connect().await.is_err());

    let store = Memory::default();
    let before = Keyring::builder("clinic", store.clone(), moto.kek(&old).build().unwrap());
    let value = sealed(&before.build().unwrap().prepare(&acme()).await.unwrap());
    // The old key is not at hand here: what was unwrapped was unwrapped by KMS.
    let after = Keyring::builder("clinic", store.clone(), kek)
        .build()
        .unwrap();
    assert_eq!(after.rewrap().await.unwrap().rewrapped, 1);
    assert_eq!(store.records()[0].kek, format!("aws-kms:{new}"));
    assert!(opens(&after.prepare(&acme()).await.unwrap(), &value));
    assert_eq!(after.rewrap().await.unwrap().current, 1);
}

#[tokio::test]
async fn an_outage_is_served_from_memory_until_the_hard_limit() {
    let Some(moto) = Moto::start().await else {
        return;
    };
    let key = moto.key().await;
    moto.check_signatures().await;
    let clock = ManualClock::default();
    let keyring = Keyring::builder("clinic", Memory::default(), moto.kek(&key).build().unwrap())
        .with_clock(Arc::new(clock.clone()))
        .with_deadline(Duration::from_secs(60))
        .build()
        .unwrap();
    let value = sealed(&keyring.prepare(&acme()).await.unwrap());
    drop(moto);
    clock.advance(Duration::from_secs(3599));
    assert!(opens(&keyring.prepare(&acme()).await.unwrap(), &value));
    clock.advance(Duration::from_secs(1));
    let error = keyring.prepare(&acme()).await.unwrap_err();
    assert_eq!(error.kind(), EncryptErrorKind::KeysUnavailable);
}

#[tokio::test]
async fn a_role_is_taken_on_with_the_token_in_a_file() {
    let Some(moto) = Moto::start().await else {
        return;
    };
    let folder = Folder::new("aws-identity");
    let file = folder.path().join("token");
    std::fs::write(&file, "header.claims.signature\n").unwrap();
    let role = "arn:aws:iam::123456789012:role/clinic";
    let identity = AwsWebIdentity::new(role, &file, REGION).unwrap();
    let identity = identity
        .with_endpoint(&moto.url, Roots::public_web())
        .unwrap();
    let credentials = identity.credentials().await.unwrap();
    assert!(
        credentials.access_key_id().starts_with("ASIA"),
        "{credentials:?}"
    );
    // They work, with their session token.
    let key = moto.key().await;
    let kek = moto.kek(&key).with_credentials(identity).build().unwrap();
    let (_, wrapped) = kek.generate(b"alice").await.unwrap();
    kek.unwrap(&wrapped, b"alice").await.unwrap();
    std::fs::remove_file(&file).unwrap();
    kek.unwrap(&wrapped, b"alice").await.unwrap();
    let identity = AwsWebIdentity::new(role, &file, REGION).unwrap();
    let kek = moto.kek(&key).with_credentials(identity).build().unwrap();
    let error = kek.unwrap(&wrapped, b"alice").await;
    assert!(
        matches!(error, Err(KekError::Unavailable(_))),
        "the file is gone"
    );
}
