//! Keys that lie in a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bartizan_apikey::{
    ApiKeyConfig, ApiKeyConfigBuilder, ApiKeyLayer, ConfigError, KeyFile, KeyFileError, Pepper,
    Peppers, Status,
};
use bartizan_core::Clock as _;
use bartizan_testkit::Call;

use crate::support::{STORE, Town, in_short, new_key, outcome, passed, refused, send, with_key};

/// A folder that is removed again.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("bartizan-apikey-it-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn config(town: &Town, file: &Path) -> ApiKeyConfigBuilder {
    ApiKeyConfig::builder(STORE)
        .with_key_file(file)
        .with_clock(Arc::new(town.clock.clone()))
}

/// Waits until the file was looked at. Time is paused, so that waiting takes none.
async fn looked_at(layer: &ApiKeyLayer, done: impl Fn(Status) -> bool) {
    while !done(layer.guard().key_status().unwrap()) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn keys_are_read_again_and_the_last_good_ones_stay() {
    let (town, folder) = (Town::new(), Folder::new("watched"));
    let file = KeyFile::new(folder.path("keys.json"));
    file.create().unwrap();
    file.add(town.record().build().unwrap()).unwrap();
    let layer = ApiKeyLayer::load(config(&town, file.path()).build().unwrap())
        .await
        .unwrap();
    assert_eq!(layer.guard().keys(), 1);
    assert_eq!(outcome(&layer, &town.key).await, passed());

    let second = new_key();
    assert_eq!(
        outcome(&layer, &second).await,
        refused(401, "apikey.invalid")
    );
    file.add(town.record_of(&second).build().unwrap()).unwrap();
    looked_at(&layer, |status| status.generation() == 2).await;
    assert_eq!(outcome(&layer, &second).await, passed());
    assert_eq!(outcome(&layer, &town.key).await, passed());

    let now = town.clock.wall();
    let revoke = |records: &mut Vec<bartizan_apikey::KeyRecord>| {
        records[0] = records[0].revoked_at(now);
        Ok::<_, KeyFileError>(())
    };
    file.change(revoke).unwrap();
    looked_at(&layer, |status| status.generation() == 3).await;
    assert_eq!(
        outcome(&layer, &town.key).await,
        refused(401, "apikey.revoked")
    );

    let good = std::fs::read_to_string(file.path()).unwrap();
    for broken in [
        String::new(),
        "{}".to_owned(),
        good[..good.len() / 2].to_owned(),
        good.replace("\"version\": 1", "\"version\": 2"),
        good.replace("\"subject\"", "\"subjekt\""),
        good.replace("v1.-.", "v1.elsewhere."),
    ] {
        let failures = layer.guard().key_status().unwrap().total_failures();
        std::fs::write(file.path(), &broken).unwrap();
        looked_at(&layer, |status| status.total_failures() > failures).await;
        assert_eq!(outcome(&layer, &second).await, passed(), "{broken}");
        assert_eq!(
            outcome(&layer, &town.key).await,
            refused(401, "apikey.revoked")
        );
    }
    std::fs::remove_file(file.path()).unwrap();
    let failures = layer.guard().key_status().unwrap().total_failures();
    looked_at(&layer, |status| status.total_failures() > failures).await;
    assert_eq!(
        outcome(&layer, &second).await,
        passed(),
        "a file that is gone changes nothing"
    );
}

#[tokio::test]
async fn a_file_that_is_not_there_is_an_error_or_waited_for() {
    let (town, folder) = (Town::new(), Folder::new("absent"));
    let config = config(&town, &folder.path("keys.json")).build().unwrap();
    let loaded = ApiKeyLayer::load(config.clone()).await;
    assert!(matches!(loaded, Err(ConfigError::KeysNotLoaded(_))));
    let layer = ApiKeyLayer::start(config).unwrap();
    assert!(!layer.guard().is_ready());
    assert_eq!(
        outcome(&layer, &town.key).await,
        refused(503, "apikey.keys_unavailable")
    );
    let answer = send(&layer, &Call::echo("")).await;
    assert_eq!(in_short(&answer), refused(401, "apikey.missing"));
    let answer = send(&layer, &with_key("hunter2")).await;
    assert_eq!(
        in_short(&answer),
        refused(401, "apikey.malformed"),
        "no key needs no store"
    );
}

#[tokio::test]
async fn a_file_of_another_pepper_is_refused_as_a_whole() {
    let (town, folder) = (Town::new(), Folder::new("pepper"));
    let file = KeyFile::new(folder.path("keys.json"));
    file.create().unwrap();
    file.add(town.record().build().unwrap()).unwrap();
    let peppers = Peppers::new(Pepper::new("a", &[1; 32]).unwrap());
    let peppered = config(&town, file.path())
        .with_peppers(peppers)
        .build()
        .unwrap();
    let error = ApiKeyLayer::load(peppered).await.unwrap_err();
    let causes = format!("{error:?}");
    assert!(causes.contains(town.key.id().as_str()), "{causes}");
}

#[tokio::test]
async fn a_file_of_too_many_keys_is_refused() {
    let (town, folder) = (Town::new(), Folder::new("many"));
    let file = KeyFile::new(folder.path("keys.json"));
    file.create().unwrap();
    for _ in 0..3 {
        file.add(town.record_of(&new_key()).build().unwrap())
            .unwrap();
    }
    let of = |most| {
        config(&town, file.path())
            .with_max_keys(most)
            .build()
            .unwrap()
    };
    assert!(ApiKeyLayer::load(of(3)).await.is_ok());
    assert!(ApiKeyLayer::load(of(2)).await.is_err());
}
