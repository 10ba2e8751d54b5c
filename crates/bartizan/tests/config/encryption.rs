//! Where data keys are, and what wraps them.

use bartizan::config::Config;

use crate::sample::Folder;

fn text(options: &str) -> String {
    format!(
        "[encryption]\napplication = 'clinic'\ncollection = 'patient'\ntenant = 'north'\n\
         field = [{{ path = '/ssn', otherwise = 'mask_last4' }}]\n{options}"
    )
}

#[test]
fn what_wraps_data_keys_and_where_they_are_is_one_thing_each() {
    let folder = Folder::new();
    for (options, expected) in [
        ("", "takes one of `key_file` and `postgres`"),
        (
            "key_file = 'a'\npostgres = { url = '${PATH}' }",
            "takes one of `key_file` and `postgres`",
        ),
        ("key_file = 'a'", "`key_file` takes `kek_file` or `kek_env`"),
        (
            "key_file = 'a'\nkek_file = 'b'\nkek_env = 'C'",
            "takes one of `kek_file` and `kek_env`",
        ),
        (
            "postgres = { url = '${PATH}' }",
            "nothing wraps the data keys",
        ),
        (
            "postgres = { url = '${PATH}' }\nkek_file = 'b'\naws_kms = { key = 'c' }",
            "data keys are wrapped by one of what is named",
        ),
        (
            "key_file = 'a'\nkek_file = 'b'\naws_kms = { key = 'c' }\n\
             vault = { url = 'https://v', key = 'k' }",
            "data keys are wrapped by one of what is named",
        ),
    ] {
        let error = Config::from_toml(&text(options), folder.path()).unwrap_err();
        let told = error.to_string();
        let expected = format!("line 1, column 1: encryption: {expected}");
        assert!(told.starts_with(&expected), "{options}\n{told}");
    }
}

#[test]
fn each_service_is_understood_or_the_feature_is_named_that_lacks() {
    let folder = Folder::new();
    folder.write("pin", "hunter2");
    folder.write("database", "postgresql://orders:hunter2@db.internal/orders");
    let local = "key_file = 'a'\nkek_file = 'b'";
    let arn = "arn:aws:kms:eu-west-1:1:key/a";
    for (feature, there, options) in [
        (
            "aws-kms",
            cfg!(feature = "aws-kms"),
            format!("{local}\naws_kms = {{ key = '{arn}' }}"),
        ),
        (
            "vault",
            cfg!(feature = "vault"),
            format!(
                "{local}\nvault = {{ url = 'https://v.internal', key = 'k', token = 'file:pin' }}"
            ),
        ),
        (
            "pkcs11",
            cfg!(feature = "pkcs11"),
            format!(
                "{local}\npkcs11 = {{ module = 'm.so', token = 't', key = 'k', pin = 'file:pin' }}"
            ),
        ),
        (
            "postgres",
            cfg!(feature = "postgres"),
            "kek_file = 'b'\npostgres = { url = 'file:database', roots = 'ca.pem' }".to_owned(),
        ),
        (
            "aws-kms",
            cfg!(feature = "aws-kms"),
            format!("{local}\nprevious = [{{ aws_kms = {{ key = '{arn}' }} }}]"),
        ),
    ] {
        match Config::from_toml(&text(&options), folder.path()) {
            Ok(config) => {
                assert!(there, "{feature}");
                let said = format!("{config:?}\n{}", config.effective());
                assert!(!said.contains("hunter2"), "{said}");
            }
            Err(error) => {
                assert!(!there, "{feature}: {error}");
                assert_eq!(error.problems()[0].missing_feature(), Some(feature));
            }
        }
    }
}

#[cfg(feature = "aws-kms")]
#[test]
fn a_key_that_may_become_another_is_refused_at_its_line() {
    let folder = Folder::new();
    let options = "key_file = 'a'\nkek_file = 'b'\n[encryption.aws_kms]\nkey = 'alias/a'";
    let error = Config::from_toml(&text(options), folder.path()).unwrap_err();
    let told = error.to_string();
    assert!(
        told.starts_with("line 8, ") && told.contains(": encryption.aws_kms: "),
        "{told}"
    );
}

#[cfg(all(unix, feature = "postgres"))]
#[tokio::test]
async fn data_keys_of_a_database_seal_what_comes_in() {
    use crate::store::{load, store, write_kek};

    let postgres = bartizan_testkit::PostgresServer::start("orders", &[]).await;
    let Some(postgres) = postgres.unwrap() else {
        return;
    };
    let folder = Folder::new();
    folder.write("database", &postgres.url());
    write_kek(&folder);
    let options = "kek_file = 'kek'\npostgres = { url = 'file:database', \
                   allow_plaintext_loopback = true, create_tables = true }\n\
                   [rules]\ninsecure_allow_everything = true";
    let config = Config::load(folder.write("bartizan.toml", &text(options))).unwrap();
    config.check_files().unwrap();
    let configured = config.clone().build().await.unwrap();
    let (stored, said) = store(&configured, r#"{"ssn":"123-45-6789"}"#).await;
    let masked = (200, r#"{"ssn":"****6789"}"#.to_owned());
    assert_eq!(said, masked);
    let sealed = stored.unwrap();
    assert!(
        sealed.contains("fe1.") && !sealed.contains("6789"),
        "{sealed}"
    );
    // What names a field twice is refused, and stored by nobody.
    let (stored, (status, _)) = store(&configured, r#"{"ssn":"1","ssn":"2"}"#).await;
    assert_eq!((stored, status), (None, 400));
    // Another instance has the same keys.
    let again = config.build().await.unwrap();
    assert_eq!(load(&again, &sealed).await, masked);
}

#[tokio::test]
async fn what_is_sealed_for_one_purpose_and_schema_is_opened_for_no_other() {
    use bartizan::encrypt::{KeyFile, LocalKek};

    use crate::store::{load, store, write_kek};

    let folder = Folder::new();
    write_kek(&folder);
    let local = LocalKek::from_file(&folder.path().join("kek")).unwrap();
    drop(KeyFile::create(&folder.path().join("keyset.json"), local).unwrap());
    let built = async |options: &str| {
        let options = format!(
            "key_file = 'keyset.json'\nkek_file = 'kek'\n{options}\n\
             [rules]\ninsecure_allow_everything = true"
        );
        let config = Config::load(folder.write("bartizan.toml", &text(&options)));
        config.unwrap().build().await.unwrap()
    };
    let billing = "purpose = 'billing'\nschema_version = 2";
    let (sealed, said) = store(&built(billing).await, r#"{"ssn":"123-45-6789"}"#).await;
    let masked = (200, r#"{"ssn":"****6789"}"#.to_owned());
    assert_eq!(said, masked);
    let sealed = sealed.unwrap();
    for (options, opens) in [
        (billing, true),
        ("purpose = 'research'\nschema_version = 2", false),
        ("purpose = 'billing'\nschema_version = 3", false),
        ("purpose = 'billing'", false),
        ("schema_version = 2", false),
        ("", false),
    ] {
        let said = load(&built(options).await, &sealed).await;
        assert_eq!(said == masked, opens, "{options}: {said:?}");
        assert!(opens || said.0 >= 500, "{options}: {said:?}");
    }
    let long = "x".repeat(1 << 20);
    let options = format!("key_file = 'a'\nkek_file = 'b'\npurpose = '{long}'");
    let error = Config::from_toml(&text(&options), folder.path()).unwrap_err();
    assert_eq!(error.problems()[0].path(), "encryption.purpose");
}
