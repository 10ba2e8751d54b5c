//! Data keys wrapped by a server that speaks as Vault's transit engine does.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod fake;
#[path = "../servers/store.rs"]
mod store;
#[path = "../servers/values.rs"]
mod values;
#[path = "../servers/wait.rs"]
mod wait;

use std::sync::Arc;
use std::time::Duration;

use bartizan_encrypt::{
    EncryptErrorKind, Kek, KekError, KeyBytes, Keyring, ProviderConfigError, VaultAuth,
    VaultTransit, VaultTransitBuilder,
};
use bartizan_testkit::ManualClock;

use crate::fake::{FakeVault, JWT, ROLE_ID, ROOT, SECRET_ID};
use crate::store::Memory;
use crate::values::{acme, opens, sealed};
use crate::wait::{Folder, until};

fn builder(vault: &FakeVault, key: &str) -> VaultTransitBuilder {
    let builder = VaultTransit::builder(&vault.url, key).allow_plaintext_loopback();
    builder.with_auth(VaultAuth::app_role(ROLE_ID, SECRET_ID))
}

fn plain(vault: &FakeVault) -> VaultTransit {
    builder(vault, "plain").build().unwrap()
}

fn derived(vault: &FakeVault) -> VaultTransit {
    builder(vault, "derived")
        .with_derived_context()
        .build()
        .unwrap()
}

fn refused<T>(result: Result<T, KekError>) -> bool {
    matches!(result, Err(KekError::Refused(_)))
}

fn unavailable<T>(result: Result<T, KekError>) -> bool {
    matches!(result, Err(KekError::Unavailable(_)))
}

#[tokio::test]
async fn keys_come_back_in_their_context_alone_and_no_changed_one_does() {
    let vault = FakeVault::start().await;
    for kek in [plain(&vault), derived(&vault)] {
        let key = KeyBytes::generate().unwrap();
        let wrapped = kek.wrap(&key, b"alice").await.unwrap();
        let unwrapped = kek.unwrap(&wrapped, b"alice").await.unwrap();
        assert_eq!(unwrapped.expose(), key.expose());
        assert!(refused(kek.unwrap(&wrapped, b"bob").await));
        for at in (0..wrapped.len()).step_by(7) {
            let mut bad = wrapped.clone();
            bad[at] ^= 1;
            assert!(kek.unwrap(&bad, b"alice").await.is_err(), "{at}");
        }
        let (made, wrapped) = kek.generate(b"alice").await.unwrap();
        let unwrapped = kek.unwrap(&wrapped, b"alice").await.unwrap();
        assert_eq!(made.expose(), unwrapped.expose());
        assert!(refused(kek.unwrap(&wrapped, b"bob").await));
    }
    assert_eq!(
        vault.count("datakey/plaintext/derived"),
        1,
        "made by the server"
    );
    assert_eq!(
        vault.count("datakey/plaintext/plain"),
        0,
        "it would bind nothing"
    );
}

#[tokio::test]
async fn a_key_that_binds_nothing_is_refused_before_it_wraps() {
    let vault = FakeVault::start().await;
    let key = KeyBytes::generate().unwrap();
    // A context for a key without derivation has no effect at the server.
    let unbound = builder(&vault, "plain")
        .with_derived_context()
        .build()
        .unwrap();
    assert!(refused(unbound.wrap(&key, b"alice").await));
    assert!(refused(unbound.generate(b"alice").await));
    vault.state.lock().unwrap().ignores_associated_data = true;
    assert!(
        refused(plain(&vault).wrap(&key, b"alice").await),
        "an old server"
    );
    vault.state.lock().unwrap().ignores_associated_data = false;
    let sound = plain(&vault);
    sound.wrap(&key, b"alice").await.unwrap();
    let asked = vault.count("/plain");
    sound.wrap(&key, b"alice").await.unwrap();
    assert_eq!(vault.count("/plain"), asked + 1, "proven once");
}

#[tokio::test]
async fn a_server_that_unwraps_nothing_for_us_has_not_proven_that_a_key_binds() {
    let vault = FakeVault::start().await;
    let key = KeyBytes::generate().unwrap();
    let unbound = builder(&vault, "plain")
        .with_derived_context()
        .build()
        .unwrap();
    vault.state.lock().unwrap().denied = Some("decrypt");
    assert!(refused(unbound.wrap(&key, b"alice").await), "no policy");
    vault.state.lock().unwrap().denied = None;
    assert!(refused(unbound.wrap(&key, b"alice").await), "no binding");
    plain(&vault).wrap(&key, b"alice").await.unwrap();
}

#[tokio::test]
async fn a_rotated_key_wraps_anew_and_inside_the_server_where_it_can() {
    let vault = FakeVault::start().await;
    for (name, kek) in [("plain", plain(&vault)), ("derived", derived(&vault))] {
        let store = Memory::default();
        let keyring = Keyring::builder("clinic", store.clone(), kek)
            .build()
            .unwrap();
        let value = sealed(&keyring.prepare(&acme()).await.unwrap());
        assert_eq!(
            keyring.rewrap().await.unwrap().current,
            1,
            "the newest already"
        );
        vault
            .state
            .lock()
            .unwrap()
            .keys
            .get_mut(name)
            .unwrap()
            .rotate();
        let decrypted = vault.count(&format!("decrypt/{name}"));
        let done = keyring.rewrap().await.unwrap();
        assert_eq!((done.rewrapped, done.left), (1, 0));
        let out = vault.count(&format!("decrypt/{name}")) - decrypted;
        assert_eq!(
            out,
            usize::from(name == "plain"),
            "how often the key came out"
        );
        assert!(store.records()[0].wrapped.starts_with(b"vault:v2:"));
        assert_eq!(store.records()[0].kek, format!("vault:transit/{name}"));
        assert!(opens(&keyring.prepare(&acme()).await.unwrap(), &value));
    }
}

#[tokio::test]
async fn roles_log_in_again_when_their_token_ends_or_is_revoked() {
    let vault = FakeVault::start().await;
    let folder = Folder::new("vault-roles");
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{JWT}\n")).unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, SECRET_ID).unwrap();
    let roles = [
        (VaultAuth::app_role(ROLE_ID, SECRET_ID), "approle/login"),
        (VaultAuth::app_role_file(ROLE_ID, &secret), "approle/login"),
        (
            VaultAuth::kubernetes_file("clinic", &file).with_mount("k8s"),
            "k8s/login",
        ),
    ];
    let key = KeyBytes::generate().unwrap();
    for (auth, login) in roles {
        let kek = builder(&vault, "plain").with_auth(auth).build().unwrap();
        let before = vault.count(login);
        let wrapped = kek.wrap(&key, b"alice").await.unwrap();
        kek.unwrap(&wrapped, b"alice").await.unwrap();
        assert_eq!(vault.count(login), before + 1, "one login serves");
        vault.state.lock().unwrap().tokens.clear();
        kek.unwrap(&wrapped, b"alice").await.unwrap();
        assert_eq!(vault.count(login), before + 2);
    }
    let wrong = VaultAuth::app_role(ROLE_ID, "wrong");
    let kek = builder(&vault, "plain").with_auth(wrong).build().unwrap();
    assert!(unavailable(kek.wrap(&key, b"alice").await));
    let gone = VaultAuth::kubernetes_file("clinic", folder.path().join("none"));
    let kek = builder(&vault, "plain").with_auth(gone).build().unwrap();
    assert!(unavailable(kek.wrap(&key, b"alice").await));
}

#[tokio::test]
async fn what_the_server_does_not_allow_is_refused_and_who_it_does_not_know_is_not() {
    let vault = FakeVault::start().await;
    let key = KeyBytes::generate().unwrap();
    let role = VaultAuth::app_role(ROLE_ID, SECRET_ID);
    for auth in [VaultAuth::token(ROOT), role] {
        let kek = builder(&vault, "plain").with_auth(auth).build().unwrap();
        let wrapped = kek.wrap(&key, b"alice").await.unwrap();
        vault.state.lock().unwrap().denied = Some("decrypt");
        assert!(refused(kek.unwrap(&wrapped, b"alice").await));
        vault.state.lock().unwrap().denied = None;
        kek.unwrap(&wrapped, b"alice").await.unwrap();
    }
    let nobody = VaultAuth::token("hvs.unknown");
    let kek = builder(&vault, "plain").with_auth(nobody).build().unwrap();
    assert!(unavailable(kek.wrap(&key, b"alice").await));
}

#[tokio::test]
async fn tokens_are_renewed_when_half_of_their_life_is_over() {
    let vault = FakeVault::start().await;
    let clock = ManualClock::default();
    let kek = builder(&vault, "plain").with_auth(VaultAuth::token(ROOT));
    let kek = kek.with_clock(Arc::new(clock.clone())).build().unwrap();
    let wrapped = kek
        .wrap(&KeyBytes::generate().unwrap(), b"alice")
        .await
        .unwrap();
    let ask = async |after| {
        clock.advance(Duration::from_secs(after));
        kek.unwrap(&wrapped, b"alice").await.map(drop)
    };
    ask(1798).await.unwrap();
    assert_eq!(vault.count("renew-self"), 0);
    ask(2).await.unwrap();
    assert_eq!(vault.count("renew-self"), 1);
    ask(1799).await.unwrap();
    assert_eq!(vault.count("renew-self"), 1, "from the renewal on");
    vault.state.lock().unwrap().tokens.clear();
    assert!(
        unavailable(ask(1).await),
        "a revoked token cannot be replaced"
    );
}

#[tokio::test]
async fn tokens_are_renewed_while_nobody_asks_for_keys() {
    let vault = FakeVault::start().await;
    {
        let mut state = vault.state.lock().unwrap();
        state.lease = 2;
        state.issue(ROOT);
    }
    let kek = builder(&vault, "plain")
        .with_auth(VaultAuth::token(ROOT))
        .build()
        .unwrap();
    let wrapped = kek
        .wrap(&KeyBytes::generate().unwrap(), b"alice")
        .await
        .unwrap();
    until("renewed three times", async || {
        vault.count("renew-self") >= 3
    })
    .await;
    kek.unwrap(&wrapped, b"alice").await.unwrap();
    drop(kek);
    let renewed = vault.count("renew-self");
    until("the token ended", async || {
        let state = vault.state.lock().unwrap();
        state.tokens[ROOT] < tokio::time::Instant::now()
    })
    .await;
    assert!(
        vault.count("renew-self") <= renewed + 1,
        "nobody looks after it any more"
    );
}

#[tokio::test]
async fn a_private_authority_is_believed_and_no_other() {
    let vault = FakeVault::start_tls().await;
    let key = KeyBytes::generate().unwrap();
    let stranger = builder(&vault, "plain").build().unwrap();
    assert!(
        unavailable(stranger.wrap(&key, b"alice").await),
        "the public web's roots"
    );
    let kek = builder(&vault, "plain").with_roots(vault.roots.clone().unwrap());
    let kek = kek.build().unwrap();
    let wrapped = kek.wrap(&key, b"alice").await.unwrap();
    assert_eq!(
        kek.unwrap(&wrapped, b"alice").await.unwrap().expose(),
        key.expose()
    );
}

#[tokio::test]
async fn namespaces_are_named() {
    let vault = FakeVault::start().await;
    vault.state.lock().unwrap().namespace = Some("health/eu".to_owned());
    let key = KeyBytes::generate().unwrap();
    assert!(unavailable(plain(&vault).wrap(&key, b"alice").await));
    let kek = builder(&vault, "plain")
        .with_namespace("health/eu/")
        .build()
        .unwrap();
    kek.wrap(&key, b"alice").await.unwrap();
    assert_eq!(kek.id(), "vault:health/eu:transit/plain");
}

#[tokio::test]
async fn an_outage_is_served_from_memory_until_the_hard_limit() {
    let vault = FakeVault::start().await;
    let clock = ManualClock::default();
    let keyring = Keyring::builder("clinic", Memory::default(), plain(&vault))
        .with_clock(Arc::new(clock.clone()))
        .with_deadline(Duration::from_secs(1))
        .build()
        .unwrap();
    let value = sealed(&keyring.prepare(&acme()).await.unwrap());
    for outage in ["sealed", "gone"] {
        match outage {
            "sealed" => vault.state.lock().unwrap().sealed = true,
            _ => vault.stop(),
        }
        clock.advance(Duration::from_secs(3599));
        assert!(
            opens(&keyring.prepare(&acme()).await.unwrap(), &value),
            "{outage}"
        );
        clock.advance(Duration::from_secs(1));
        let error = keyring.prepare(&acme()).await.unwrap_err();
        assert_eq!(error.kind(), EncryptErrorKind::KeysUnavailable, "{outage}");
        vault.state.lock().unwrap().sealed = false;
        clock.advance(Duration::from_secs(2));
        if outage == "sealed" {
            assert!(opens(&keyring.prepare(&acme()).await.unwrap(), &value));
        }
    }
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let with = |key: &str, change: fn(VaultTransitBuilder) -> VaultTransitBuilder| {
        let builder = VaultTransit::builder("https://vault.example", key);
        change(builder.with_auth(VaultAuth::token("t"))).build()
    };
    assert!(with("patients", |builder| builder).is_ok());
    let name =
        |result: Result<VaultTransit, _>| matches!(result, Err(ProviderConfigError::Name { .. }));
    for key in ["", "a/b", "..", "a?b", "a b", "a%2fb"] {
        assert!(name(with(key, |builder| builder)), "{key}");
    }
    assert!(name(with("a", |builder| builder.with_mount("../sys"))));
    assert!(name(with("a", |builder| builder.with_namespace("a//b"))));
    let nobody = VaultTransit::builder("https://vault.example", "a").build();
    assert!(matches!(nobody, Err(ProviderConfigError::Missing("auth"))));
    let plaintext = VaultTransit::builder("http://vault.example", "a");
    let plaintext = plaintext.with_auth(VaultAuth::token("t")).build();
    assert!(matches!(plaintext, Err(ProviderConfigError::Url(_))));
}

#[test]
fn tokens_are_not_printed() {
    for auth in [
        VaultAuth::token("hunter2"),
        VaultAuth::app_role("role", "hunter2"),
    ] {
        let builder = VaultTransit::builder("https://vault.example", "a").with_auth(auth);
        assert!(!format!("{builder:?}").contains("hunter2"));
        assert!(!format!("{:?}", builder.build().unwrap()).contains("hunter2"));
    }
}
