//! Metrics for Prometheus, from the file.

use std::net::SocketAddr;

use bartizan::config::Config;
use bartizan_testkit::Host;
use http::Method;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tower::ServiceExt as _;

use crate::sample::{Folder, WHOLE};
use crate::service::{WEB, built, call};

async fn ask(address: SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn prometheus_reads_what_passed_and_what_was_refused() {
    let folder = Folder::new();
    let telemetry = format!(
        "[telemetry.prometheus]\npath = '/metrics'\naddress = '127.0.0.1:0'\npeers = ['{WEB}']\n"
    );
    let configured = built(&folder, &format!("{WHOLE}{telemetry}")).await;
    let token = folder.mint.token().audience("orders").scope("echo");
    let token = token.sign().unwrap();
    for (address, token, expected) in [
        ("192.0.2.1", Some(&token), None),
        ("192.0.2.2", None, Some("jwt.missing")),
        ("192.0.2.3", None, Some("jwt.missing")),
    ] {
        let call = call(address, Some(WEB), token.map(String::as_str));
        let answer = Host::Hyper.send(&configured.layer(), &call).await.unwrap();
        assert_eq!(answer.code().as_deref(), expected);
    }
    let address = configured.metrics_address().unwrap();
    let text = ask(address, "GET /metrics").await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(
        text.contains("content-type: text/plain; version=0.0.4"),
        "{text}"
    );
    for line in [
        "bartizan_decisions_total{layer=\"jwt\",outcome=\"denied\",mode=\"enforce\",\
         code=\"jwt.missing\",protocol=\"http\",route=\"/echo\"} 2",
        "bartizan_decisions_total{layer=\"authz\",outcome=\"allowed\",mode=\"enforce\",\
         code=\"none\",protocol=\"http\",route=\"/echo\"} 1",
        "bartizan_request_duration_seconds_count{protocol=\"http\",method=\"POST\",\
         route=\"/echo\",status=\"401\"} 2",
        "bartizan_request_duration_seconds_count{protocol=\"http\",method=\"POST\",\
         route=\"/echo\",status=\"200\"} 1",
        "bartizan_peer_decisions_total{peer=\"spiffe://example.org/web\",layer=\"jwt\",\
         outcome=\"denied\"} 2",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }
    assert!(
        !text.contains("192.0.2.") && !text.contains(&token),
        "{text}"
    );
    for (head, status) in [
        ("GET /", "404"),
        ("GET /metrics/", "404"),
        ("POST /metrics", "405"),
        ("HEAD /metrics?x=1", "200"),
    ] {
        let answer = ask(address, head).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{head} {answer}"
        );
    }
}

#[tokio::test]
async fn the_path_is_guarded_like_any_other_unless_it_is_exempt() {
    let folder = Folder::new();
    let telemetry = "[telemetry.prometheus]\npath = '/metrics'\n";
    let guarded = built(&folder, &format!("{WHOLE}{telemetry}")).await;
    let exempt = WHOLE.replace(
        "paths = [\"/healthz\"]",
        "paths = [\"/healthz\", \"/metrics\"]",
    );
    let folder = Folder::new();
    let exempt = built(&folder, &format!("{exempt}{telemetry}")).await;
    for (configured, method, path, expected) in [
        (&guarded, Method::GET, "/metrics", Err("jwt.missing")),
        (&exempt, Method::GET, "/metrics", Ok(200)),
        (&exempt, Method::GET, "/metrics/", Err("ratelimit.no_key")),
        (
            &exempt,
            Method::GET,
            "/%6detrics",
            Err("route.ambiguous_path"),
        ),
        (&exempt, Method::POST, "/metrics", Err("jwt.missing")),
    ] {
        let call = call("192.0.2.9", Some(WEB), None).with_http_method(method.clone());
        let call = call.with_http_path(path);
        let answer = Host::Hyper.send(&configured.layer(), &call).await.unwrap();
        match expected {
            Ok(status) => {
                assert_eq!(answer.http_status.as_u16(), status);
                assert!(answer.text().contains("bartizan_"), "{}", answer.text());
            }
            Err(code) => assert_eq!(answer.code().as_deref(), Some(code), "{method} {path}"),
        }
    }
    assert_eq!(guarded.metrics_address(), None);
}

#[tokio::test]
async fn limits_by_template_know_the_path_though_nobody_lists_it() {
    let folder = Folder::new();
    let text = |routes: &str| {
        format!(
            "[entrance]\nroutes = [{routes}]\n[rules]\ninsecure_allow_everything = true\n\
             [peers]\nallow = ['{WEB}']\n[peer_limit]\nby = 'peer + template'\n\
             policy = [{{ name = 'few', rate = '2/h' }}]\n\
             [telemetry.prometheus]\npath = '/metrics'\n"
        )
    };
    for routes in ["'/echo'", "'/echo', '/metrics'", "'/echo', '/{name}'"] {
        let configured = built(&folder, &text(routes)).await;
        let ask = async |path: &str| {
            let call = call("192.0.2.9", Some(WEB), None).with_http_method(Method::GET);
            let call = call.with_http_path(path);
            let answer = Host::Hyper.send(&configured.layer(), &call).await.unwrap();
            (answer.http_status.as_u16(), answer.code())
        };
        for _ in 0..2 {
            assert_eq!(ask("/metrics").await, (200, None), "{routes}");
        }
        // It is counted like any other, and by itself.
        let exceeded = Some("ratelimit.exceeded".to_owned());
        assert_eq!(ask("/metrics").await, (429, exceeded), "{routes}");
        assert_eq!(ask("/echo").await.0, 200, "{routes}");
        let nowhere = ask("/nowhere/else").await;
        assert_eq!(nowhere, (403, Some("ratelimit.no_key".to_owned())));
    }
}

#[tokio::test]
async fn an_address_of_its_own_takes_no_path_from_the_service() {
    let folder = Folder::new();
    for (path, is_ours) in [("", false), ("path = '/metrics'\n", true)] {
        let text = format!(
            "[rules]\ninsecure_allow_everything = true\n\
             [telemetry.prometheus]\naddress = '127.0.0.1:0'\n{path}"
        );
        let configured = built(&folder, &text).await;
        let metrics = async || "metrics of the service's own";
        let app = axum::Router::new().route("/metrics", axum::routing::get(metrics));
        let request = http::Request::get("/metrics").body(axum::body::Body::empty());
        let answer = app
            .layer(configured.layer())
            .oneshot(request.unwrap())
            .await;
        let body = answer
            .unwrap()
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes();
        assert_eq!(body.starts_with(b"metrics of"), !is_ours, "{body:?}");
        let address = configured.metrics_address().unwrap();
        assert!(ask(address, "GET /metrics").await.contains("bartizan_"));
    }
}

#[tokio::test]
async fn strangers_do_not_read_metrics_by_accident() {
    for (text, expected) in [
        ("", "takes `path`, `address` or both"),
        ("address = '0.0.0.0:9464'", "takes `insecure_plaintext`"),
        ("path = '/metrics/{x}'", "is no path in its one spelling"),
    ] {
        let text = format!("[telemetry.prometheus]\n{text}");
        let error = Config::from_toml(&text, "").unwrap_err().to_string();
        assert!(
            error.starts_with("line 1, ") && error.contains(expected),
            "{error}"
        );
    }
    let text = "[telemetry.prometheus]\naddress = '0.0.0.0:9464'\ninsecure_plaintext = true";
    let warnings = Config::from_toml(text, "")
        .unwrap()
        .effective()
        .warnings()
        .join("\n");
    let expected = "telemetry.prometheus.insecure_plaintext is true (line 3)";
    assert!(warnings.contains(expected), "{warnings}");
    // An address that somebody else has is told at its line.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let text = format!("[telemetry.prometheus]\naddress = '{address}'");
    let error = Config::from_toml(&text, "")
        .unwrap()
        .build()
        .await
        .unwrap_err();
    assert_eq!(error.problems()[0].path(), "telemetry.prometheus.address");
    assert_eq!(error.problems()[0].line(), Some(1));
}
