//! The layer by itself, without sockets.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bartizan_core::{
    Connection, Decision, Enforcement, Outcome, Peer, PeerIdentity, SecurityContext,
    VerifiedCertificate, WallTime,
};
use bartizan_mtls::{
    AllowedPeers, ConfigError, Mtls, MtlsError, MtlsErrorKind, MtlsLayer, NO_PEER, PEER_EXPIRED,
    PEER_NOT_ALLOWED,
};
use bartizan_testkit::ManualClock;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes, Frame};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::*;

const EXPIRY: WallTime = WallTime::from_unix_seconds(1_800_000_000);

fn peer(identity: PeerIdentity) -> Peer {
    Peer::assert_verified(VerifiedCertificate {
        identity,
        certificate_sha256: [0; 32],
        serial: [1].into(),
        not_after: EXPIRY,
    })
}

fn spiffe(id: &str) -> Peer {
    peer(PeerIdentity::Spiffe(id.parse().expect("an id")))
}

fn connection(peer: Option<Peer>) -> Connection {
    let connection = Connection::from_remote(([192, 0, 2, 1], 4711).into());
    peer.into_iter().fold(connection, Connection::with_peer)
}

fn request(peer: Option<Peer>) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.method_mut() = http::Method::POST;
    request.extensions_mut().insert(connection(peer));
    request
}

struct Seen {
    response: Response<Bytes>,
    handled: bool,
}

async fn call(layer: &MtlsLayer, request: Request<Empty<Bytes>>) -> Seen {
    let handled = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mark = Arc::clone(&handled);
    let service = layer.layer(service_fn(move |_: Request<Empty<Bytes>>| {
        mark.store(true, std::sync::atomic::Ordering::Relaxed);
        async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
    }));
    let (parts, body) = service
        .oneshot(request)
        .await
        .expect("infallible")
        .into_parts();
    let body = body.collect().await.expect("infallible").to_bytes();
    let handled = handled.load(std::sync::atomic::Ordering::Relaxed);
    Seen {
        response: Response::from_parts(parts, body),
        handled,
    }
}

fn layer_at(now: WallTime) -> MtlsLayer {
    MtlsLayer::builder()
        .allow_peer(ORDERS.parse().expect("a pattern"))
        .with_clock(clock(&ManualClock::at(now)))
        .build()
        .expect("a list")
}

async fn check(peer: Option<Peer>, now: WallTime, status: StatusCode, code: &str) {
    let seen = call(&layer_at(now), request(peer.clone())).await;
    assert_eq!(seen.response.status(), status, "{peer:?} at {now:?}");
    assert_eq!(seen.handled, status == StatusCode::OK);
    let body = String::from_utf8_lossy(seen.response.body());
    assert!(body.contains(code), "{body}");
}

#[test]
fn rejects_when_unconfigured() {
    let verdict = MtlsLayer::builder().build();
    assert!(
        matches!(verdict, Err(ConfigError::NobodyAllowed)),
        "{verdict:?}"
    );
    let verdict = MtlsLayer::builder().allow_dns_name("*.example.org").build();
    assert!(
        matches!(verdict, Err(ConfigError::DnsName(_))),
        "{verdict:?}"
    );
    // The mistake stays a mistake when something sound follows it.
    let verdict = MtlsLayer::builder()
        .allow_dns_name("*")
        .allow(&only(ORDERS))
        .build();
    assert!(
        matches!(verdict, Err(ConfigError::DnsName(_))),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn lets_listed_peers_pass_and_nobody_else() {
    let now = EXPIRY.saturating_sub(Duration::from_secs(60));
    check(Some(spiffe(ORDERS)), now, StatusCode::OK, "").await;
    check(None, now, StatusCode::UNAUTHORIZED, "mtls.no_peer").await;
    check(
        Some(spiffe(PAYMENTS)),
        now,
        StatusCode::FORBIDDEN,
        "mtls.peer_not_allowed",
    )
    .await;
    let named = peer(PeerIdentity::Dns(Arc::from([Box::from("orders")])));
    check(
        Some(named),
        now,
        StatusCode::FORBIDDEN,
        "mtls.peer_not_allowed",
    )
    .await;
}

#[tokio::test]
async fn a_request_without_any_connection_is_a_fault_of_the_service() {
    let layer = layer_at(WallTime::from_unix_seconds(0));
    let seen = call(&layer, Request::new(Empty::new())).await;
    assert_eq!(seen.response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(String::from_utf8_lossy(seen.response.body()).contains("mtls.no_connection"));
    assert!(!seen.handled);
}

#[tokio::test]
async fn refuses_a_peer_whose_certificate_expired_on_the_connection() {
    let second = Duration::from_secs(1);
    check(
        Some(spiffe(ORDERS)),
        EXPIRY.saturating_sub(second),
        StatusCode::OK,
        "",
    )
    .await;
    check(Some(spiffe(ORDERS)), EXPIRY, StatusCode::OK, "").await;
    let late = EXPIRY + second;
    check(
        Some(spiffe(ORDERS)),
        late,
        StatusCode::UNAUTHORIZED,
        "mtls.peer_expired",
    )
    .await;
    // Expiry comes first: what an expired certificate says is not looked at.
    check(
        Some(spiffe(PAYMENTS)),
        late,
        StatusCode::UNAUTHORIZED,
        "mtls.peer_expired",
    )
    .await;
}

#[tokio::test]
async fn renders_grpc_rejection() {
    let now = EXPIRY.saturating_sub(Duration::from_secs(60));
    for (peer, expected) in [(None, "16"), (Some(spiffe(PAYMENTS)), "7")] {
        let mut request = request(peer);
        let grpc = http::HeaderValue::from_static("application/grpc");
        request
            .headers_mut()
            .insert(http::header::CONTENT_TYPE, grpc);
        let seen = call(&layer_at(now), request).await;
        assert_eq!(seen.response.status(), StatusCode::OK);
        assert_eq!(seen.response.headers()["grpc-status"], expected);
        assert!(seen.response.body().is_empty() && !seen.handled);
    }
}

#[tokio::test]
async fn shadow_mode_lets_pass_and_records() {
    let recorder = Recorder::default();
    let layer = MtlsLayer::builder()
        .allow_peer(ORDERS.parse().unwrap())
        .with_clock(clock(&ManualClock::at(EXPIRY)))
        .with_enforcement(Enforcement::Shadow)
        .with_observer(recorder.shared())
        .build()
        .unwrap();
    for (peer, code) in [(None, NO_PEER), (Some(spiffe(PAYMENTS)), PEER_NOT_ALLOWED)] {
        let mut request = request(peer);
        let context = SecurityContext::new(request.uri().clone());
        if let Some(peer) = Connection::of(request.extensions()).and_then(Connection::peer) {
            context.set_peer(peer.clone()).unwrap();
        }
        request.extensions_mut().insert(context.clone());
        let seen = call(&layer, request).await;
        assert!(seen.handled);
        assert_eq!(
            context.decisions(),
            [Decision::new("mtls", Outcome::WouldHaveDenied).with_code(code)]
        );
    }
    assert_eq!(recorder.codes(), [NO_PEER, PEER_NOT_ALLOWED]);
}

#[test]
fn the_guard_keeps_the_reason_for_the_log() {
    use bartizan_core::{Check, Guard, Inspection};

    let (mut parts, _) = request(None).into_parts();
    let context = SecurityContext::new(parts.uri.clone());
    context.set_peer(spiffe(ORDERS)).unwrap();
    let layer = layer_at(EXPIRY + Duration::from_secs(1));
    let Check::Now(Err(rejection)) = layer
        .guard()
        .check(&mut Inspection::new(&mut parts, &context))
    else {
        panic!("must refuse at once")
    };
    assert_eq!(rejection.code(), PEER_EXPIRED);
    let cause = std::error::Error::source(&rejection).unwrap();
    let reason = cause.downcast_ref::<MtlsError>().unwrap();
    assert_eq!(reason.kind(), MtlsErrorKind::PeerExpired);
    assert!(
        reason
            .to_string()
            .contains("not after 1800000000, now 1800000001"),
        "{reason}"
    );
    assert!(
        !rejection.to_string().contains(ORDERS),
        "the client learns no names: {rejection}"
    );
}

#[test]
fn the_layer_and_its_service_are_clone_send_sync_and_debug() {
    fn check<T: Clone + Send + Sync + std::fmt::Debug + 'static>() {}
    check::<MtlsLayer>();
    check::<AllowedPeers>();
    #[derive(Clone, Debug)]
    struct Inner;
    check::<Mtls<Inner>>();
}

/// A response that never has anything to say.
struct Silent;

impl Body for Silent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_that_goes_on_ends_when_its_peer_expires() {
    let clock = ManualClock::at(EXPIRY);
    let layer = MtlsLayer::builder()
        .allow_peer(ORDERS.parse().unwrap())
        .with_clock(self::clock(&clock))
        .build()
        .unwrap();
    // It answers in the protocol that it is asked in.
    let service = layer.layer(service_fn(async |request: Request<Empty<Bytes>>| {
        let mut response = Response::new(Silent);
        if let Some(content_type) = request.headers().get("content-type") {
            let content_type = content_type.clone();
            response.headers_mut().insert("content-type", content_type);
        }
        Ok::<_, Infallible>(response)
    }));
    for grpc in [false, true] {
        clock.set_wall(EXPIRY);
        let mut request = request(Some(spiffe(ORDERS)));
        if grpc {
            let content_type = "application/grpc".parse().unwrap();
            request.headers_mut().insert("content-type", content_type);
        }
        let mut body = service.clone().oneshot(request).await.unwrap().into_body();
        // The last second belongs to the certificate, and time by itself changes nothing.
        let waiting = tokio::time::timeout(Duration::from_secs(600), body.frame()).await;
        assert!(waiting.is_err());
        clock.advance(Duration::from_secs(1));
        let last = body.frame().await.unwrap();
        if grpc {
            let trailers = last.unwrap().into_trailers().unwrap();
            assert_eq!(trailers["grpc-status"], "16");
        } else {
            let cut = last.unwrap_err().into_inner().unwrap_err();
            assert_eq!(cut.code(), PEER_EXPIRED);
        }
    }
}
