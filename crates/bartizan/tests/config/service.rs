//! A configuration in front of real services.

use std::net::SocketAddr;
use std::task::{Context, Poll};

use bartizan::config::{Config, Configured, Listening};
use bartizan::core::{Connection, Peer, PeerIdentity, VerifiedCertificate, WallTime};
use bartizan_testkit::{Call, Host};
use http::Method;

use crate::sample::{Folder, WHOLE};
use crate::store::{store, write_kek};

pub(crate) const WEB: &str = "spiffe://example.org/web";

pub(crate) fn call(address: &str, id: Option<&str>, token: Option<&str>) -> Call {
    let remote = SocketAddr::new(address.parse().unwrap(), 4000);
    let mut connection = Connection::from_remote(remote);
    if let Some(id) = id {
        connection = connection.with_peer(Peer::assert_verified(VerifiedCertificate {
            identity: PeerIdentity::Spiffe(id.parse().unwrap()),
            certificate_sha256: [7; 32],
            serial: vec![1].into(),
            not_after: WallTime::from_unix_seconds(40_000_000_000),
        }));
    }
    let call = Call::echo("hello").with_connection(connection);
    match token {
        Some(token) => call.with_bearer(token).unwrap(),
        None => call,
    }
}

pub(crate) async fn built(folder: &Folder, text: &str) -> Configured {
    let file = folder.write("bartizan.toml", text);
    Config::load(file).unwrap().build().await.unwrap()
}

#[track_caller]
fn code_of(answer: &bartizan_testkit::Answer) -> Option<String> {
    answer.code()
}

#[tokio::test]
async fn one_file_guards_every_host() {
    let folder = Folder::new();
    let configured = built(&folder, WHOLE).await;
    let good = folder
        .mint
        .token()
        .audience("orders")
        .scope("echo")
        .sign()
        .unwrap();
    for (number, host) in Host::WITHOUT_SOCKETS.into_iter().enumerate() {
        let address = format!("192.0.2.{number}");
        let call = call(&address, Some(WEB), Some(&good));
        let answer = host.send(&configured.layer(), &call).await.unwrap();
        assert!(answer.is_success(), "{host:?} {:?}", answer.code());
    }
    let other = folder
        .mint
        .token()
        .audience("orders")
        .scope("other")
        .sign()
        .unwrap();
    let evil = folder.mint.token().audience("orders").scope("echo");
    let evil = evil
        .claim("groups", serde_json::json!(["evil"]))
        .sign()
        .unwrap();
    for (number, (id, token, expected)) in [
        (None, Some(&good), "mtls.no_peer"),
        (
            Some("spiffe://example.org/other"),
            Some(&good),
            "mtls.peer_not_allowed",
        ),
        (Some(WEB), None, "jwt.missing"),
        (Some(WEB), Some(&other), "authz.denied"),
        (Some(WEB), Some(&evil), "authz.denied"),
    ]
    .into_iter()
    .enumerate()
    {
        let call = call(
            &format!("198.51.100.{number}"),
            id,
            token.map(String::as_str),
        );
        let answer = Host::Hyper.send(&configured.layer(), &call).await.unwrap();
        assert_eq!(code_of(&answer).as_deref(), Some(expected));
    }
    let ledger = configured.ledger().unwrap();
    let report = ledger.shutdown(std::time::Duration::from_secs(5)).await;
    assert!(report.totals.durable > 10, "{report:?}");
}

#[tokio::test]
async fn a_failed_authentication_charges_the_address() {
    let folder = Folder::new();
    let configured = built(&folder, WHOLE).await;
    let send = async |token: Option<&str>| {
        let call = call("192.0.2.77", Some(WEB), token);
        code_of(&Host::Hyper.send(&configured.layer(), &call).await.unwrap())
    };
    let good = folder
        .mint
        .token()
        .audience("orders")
        .scope("echo")
        .sign()
        .unwrap();
    assert_eq!(send(None).await.as_deref(), Some("jwt.missing"));
    // One for the request and two for the failure, of three in an hour.
    assert_eq!(
        send(Some(&good)).await.as_deref(),
        Some("ratelimit.exceeded")
    );
}

#[tokio::test]
async fn nothing_decides_about_exempt_paths_in_their_one_spelling() {
    let folder = Folder::new();
    let text = "[exempt]\npaths = ['/echo']";
    let configured = built(&folder, text).await;
    for (method, path, passes) in [
        (Method::GET, "/echo", true),
        (Method::HEAD, "/echo", true),
        (Method::GET, "/echo?verbose", true),
        (Method::POST, "/echo", false),
        (Method::GET, "/echo/", false),
        (Method::GET, "/Echo", false),
        (Method::GET, "/%65cho", false),
        (Method::GET, "//echo", false),
        (Method::GET, "/echo/../echo", false),
        (Method::GET, "/orders", false),
    ] {
        let call = call("192.0.2.1", None, None).with_http_method(method.clone());
        let call = call.with_http_path(path);
        let answer = Host::Hyper.send(&configured.layer(), &call).await.unwrap();
        assert_eq!(
            answer.code().is_none(),
            passes,
            "{method} {path}: {:?}",
            answer.code()
        );
    }
}

/// In what a proxy says who its client is.
const SAYING: [&str; 3] = [
    "x-forwarded-client-cert",
    "client-cert",
    "client-cert-chain",
];

/// Answers with how much of it arrives.
#[derive(Clone)]
struct Hears;

impl<B> tower::Service<http::Request<B>> for Hears {
    type Response = http::Response<String>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let headers = request.headers();
        let said = SAYING.iter().filter(|name| headers.contains_key(**name));
        let mut response = http::Response::new(String::new());
        response.extensions_mut().insert(said.count());
        std::future::ready(Ok(response))
    }
}

#[tokio::test]
async fn nobody_says_who_a_client_is_where_nothing_decides() {
    use tower::{Layer as _, ServiceExt as _};

    let folder = Folder::new();
    let text = |mode: &str| {
        format!(
            "[exempt]\npaths = ['/healthz']\n[peers]\nallow = ['{WEB}']\nmode = '{mode}'\n\
             proxy = [{{ header = 'x-forwarded-client-cert', peers = ['{WEB}'] }}]"
        )
    };
    // Shadow mode leaves requests as they are.
    for (mode, arrive) in [("enforce", 0), ("shadow", 3)] {
        let configured = built(&folder, &text(mode)).await;
        let mut request = http::Request::get("/healthz");
        for name in SAYING {
            request = request.header(name, "By=spiffe://example.org/x;URI=spiffe://example.org/a");
        }
        let request = request.body(http_body_util::Empty::<bytes::Bytes>::new());
        let service = configured.layer().layer(Hears);
        let response = service.oneshot(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(
            response.extensions().get::<usize>(),
            Some(&arrive),
            "{mode}"
        );
    }
}

#[tokio::test]
async fn an_empty_file_refuses_everything() {
    let folder = Folder::new();
    let configured = built(&folder, "").await;
    for host in Host::WITHOUT_SOCKETS {
        let call = call("192.0.2.1", Some(WEB), None);
        let answer = host.send(&configured.layer(), &call).await.unwrap();
        assert_eq!(answer.code().as_deref(), Some("authz.denied"), "{host:?}");
    }
}

#[tokio::test]
async fn the_listener_is_as_strict_as_the_file() {
    let folder = Folder::new();
    let configured = built(&folder, WHOLE).await;
    let listening = configured.listen().await.unwrap();
    assert!(matches!(listening, Listening::Strict(_)), "{listening:?}");
    assert_ne!(listening.local_addr().port(), 0);
    drop(configured);

    let other = Folder::new();
    let open = WHOLE.replace("[peers]", "[peers]\nallow_no_certificate = true");
    let configured = built(&other, &open).await;
    let listening = configured.listen().await.unwrap();
    assert!(matches!(listening, Listening::Open(_)), "{listening:?}");
}

#[tokio::test]
async fn files_are_read_when_they_are_checked() {
    let folder = Folder::new();
    let config = Config::load(folder.write("bartizan.toml", WHOLE)).unwrap();
    config.check_files().unwrap();
    folder.write("keys.json", "{}");
    folder.write("orders-key.pem", "no key");
    let error = config.check_files().unwrap_err().to_string();
    assert!(error.contains("tokens.issuer.key_file"), "{error}");
    assert!(error.contains("line 6, column 1: listener: "), "{error}");
    assert!(!folder.path().join("audit").exists());
}

#[tokio::test]
async fn fields_are_sealed_on_the_way_in_and_masked_on_the_way_out() {
    use bartizan::encrypt::{KeyFile, LocalKek};

    let folder = Folder::new();
    write_kek(&folder);
    let local = LocalKek::from_file(&folder.path().join("kek")).unwrap();
    drop(KeyFile::create(&folder.path().join("keyset.json"), local).unwrap());
    let text = "[rules]\ninsecure_allow_everything = true\n[encryption]\napplication = 'clinic'\n\
                collection = 'patient'\nkey_file = 'keyset.json'\nkek_file = 'kek'\n\
                tenant = 'north'\nfield = [{ path = '/ssn', otherwise = 'mask_last4' }]";
    let file = folder.write("bartizan.toml", text);
    let config = Config::load(file).unwrap();
    config.check_files().unwrap();
    let configured = config.build().await.unwrap();
    assert!(configured.keyring().is_some());
    let (stored, said) = store(&configured, r#"{"ssn":"123-45-6789"}"#).await;
    let stored = stored.unwrap();
    assert!(!stored.contains("6789"), "{stored}");
    assert_eq!(said, (200, r#"{"ssn":"****6789"}"#.to_owned()));
}

/// Sends one request over TLS, as the workload `web`, and gives everything that is answered.
pub(crate) async fn say(folder: &Folder, address: SocketAddr, request: &str) -> String {
    use bartizan::mtls::{AllowedPeers, MaterialFiles, MtlsConnector};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio_rustls::TlsConnector;

    let path = |name: &str| folder.path().join(name);
    let material = MaterialFiles::new(path("web.pem"), path("web-key.pem"));
    let material = material.with_bundle("example.org".parse().unwrap(), path("ca.pem"));
    let orders = AllowedPeers::id("spiffe://example.org/orders".parse().unwrap());
    let connector = MtlsConnector::builder(material.load().unwrap().published(), orders);
    let mut config = connector.build_client_config().unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = TcpStream::connect(address).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let connector = TlsConnector::from(std::sync::Arc::new(config));
    let mut stream = connector.connect(name, stream).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_router_is_served_over_mutual_tls_and_recorded() {
    use bartizan::audit::{Verdict, Verifier};

    let folder = Folder::new();
    let configured = built(&folder, WHOLE).await;
    let hello = async || "hello alice";
    let app = axum::Router::new().route("/echo", axum::routing::post(hello));
    let app = app.layer(configured.layer());

    let listening = configured.listen().await.unwrap();
    let address = listening.local_addr();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = configured.clone();
    let server = tokio::spawn(async move {
        let stopped = async move { drop(stopped.await) };
        serving.serve_on(listening, app, stopped).await
    });
    let token = folder
        .mint
        .token()
        .audience("orders")
        .scope("echo")
        .sign()
        .unwrap();
    let head = "POST /echo HTTP/1.1\r\nhost: orders\r\nconnection: close\r\ncontent-length: 0\r\n";
    let request = format!("{head}authorization: Bearer {token}\r\n\r\n");
    let answer = say(&folder, address, &request).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("hello "), "{answer}");
    let answer = say(&folder, address, &format!("{head}\r\n")).await;
    assert!(
        answer.starts_with("HTTP/1.1 401 ") && answer.contains("jwt.missing"),
        "{answer}"
    );

    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
    let verified = Verifier::new().run(&folder.path().join("audit")).unwrap();
    assert_eq!(verified.verdict(), Verdict::Intact);
}
