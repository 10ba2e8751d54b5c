//! Keys that lie in a file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::SystemClock;
use bartizan_jwt::{ConfigError, JwtConfig, JwtConfigBuilder, JwtLayer, KeySet, Rules};
use bartizan_testkit::{OldKey, SigningAlgorithm, TokenMint};

use crate::support::{AUDIENCE, ISSUER, outcome, passed, refused};

/// A file that is removed again.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> Self {
        let name = format!("bartizan-jwt-{}-{name}.json", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn write(&self, content: &str) {
        let beside = self.0.with_extension("new");
        std::fs::write(&beside, content).unwrap();
        std::fs::rename(&beside, &self.0).unwrap();
    }

    fn config(&self) -> JwtConfigBuilder {
        let rules = Rules::builder(ISSUER, AUDIENCE).build().unwrap();
        JwtConfig::builder(rules)
            .with_key_file(&self.0)
            .with_clock(Arc::new(SystemClock))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Lets the file be looked at until it is in the generation that is waited for, or the attempts
/// to read it number more than before. Time is paused, so that waiting takes none.
async fn looked_at(layer: &JwtLayer, done: impl Fn(bartizan_jwt::Status) -> bool) {
    while !done(layer.guard().key_status(ISSUER).unwrap()) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn keys_are_read_again_and_the_last_good_ones_stay() {
    let file = File::new("watched");
    let mint = TokenMint::new(ISSUER, SigningAlgorithm::Es256, SystemClock).unwrap();
    let token = || mint.token().audience(AUDIENCE).sign().unwrap();
    file.write(&mint.jwks().to_string());
    let layer = JwtLayer::load(file.config().build().unwrap())
        .await
        .unwrap();
    let old = token();
    assert_eq!(outcome(&layer, &old).await, passed());

    mint.rotate(OldKey::Remove).unwrap();
    let new = token();
    assert_eq!(outcome(&layer, &new).await, refused(401, "jwt.unknown_key"));
    file.write(&mint.jwks().to_string());
    looked_at(&layer, |status| status.generation() == 2).await;
    assert_eq!(outcome(&layer, &new).await, passed());
    assert_eq!(outcome(&layer, &old).await, refused(401, "jwt.unknown_key"));

    for broken in [
        "",
        "{}",
        r#"{"keys":[]}"#,
        r#"{"keys":[{"kty":"oct","k":"AA"}]}"#,
    ] {
        let failures = layer.guard().key_status(ISSUER).unwrap().total_failures();
        file.write(broken);
        looked_at(&layer, |status| status.total_failures() > failures).await;
        assert_eq!(outcome(&layer, &new).await, passed(), "{broken}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_is_an_error_or_waited_for() {
    let file = File::new("absent");
    let config = file.config().build().unwrap();
    let loaded = JwtLayer::load(config.clone()).await;
    assert!(matches!(loaded, Err(ConfigError::KeysNotLoaded(_))));
    let layer = JwtLayer::start(config.clone()).unwrap();
    assert!(!layer.guard().is_ready());
    let mint = TokenMint::new(ISSUER, SigningAlgorithm::Es256, SystemClock).unwrap();
    let token = mint.token().audience(AUDIENCE).sign().unwrap();
    assert_eq!(
        outcome(&layer, &token).await,
        refused(503, "jwt.keys_unavailable")
    );
}

/// One issuer whose keys are at hand does not make up for one whose keys are not.
#[tokio::test]
async fn a_layer_is_ready_once_it_has_the_keys_of_every_issuer() {
    let file = File::new("one-of-two");
    let waits = file.config().build().unwrap();
    let mint = TokenMint::new(
        "https://partners.example",
        SigningAlgorithm::Es256,
        SystemClock,
    );
    let mint = mint.unwrap();
    let at_hand = || {
        let rules = Rules::builder(mint.issuer(), AUDIENCE).build().unwrap();
        let keys = KeySet::from_json(&mint.jwks().to_string()).unwrap();
        JwtConfig::builder(rules).with_keys(keys)
    };
    let alone = JwtLayer::start(at_hand().build().unwrap()).unwrap();
    assert!(alone.guard().is_ready());
    let both = JwtLayer::start(at_hand().add_issuer(waits).build().unwrap()).unwrap();
    assert!(!both.guard().is_ready());
}
