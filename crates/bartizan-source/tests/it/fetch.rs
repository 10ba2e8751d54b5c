//! Fetching from real servers on loopback.

use std::error::Error;
use std::time::Duration;

use bartizan_source::{
    ConfigError, FetchError, FetchErrorKind, FetchRequest, Fetched, HttpsFetcher,
    HttpsFetcherBuilder, Roots, SecretBytes,
};
use http::{HeaderName, HeaderValue};
use tokio::time::Instant;

use crate::tls_server::{Authority, Server, Step, send};

const OK: &str = "HTTP/1.1 200 OK\r\n";

fn ok(body: &str) -> Step {
    send(format!("{OK}content-length: {}\r\n\r\n{body}", body.len()))
}

fn fetcher(authority: &Authority) -> HttpsFetcher {
    HttpsFetcher::builder()
        .with_roots(authority.roots())
        .build()
        .expect("sound settings")
}

/// Fetches from a TLS server that does these steps, with default limits.
async fn fetch_from(steps: Vec<Step>) -> Result<Fetched, FetchError> {
    fetch_with(HttpsFetcher::builder(), steps).await
}

async fn fetch_with(builder: HttpsFetcherBuilder, steps: Vec<Step>) -> Result<Fetched, FetchError> {
    let authority = Authority::new();
    let server = Server::tls(&authority, steps).await;
    let fetcher = builder
        .with_roots(authority.roots())
        .build()
        .expect("sound settings");
    fetcher.get(&server.url("/")).await
}

fn kind(result: Result<Fetched, FetchError>) -> FetchErrorKind {
    result.expect_err("refused").kind()
}

#[tokio::test]
async fn fetches_over_tls() {
    let authority = Authority::new();
    let head = format!("{OK}content-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}");
    let server = Server::tls(&authority, vec![send(head)]).await;
    let request = server.url("/keys?x=1#part");
    let request =
        FetchRequest::get(&request).with_accept(HeaderValue::from_static("application/json"));
    let fetched = fetcher(&authority).fetch(request).await.expect("good");
    assert_eq!(&fetched.body()[..], b"{}");
    assert_eq!(fetched.headers()["content-type"], "application/json");

    let request = server.requests().pop().expect("one request");
    let mut lines = request.lines();
    assert_eq!(lines.next(), Some("GET /keys?x=1 HTTP/1.1"));
    let mut headers: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    headers.sort_unstable();
    let host = format!("host: 127.0.0.1:{}", server.port());
    let agent = format!("user-agent: bartizan/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        headers,
        [
            "accept: application/json",
            "connection: close",
            &host,
            &agent
        ]
    );
}

#[tokio::test]
async fn posts_a_form() {
    let authority = Authority::new();
    let server = Server::tls(&authority, vec![ok("{}")]).await;
    let url = server.url("/introspect");
    let request = FetchRequest::post_form(&url, &[("token", "a b&c"), ("hint", "x")])
        .with_authorization(HeaderValue::from_static("Basic Zm9v"));
    fetcher(&authority).fetch(request).await.expect("good");
    let request = server.requests().pop().expect("one request");
    assert!(
        request.starts_with("POST /introspect HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("\r\ncontent-type: application/x-www-form-urlencoded\r\n"));
    assert!(
        request.contains("\r\nauthorization: Basic Zm9v\r\n"),
        "{request}"
    );
    assert!(
        request.ends_with("\r\n\r\ntoken=a+b%26c&hint=x"),
        "{request}"
    );
}

#[tokio::test]
async fn posts_what_it_is_given_and_takes_any_status_but_a_redirect_if_asked_to() {
    let authority = Authority::new();
    let refusal = "HTTP/1.1 400 Bad Request\r\ncontent-length: 6\r\n\r\nreason";
    let elsewhere = "HTTP/1.1 307 X\r\nlocation: /\r\ncontent-length: 0\r\n\r\n";
    let post = async |answer: &str| {
        let server = Server::tls(&authority, vec![send(answer)]).await;
        let url = server.url("/v1");
        let json = HeaderValue::from_static("application/json");
        let request = FetchRequest::post(&url, json, SecretBytes::new(b"{}".to_vec()))
            .with_header(HeaderName::from_static("x-key"), "a".parse().expect("text"))
            .with_header(HeaderName::from_static("x-key"), "b".parse().expect("text"))
            .allow_any_status();
        let fetched = fetcher(&authority).fetch(request).await;
        (fetched, server.requests().pop().expect("one request"))
    };
    let (fetched, request) = post(refusal).await;
    let fetched = fetched.expect("an answer");
    assert_eq!(
        (fetched.status().as_u16(), &fetched.body()[..]),
        (400, &b"reason"[..])
    );
    assert!(request.starts_with("POST /v1 HTTP/1.1\r\n"), "{request}");
    assert!(
        request.contains("\r\ncontent-type: application/json\r\n"),
        "{request}"
    );
    assert!(request.contains("\r\nx-key: b\r\n") && !request.contains("x-key: a"));
    assert!(request.ends_with("\r\n\r\n{}"), "{request}");
    let (refused, _) = post(elsewhere).await;
    assert_eq!(kind(refused), FetchErrorKind::Redirect);
}

#[tokio::test]
async fn refuses_redirects_and_does_not_follow_them() {
    let authority = Authority::new();
    let elsewhere = Server::tls(&authority, vec![ok("elsewhere")]).await;
    for status in [300, 301, 302, 303, 304, 307, 308] {
        let location = elsewhere.url("/");
        let answer = format!("HTTP/1.1 {status} X\r\nlocation: {location}\r\n\r\n");
        let server = Server::tls(&authority, vec![send(answer)]).await;
        let error = fetcher(&authority)
            .get(&server.url("/"))
            .await
            .expect_err("refused");
        assert_eq!(error.kind(), FetchErrorKind::Redirect);
        assert_eq!(error.status().map(|status| status.as_u16()), Some(status));
    }
    assert_eq!(elsewhere.requests(), [""; 0]);
}

#[tokio::test]
async fn tells_any_other_status_and_when_to_come_back() {
    async fn check(head: &str, expected: (u16, Option<u64>)) {
        let answer = format!("HTTP/1.1 {head}\r\ncontent-length: 6\r\n\r\nsecret");
        let error = fetch_from(vec![send(answer)]).await.expect_err("refused");
        assert_eq!(error.kind(), FetchErrorKind::Status);
        let found = error.status().map(|status| status.as_u16());
        assert_eq!(
            (found, error.retry_after().map(|r| r.as_secs())),
            (Some(expected.0), expected.1)
        );
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
    check("500 Oh", (500, None)).await;
    check("503 Busy\r\nretry-after: 120", (503, Some(120))).await;
    check(
        "429 Slow\r\nretry-after: Wed, 21 Oct 2015 07:28:00 GMT",
        (429, None),
    )
    .await;
    check("404 No\r\nretry-after: -1", (404, None)).await;
    check("201 Created", (201, None)).await;
    check("206 Part", (206, None)).await;
}

#[tokio::test]
async fn a_body_may_fill_its_limit_and_not_exceed_it() {
    async fn check(size: usize, expected: Option<FetchErrorKind>) {
        let body = "x".repeat(size);
        let announced = vec![ok(&body)];
        let chunked = vec![send(format!(
            "{OK}transfer-encoding: chunked\r\n\r\n1\r\nx\r\n{:x}\r\n{}\r\n0\r\n\r\n",
            size - 1,
            "x".repeat(size - 1)
        ))];
        let to_the_end = vec![send(format!("{OK}\r\n{body}"))];
        for steps in [announced, chunked, to_the_end] {
            let builder = HttpsFetcher::builder().with_body_limit(1000);
            match fetch_with(builder, steps).await {
                Ok(fetched) => assert_eq!((fetched.body().len(), expected), (size, None)),
                Err(error) => assert_eq!(Some(error.kind()), expected, "{error:?}"),
            }
        }
    }
    check(999, None).await;
    check(1000, None).await;
    check(1001, Some(FetchErrorKind::TooLarge)).await;
}

#[tokio::test(start_paused = true)]
async fn refuses_a_body_that_is_announced_too_large_before_it_comes() {
    let start = Instant::now();
    let head = format!("{OK}content-length: {}\r\n\r\n", 512 * 1024 + 1);
    assert_eq!(
        kind(fetch_from(vec![send(head), Step::Hang]).await),
        FetchErrorKind::TooLarge
    );
    assert_eq!(start.elapsed(), Duration::ZERO, "nothing was waited for");
    let head = format!("{OK}content-length: {}\r\n\r\n", u64::MAX - 2);
    assert_eq!(
        kind(fetch_from(vec![send(head), Step::Hang]).await),
        FetchErrorKind::TooLarge
    );
}

#[tokio::test]
async fn refuses_an_endless_body() {
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000)).into_bytes();
    let chunked = send(format!("{OK}transfer-encoding: chunked\r\n\r\n"));
    let steps = vec![chunked, Step::Repeat(chunk)];
    assert_eq!(kind(fetch_from(steps).await), FetchErrorKind::TooLarge);
    let steps = vec![send(format!("{OK}\r\n")), Step::Repeat(vec![b'x'; 4096])];
    assert_eq!(kind(fetch_from(steps).await), FetchErrorKind::TooLarge);
}

#[tokio::test(start_paused = true)]
async fn a_slow_drip_ends_at_the_deadline() {
    let wait = Duration::from_millis(300);
    let head = format!("{OK}content-length: 1000\r\n\r\n");
    let dripping_head = vec![Step::Drip(head.repeat(9).into_bytes(), wait)];
    let dripping_body = vec![send(head), Step::Drip(vec![b'x'; 1000], wait)];
    let silent = vec![Step::Hang];
    for steps in [dripping_head, dripping_body, silent] {
        let start = Instant::now();
        assert_eq!(kind(fetch_from(steps).await), FetchErrorKind::Deadline);
        let elapsed = start.elapsed();
        let five = Duration::from_secs(5);
        assert!(elapsed >= five && elapsed < five + wait, "{elapsed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_shakes_hands_ends_at_the_connect_timeout() {
    // The kernel accepts the connection; nobody ever answers.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let url = format!("https://{}/", listener.local_addr().expect("bound"));
    let start = Instant::now();
    assert_eq!(
        kind(fetcher(&Authority::new()).get(&url).await),
        FetchErrorKind::Connect
    );
    let two = Duration::from_secs(2);
    assert!((two..two + Duration::from_millis(10)).contains(&start.elapsed()));
}

#[tokio::test]
async fn refuses_a_head_beyond_its_limits() {
    let long = format!(
        "{OK}x: {}\r\ncontent-length: 0\r\n\r\n",
        "x".repeat(64 * 1024)
    );
    assert_eq!(
        kind(fetch_from(vec![send(long)]).await),
        FetchErrorKind::Protocol
    );
    let many = format!("{OK}{}content-length: 0\r\n\r\n", "x: y\r\n".repeat(64));
    assert_eq!(
        kind(fetch_from(vec![send(many)]).await),
        FetchErrorKind::Protocol
    );
    let endless = vec![send(OK), Step::Repeat(b"x: y\r\n".to_vec())];
    assert_eq!(kind(fetch_from(endless).await), FetchErrorKind::Protocol);
    let fine = format!("{OK}{}content-length: 0\r\n\r\n", "x: y\r\n".repeat(63));
    fetch_from(vec![send(fine)]).await.expect("within limits");
}

#[tokio::test]
async fn interim_answers_without_end_do_not_outlast_the_deadline() {
    let builder = HttpsFetcher::builder().with_deadline(Duration::from_millis(300));
    let interim = Step::Repeat(b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec());
    assert_eq!(
        kind(fetch_with(builder, vec![interim]).await),
        FetchErrorKind::Deadline
    );
}

#[tokio::test]
async fn refuses_what_breaks_off_or_is_not_http() {
    let head = format!("{OK}content-length: 10\r\n\r\n");
    let chunked = format!("{OK}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
    let no_length = format!("{OK}\r\nhello");
    for steps in [
        vec![send(head.clone() + "hello")],
        vec![send(head + "hello"), Step::Abort],
        vec![send(chunked)],
        // Without `close_notify` nobody can tell the end from a cut.
        vec![send(no_length.clone()), Step::Abort],
        vec![send("SSH-2.0-OpenSSH_9.2\r\n")],
        vec![send("HTTP/1.1 200")],
        vec![],
    ] {
        let told = format!("{steps:?}");
        assert_eq!(
            kind(fetch_from(steps).await),
            FetchErrorKind::Protocol,
            "{told}"
        );
    }
    let whole = fetch_from(vec![send(no_length)])
        .await
        .expect("properly closed");
    assert_eq!(&whole.into_body()[..], b"hello");
}

#[tokio::test]
async fn refuses_compressed_bodies() {
    async fn check(encoding: &str, accepted: bool) {
        let answer = format!("{OK}content-encoding: {encoding}\r\ncontent-length: 1\r\n\r\nx");
        match fetch_from(vec![send(answer)]).await {
            Ok(_) => assert!(accepted, "{encoding}"),
            Err(error) => {
                assert_eq!((error.kind(), accepted), (FetchErrorKind::Encoding, false));
            }
        }
    }
    check("identity", true).await;
    check("Identity", true).await;
    check("gzip", false).await;
    check("identity, br", false).await;
    check("identity\r\ncontent-encoding: gzip", false).await;
}

#[tokio::test]
async fn refuses_an_unknown_root_and_a_wrong_name() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = Server::tls(&authority, vec![ok("")]).await;
    let url = server.url("/");
    assert_eq!(kind(fetcher(&other).get(&url).await), FetchErrorKind::Tls);
    let public = HttpsFetcher::builder().build().expect("sound settings");
    let error = public.get(&url).await.expect_err("unknown root");
    assert_eq!(error.kind(), FetchErrorKind::Tls);
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    assert!(cause.contains("UnknownIssuer"), "{cause}");
    // The certificate is for 127.0.0.1.
    let by_name = format!("https://localhost:{}/", server.port());
    assert_eq!(
        kind(fetcher(&authority).get(&by_name).await),
        FetchErrorKind::Tls
    );
    assert_eq!(server.requests(), [""; 0]);
    fetcher(&authority)
        .get(&url)
        .await
        .expect("control: root and name are right");
}

#[tokio::test]
async fn own_roots_can_be_given_as_pem() {
    let authority = Authority::new();
    let server = Server::tls(&authority, vec![ok("")]).await;
    let roots = Roots::from_pem(authority.pem().as_bytes()).expect("a root");
    let fetcher = HttpsFetcher::builder()
        .with_roots(roots)
        .build()
        .expect("sound settings");
    fetcher.get(&server.url("/")).await.expect("good");
    assert!(matches!(
        Roots::from_pem(b"nothing"),
        Err(ConfigError::NoRoots)
    ));
    let broken = authority.pem().replacen("MII", "AAA", 1);
    assert!(matches!(
        Roots::from_pem(broken.as_bytes()),
        Err(ConfigError::Certificate(_))
    ));
    assert!(matches!(
        Roots::from_der([vec![0]]),
        Err(ConfigError::Certificate(_))
    ));
}

#[tokio::test]
async fn presents_a_client_certificate_from_a_ready_configuration() {
    let authority = Authority::new();
    let config = authority.server_config(rustls::DEFAULT_VERSIONS, true);
    let server = Server::with_config(config, vec![ok("welcome")]).await;
    let url = server.url("/");
    assert_eq!(
        kind(fetcher(&authority).get(&url).await),
        FetchErrorKind::Tls
    );
    let config = authority.client_config(&authority.issue("client.example"));
    let fetcher = HttpsFetcher::builder()
        .with_tls_config(config)
        .build()
        .expect("sound settings");
    assert_eq!(
        &fetcher.get(&url).await.expect("known client").body()[..],
        b"welcome"
    );
}

#[tokio::test]
async fn offers_http_1_alone_whatever_the_given_configuration_says() {
    let authority = Authority::new();
    for (spoken, expected) in [("h2", Some(FetchErrorKind::Tls)), ("http/1.1", None)] {
        let mut config = authority.server_config(rustls::DEFAULT_VERSIONS, false);
        config.alpn_protocols = vec![spoken.as_bytes().to_vec()];
        let server = Server::with_config(config, vec![ok("")]).await;
        let mut config = authority.client_config(&authority.issue("client.example"));
        config.alpn_protocols = vec![b"h2".to_vec()];
        let fetcher = HttpsFetcher::builder()
            .with_tls_config(config)
            .build()
            .expect("sound");
        let fetched = fetcher.get(&server.url("/")).await;
        assert_eq!(
            fetched.err().map(|error| error.kind()),
            expected,
            "{spoken}"
        );
    }
}

#[tokio::test]
async fn speaks_both_versions_of_tls() {
    let authority = Authority::new();
    for version in rustls::ALL_VERSIONS {
        let config = authority.server_config(&[version], false);
        let server = Server::with_config(config, vec![ok("")]).await;
        fetcher(&authority)
            .get(&server.url("/"))
            .await
            .expect("good");
    }
    assert_eq!(rustls::ALL_VERSIONS.len(), 2);
}

#[tokio::test]
async fn plaintext_is_for_loopback_and_only_where_permitted() {
    let server = Server::plain(vec![ok("plain")]).await;
    let url = server.url("/");
    let strict = HttpsFetcher::builder().build().expect("sound settings");
    assert_eq!(kind(strict.get(&url).await), FetchErrorKind::Scheme);
    assert!(strict.check_url(&url).is_err());
    assert_eq!(server.requests(), [""; 0]);

    let lenient = HttpsFetcher::builder()
        .allow_plaintext_loopback()
        .build()
        .expect("sound");
    lenient.check_url(&url).expect("loopback");
    assert_eq!(
        &lenient.get(&url).await.expect("permitted").body()[..],
        b"plain"
    );
    let by_name = format!("http://localhost:{}/", server.port());
    assert_eq!(
        &lenient.get(&by_name).await.expect("permitted").body()[..],
        b"plain"
    );
    assert_eq!(
        kind(lenient.get("http://issuer.example/").await),
        FetchErrorKind::Scheme
    );
}

#[tokio::test]
async fn tells_when_nobody_listens() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let url = format!(
        "https://{}/keys?secret",
        listener.local_addr().expect("bound")
    );
    drop(listener);
    let error = fetcher(&Authority::new())
        .get(&url)
        .await
        .expect_err("refused");
    assert_eq!(error.kind(), FetchErrorKind::Connect);
    assert!(
        !format!("{error} {error:?}").contains("secret"),
        "{error:?}"
    );
}

#[tokio::test]
async fn tells_when_a_name_cannot_be_resolved() {
    // RFC 1035 section 2.3.4: labels are 63 octets or less; no name server has to be asked.
    let url = format!("https://{}.invalid/", "x".repeat(64));
    assert_eq!(
        kind(fetcher(&Authority::new()).get(&url).await),
        FetchErrorKind::Resolve
    );
}

#[tokio::test]
async fn dropping_a_fetch_ends_its_connection() {
    let authority = Authority::new();
    let server = Server::tls(&authority, vec![Step::Hang]).await;
    let url = server.url("/");
    let client = fetcher(&authority);
    let fetching = tokio::spawn(async move { client.get(&url).await });
    while server.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    fetching.abort();
    server.client_gone().await;
}

#[test]
fn refuses_settings_that_cannot_work() {
    fn check<T: std::fmt::Debug>(built: Result<T, ConfigError>, expected: &str) {
        let error = built.expect_err("refused").to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let builder = HttpsFetcher::builder;
    let zero = Duration::ZERO;
    check(
        builder().with_deadline(zero).build(),
        "deadline cannot be 0ns",
    );
    check(
        builder().with_connect_timeout(zero).build(),
        "connect timeout cannot be 0ns",
    );
    check(
        builder().with_body_limit(0).build(),
        "body_limit cannot be zero",
    );
    let none: [Vec<u8>; 0] = [];
    check(Roots::from_der(none), "no root certificate given");
    check(
        Roots::from_der([b"none".to_vec()]),
        "certificate refused: root number 1: ",
    );
    check(
        Roots::from_pem(b"-----BEGIN CERTIFICATE-----\n?"),
        "certificate refused: ",
    );
    fn is_shareable<T: Clone + Send + Sync + 'static>() {}
    is_shareable::<HttpsFetcher>();
}

#[tokio::test]
async fn what_is_secret_in_a_request_is_in_no_error_and_no_log() {
    let authority = Authority::new();
    let answer = "HTTP/1.1 500 hunter2\r\nx-note: hunter2\r\ncontent-length: 7\r\n\r\nhunter2";
    let server = Server::tls(&authority, vec![send(answer)]).await;
    let url = server.url("/hunter2?key=hunter2#hunter2");
    let json = HeaderValue::from_static("application/json");
    let request = FetchRequest::post(&url, json, SecretBytes::new(b"hunter2".to_vec()))
        .with_authorization(HeaderValue::from_static("Bearer hunter2"));
    let client = fetcher(&authority);
    let error = client.fetch(request).await.expect_err("500");
    let printed = format!("{client:?} {error} {error:?}");
    assert!(printed.contains("status 500"), "{printed}");
    assert!(!printed.contains("hunter2"), "{printed}");

    let printed = format!(
        "{:?}",
        HttpsFetcher::builder().with_roots(authority.roots())
    );
    assert!(printed.contains("Roots(1)"), "{printed}");
}
