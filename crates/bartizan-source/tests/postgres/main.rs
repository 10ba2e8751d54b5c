//! Connections to a real PostgreSQL.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use bartizan_source::postgres::{Database, DatabaseBuilder, Session, SharedSession, describe};
use bartizan_testkit::{DevelopmentCa, PostgresServer};
use rustls::ClientConfig;
use rustls::crypto::ring;
use tokio_postgres::Client;

const PASSWORD: &str = "hunter2";

/// `None` if there is no such program.
async fn started(settings: &[&str]) -> Option<PostgresServer> {
    PostgresServer::start("orders", settings).await.unwrap()
}

/// With a password, which the server does not ask for.
fn url(server: &PostgresServer) -> String {
    server.url().replace('@', &format!(":{PASSWORD}@"))
}

fn plain(server: &PostgresServer) -> DatabaseBuilder {
    Database::builder(&url(server)).allow_plaintext_loopback()
}

fn shared(server: &PostgresServer) -> SharedSession {
    SharedSession::new(plain(server).build().unwrap())
}

async fn connected(builder: DatabaseBuilder) -> Session {
    builder.build().unwrap().connect().await.unwrap()
}

/// Why no connection comes about.
async fn refused(builder: DatabaseBuilder) -> String {
    let connected = builder.build().unwrap().connect().await;
    describe(&connected.unwrap_err())
}

async fn text(client: &Client, question: &str) -> String {
    client.query_one(question, &[]).await.unwrap().get(0)
}

/// Which of the server's processes serves this connection.
async fn process(client: &Client) -> i32 {
    let row = client.query_one("select pg_backend_pid()", &[]).await;
    row.unwrap().get(0)
}

/// Waits until something is so, for a minute at most.
async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..1200 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("a minute passed, and not: {what}");
}

/// Waits until the server has no such process any more.
async fn gone(observer: &Client, process: i32) {
    until("the connection has ended", async || {
        let question = "select 1 from pg_stat_activity where pid = $1";
        observer
            .query_opt(question, &[&process])
            .await
            .unwrap()
            .is_none()
    })
    .await;
}

/// Ends another connection, as an administrator does.
async fn terminate(observer: &Client, process: i32) {
    let question = "select pg_terminate_backend($1)";
    let ended = observer.query_one(question, &[&process]).await.unwrap();
    assert!(ended.get::<_, bool>(0));
    gone(observer, process).await;
}

#[tokio::test]
async fn a_connection_is_what_its_settings_say() {
    let Some(server) = started(&[]).await else {
        return;
    };
    let name = "show application_name";
    let mut session = connected(plain(&server)).await;
    assert_eq!(text(session.client(), name).await, "bartizan");
    assert!(!session.is_closed());

    let named = plain(&server)
        .with_application_name("orders-keys")
        .with_connect_timeout(Duration::from_secs(60))
        .with_setup("set search_path to pg_temp");
    let mut session = connected(named).await;
    assert_eq!(text(session.client(), name).await, "orders-keys");
    assert_eq!(
        text(session.client(), "show search_path").await,
        "pg_temp",
        "what is said first was said"
    );

    let url = format!("{}?application_name=of-the-url", url(&server));
    let builder = Database::builder(&url).allow_plaintext_loopback();
    let mut session = connected(builder.with_application_name("other")).await;
    assert_eq!(text(session.client(), name).await, "of-the-url");

    let said = refused(plain(&server).with_setup("set nonsense to 1")).await;
    assert!(said.starts_with("42704: "), "{said}");
}

#[tokio::test]
async fn a_server_is_believed_by_roots_that_were_given_and_under_its_name() {
    let Some(server) = started(&[]).await else {
        return;
    };
    let database = || Database::builder(&url(&server));
    let encrypted = "select ssl::text from pg_stat_ssl where pid = pg_backend_pid()";
    let mut session = connected(plain(&server)).await;
    assert_eq!(text(session.client(), encrypted).await, "false");

    let pem = server.ca().certificate_pem();
    let mut session = connected(database().with_root_pem(pem.as_bytes())).await;
    assert_eq!(text(session.client(), encrypted).await, "true");

    let ready = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(server.ca().root_store().unwrap())
        .with_no_client_auth();
    let mut session = connected(database().with_tls_config(ready)).await;
    assert_eq!(text(session.client(), encrypted).await, "true");

    let stranger = DevelopmentCa::new("db.test").unwrap().certificate_pem();
    let said = refused(database().with_root_pem(stranger.as_bytes())).await;
    assert!(said.contains("UnknownIssuer"), "{said}");

    for (host, expected) in [
        ("db.internal", "not valid for name"),
        ("'no name'", "invalid dns name"),
    ] {
        let port = server.port();
        let other = format!("host={host} hostaddr=127.0.0.1 port={port} user=orders");
        let said = refused(Database::builder(&other).with_root_pem(pem.as_bytes())).await;
        assert!(said.contains(expected), "{said}");
    }
}

#[tokio::test]
async fn who_has_roots_does_not_fall_back_to_plaintext() {
    let Some(server) = started(&["ssl=off"]).await else {
        return;
    };
    let mut session = connected(plain(&server)).await;
    assert_eq!(text(session.client(), "show ssl").await, "off");
    let pem = server.ca().certificate_pem();
    let url = format!("{}?sslmode=prefer", url(&server));
    let builder = Database::builder(&url).allow_plaintext_loopback();
    let said = refused(builder.with_root_pem(pem.as_bytes())).await;
    assert!(said.contains("does not support TLS"), "{said}");
}

#[tokio::test]
async fn a_connection_that_is_given_back_is_lent_again_and_one_left_half_way_is_not() {
    let Some(server) = started(&[]).await else {
        return;
    };
    let observer = &mut connected(plain(&server)).await;
    let observer = observer.client();
    observer
        .batch_execute("create table orders ()")
        .await
        .unwrap();
    let shared = shared(&server);

    let mut lease = shared.lease().await.unwrap();
    let first = process(lease.client()).await;
    let mut waiting = Box::pin(shared.lease());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(
        waiting.as_mut().poll(&mut cx).is_pending(),
        "one piece of work at a time"
    );
    lease.give_back();
    let mut lease = waiting.await.unwrap();
    assert_eq!(process(lease.client()).await, first);

    let half = "begin; insert into orders default values";
    lease.client().batch_execute(half).await.unwrap();
    drop(lease);
    gone(observer, first).await;
    let mut lease = shared.lease_that_answers().await.unwrap();
    assert_ne!(process(lease.client()).await, first);
    let rows = "select count(*)::text from orders";
    assert_eq!(text(lease.client(), rows).await, "0");

    let before = process(lease.client()).await;
    lease.renew().await.unwrap();
    gone(observer, before).await;
    assert_ne!(process(lease.client()).await, before);
    let after = process(lease.client()).await;
    lease.give_back();
    let mut lease = shared.lease_that_answers().await.unwrap();
    assert_eq!(process(lease.client()).await, after);

    lease.give_back();
    drop(shared);
    gone(observer, after).await;
}

#[tokio::test]
async fn a_connection_that_broke_is_replaced_and_lent_to_nobody() {
    let Some(mut server) = started(&[]).await else {
        return;
    };
    let shared = shared(&server);
    let mut observer = connected(plain(&server)).await;

    // While nobody looked.
    let mut lease = shared.lease().await.unwrap();
    let first = process(lease.client()).await;
    lease.give_back();
    terminate(observer.client(), first).await;
    let mut lease = shared.lease_that_answers().await.unwrap();
    let second = process(lease.client()).await;
    assert_ne!(second, first);

    // While it was lent.
    terminate(observer.client(), second).await;
    until("it is known to be broken", async || lease.is_broken()).await;
    let broken = lease.client().batch_execute("").await.unwrap_err();
    assert_eq!(describe(&broken), "connection closed");
    lease.give_back();
    let mut lease = shared.lease().await.unwrap();
    assert_ne!(process(lease.client()).await, second);

    // With its server.
    server.crash();
    until("it is known to be broken", async || lease.is_broken()).await;
    let said = describe(&lease.renew().await.unwrap_err());
    assert!(said.starts_with("error connecting to server: "), "{said}");
    drop(lease);
    assert!(shared.lease().await.is_err());
    assert!(shared.lease_that_answers().await.is_err());
    server.run().await.unwrap();
    let mut lease = shared.lease().await.unwrap();
    assert_eq!(text(lease.client(), "select 'up'").await, "up");
}

#[tokio::test]
async fn a_listener_hears_of_its_channel_until_its_connection_breaks() {
    let Some(server) = started(&[]).await else {
        return;
    };
    let database = plain(&server).build().unwrap();
    let mut observer = database.connect().await.unwrap();
    let mut listener = database.listen("keys").await.unwrap();
    let said = "notify other, 'no'; notify keys, 'a'; notify keys, 'b'";
    observer.client().batch_execute(said).await.unwrap();
    let mut heard = Vec::new();
    while heard.len() < 2 {
        heard.extend(listener.next().await.unwrap());
    }
    assert_eq!(heard, ["a", "b"]);

    let listening = "select pid from pg_stat_activity where query = 'listen keys'";
    let found = observer.client().query_one(listening, &[]).await.unwrap();
    terminate(observer.client(), found.get(0)).await;
    assert_eq!(listener.next().await, None);

    let listener = database.listen("keys").await.unwrap();
    let found = observer.client().query_one(listening, &[]).await.unwrap();
    drop(listener);
    gone(observer.client(), found.get(0)).await;
    let refused = database.listen("no name").await.unwrap_err();
    assert!(describe(&refused).starts_with("42601: "), "{refused}");
}

#[tokio::test]
async fn no_password_is_in_what_is_logged() {
    let Some(mut server) = started(&[]).await else {
        return;
    };
    let shared = shared(&server);
    let listener = shared.database().listen("keys").await.unwrap();
    let mut lease = shared.lease().await.unwrap();
    let said = lease.client().batch_execute("select 1/0").await;
    let said = describe(&said.unwrap_err());
    assert_eq!(said, "22012: division by zero");
    let mut printed = format!("{lease:?} {listener:?} {:?}", shared.database());
    drop(lease);
    printed += &format!("{shared:?}");
    server.crash();
    let unreachable = shared.lease().await.unwrap_err();
    printed += &format!("{unreachable:?} {unreachable} {}", describe(&unreachable));
    assert!(printed.contains("127.0.0.1"), "{printed}");
    assert!(!printed.contains(PASSWORD), "{printed}");
}
