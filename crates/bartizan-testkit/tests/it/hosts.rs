//! The harness: one guard, every host, the same answer.

use std::task::{Context, Poll};
use std::time::Duration;

use bartizan_core::{
    Challenge, Check, Code, Connection, Duty, Guard, GuardLayer, Inspection, Never, Pass, Peer,
    PeerIdentity, Rejection, RejectionKind, VerifiedCertificate, WallTime,
};
use bartizan_testkit::{Answer, Call, Host, HostLayer};
use http::{HeaderName, HeaderValue, StatusCode, response};

const REFUSED: Code = Code::new("test.refused");

/// Passes requests with a bearer token `good`, and refuses any other.
#[derive(Clone, Debug)]
struct Gate(Duty);

impl Guard for Gate {
    type Pass = Stamp;
    type Inquiry = Never;

    fn duty(&self) -> Option<&Duty> {
        Some(&self.0)
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Check<Stamp, Never> {
        let credential = inspection.parts.headers.get("authorization");
        Check::Now(
            match credential.is_some_and(|value| value == "Bearer good") {
                true => Ok(Stamp),
                false => Err(Rejection::new(RejectionKind::Unauthenticated, REFUSED)
                    .with_detail("50% sure: no")
                    .with_challenge(Challenge::new("Bearer"))
                    .with_retry_after(Duration::from_secs(7))),
            },
        )
    }
}

struct Stamp;

impl Pass for Stamp {
    fn respond(&mut self, response: &mut response::Parts) {
        let name = HeaderName::from_static("x-gate");
        response
            .headers
            .insert(name, HeaderValue::from_static("passed"));
    }
}

async fn every_host(layer: &impl HostLayer, call: &Call) -> Vec<Answer> {
    let mut answers = Vec::new();
    for host in Host::WITHOUT_SOCKETS.into_iter().chain(Host::WITH_SOCKETS) {
        answers.push(host.send(layer, call).await.unwrap());
    }
    answers
}

fn gate() -> GuardLayer<Gate> {
    GuardLayer::new(Gate(Duty::new("gate")))
}

fn call() -> Call {
    let peer = Peer::assert_verified(VerifiedCertificate {
        identity: PeerIdentity::Spiffe("spiffe://example.org/a".parse().unwrap()),
        certificate_sha256: [7; 32],
        serial: Box::from([1]),
        not_after: WallTime::MAX,
    });
    let remote = "192.0.2.7:4000".parse().unwrap();
    Call::echo("hello").with_connection(Connection::from_remote(remote).with_peer(peer))
}

#[tokio::test]
async fn a_pass_reaches_the_echo_on_every_host() {
    let call = call().with_bearer("good").unwrap();
    for answer in every_host(&gate(), &call).await {
        assert!(answer.is_success(), "{answer:?}");
        let seen = answer.json();
        assert_eq!(seen["body"], "hello", "{:?}", answer.host);
        assert_eq!(answer.header("x-gate"), Some("passed"), "{:?}", answer.host);
        assert_eq!(
            seen["context"]["peer"]["spiffe_id"],
            "spiffe://example.org/a"
        );
        assert_eq!(seen["context"]["address"], "192.0.2.7");
        assert_eq!(seen["context"]["decisions"][0]["outcome"], "allowed");
        assert_eq!(answer.code(), None);
    }
}

#[tokio::test]
async fn a_refusal_looks_the_same_on_every_host() {
    for answer in every_host(&gate(), &call()).await {
        let host = answer.host;
        assert!(!answer.is_success(), "{host:?}");
        assert_eq!(answer.code().as_deref(), Some("test.refused"), "{host:?}");
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Bearer"),
            "{host:?}"
        );
        assert_eq!(answer.header("retry-after"), Some("7"), "{host:?}");
        assert_eq!(answer.header("x-gate"), None, "{host:?}");
        if host.is_grpc() {
            assert_eq!(answer.http_status, StatusCode::OK);
            assert_eq!(answer.grpc_status, Some(16), "{host:?}");
            assert_eq!(answer.grpc_message.as_deref(), Some("50% sure: no"));
            assert!(answer.body.is_empty());
            assert_ne!(answer.ended_with_headers, Some(false), "{host:?}");
        } else {
            assert_eq!(answer.http_status, StatusCode::UNAUTHORIZED, "{host:?}");
            assert_eq!(answer.grpc_status, None);
            assert_eq!(answer.json()["detail"], "50% sure: no");
        }
    }
}

#[tokio::test]
async fn a_stream_passes_the_guard_on_every_host() {
    let call = Call::stream(3).with_bearer("good").unwrap();
    for answer in every_host(&gate(), &call).await {
        assert!(answer.is_success(), "{answer:?}");
        let expected = if answer.host.is_grpc() {
            "012"
        } else {
            "0\n1\n2\n"
        };
        assert_eq!(answer.text(), expected, "{:?}", answer.host);
    }
}

/// Passes everything, and ends the answer where it would wait.
#[derive(Clone, Debug)]
struct Scissors;

impl Guard for Scissors {
    type Pass = Cut;
    type Inquiry = Never;

    fn duty(&self) -> Option<&Duty> {
        None
    }

    fn check(&self, _: &mut Inspection<'_>) -> Check<Cut, Never> {
        Check::Now(Ok(Cut))
    }
}

struct Cut;

impl Pass for Cut {
    fn poll_cut(&mut self, _: &mut Context<'_>) -> Poll<Rejection> {
        Poll::Ready(Rejection::new(RejectionKind::Unauthenticated, REFUSED))
    }
}

#[tokio::test]
async fn a_cut_stream_is_seen_as_cut() {
    // Behind a socket the guard may see the service wait for the request, and cut before the head.
    for host in Host::WITHOUT_SOCKETS {
        let layer = GuardLayer::new(Scissors);
        let answer = host.send(&layer, &Call::open_stream(1)).await.unwrap();
        assert!(!answer.is_success(), "{host:?}");
        if host.is_grpc() {
            assert_eq!(answer.text(), "0", "{answer:?}");
            assert_eq!(answer.grpc_status, Some(16), "{host:?}");
            assert_eq!(answer.code().as_deref(), Some("test.refused"), "{host:?}");
        } else {
            assert_eq!(answer.http_status, StatusCode::OK, "{host:?}");
            assert_eq!(answer.text(), "0\n", "{host:?}");
            assert!(answer.body_error.is_some(), "{host:?}");
        }
    }
}

#[tokio::test]
async fn a_token_that_no_header_can_carry_is_an_error() {
    assert!(Call::echo("").with_bearer("a\nb").is_err());
}
