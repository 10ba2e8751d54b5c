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
    use std::os::unix::fs::PermissionsExt;
    use tower::{Layer, ServiceExt, service_fn};

    let postgres = bartizan_testkit::PostgresServer::start("orders", &[]).await;
    let Some(postgres) = postgres.unwrap() else {
        return;
    };
    let folder = Folder::new();
    folder.write("database", &postgres.url());
    let kek = folder.write("kek", "01234567890123456789012345678901");
    std::fs::set_permissions(&kek, std::fs::Permissions::from_mode(0o600)).unwrap();
    let options = "kek_file = 'kek'\npostgres = { url = 'file:database', \
                   allow_plaintext_loopback = true, create_tables = true }\n\
                   [rules]\ninsecure_allow_everything = true";
    let config = Config::load(folder.write("bartizan.toml", &text(options))).unwrap();
    config.check_files().unwrap();
    let configured = config.clone().build().await.unwrap();
    let (seen, mut stored) = tokio::sync::mpsc::unbounded_channel();
    type Body = http_body_util::Full<bytes::Bytes>;
    let store = service_fn(
        move |request: http::Request<bartizan::config::ConfiguredBody<Body>>| {
            let seen = seen.clone();
            async move {
                use http_body_util::BodyExt as _;
                let bytes = request.into_body().collect().await.unwrap().to_bytes();
                seen.send(String::from_utf8(bytes.to_vec()).unwrap())
                    .unwrap();
                let answer = http::Response::builder().header("content-type", "application/json");
                Ok::<_, std::convert::Infallible>(answer.body(Body::from(bytes)).unwrap())
            }
        },
    );
    let service = configured.layer().layer(store);
    let send = async |body: &'static str| {
        let request = http::Request::post("/").header("content-type", "application/json");
        let request = request.body(Body::from(body)).unwrap();
        service
            .clone()
            .oneshot(request)
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(send(r#"{"ssn":"123-45-6789"}"#).await, 200);
    let sealed = stored.recv().await.unwrap();
    assert!(
        sealed.contains("fe1.") && !sealed.contains("6789"),
        "{sealed}"
    );
    // What names a field twice is refused, and stored by nobody.
    assert_eq!(send(r#"{"ssn":"1","ssn":"2"}"#).await, 400);
    assert!(stored.try_recv().is_err());
    // Another instance has the same keys.
    let again = config.build().await.unwrap();
    let there = service_fn(
        move |_: http::Request<bartizan::config::ConfiguredBody<Body>>| {
            let answer = http::Response::builder().header("content-type", "application/json");
            let answer = answer.body(Body::from(sealed.clone())).unwrap();
            async move { Ok::<_, std::convert::Infallible>(answer) }
        },
    );
    let request = http::Request::get("/").body(Body::default()).unwrap();
    let answer = again.layer().layer(there).oneshot(request).await.unwrap();
    let answer = http_body_util::BodyExt::collect(answer.into_body());
    assert_eq!(answer.await.unwrap().to_bytes(), r#"{"ssn":"****6789"}"#);
}
