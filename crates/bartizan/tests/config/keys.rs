//! API keys of a file and of a database.

use bartizan::apikey::{KeyFile, KeyFormat, KeyRecord, NewKey, Peppers};
use bartizan::config::{Config, Configured};
use bartizan::core::{Clock as _, Connection, SystemClock, Transport};
use bartizan_testkit::{Call, Host};
use http::{HeaderName, HeaderValue};

use crate::sample::Folder;
use crate::service::built;

const OPEN: &str = "[[rules.rule]]\nname = 'all'\neffect = 'allow'\n";

pub(crate) fn new_key() -> (NewKey, KeyRecord) {
    let key = NewKey::generate(&KeyFormat::live()).unwrap();
    let now = SystemClock.wall();
    let record = KeyRecord::builder(&key, &Peppers::none(), "reports", now);
    (key, record.build().unwrap())
}

/// The code of what a client sees that sends this header.
pub(crate) async fn code(
    configured: &Configured,
    connection: &Connection,
    header: &str,
    value: &str,
) -> Option<String> {
    let name: HeaderName = header.parse().unwrap();
    let call = Call::echo("").with_connection(connection.clone());
    let call = call.add_header(name, HeaderValue::try_from(value).unwrap());
    let answer = Host::Hyper.send(&configured.layer(), &call).await.unwrap();
    answer.code()
}

pub(crate) fn connection() -> Connection {
    Connection::from_remote("192.0.2.1:4000".parse().unwrap())
}

#[test]
fn keys_come_from_a_file_or_from_a_database_and_not_from_both() {
    let one = "line 1, column 1: api_keys: takes one of `file` and `postgres`";
    for text in [
        "[api_keys]\nissuer = 'a'",
        "[api_keys]\nissuer = 'a'\nfile = 'b'\npostgres = { url = '${PATH}' }",
    ] {
        let error = Config::from_toml(text, "").unwrap_err();
        assert_eq!(error.problems()[0].to_string(), one, "{text}");
        assert_eq!(error.problems()[0].missing_feature(), None);
    }
    let text = "[api_keys]\nissuer = 'a'\n[api_keys.postgres]\nurl = '${PATH}'\nrots = 'x'";
    let error = Config::from_toml(text, "").unwrap_err().to_string();
    let expected =
        "line 5, column 1: api_keys.postgres.rots: unknown option, did you mean `roots`?";
    assert_eq!(error, expected);
}

#[cfg(not(feature = "apikey-postgres"))]
#[test]
fn what_the_program_was_built_without_is_named() {
    let text = "[api_keys]\nissuer = 'a'\npostgres = { url = '${PATH}' }";
    let error = Config::from_toml(text, "").unwrap_err();
    let [problem] = error.problems() else {
        panic!("{error}")
    };
    assert_eq!(problem.missing_feature(), Some("apikey-postgres"));
    assert_eq!(
        problem.to_string(),
        "line 3, column 12: api_keys.postgres: this program was built without the feature \
         `apikey-postgres`"
    );
}

#[tokio::test]
async fn keys_and_cookies_do_not_pass_in_plaintext() {
    let folder = Folder::new();
    let (key, record) = new_key();
    let file = KeyFile::new(folder.path().join("api-keys.json"));
    file.create().unwrap();
    file.add(record).unwrap();
    let text = |options: &str, more: &str| {
        format!(
            "{OPEN}[peers]\nallow = ['spiffe://example.org/web']\ninsecure_plaintext = \
             {{ until = '2999-01-01T00:00:00Z', routes = ['/echo'] {options} }}\n\
             [api_keys]\nissuer = 'a'\nfile = 'api-keys.json'\nallow_anonymous = true\n{more}\n"
        )
    };
    let configured = built(&folder, &text("", "")).await;
    let plain = connection().with_transport(Transport::Plaintext);
    let refused = Some("mtls.credential_in_plaintext".to_owned());
    let send = async |header: &str, value: &str| code(&configured, &plain, header, value).await;
    assert_eq!(send("accept", "*/*").await, None);
    assert_eq!(send("x-api-key", key.expose()).await, refused);
    // Whatever is in it: who sends one in plaintext will send the right one next time.
    assert_eq!(send("x-api-key", "nonsense").await, refused);
    let token = Some("mtls.token_in_plaintext".to_owned());
    assert_eq!(send("authorization", "ApiKey x").await, token);
    assert_eq!(send("x-key", "x").await, None);
    assert_eq!(send("cookie", "session=x").await, None);
    let handle = configured.migration().unwrap();
    assert_eq!(handle.refused(), 3);

    // The header has another name by now, and tokens come in cookies.
    let more = "header = 'x-key'\n[tokens]\nallow_cookie = 'session'\nallow_anonymous = true\n\
                [[tokens.issuer]]\nissuer = 'https://issuer.example'\naudiences = ['orders']\n\
                key_file = 'keys.json'";
    folder.write("bartizan.toml", &text("", more));
    let reload = configured.reload().await.unwrap();
    assert_eq!(reload.changed(), ["tokens", "api_keys"]);
    assert_eq!(send("x-key", "x").await, refused);
    assert_eq!(send("cookie", "session=x").await, refused);
    assert_eq!(send("x-api-key", "x").await, None);
    assert_eq!(handle.refused(), 5);

    let open = text(", insecure_allow_tokens = true", "");
    folder.write("bartizan.toml", &open);
    configured.reload().await.unwrap();
    assert_eq!(send("x-api-key", key.expose()).await, None);
}

#[cfg(all(unix, feature = "apikey-postgres"))]
#[tokio::test]
async fn keys_of_a_database_are_accepted_and_it_is_told_of_their_use() {
    use bartizan::apikey::PostgresKeys;
    use std::time::Duration;

    let postgres = bartizan_testkit::PostgresServer::start("orders", &[]).await;
    let Some(postgres) = postgres.unwrap() else {
        return;
    };
    let folder = Folder::new();
    folder.write("database", &postgres.url());
    let database = "postgres = { url = 'file:database', allow_plaintext_loopback = true, \
                    create_tables = true }";
    let text = format!(
        "{OPEN}[api_keys]\nissuer = 'orders-keys'\nuses_interval = '1s'\nkey_lifetime = '100ms'\n\
         cool_down = '100ms'\npatience = '10s'\n{database}\n"
    );
    let config = Config::load(folder.write("bartizan.toml", &text)).unwrap();
    let said = format!("{config:?} {}", config.effective());
    assert!(
        said.contains("file:") && !said.contains("postgresql://"),
        "{said}"
    );
    config.check_files().unwrap();
    let configured = config.build().await.unwrap();
    let (key, record) = new_key();
    let (other, _) = new_key();
    let store = PostgresKeys::builder(&postgres.url());
    let store = store.allow_plaintext_loopback().build().unwrap();
    assert!(store.add(&record).await.unwrap());
    let send = async |key: &str| code(&configured, &connection(), "x-api-key", key).await;
    assert_eq!(send(key.expose()).await, None);
    let unknown = Some("apikey.invalid".to_owned());
    assert_eq!(send(other.expose()).await, unknown);
    let mut used = None;
    for _ in 0..600 {
        used = store.records().await.unwrap()[0].last_used();
        if used.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(used.is_some(), "the database is told within a second");
    store.revoke(record.id(), SystemClock.wall()).await.unwrap();
    let mut revoked = None;
    for _ in 0..600 {
        revoked = send(key.expose()).await;
        if revoked.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(revoked.as_deref(), Some("apikey.revoked"));
}
