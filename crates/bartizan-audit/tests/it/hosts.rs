//! One pair of layers in front of every host: what is recorded is the same.

use bartizan_audit::{AuditConfig, AuditLayer, AuditTapLayer, Ending, Ledger, Rule};
use bartizan_core::{Connection, Entrance, Protocol, RouteTable};
use bartizan_testkit::{Call, Host, HostLayer};
use http::header::{CONTENT_TYPE, HeaderName};
use tower::layer::util::Stack;

use crate::support::{Folder, end, with_requests};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The audit layer outside of the tap, as a service has them.
pub(crate) fn layers(ledger: &Ledger) -> Stack<AuditTapLayer, AuditLayer> {
    let rule = Rule::request_response()
        .add_request_header("x-note")
        .add_response_header("content-type")
        .add_request_field("/note")
        .add_response_field("/method");
    let config = AuditConfig::builder(ledger.clone()).add_rule(rule);
    let routes = [
        "/echo",
        "/stream/{count}",
        "/nested/echo",
        "/nested/stream/{count}",
    ];
    let entrance = Entrance::new().with_routes(RouteTable::new(routes).unwrap());
    let audit = AuditLayer::new(config.build().unwrap()).with_entrance(entrance);
    Stack::new(AuditTapLayer::new(), audit)
}

fn hosts() -> impl Iterator<Item = Host> {
    Host::WITHOUT_SOCKETS.into_iter().chain(Host::WITH_SOCKETS)
}

fn template(host: Host, path: &str, method: &str) -> String {
    match host {
        Host::AxumNest => format!("/nested{path}"),
        _ if host.is_grpc() => format!("/bartizan.testkit.Echo/{method}"),
        _ => path.to_owned(),
    }
}

#[test]
fn the_layers_fit_every_host() {
    fn check<L: HostLayer>() {}
    check::<AuditLayer>();
    check::<Stack<AuditTapLayer, AuditLayer>>();
}

#[tokio::test]
async fn every_host_gives_the_same_record() {
    for host in hosts() {
        let folder = Folder::new();
        let ledger = folder.ledger();
        let call = Call::echo(r#"{"note":"hi"}"#)
            .add_header(CONTENT_TYPE, "application/json".parse().unwrap())
            .add_header(
                HeaderName::from_static("traceparent"),
                TRACE.parse().unwrap(),
            )
            .add_header(HeaderName::from_static("x-note"), "seen".parse().unwrap())
            .with_connection(Connection::from_remote("192.0.2.7:4000".parse().unwrap()));
        let answer = host.send(&layers(&ledger), &call).await.unwrap();
        assert!(answer.is_success(), "{answer:?}");
        let report = end(&ledger, &folder).await;
        assert_eq!(
            (report.totals.durable, report.totals.lost),
            (1, 0),
            "{host:?}"
        );
        with_requests(&folder, |requests| {
            let [request] = requests else {
                panic!("{host:?}: one request: {requests:?}");
            };
            assert_eq!(request.method, "POST", "{host:?}");
            assert_eq!(
                request.template,
                Some(&*template(host, "/echo", "Unary")),
                "{host:?}"
            );
            assert_eq!(
                (request.status, request.ending),
                (Some(200), Ending::Complete),
                "{host:?}"
            );
            assert_eq!(
                request.network,
                Some("192.0.2.7/32".parse().unwrap()),
                "{host:?}"
            );
            assert_eq!(request.trace.unwrap().trace_id[0], 0x0a, "{host:?}");
            assert_eq!(request.request_headers, [("x-note", "seen")], "{host:?}");
            let body = answer.body.len() as u64;
            if host.is_grpc() {
                assert_eq!(request.protocol, Protocol::Grpc);
                assert_eq!(request.grpc_status, Some(0), "{host:?}");
                assert_eq!(request.response_bytes, body + 5, "{host:?}");
                assert_eq!(
                    request.response_headers,
                    [("content-type", "application/grpc")]
                );
                assert_eq!(
                    (request.request_fields.len(), request.response_fields.len()),
                    (0, 0)
                );
            } else {
                assert_eq!(request.protocol, Protocol::Http);
                assert_eq!(request.grpc_status, None);
                assert_eq!(request.response_bytes, body, "{host:?}");
                assert_eq!(
                    request.response_headers,
                    [("content-type", "application/json")]
                );
                assert_eq!(request.request_fields, [("/note", "\"hi\"")], "{host:?}");
                assert_eq!(
                    request.response_fields,
                    [("/method", "\"POST\"")],
                    "{host:?}"
                );
            }
        });
    }
}

#[tokio::test]
async fn a_stream_is_recorded_at_its_end_on_every_host() {
    for host in hosts() {
        let folder = Folder::new();
        let ledger = folder.ledger();
        let answer = host.send(&layers(&ledger), &Call::stream(3)).await.unwrap();
        assert!(answer.is_success(), "{answer:?}");
        end(&ledger, &folder).await;
        with_requests(&folder, |requests| {
            let [request] = requests else {
                panic!("{host:?}: one request: {requests:?}");
            };
            assert_eq!(request.ending, Ending::Complete, "{host:?}");
            let template = template(host, "/stream/{count}", "Stream");
            assert_eq!(request.template, Some(&*template), "{host:?}");
            let (bytes, status) = match host.is_grpc() {
                true => (3 * (5 + 1), Some(0)),
                false => (3 * 2, None),
            };
            assert_eq!(
                (request.response_bytes, request.grpc_status),
                (bytes, status),
                "{host:?}"
            );
        });
    }
}
